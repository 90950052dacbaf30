"""Three years of a book in one range run: movements, every metric of every month, and the rules of detection
on the newest month.

Here: the stages and their table. Not here: the book (`book.py`), the SQL that people write themselves for
customer months (`mrr.py` runs it over the same item states, in the same run). The floor reads the two tables
the metrics are made of and sums their money by month and segment, as any metric must.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import yaml
from rich.console import Console

from expansion_platform.automation.run import refresh
from expansion_platform.domain.catalog.targets import AlertSettings
from expansion_platform.domain.core import months
from expansion_platform.domain.core.table import empty, table_name
from expansion_platform.domain.history import tables as billing
from expansion_platform.domain.metrics import tables as metrics
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.mrr import vocabulary
from expansion_platform.domain.mrr.monthly import MODELS
from expansion_platform.domain.tables import TABLES
from expansion_platform.resources import Platform
from expansion_platform.settings import Settings
from expansion_platform.storage.lake import Lake
from expansion_platform.tables.alerts import facts_of
from expansion_platform_tests.benchmarks import book
from expansion_platform_tests.benchmarks.measure import Meter, in_fresh_process, show

LAST = "2026-05"
MONTHS = 36
CALENDAR = months.between(months.shift(LAST, 1 - MONTHS), LAST)


def run(customers: int, folder: Path) -> None:
    """Makes the book, runs each floor over all months in a fresh process, prints the table."""
    in_fresh_process("range", "make", folder, customers)
    stages = ("tables", "mrr", "floor", "metrics", "again", "detect")
    tables, moved, floor, figures, again, judged = (
        in_fresh_process("range", name, folder, customers) for name in stages
    )
    query = in_fresh_process("mrr", "query", folder / "lake", customers)["computed"]
    rows = [
        ("plain SQL: customer months and one word for each", query),
        ("the four mrr tables, in parts, checked and written", tables),
        (f"the other {moved['tables']} of the floor", moved),
        ("floor of the metrics: read both tables, sum by month and segment", floor),
        (f"metrics: {figures['tables']} tables", figures),
        ("both again, nothing having changed", again),
        ("detection: every rule on the newest month", judged),
    ]
    notes = [
        f"{moved['rows']:,} customer months; {figures['rows']:,} rows of metrics; "
        f"{figures['cpu'] / floor['cpu']:.1f} times the floor, {figures['cpu'] / query['cpu']:.1f} times the "
        "query (CPU).",
        f"{judged['findings']} findings, among them the permutation tests of the total and of each segment.",
    ]
    show(f"{MONTHS} months of {customers:,} customers in one range run", rows, notes)


def stage(name: str, folder: Path, customers: int) -> dict[str, Any]:
    """One stage, in this process."""
    return {
        "make": _make,
        "tables": _tables,
        "mrr": _mrr,
        "floor": _floor,
        "metrics": _metrics,
        "again": _again,
        "detect": _detect,
    }[name](folder, customers)


def _settings(folder: Path) -> Settings:
    path = folder / "catalog.yaml"
    return Settings(
        _env_file=None, expansion_data_dir=str(folder), expansion_catalog=path,
        expansion_first_month=CALENDAR[0],
        expansion_as_of="2026-06-05T06:00:00+00:00",
    )  # fmt: skip


def _make(folder: Path, customers: int) -> dict[str, Any]:
    lake = Lake(folder / "lake")
    states = book.item_states(customers, CALENDAR)
    lake.replace(
        billing.ItemStates,
        states.astype({name: "str" for name, kind in states.dtypes.items() if kind == "category"}),
    )
    lake.replace(billing.FxRates, book.rates(months.between("2018-12", LAST)))
    for model in (
        billing.Quarantine,
        *(model for name, model in TABLES.items() if name.startswith("stripe/")),
    ):
        lake.replace(model, empty(model))
    catalog = {name: value for name, value in book.catalog().items() if name != "reporting_currency"}
    (folder / "catalog.yaml").write_text(yaml.safe_dump(catalog))
    return {"items": len(states)}


FOUR = [table_name(model) for model in MODELS]
MOVED = [name for name in TABLES if name.startswith("mrr/") and name not in FOUR]
FIGURES = [name for name in TABLES if name.startswith("metrics/")]


def _refresh(folder: Path, wanted: list[str]) -> dict[str, Any]:
    settings = _settings(folder)
    with dg.DagsterInstance.ephemeral() as instance:
        meter = Meter()
        refresh(settings, CALENDAR[0], LAST, Console(quiet=True), instance, only=wanted)
        return meter.lap(tables=len(wanted))


def _tables(folder: Path, customers: int) -> dict[str, Any]:
    return _refresh(folder, FOUR)


def _mrr(folder: Path, customers: int) -> dict[str, Any]:
    return {**_refresh(folder, MOVED), "rows": Lake(folder / "lake").rows(mrr.CustomerMonths)}


def _metrics(folder: Path, customers: int) -> dict[str, Any]:
    lake = Lake(folder / "lake")
    measured = _refresh(folder, FIGURES)
    return {**measured, "rows": sum(lake.rows(TABLES[name]) for name in FIGURES)}


def _again(folder: Path, customers: int) -> dict[str, Any]:
    version = Lake(folder / "lake").version(metrics.Expansion)
    measured = _refresh(folder, [*FOUR, *MOVED, *FIGURES])
    assert Lake(folder / "lake").version(metrics.Expansion) == version
    return measured


def _floor(folder: Path, customers: int) -> dict[str, Any]:
    lake = Lake(folder / "lake")
    meter = Meter()
    customer_months, movements = lake.arrow(mrr.CustomerMonths, CALENDAR), lake.arrow(mrr.Movements, CALENDAR)
    with duckdb.connect() as engine:
        engine.register("customer_months", customer_months)
        engine.register("movements", movements)
        sums = engine.execute(
            "select month, segment, sum(opening), sum(closing), sum(flow_fx), count(*) from "
            "customer_months group by all"
        ).fetchall()
        flows = ", ".join(f"sum(flow_{name})" for name in vocabulary.FLOWS if name != "fx")
        sums += engine.execute(f"select month, segment, {flows} from movements group by all").fetchall()
    return meter.lap(rows=len(sums))


def _detect(folder: Path, customers: int) -> dict[str, Any]:
    with Platform(_settings(folder)) as platform:
        facts = facts_of(platform, LAST)
        meter = Meter()
        findings = facts.findings(AlertSettings.from_yaml(None), platform.reporting_exponent, "benchmark")
        return meter.lap(findings=len(findings))
