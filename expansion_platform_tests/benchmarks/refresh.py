"""What later refreshes of one company cost: nothing new, one customer changed in a closed month, and the
three newest months again beside a short and a long history.

Here: the stages and their table. Not here: the company and its servers (`simulator/`), which run in the
process measured, so that what they take to answer is counted, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from expansion_platform.automation import run_history
from expansion_platform.automation.run import refresh
from expansion_platform.domain.core import months
from expansion_platform.domain.history.tables import ItemStates
from expansion_platform.domain.mrr.tables import CustomerMonths
from expansion_platform.domain.tables import TABLES
from expansion_platform.settings import Settings
from expansion_platform.simulator.company.company import LAST_MONTH, simulate
from expansion_platform.simulator.world import running
from expansion_platform.storage.lake import Lake
from expansion_platform_tests.benchmarks.measure import Meter, in_fresh_process, show

SEED = 5
LENGTHS = {"short": 12, "usual": 24, "long": 60}
NEWEST = months.between(months.shift(LAST_MONTH, -2), LAST_MONTH)
COMPUTED = [name for name in TABLES if name.startswith(("mrr/", "metrics/"))]
KEPT = "mrr/first_reported"
"""Never deleted: it is what was said when."""


def run(customers: int, folder: Path) -> None:
    """Fills one lake a length, measures each stage in a fresh process, prints the table."""
    first = {name: in_fresh_process("refresh", f"fill_{name}", folder, customers) for name in LENGTHS}
    idle, changed, short, long = (
        in_fresh_process("refresh", name, folder, customers)
        for name in ("idle", "changed", "newest_short", "newest_long")
    )
    rows = [
        (f"first: {LENGTHS['usual']} months, pulled and computed", first["usual"]),
        ("again, nothing new", idle),
        ("one customer changed in a closed month: three months of mrr and metrics", changed),
        (f"three newest months again, of {LENGTHS['short']}", short),
        (f"three newest months again, of {LENGTHS['long']}", long),
    ]
    notes = [
        f"{changed['changed']} customer months of {changed['rows']} in these months are other than before.",
        f"Three months of {LENGTHS['long']} cost {long['cpu'] / short['cpu']:.2f} times three of "
        f"{LENGTHS['short']} (CPU).",
    ]
    show(f"Refreshes of {customers:,} customers", rows, notes)


def stage(name: str, folder: Path, customers: int) -> dict[str, Any]:
    """One stage, in this process."""
    if name == "changed":
        return _changed(folder, customers)
    what, _, length = name.partition("_")
    if what == "newest":
        return _newest(folder, customers, length)
    length = length or "usual"
    with _serving(folder, customers, length) as settings:
        return _refreshed(settings, None, None, None)


@contextmanager
def _serving(folder: Path, customers: int, length: str) -> Iterator[Settings]:
    company = simulate(SEED, customers, LENGTHS[length])
    with running(company, seed=SEED, months=LENGTHS[length], data_dir=folder / length) as world:
        yield world.settings


def _refreshed(
    settings: Settings, first: str | None, last: str | None, only: list[str] | None
) -> dict[str, Any]:
    # A user's, kept between the stages: months that Dagster does not know are reported to it again.
    with run_history.instance(settings) as instance:
        meter = Meter()
        refresh(settings, first, last, Console(quiet=True), instance, only=only)
        return meter.lap()


def _newest(folder: Path, customers: int, length: str) -> dict[str, Any]:
    lake = Lake(folder / length / "lake")
    for name in COMPUTED:
        if name != KEPT:
            lake.delete_months(TABLES[name], NEWEST)
    with _serving(folder, customers, length) as settings:
        measured = _refreshed(settings, NEWEST[0], NEWEST[-1], COMPUTED)
    assert lake.rows(CustomerMonths, NEWEST)
    return measured


def _changed(folder: Path, customers: int) -> dict[str, Any]:
    """Doubles the quantity of one customer's item in the middle of the oldest of the three months."""
    lake = Lake(folder / "usual" / "lake")
    states, before = lake.read(ItemStates), lake.read(CustomerMonths, NEWEST)
    middle = months.opening(NEWEST[0]) + pd.Timedelta(days=14)
    held = states["valid_to"].isna() & (states["valid_from"] < middle) & (states["usage_type"] == "licensed")
    ends = states.index == states.index[held & (states["status"] == "active")][0]
    doubled = states[ends].assign(valid_from=middle)
    doubled["quantity"] = [str(2 * int(text)) for text in doubled["quantity"]]
    changed = states.assign(valid_to=states["valid_to"].mask(ends, middle))
    lake.replace(ItemStates, pd.concat([changed, doubled], ignore_index=True))
    with _serving(folder, customers, "usual") as settings:
        measured = _refreshed(settings, NEWEST[0], NEWEST[-1], COMPUTED)
    after = lake.read(CustomerMonths, NEWEST)
    same = before.merge(after[["month", "customer", "opening", "closing"]], on=["month", "customer"])
    moved = (same["opening_x"] != same["opening_y"]) | (same["closing_x"] != same["closing_y"])
    assert moved.any()
    return {**measured, "changed": int(moved.sum()), "rows": len(same)}
