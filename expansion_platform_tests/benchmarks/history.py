"""What a pull costs the history: an account read for the first time, read again whole, and a day later.

Here: the stages and their table. Not here: the account (`simulator/`). The floor reads the tables that
history is told by once.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
from rich.console import Console

from expansion_platform.automation.run import refresh
from expansion_platform.domain.core.table import empty
from expansion_platform.domain.history import tables as billing
from expansion_platform.domain.stripe import tables as stripe
from expansion_platform.ingestion.histories import STAGED
from expansion_platform.resources import PULLED
from expansion_platform.settings import Settings
from expansion_platform.simulator.company.company import AS_OF, BEHAVIOURS, simulate
from expansion_platform.storage.lake import Lake
from expansion_platform.storage.ledger import Checkpoint, Ledger
from expansion_platform_tests.benchmarks.measure import Meter, in_fresh_process, show
from expansion_platform_tests.domain.simulated import staged

SEED, MONTHS = 7, 36
DAYS = {"first": AS_OF - timedelta(days=1), "later": AS_OF}
LOGGED, STATES = "billing/item_changes", "billing/item_states"


def run(customers: int, folder: Path) -> None:
    """Fills the lake as of a day before, reads it; forgets what was read, reads it again; adds the day, reads
    that; prints the table.
    """
    in_fresh_process("history", "fill_first", folder, customers)
    floor, first, again = (
        in_fresh_process("history", name, folder, customers) for name in ("floor", "read", "again")
    )
    in_fresh_process("history", "fill_later", folder, customers)
    later, idle = (in_fresh_process("history", name, folder, customers) for name in ("read", "read"))
    rows = [
        ("floor: read the tables once", floor),
        ("first: every customer", first),
        ("every customer again, as after a changed rule", again),
        ("a day later: customers with something new", later),
        ("nothing new", idle),
    ]
    notes = [
        f"{first['states']:,} item states of {first['logged']:,} entries of the log; again logged "
        f"{again['logged'] - first['logged']} more, the day {later['logged'] - again['logged']:,}.",
        f"The day costs {later['cpu'] / first['cpu']:.0%} of everything (CPU).",
    ]
    show(f"History of {customers:,} customers over {MONTHS} months", rows, notes)


def stage(name: str, folder: Path, customers: int) -> dict[str, Any]:
    """One stage, in this process."""
    if name.startswith("fill_"):
        return _fill(folder, customers, name.removeprefix("fill_"))
    return {"floor": _floor, "read": _read, "again": _again}[name](folder)


def _settings(folder: Path) -> Settings:
    return Settings(_env_file=None, expansion_data_dir=str(folder), expansion_as_of=AS_OF.isoformat())


def _fill(folder: Path, customers: int, day: str) -> dict[str, Any]:
    lake, at = Lake(folder / "lake"), DAYS[day]
    tables = staged(
        simulate(SEED, customers=customers, months=MONTHS, as_of=at, behaviours=BEHAVIOURS).account, at
    )
    for name, model in STAGED.items():
        frame = getattr(tables, name)
        if frame is None:  # nobody reports usage to a meter here, and the history wants to know
            lake.replace(model, empty(model))
            continue
        stored = lake.read(model)["id"] if model in (stripe.SubscriptionItems, stripe.InvoiceItems) else []
        lake.upsert(model, frame, delete=set(stored) - set(frame["id"]))
    Ledger(_settings(folder).ledger_url).pulls.set_cursor(PULLED, {"last_pull_at": int(at.timestamp())})
    return {}


def _floor(folder: Path) -> dict[str, Any]:
    lake, meter = Lake(folder / "lake"), Meter()
    rows = sum(len(lake.read(model)) for model in STAGED.values())
    return meter.lap(rows=rows)


def _read(folder: Path) -> dict[str, Any]:
    lake = Lake(folder / "lake")
    with dg.DagsterInstance.ephemeral() as instance:
        meter = Meter()
        refresh(
            _settings(folder),
            None,
            None,
            Console(quiet=True),
            instance,
            only=[LOGGED, STATES, "billing/quarantine"],
        )
        measured = meter.lap()
    return {**measured, "states": lake.rows(billing.ItemStates), "logged": lake.rows(billing.ItemChanges)}


def _again(folder: Path) -> dict[str, Any]:
    ledger = Ledger(_settings(folder).ledger_url)
    for table in (LOGGED, STATES):
        ledger.builds.record_checkpoint(table, Checkpoint("", ()))
        ledger.builds.record(table, {"all": ("", "")})
    return _read(folder)
