"""Two years of signals: features, utilisation, health and readiness of everyone, shard after shard in one
process as the platform makes them, beside the SQL that people write for one figure of usage alone.

Here: the stages, what customers did in the product and what the CRM knows of them, made with NumPy from a
seed. Not here: the book (`book.py`). The query finds for each account and month the version that the close
knew, and sums active users by customer: any figure of usage has to. Its sums are compared with the features'.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from expansion_platform.domain.core import months
from expansion_platform.domain.core.table import Table, arrow_schema, empty, table_name
from expansion_platform.domain.history import tables as billing
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.mrr.monthly import Facts, mrr_tables
from expansion_platform.domain.signals import tables as signals
from expansion_platform.domain.signals.definition import Events, SignalDefinition
from expansion_platform.domain.signals.tables.facts import FACT_TABLES
from expansion_platform.domain.stripe.tables import Coupons
from expansion_platform.storage.lake import Lake
from expansion_platform.storage.shards import shards_of
from expansion_platform_tests.benchmarks import book
from expansion_platform_tests.benchmarks.measure import Meter, in_fresh_process, show

LAST, MONTHS, USED_BEFORE = "2026-05", 24, 3
BILLED = months.between(months.shift(LAST, -35), LAST)
USED = months.between(months.shift(LAST, 1 - MONTHS - USED_BEFORE), LAST)
CALENDAR = USED[USED_BEFORE:]
LAG_DAYS = 5
FEATURES = ("export", "reports")
SHARD_ROWS = 75_000
"""As EXPANSION_SHARD_ROWS is without a setting."""
GOAL_CPU, GOAL_PEAK = 60, 2.0
"""Seconds and GB at 100,000 customers."""
TOUCHES, TICKETS, ANSWERS = 6, 2, 1
"""Of a customer in the two years."""


def run(customers: int, folder: Path) -> None:
    """Makes the book and what was done with the product, runs both in fresh processes, prints the table."""
    in_fresh_process("signals", "make", folder, customers)
    floor, made = (in_fresh_process("signals", stage, folder, customers) for stage in ("floor", "signals"))
    rows = [
        ("plain SQL: active users known at each close, summed by customer", floor),
        ("features, utilisation, health, readiness, shard after shard", made),
    ]
    notes = [
        f"{made['rows']:,} rows of signals/features in {made['shards']} shards, of {floor['usage']:,} "
        f"versions of usage and {floor['facts']:,} of facts.",
        f"{made['cpu'] / floor['cpu']:.1f} times the CPU of the query; {GOAL_CPU} s and {GOAL_PEAK} GB are "
        "the goal at 100,000 customers.",
        f"Active users of the query less those of the features: {floor['active'] - made['active']:,} of "
        f"{made['active']:,}.",
    ]
    show(f"Signals of {MONTHS} months of {customers:,} customers", rows, notes)


def stage(name: str, folder: Path, customers: int) -> dict[str, Any]:
    """One stage, in this process."""
    return {"make": _make, "floor": _floor, "signals": _signals}[name](Lake(folder), customers)


def _make(lake: Lake, customers: int) -> dict[str, Any]:
    states = book.item_states(customers, BILLED)
    rates = book.rates(months.between("2018-12", LAST))
    deletions = pd.DataFrame({"customer": pd.Series(dtype="str"), "created": states["valid_from"].iloc[:0]})
    found = mrr_tables(
        BILLED, Facts(states, rates, empty(billing.Quarantine), deletions, book.platform_catalog())
    ).frames
    texts = {name: "str" for name, kind in states.dtypes.items() if kind == "category"}
    lake.replace(billing.ItemStates, states.astype(texts))
    for model in (mrr.CustomerMonths, mrr.Movements):
        stamped = found[model].assign(policy_hash="p", catalog_hash="c")
        lake.replace(model, stamped, months=BILLED)
    # Of the book's two coupons one is to end.
    terms = {"id": ["annual20"], "duration": "repeating", "duration_in_months": 12, "embedded": False}
    began = months.opening(BILLED[0])
    coupons = pd.DataFrame(terms).assign(**dict.fromkeys(("created", "observed_at"), began), livemode=True)
    lake.replace(Coupons, _filled(Coupons, coupons))
    rng = np.random.default_rng(2)
    names = np.char.add("cus_", np.char.zfill(np.arange(customers).astype(str), 8))
    for month in USED:
        accounts, features = _usage(month, names, rng)
        lake.replace(signals.AccountUsage, accounts, months=[month])
        lake.replace(signals.FeatureUsage, features, months=[month])
    lake.replace(signals.UsageMonths, _months(), months=USED)
    for model, rows in _facts(names, rng).items():
        lake.replace(model, rows)
    return {"items": len(states)}


def _usage(month: str, names: Any, rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Usage of a month: of each account as known two days after its end, and once late events had come."""
    size, end = len(names), months.closing(month)
    accounts = pd.DataFrame({"month": month, "account": np.char.add("acc_", names), "customer": names})
    users = rng.geometric(0.1, size)
    counts = {
        "active_users": users,
        "active_days": rng.integers(0, 31, size),
        "features_used": rng.integers(0, 12, size),
        "new_users": rng.poisson(0.5, size),
        "logins": rng.poisson(40, size),
        **{name: rng.poisson(0.3, size) for name in ("invites", "gate_hits", "limit_warnings")},
        **{name: rng.poisson(0.1, size) for name in ("integrations", "milestones")},
    }
    daily = np.char.add(np.char.mod("%d.", users // 3), np.char.mod("%06d", rng.integers(0, 10**6, size)))
    first = accounts.assign(**counts, mean_daily_users=daily, known_at=end + pd.Timedelta(days=2))
    later = first.assign(active_users=users + 1, known_at=end + pd.Timedelta(days=rng.integers(3, 20)))
    of_features = [
        accounts.assign(feature=name, active_users=1, events=rng.poisson(2, size), known_at=each)
        for name in FEATURES
        for each in (end + pd.Timedelta(days=2), end + pd.Timedelta(days=9))
    ]
    versions = pd.concat([first, later], ignore_index=True).astype({"new_users": "Int64"})
    return versions, pd.concat(of_features, ignore_index=True)


def _months() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "month": USED,
            "source": "benchmark",
            "read_at": pd.Timestamp("2026-06-05", tz="UTC").as_unit("us"),
            "complete": True,
            "incomplete_because": pd.Series([None] * len(USED), dtype="str"),
            "events": 1,
            "events_without_account": 0,
            "accounts": 1,
            "accounts_unmapped": 0,
            "new_users_by": "benchmark",
            "counted_by": "benchmark",
        }
    )


