"""What runs the same task on many shards: this process, or a pool of processes on the machine's cores.

Here: the interface, `map` of a task over items, and the local executor. Not here: tasks (`work.py`,
`parts.py`). Another executor, on other machines, is one more class with `map`: a task and its items are plain
values that can be pickled, and it reads and writes the lake by itself.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Protocol, TypeVar

import pyarrow as pa

from expansion_platform.domain.core.errors import ExpansionError

Item = TypeVar("Item")
Result = TypeVar("Result")


class Executor(Protocol):
    """Runs a task once for each item."""

    def map(self, task: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """The results in the order of the items, each as soon as it and those before it are there."""

    def close(self) -> None:
        """Ends what it started."""


class Local:
    """In this process for one item, beyond that in a pool of processes.

    Args:
        processes: how many at most; one for each core without.
    """

    def __init__(self, processes: int | None = None) -> None:
        self._processes = processes or _cores()
        self._pool: ProcessPoolExecutor | None = None

    def map(self, task: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """The results in the order of the items.

        Raises:
            ExpansionError: a process was ended from outside.
        """
        if len(items) == 1 or self._processes == 1:
            yield from map(task, items)
            return
        if self._pool is None:
            # Not forked: Arrow, DuckDB and Delta run threads of their own, and a fork copies their locks as
            # they are.
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._processes, mp_context=context, initializer=_begin)
        done = False
        try:
            yield from self._pool.map(task, items)
            done = True
        except BrokenProcessPool as error:
            raise ExpansionError(
                "a process that computed a part of the customers was ended from outside, most often "
                "because memory ran out; nothing was written. Run again with a smaller "
                "EXPANSION_SHARD_ROWS, or fewer EXPANSION_PROCESSES"
            ) from error
        finally:
            if not done:  # tasks that still run would go on reading and writing for nobody
                self.close()

    def close(self) -> None:
        """Ends the pool."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None


def counted(results: Iterable[Result], size: int, say: Callable[[str], None]) -> Iterator[Result]:
    """The results; of several, how many are there is said as each comes."""
    for number, result in enumerate(results, 1):
        if size > 1:
            say(f"{number} of {size} parts of the customers")
        yield result


def _cores() -> int:
    """The cores that this process may use; in a container these are fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _begin() -> None:
    """One thread a process: the cores are shared out already."""
    pa.set_cpu_count(1)
