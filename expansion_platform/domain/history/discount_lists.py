"""Discounts as Stripe's lists and events show them: on subscriptions, items, customers and lines.

Here: the record of one, and reading lists of them. Not here: when each was in force (`discounts.py`).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

import pandas as pd

from expansion_platform.domain.core.rows import SECOND, among, columns, rows

DISCOUNT_EVENTS = "customer.discount."
"""How the types of events about discounts begin."""
GIVEN, REMOVED = f"{DISCOUNT_EVENTS}created", f"{DISCOUNT_EVENTS}deleted"
_LISTING_COLUMNS = ["id", "customer", "created", "period_start", "period_end", "discounts_json"]


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


class CustomersDiscount(NamedTuple):
    """A customer's discount.

    `gone` is the customer's first bill after the last that listed it: (when, and its line's start, end and
    id).
    """

    discount: Discount
    gone: tuple[int, int, int, str] | None


class DiscountEvent(NamedTuple):
    """An event about one discount of a customer, of a subscription or of an item."""

    id: str
    at: int
    type: str
    customer: str
    discount: Discount


class _Billed(NamedTuple):
    """A line that lists the customer's discounts, all those `listed`; `at` is when."""

    at: int
    id: str
    start: int
    end: int
    listed: frozenset[str]


@lru_cache(maxsize=1 << 16)
def discounts(text: str, level: str) -> tuple[Discount, ...]:
    """A discounts list as records, instants from its epoch seconds.

    `level` is for lists that do not say it themselves.
    """
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


def discount_events(events: pd.DataFrame) -> list[DiscountEvent]:
    """The events about discounts, in the order of their time.

    Events stored by earlier versions have no discount and are left out.
    """
    found = []
    for row in rows(events[events["type"].str.startswith(DISCOUNT_EVENTS)].sort_values(["created", "id"])):
        entry = json.loads(row["state_json"]).get("discount")
        if entry is not None and entry["coupon"] is not None and entry["invoice"] is None:
            level = "customer" if entry["subscription"] is None else "subscription"
            found.append(
                DiscountEvent(
                    row["id"], row["created"], row["type"], row["customer"], _discount(entry, level)
                )
            )
    return found


def customers_discounts(
    lines: pd.DataFrame, regular: pd.Series, events: Iterable[DiscountEvent]
) -> dict[str, list[CustomersDiscount]]:
    """Discounts of each customer that any of its invoices or events shows.

    Each applies to all its subscriptions, those not billed since included.

    Args:
        lines: All invoice lines.
        regular: Which of them would list a customer's discount: of an item's period, on a bill that stands.
        events: All events about discounts.
    """
    found: dict[str, dict[str, Discount]] = defaultdict(dict)
    customers = lines.loc[
        lines["discounts_json"].str.contains('"subscription":null', regex=False),
        ["customer", "discounts_json"],
    ].drop_duplicates()
    for row in rows(customers.sort_values(["customer", "discounts_json"])):
        for one in discounts(row["discounts_json"], ""):
            if one.level == "invoice" and one.subscription is None and one.invoice is None:
                found[row["customer"]][one.id] = one
    for event in events:
        if event.discount.subscription is None:
            found[event.customer][event.discount.id] = event.discount
    billed: dict[str, list[_Billed]] = defaultdict(list)
    listings = lines.loc[regular & among(lines["customer"], list(found)), _LISTING_COLUMNS]
    for name, customer, created, start, end, text in zip(*columns(listings).values(), strict=True):
        listed = _listed(text)
        if listed is not None:
            billed[customer].append(_Billed(listed_at(created, start, end), name, start, end, listed))
    return {
        customer: [CustomersDiscount(one, _gone(one, billed[customer])) for one in each.values()]
        for customer, each in found.items()
    }


@lru_cache(maxsize=1 << 16)
def _listed(text: str) -> frozenset[str] | None:
    """The discounts a line lists.

    None where they are the subscription's: beside those it lists none of the customer's.
    """
    shown = discounts(text, "")
    return (
        None
        if any(one.level == "invoice" and one.subscription is not None for one in shown)
        else frozenset(one.id for one in shown)
    )


def listed_at(created: int, start: int, end: int) -> int:
    """From when on a line of [start, end) shows a discount in force.

    A bill of time gone by (usage, a backdated start) lists those of its own day.
    """
    return created if end <= created else start


def _gone(discount: Discount, billed: list[_Billed]) -> tuple[int, int, int, str] | None:
    last = max((one.at for one in billed if discount.id in one.listed), default=(discount.start or 0) - 1)
    return min(((one.at, one.start, one.end, one.id) for one in billed if one.at > last), default=None)
