"""Measuring: each stage in a fresh process, so that its peak memory is its own.

Here: running a stage and printing the table. Not here: what the stages do. CPU is user and system time of the
process, its threads, and the processes that it started and that have ended; on a shared machine compare CPU
and ratios, not wall. Memory of a process that started others is that of all of them at once: what each has
alone, and its share of what they share.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


class Meter:
    """Wall and CPU seconds since it was made or last asked, and the peak memory of the process."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), _cpu()

    def lap(self, **more: Any) -> dict[str, Any]:
        """What passed, peak memory in GB, and whatever the stage adds."""
        wall, cpu = time.perf_counter(), _cpu()
        passed = {
            "wall": wall - self._wall,
            "cpu": cpu - self._cpu,
            "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
            **more,
        }
        self._wall, self._cpu = wall, cpu
        return passed


def in_fresh_process(benchmark: str, stage: str, folder: Path, customers: int) -> dict[str, Any]:
    """Runs one stage of a benchmark and returns what it measured."""
    command = [
        sys.executable,
        "-m",
        "expansion_platform_tests.benchmarks",
        benchmark,
        "--stage",
        stage,
        "--folder",
        str(folder),
    ]
    # Its runs belong into its own folder, not into a history that somebody keeps elsewhere.
    environment = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
    with subprocess.Popen(
        [*command, "--customers", str(customers)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as running:
        watched = _Watch(running.pid)
        told, errors = running.communicate()
        watched.ended.set()
    if running.returncode:
        raise SystemExit(f"{benchmark} {stage} failed:\n{errors}")
    measured = dict(json.loads(told.splitlines()[-1]))
    return measured if watched.most is None else {**measured, "peak": watched.most}


class _Watch:
    """The most memory that a process and those it started had at once, in GB; None while there is one
    process.
    """

    def __init__(self, pid: int) -> None:
        self.most: float | None = None
        self.ended = threading.Event()
        threading.Thread(target=self._watch, args=(pid,), daemon=True).start()

    def _watch(self, pid: int) -> None:
        while not self.ended.wait(0.2):
            tree = _tree(pid)
            if len(tree) > 1:
                self.most = max(self.most or 0.0, sum(map(_share, tree)) / 1e6)


def _tree(pid: int) -> list[int]:
    try:
        children = [
            int(child)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
    except OSError:  # it has ended
        return []
    return [pid, *(each for child in children for each in _tree(child))]


def _share(pid: int) -> int:
    """Memory of a process in kB; what several share is divided by their number."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def show(title: str, rows: Sequence[tuple[str, dict[str, Any]]], notes: Sequence[str]) -> None:
    """One table: seconds and GB of each row, then the notes."""
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for name in ("wall s", "CPU s", "peak GB"):
        table.add_column(name, justify="right")
    for name, measured in rows:
        peak = f"{measured['peak']:.2f}" if "peak" in measured else ""
        table.add_row(name, f"{measured['wall']:.2f}", f"{measured['cpu']:.2f}", peak)
    console = Console(width=120)
    console.print(table)
    for note in notes:
        console.print(note, highlight=False)


def _cpu() -> float:
    used = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)
