"""Measuring: each stage in a fresh process, so that its peak memory is its own.

Here: running a stage and printing the table. Not here: what the stages do. CPU is user and system time of the process and its threads; on a
shared machine compare CPU and ratios, not wall.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
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
        passed = {"wall": wall - self._wall, "cpu": cpu - self._cpu, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, **more}
        self._wall, self._cpu = wall, cpu
        return passed


def in_fresh_process(benchmark: str, stage: str, folder: Path, customers: int) -> dict[str, Any]:
    """Runs one stage of a benchmark and returns what it measured."""
    command = [sys.executable, "-m", "expansion_platform_tests.benchmarks", benchmark, "--stage", stage, "--folder", str(folder)]
    done = subprocess.run([*command, "--customers", str(customers)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{benchmark} {stage} failed:\n{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


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
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
