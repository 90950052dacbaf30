"""Random histories: item states of a few customers over some months, with the rates, the catalog and what
cannot be read, from a seed.

Here: `random_history(seed)`, whose customers change as those of `books.py` do, at any instant, also at
midnight of the first, and back again. Not here: what is expected.
"""

from __future__ import annotations

import copy
import random
from dataclasses import dataclass
from typing import Any

import pandas as pd

from expansion_platform.domain.core import canonical, months
from expansion_platform.domain.mrr.valuation import STATE
from expansion_platform_tests.conformance.books import CURRENCIES, RATES, Row, _Builder

FIRST, LAST = "2025-01", "2025-08"
CALENDAR = months.between(FIRST, LAST)
DEFAULTS: Row = {
    "collection_paused": None,
    "livemode": True,
    "usage_type": "licensed",
    "interval": "month",
    "interval_count": 1,
    "discounts": [],
}
NO_QUARANTINE: dict[str, Any] = {
    "customer": [],
    "subscription": [],
    "valid_from": [],
    "valid_to": [],
    "problem": [],
    "objects_json": [],
}


@dataclass(frozen=True)
class History:
    """What `mrr_tables` takes, in its order after the months: states, rates, quarantine, deletions; and the
    catalog as a dictionary.
    """

    states: pd.DataFrame
    rates: pd.DataFrame
    quarantine: pd.DataFrame
    deletions: pd.DataFrame
    catalog: Row


def random_history(seed: int, customers: int = 12, *, faults: bool = True) -> History:
    """A history of a seed; `faults` adds, at times, a missing rate, a stretch that cannot be read, and an
    item that is there twice.
    """
    rng = random.Random(seed)  # noqa: S311 - the same seed is to give the same history
    builder = _Builder(rng)
    rows: list[Row] = []
    for number in range(customers):
        rows += _states(builder, f"cus_{number}")
    prev = [row for row in rows if row["until"] is None]
    catalog = builder.catalog(prev, prev)
    del catalog["fx"]
    catalog["excluded_customers"] = ["cus_3"] if rng.random() < 0.5 else []
    rates = _rates(builder, catalog["reporting_currency"])
    stretches: list[Row] = []
    if faults and rng.random() < 0.3:
        month, currency = (
            rng.choice(CALENDAR),
            rng.choice([name for name in RATES if name != catalog["reporting_currency"]]),
        )
        rates = rates[(rates["month"] != month) | (rates["currency"] != currency)]
    if faults and rng.random() < 0.3:
        begin = _instant(rng, rng.choice(CALENDAR))
        end = None if rng.random() < 0.2 else begin + pd.Timedelta(days=rng.randint(1, 45))
        stretches.append(
            {
                "customer": f"cus_{rng.randrange(customers)}",
                "valid_from": begin,
                "valid_to": end,
                "problem": "a fault",
            }
        )
    if faults and rng.random() < 0.15:
        twice = rng.choice(rows)
        rows.append(twice | {"quantity": "7", "valid_from": twice["valid_from"] + pd.Timedelta(days=1)})
    quarantine = pd.DataFrame(stretches, columns=list(NO_QUARANTINE)).assign(
        subscription="sub_1", objects_json='["si_bad"]'
    )
    gone = [
        {"customer": f"cus_{rng.randrange(customers)}", "created": _instant(rng, rng.choice(CALENDAR))}
        for _ in range(3)
    ]
    return History(
        _frame(rows),
        rates,
        _timed(quarantine, "valid_from", "valid_to"),
        _timed(pd.DataFrame(gone), "created"),
        catalog,
    )


def _instant(rng: random.Random, month: str) -> pd.Timestamp:
    """Any instant of a month; one in six is its very first."""
    start, end = months.opening(month), months.closing(month)
    seconds = int((end - start).total_seconds())
    return start if rng.random() < 0.16 else start + pd.Timedelta(seconds=rng.randrange(1, seconds))


def _states(builder: _Builder, customer: str) -> list[Row]:
    """A customer's items from its first month on; at times it goes back to what it had, within the month or
    later.
    """
    rng = builder.rng
    began = rng.choice(CALENDAR[:4])
    held = builder.new_items(customer)
    versions: list[tuple[pd.Timestamp, list[Row]]] = [(_instant(rng, began), held)]
    for month in months.between(began, LAST):
        for at in sorted(_instant(rng, month) for _ in range(rng.choice([0, 0, 1, 1, 2, 3]))):
            if at > versions[-1][0]:
                before = (
                    rng.choice(versions)[1]
                    if rng.random() < 0.3
                    else builder.next_month(customer, versions[-1][1])
                )
                versions.append((at, [] if rng.random() < 0.1 else copy.deepcopy(before)))
    rows: list[Row] = []
    open_: dict[str, Row] = {}
    for at, items in versions:
        now = {row["item"]: row for row in items}
        for name in [name for name, row in open_.items() if now.get(name) != row["row"]]:
            rows.append(open_.pop(name) | {"until": at})
        open_ |= {name: {"row": row, "since": at} for name, row in now.items() if name not in open_}
    rows += [{**begun, "until": None} for begun in open_.values()]
    source = {name: rng.choice(["event", "schedule"]) for name in {row["row"]["item"] for row in rows}}
    bounds = [
        {
            "valid_from": row["since"],
            "valid_to": row["until"],
            "until": row["until"],
            "source": source[row["row"]["item"]],
        }
        for row in rows
    ]
    return [DEFAULTS | row["row"] | bound for row, bound in zip(rows, bounds, strict=True)]


def _rates(builder: _Builder, reporting: str) -> pd.DataFrame:
    rates = {name: rate for name, rate in RATES.items() if name != reporting}
    rows = []
    for month in months.between(months.shift(FIRST, -2), LAST):
        rates = {name: builder.drift(rate) if builder.chance(0.5) else rate for name, rate in rates.items()}
        rows += [
            {"month": month, "currency": name, "rate": rate, "source": "test"} for name, rate in rates.items()
        ]
    return pd.DataFrame(rows)


def _frame(rows: list[Row]) -> pd.DataFrame:
    assert set(CURRENCIES) <= set(RATES)
    texts = [
        {"scheme_json": canonical.dumps(row["scheme"]), "discounts_json": canonical.dumps(row["discounts"])}
        for row in rows
    ]
    frame = pd.DataFrame(
        [row | text for row, text in zip(rows, texts, strict=True)],
        columns=[*STATE, "valid_from", "valid_to", "source"],
    )
    coded = [
        "status",
        "currency",
        "product",
        "price",
        "usage_type",
        "interval",
        "scheme_json",
        "quantity",
        "discounts_json",
        "source",
    ]
    types = {
        "customer": "str",
        "subscription": "str",
        "item": "str",
        "collection_paused": "str",
        "livemode": "bool",
        "interval_count": "int64",
    }
    frame = _timed(frame, "valid_from", "valid_to").astype(types | dict.fromkeys(coded, "category"))
    return frame.sort_values(["customer", "subscription", "item", "valid_from"], ignore_index=True)


def _timed(frame: pd.DataFrame, *names: str) -> pd.DataFrame:
    return frame.assign(
        **{name: pd.to_datetime(frame[name], utc=True).astype("datetime64[us, UTC]") for name in names}
    )