def _facts(names: Any, rng: np.random.Generator) -> dict[type[Table], pd.DataFrame]:
    """Touches, tickets with a second version when closed, answers, owners, a signal of the user's."""
    touches, tickets, answers = (_dated(np.repeat(names, each), rng) for each in (TOUCHES, TICKETS, ANSWERS))
    touches = touches.assign(kind="touch", id=_numbers("t", len(touches)))
    tickets = tickets.assign(
        id=_numbers("k", len(tickets)),
        opened=tickets["date"],
        severity=rng.choice(["low", "high", "critical"], len(tickets)),
    )
    closed = tickets.assign(
        closed=(tickets["known_at"] + pd.Timedelta(days=9)).dt.strftime("%Y-%m-%d"),
        known_at=tickets["known_at"] + pd.Timedelta(days=10),
        version=2,
    )
    answers = answers.assign(id=_numbers("n", len(answers)), score=rng.integers(0, 11, len(answers)))
    own = _dated(np.repeat(names, 2), rng)
    own = own.assign(signal="fit", value=rng.integers(0, 100, len(own)).astype(str))
    owners = _dated(names, rng).assign(owner=np.char.add("o", rng.integers(0, 50, len(names)).astype(str)))
    found = {
        signals.Activity: touches,
        signals.SupportTickets: pd.concat([tickets, closed], ignore_index=True),
        signals.NpsAnswers: answers,
        signals.SignalValues: own.drop_duplicates(["customer", "date", "signal"]),
        signals.OwnerPeriods: owners.assign(valid_from=owners["date"]),
    }
    return {model: _filled(model, rows) for model, rows in found.items()}


