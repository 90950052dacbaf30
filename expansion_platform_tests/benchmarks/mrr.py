"""Three years of the four mrr tables, beside the SQL that people write themselves for customer months alone,
over the same item states.

Here: the stages and their table. Not here: the book (`book.py`), the query (`customer_months.sql`), and the
whole run with its checks and commits (`range.py`). Rows and sums of both are compared: the query rounds
doubles, so a sum may differ by a few minor units.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from expansion_platform.domain.core import months
from expansion_platform.domain.core.table import empty
from expansion_platform.domain.history import tables as billing
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.mrr.monthly import MODELS, Facts, mrr_tables
from expansion_platform.storage.lake import Lake
from expansion_platform_tests.benchmarks import book
from expansion_platform_tests.benchmarks.measure import Meter, in_fresh_process, show
from expansion_platform_tests.benchmarks.month import REPEATED

LAST, MONTHS = "2026-05", 36
CALENDAR = months.between(months.shift(LAST, 1 - MONTHS), LAST)
QUERY = Path(__file__).with_name("customer_months.sql")
GOAL = 1.5
"""Most CPU of the four tables, in times of the query's."""


def run(customers: int, folder: Path) -> None:
    """Makes the book, runs both in fresh processes, prints the table."""
    in_fresh_process("mrr", "make", folder, customers)
    query, tables = (in_fresh_process("mrr", stage, folder, customers) for stage in ("query", "tables"))
    rows = [
        ("plain SQL: customer months and one word for each", query["computed"]),
        ("the four tables: customer months, movements, causes, price migrations", tables["computed"]),
    ]
    ratio = tables["computed"]["cpu"] / query["computed"]["cpu"]
    notes = [
        f"{tables['rows']:,} customer months, {tables['movements']:,} movements, {tables['causes']:,} "
        f"causes of {tables['states']:,} item states.",
        f"{ratio:.2f} times the CPU of the query; {GOAL} is the goal at 100,000 customers.",
        f"Reading the item states, not counted: {query['read']['cpu']:.2f} s for the query, "
        f"{tables['read']['cpu']:.2f} s for the tables.",
        f"The query has {query['rows'] - tables['rows']:+,} rows and "
        f"{query['closing'] - tables['closing']:+,} minor units of {tables['closing']:,}.",
    ]
    show(f"{MONTHS} months of {customers:,} customers", rows, notes)


def stage(name: str, folder: Path, customers: int) -> dict[str, Any]:
    """One stage, in this process."""
    return {"make": _make, "query": _query, "tables": _tables}[name](Lake(folder), customers)


def _make(lake: Lake, customers: int) -> dict[str, Any]:
    states = book.item_states(customers, CALENDAR)
    lake.replace(
        billing.ItemStates,
        states.astype({name: "str" for name, kind in states.dtypes.items() if kind == "category"}),
    )
    lake.replace(billing.FxRates, book.rates(months.between("2018-12", LAST)))
    return {"items": len(states)}


def _query(lake: Lake, customers: int) -> dict[str, Any]:
    meter = Meter()
    month_ends = pd.DataFrame({"month": [months.shift(CALENDAR[0], -1), *CALENDAR]})
    with duckdb.connect() as engine:
        for name, read in (
            ("states", lake.arrow(billing.ItemStates)),
            ("rates", lake.arrow(billing.FxRates)),
        ):
            engine.register(name, read)
        engine.register(
            "ends", month_ends.assign(closing=[months.closing(month) for month in month_ends["month"]])
        )
        engine.execute("create table item_states as from states")
        engine.execute("create table fx_rates as from rates")
        engine.execute("create table month_ends as from ends")
        read = meter.lap()
        engine.execute(f"create table customer_months as {QUERY.read_text()}")
        computed = meter.lap()
        of_range = "from customer_months where month >= ? and (opening > 0 or closing > 0)"
        rows, closing = engine.execute(f"select count(*), sum(closing) {of_range}", [CALENDAR[0]]).fetchall()[
            0
        ]
    return {"read": read, "computed": computed, "rows": int(rows), "closing": int(closing)}


def _tables(lake: Lake, customers: int) -> dict[str, Any]:
    meter = Meter()
    states, rates = (
        lake.read_coded(billing.ItemStates, REPEATED, without=["evidence_json"]),
        lake.read(billing.FxRates),
    )
    deletions = pd.DataFrame({"customer": pd.Series(dtype="str"), "created": states["valid_from"].iloc[:0]})
    read = meter.lap()
    found = mrr_tables(
        CALENDAR, Facts(states, rates, empty(billing.Quarantine), deletions, book.platform_catalog())
    )
    computed = meter.lap()
    assert not found.failures
    sizes = {model.Config.name.removeprefix("mrr/"): len(found.frames[model]) for model in MODELS}
    closing = int(found.frames[mrr.CustomerMonths]["closing"].sum())
    return {
        "read": read,
        "computed": computed,
        "rows": sizes.pop("customer_months"),
        "states": len(states),
        "closing": closing,
        **sizes,
    }
