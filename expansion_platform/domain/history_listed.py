"""Discounts as Stripe's lists show them: on subscriptions, items, customers and lines.

Here: the record of one, and reading lists of them. Not here: when each was in force (`history_discounts.py`).
"""

from __future__ import annotations

import json
from collections import defaultdict
from functools import lru_cache
from typing import Any, NamedTuple

import pandas as pd

from expansion_platform.domain.history_reading import SECOND, rows


class Discount(NamedTuple):
    """One application of a coupon, as a list of discounts shows it.

    `invoice` is set on one that was given to a single bill, which no item has.
    """

    id: str
    coupon: str
    start: int | None
    end: int | None
    subscription: str | None
    level: str
    invoice: str | None


def discounts(text: str, level: str) -> tuple[Discount, ...]:
    """A discounts list as records, instants from its epoch seconds; `level` is for lists that do not tell it themselves."""
    return () if text == "[]" else _discounts(text, level)


@lru_cache(maxsize=1 << 16)
def _discounts(text: str, level: str) -> tuple[Discount, ...]:
    return tuple(_discount(entry, str(entry.get("level") or level)) for entry in json.loads(text))


def _discount(entry: dict[str, Any], level: str) -> Discount:
    start, end = entry["start"], entry["end"]
    return Discount(
        str(entry["id"]),
        str(entry["coupon"]),
        None if start is None else int(start) * SECOND,
        None if end is None else int(end) * SECOND,
        entry.get("subscription"),
        level,
        entry.get("invoice"),
    )


def customers_discounts(lines: pd.DataFrame) -> dict[str, list[Discount]]:
    """Discounts of each customer that any of its bills lists: one bill tells of all its subscriptions, those not billed since included."""
    found: dict[str, dict[str, Discount]] = defaultdict(dict)
    listed = lines.loc[lines["discounts_json"].str.contains('"subscription":null', regex=False), ["customer", "discounts_json"]].drop_duplicates()
    for row in rows(listed.sort_values(["customer", "discounts_json"])):
        for one in discounts(row["discounts_json"], ""):
            if one.level == "invoice" and one.subscription is None and one.invoice is None:
                found[row["customer"]][one.id] = one
    return {customer: list(each.values()) for customer, each in found.items()}