def _dated(names: Any, rng: np.random.Generator) -> pd.DataFrame:
    days = rng.integers(0, 30 * MONTHS, len(names))
    at = months.opening(CALENDAR[0]) + pd.to_timedelta(days, unit="D")
    return pd.DataFrame(
        {
            "customer": names,
            "date": at.strftime("%Y-%m-%d"),
            "known_at": at + pd.Timedelta(days=1),
            "version": 1,
            "first_load": False,
            "gone": False,
        }
    )


def _filled(model: type[Table], rows: pd.DataFrame) -> pd.DataFrame:
    """The columns of the table, null where nothing was said."""
    for field in arrow_schema(model):
        if field.name not in rows:
            rows = rows.assign(**{field.name: pd.Series([None] * len(rows), dtype="object")})
    kinds = {name: kind.to_pandas_dtype() for name, kind in _instants(model)}
    return rows[arrow_schema(model).names].astype(kinds)


def _instants(model: type[Table]) -> list[tuple[str, Any]]:
    return [
        (field.name, field.type) for field in arrow_schema(model) if str(field.type).startswith("timestamp")
    ]


def _numbers(prefix: str, size: int) -> Any:
    return np.char.add(prefix, np.char.zfill(np.arange(size).astype(str), 9))


_QUERY = """
with known as (
  select u.month, u.account, u.customer, u.active_users,
         row_number() over (partition by u.month, u.account order by u.known_at desc) as place
  from usage u join closes c on c.month = u.month and u.known_at <= c.closes
)
select k.month, k.customer, sum(k.active_users) as active
from known k join members m on m.month = k.month and m.customer = k.customer
where k.place = 1 group by all
"""


def _floor(lake: Lake, customers: int) -> dict[str, Any]:
    closes = [months.closes(month, "UTC", LAG_DAYS) for month in CALENDAR]
    facts = sum(lake.rows(model) for model in FACT_TABLES.values())
    meter = Meter()
    usage = lake.arrow(signals.AccountUsage, CALENDAR)
    members = lake.arrow(mrr.CustomerMonths, CALENDAR)
    with duckdb.connect() as engine:
        engine.register("usage", usage)
        engine.register("members_and_others", members)
        engine.register("closes", pd.DataFrame({"month": CALENDAR, "closes": closes}))
        engine.execute("create view members as from members_and_others where closing > 0")
        found = engine.execute(_QUERY).df()
    passed = meter.lap()
    return {**passed, "active": int(found["active"].sum()), "usage": usage.num_rows, "facts": facts}


def _signals(lake: Lake, customers: int) -> dict[str, Any]:
    """What the steps do before rows are checked and written."""
    from expansion_platform.engine.work import Work, plain, run
    from expansion_platform.tables.signals import SIGNALS_BY_CUSTOMER

    names = np.char.add("cus_", np.char.zfill(np.arange(customers).astype(str), 8))
    values = {
        "catalog": book.platform_catalog(),
        "timezone": "UTC",
        "exponent": 2,
        "close_lag_days": LAG_DAYS,
        "account_map": pd.DataFrame({"account": np.char.add("acc_", names), "customer": names}).astype("str"),
        "signals": SignalDefinition(
            key_features=FEATURES, events=Events(logins=("login",), gate_hits=("hit",))
        ),
        "facts_given": frozenset(table_name(model) for model in FACT_TABLES.values()),
    }
    reads = plain(SIGNALS_BY_CUSTOMER.reads)
    known = {
        read.model: frozenset(lake.rows_by_month(read.model, [*BILLED, *USED]))
        for read in reads
        if read.monthly
    }
    meter, rows, active = Meter(), 0, 0
    shards = shards_of(lake, billing.ItemStates, SHARD_ROWS, {})
    work = Work("signals", SIGNALS_BY_CUSTOMER.rule, reads, values, lake.root, known)
    for shard in shards:
        features = run(work, CALENDAR, shard).frames[signals.Features]
        rows, active = rows + len(features), active + int(features["active_users"].sum())
    return meter.lap(rows=rows, active=active, shards=len(shards))
