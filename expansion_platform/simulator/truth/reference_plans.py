"""Which prices of one product are plans (semantics 3.1 point 5, D-12), in plain Python.

Because customers began on them side by side.

Here: the rule, written customer by customer from the text. Not here: what it does to a cause
(`reference_causes.py`). No code is shared with `expansion_platform.domain.catalog.plans`, which this is
compared with.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from expansion_platform.simulator.truth.reference_causes import Entry, entry_of
from expansion_platform.simulator.truth.reference_items import Item, read_book, read_policy
from expansion_platform.simulator.truth.reference_pricing import gross

YEAR, STRETCH, FEWEST = timedelta(days=365), timedelta(days=90), 3


@dataclass(frozen=True)
class Held:
    """A counting item and since when it is what it is."""

    item: Item
    entry: Entry
    since: datetime


def read_history(
    rows: Iterable[tuple[Mapping[str, Any], datetime]], catalog: Mapping[str, Any]
) -> list[Held]:
    """Every counting state.

    From item states as `classify_month` reads them and the instants they begin at.
    """
    aliases, policy = catalog.get("aliases") or {}, read_policy(catalog.get("policy"))
    states = [
        Held(item, entry_of(item, catalog), since)
        for row, since in rows
        for item in read_book([row], aliases, policy)
    ]
    return [one for one in states if one.item.counts]


def plans_before(history: Sequence[Held], closing: datetime) -> dict[frozenset[str], bool]:
    """The pairs of prices that are plans by what happened before an instant.

    True where one of the two is the higher plan.
    """
    known = [one for one in history if one.since < closing]
    paid = [one for one in known if one.item.schedule.scheme.charges]
    found = {}
    for home in sorted({(one.entry.group, one.entry.unit) for one in known}):
        silent = {
            one.item.price: one.item
            for one in known
            if one.entry.tier_rank is None and (one.entry.group, one.entry.unit) == home
        }
        first_of_all, first_paid = _beginnings(known, home), _beginnings(paid, home)
        for a, b in itertools.combinations(sorted(silent), 2):
            one, other = silent[a], silent[b]
            if (one.product, one.interval, one.interval_count) != (
                other.product,
                other.interval,
                other.interval_count,
            ):
                continue
            both_paid = one.schedule.scheme.charges and other.schedule.scheme.charges
            begun = [
                each
                for each in (first_paid if both_paid else first_of_all)
                if closing - YEAR <= each.since < closing
            ]
            if _side_by_side(
                [each for each in begun if each.item.price == a],
                [each for each in begun if each.item.price == b],
            ):
                found[frozenset((a, b))] = _for_one_month(one) != _for_one_month(other)
    return found


def _beginnings(known: Sequence[Held], home: tuple[str, str]) -> list[Held]:
    """Each customer's first item of a match group and unit.

    Where its first items there are of one price and were nowhere else before.
    """
    of_item: dict[str, list[Held]] = {}
    of_customer: dict[str, list[Held]] = {}
    for one in known:
        of_item.setdefault(one.item.id, []).append(one)
        if (one.entry.group, one.entry.unit) == home:
            of_customer.setdefault(one.item.customer, []).append(one)
    begun = []
    for own in of_customer.values():
        first = [one for one in own if one.since == min(each.since for each in own)]
        moved_here = any(other.since < one.since for one in first for other in of_item[one.item.id])
        if len({one.item.price for one in first}) == 1 and not moved_here:
            begun.append(first[0])
    return begun


def _side_by_side(a: Sequence[Held], b: Sequence[Held]) -> bool:
    """Three customers on each, and 90 days in which customers began on both.

    In currencies both are sold in.
    """
    shared = {one.item.schedule.currency for one in a} & {one.item.schedule.currency for one in b}
    sides = [sorted(one.since for one in side if one.item.schedule.currency in shared) for side in (a, b)]
    if min(map(len, sides)) < FEWEST:
        return False
    return min(side[-1] for side in sides) - max(side[0] for side in sides) >= STRETCH


def _for_one_month(item: Item) -> Fraction:
    return gross(item.schedule.scheme, Fraction(1)) / item.billing_months
