"""What discounts make of an item at an instant: those in force, in the order they apply (semantics 1.6).

Here: which discounts lower which items, with a subscription's amount off shared over its items. Not here:
when each was in force (`discounts.py`), and how discounts lower MRR (`pricing/discounts.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from expansion_platform.domain.core import canonical
from expansion_platform.domain.history.discounts import CUSTOMER, ITEM, SUBSCRIPTION
from expansion_platform.domain.history.records import State
from expansion_platform.domain.history.timelines import Window
from expansion_platform.domain.pricing.discounts import allocate_amount_off
from expansion_platform.domain.pricing.schemes import gross, parse_scheme
from expansion_platform.domain.pricing.terms import Coupon, Price


def in_force(found: list[Window], at: int) -> list[Window]:
    """The windows in force at `at`."""
    return [window for window in found if window.start <= at and (window.end is None or at < window.end)]


class Resolved(NamedTuple):
    """An item's discounts at an instant: `discounts_json`, and the coupons in it."""

    text: str
    coupons: tuple[str, ...]


UNDISCOUNTED = Resolved("[]", ())


class _Entry(NamedTuple):
    """What one discount takes off an item, in the order of the keys of its JSON."""

    coupon: str
    duration: str
    type: str | None
    value: str


def resolve(
    items: Mapping[str, State], now: list[Window], prices: Mapping[str, Price]
) -> dict[str, Resolved]:
    """The discounts of every item.

    Item-level first, then the subscription's, or the customer's when it has none.
    """
    lists: dict[str, list[_Entry]] = {item: [] for item in items}
    for window in now:
        if (
            window.level == ITEM
            and window.item is not None
            and window.item in items
            and _covers(window.coupon, prices[items[window.item].price])
        ):
            lists[window.item].append(_entry(window.coupon, window.coupon.value))
    own = {item: tuple(entries) for item, entries in lists.items()}
    level = SUBSCRIPTION if any(window.level == SUBSCRIPTION for window in now) else CUSTOMER
    for each in _grouped([window for window in now if window.level == level]):
        coupon = each[0].coupon
        on = [
            item
            for item in items
            if any(window.item in (None, item) for window in each)
            and _covers(coupon, prices[items[item].price])
        ]
        if coupon.type == "percent":
            values = dict.fromkeys(on, coupon.value)
        else:
            bases = {
                item: _after_item_level(
                    prices[items[item].price].scheme_json, items[item].quantity or "0", own[item]
                )
                for item in on
            }
            values = {
                item: str(share) for item, share in allocate_amount_off(int(coupon.value), bases).items()
            }
        for item in on:
            lists[item].append(_entry(coupon, values[item]))
    return {item: _resolved(tuple(entries)) for item, entries in lists.items()}


@lru_cache(maxsize=1 << 12)
def _resolved(entries: tuple[_Entry, ...]) -> Resolved:
    return Resolved(
        canonical.dumps([entry._asdict() for entry in entries]), tuple(entry.coupon for entry in entries)
    )


def _grouped(now: list[Window]) -> list[list[Window]]:
    """Windows of the same discount together, in the order they apply."""
    grouped: dict[str, list[Window]] = {}
    for window in now:
        grouped.setdefault(window.discount, []).append(window)
    return list(grouped.values())


def _covers(coupon: Coupon, price: Price) -> bool:
    return coupon.products is None or price.product in coupon.products


def _entry(coupon: Coupon, value: str) -> _Entry:
    return _Entry(coupon.id, coupon.duration, coupon.type, value)


@lru_cache(maxsize=1 << 12)
def _after_item_level(scheme_json: str, quantity: str, entries: tuple[_Entry, ...]) -> Fraction:
    """Amount of one billing period after item-level discounts, exact minor units.

    The weight of a shared amount off.
    """
    amount = gross(parse_scheme(scheme_json), Fraction(Decimal(quantity)))
    for entry in entries:
        value = Fraction(Decimal(entry.value))
        amount = amount * (1 - value / 100) if entry.type == "percent" else max(Fraction(0), amount - value)
    return amount
