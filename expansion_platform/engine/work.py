"""A rule with what it reads, as plain values: the same in this process and in another one.

Here: `Work` and its inputs on a shard of customers. Not here: who makes it of a declaration (`reading.py`),
what becomes of the result (`parts.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset

from expansion_platform.domain.catalog.inputs import Inputs, Load, Scan
from expansion_platform.domain.core.errors import UndeclaredReadError
from expansion_platform.domain.core.table import Table, table_name
from expansion_platform.engine.declaration import Read
from expansion_platform.storage.lake import Lake
from expansion_platform.storage.shards import EVERYONE, Shard


@dataclass(frozen=True)
class Work:
    """What a rule needs.

    Args:
        names: its tables, for messages.
        rule: a function of the months and its inputs.
        reads: the tables it may read.
        values: the settings, files and facts it may use, by name.
        root: of the lake.
        known: the months that were computed of each monthly table that it may read.
    """

    names: str
    rule: Callable[[list[str], Inputs], Any]
    reads: tuple[Read, ...]
    values: Mapping[str, Any]
    root: Path
    known: Mapping[type[Table], frozenset[str]]

    @property
    def lake(self) -> Lake:
        """The tables, opened once a process."""
        return _lake(self.root)

    def inputs(self, months: Sequence[str], shard: Shard = EVERYONE) -> Inputs:
        """Its inputs over some months, of the customers of a shard."""
        return inputs(
            self.lake,
            self.names,
            self.reads,
            {name: partial(_value, each) for name, each in self.values.items()},
            self.known.__getitem__,
            months,
            shard,
        )


def plain(reads: Iterable[Read]) -> tuple[Read, ...]:
    """Reads without the digest that distinguishes months, which another process does not need."""
    return tuple(replace(read, digest=None) for read in reads)


def run(work: Work, months: list[str], shard: Shard) -> Any:
    """What the rule makes of a shard."""
    return work.rule(months, work.inputs(months, shard))


def inputs(
    lake: Lake,
    names: str,
    reads: Iterable[Read],
    values: Mapping[str, Callable[[], Any]],
    known: Callable[[type[Table]], Iterable[str]],
    months: Sequence[str],
    shard: Shard = EVERYONE,
) -> Inputs:
    """The inputs of a rule over some months.

    Args:
        lake: the tables.
        names: the rule's tables, for messages.
        reads: the tables it may read; of one that is named twice, as the first says.
        values: what else it may use.
        known: the months that were computed of a monthly table.
        months: the months it is to compute.
        shard: the customers whose rows it gets, of tables that name the customer.
    """
    load: dict[type[Table], Load] = {}
    scan: dict[type[Table], Scan] = {}
    for read in reads:
        source = _Source(lake, names, read, known, months, shard)
        load.setdefault(read.model, source.load)
        scan.setdefault(read.model, source.scan)
    return Inputs(names, load, lambda model: frozenset(known(model)), values, months, scan)


@dataclass(frozen=True)
class _Source:
    """One table that a rule may read."""

    lake: Lake
    names: str
    read: Read
    known: Callable[[type[Table]], Iterable[str]]
    months: Sequence[str]
    shard: Shard

    def load(self, asked: Sequence[str] | None) -> pa.Table:
        """Its rows, in memory."""
        read = self.read
        return self.lake.pruned(
            read.model,
            columns=read.columns,
            months=self._wanted(asked),
            where=self._where(),
            coded=read.coded,
            in_order=read.ordered,
        )

    def scan(self, asked: Sequence[str] | None) -> Any:
        """Its rows for a query, which reads the files.

        In memory where only some are to be seen: DuckDB reads no expression of Arrow.
        """
        if self._where() is not None:
            return self.load(asked)
        return self.lake.scan(self.read.model, columns=self.read.columns, months=self._wanted(asked))

    def _where(self) -> pyarrow.dataset.Expression | None:
        theirs = None if self.read.by is None else self.shard.rows(self.read.by)
        if theirs is None or self.read.where is None:
            return self.read.where if theirs is None else theirs
        return self.read.where & theirs

    def _wanted(self, asked: Sequence[str] | None) -> list[str] | None:
        """The months to read of those that the declared window covers.

        None for a table that is not monthly.
        """
        read = self.read
        if not read.monthly:
            return None
        computed = sorted(self.known(read.model))
        seen = {name for month in self.months for name in read.window.months(month, computed)}
        if outside := sorted(set(asked or ()) - seen):
            raise UndeclaredReadError(
                f"the rule of {self.names} reads {table_name(read.model)} of {', '.join(outside)}, "
                "which its declared window does not cover: widen it"
            )
        return sorted((seen if asked is None else set(asked)) & set(computed))


def _value(value: Any) -> Any:
    return value


@cache
def _lake(root: Path) -> Lake:
    return Lake(root)
