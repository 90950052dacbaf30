"""Discounts already resolved onto an item, and how they lower its MRR (semantics 1.4, 1.6).

Here: which discounts count, applying them in order, and sharing a subscription's amount off over its items.
Not here: when a discount starts and ends, which is history.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

from expansion_platform.domain.core.money import decimal, largest_remainder
from expansion_platform.domain.pricing.policy import Policy

TYPES = ("percent", "amount")
DURATIONS = ("forever", "repeating", "once")


@dataclass(frozen=True)
class Discount:
    """One discount in force.

    Percent of the remaining amount, or minor units off one billing period in the item's currency.
    """

    type: str
    value: Fraction
    duration: str


@dataclass(frozen=True)
class Reduction:
    """A discount as it lowers a month's amount.

    The share that remains, then what is taken off, in minor units of the currency valued in.
    """

    remaining: Fraction
    off: Fraction


@lru_cache(maxsize=1 << 16)
def parse_discounts(text: str) -> tuple[Discount, ...]:
    """Discounts from their JSON text, in the order they apply.

    ValueError for unknown types or durations and values out of range.
    """
    try:
        rows = json.loads(text)
    except (TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"discounts are not JSON: {text!r}") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"discounts are not a list of objects: {text}")
    return tuple(_discount(row) for row in rows)


def counts(discount: Discount, period: Fraction, *, metered: bool, policy: Policy) -> bool:
    """Whether a discount lowers MRR.

    `once` only over a licensed period long enough (D-4), `repeating` by policy, `forever` always.
    """
    if discount.duration == "once":
        return not metered and period >= policy.once_discount_min_months
    return discount.duration == "forever" or policy.repeating_discount_counts


def reductions(
    discounts: Iterable[Discount], period: Fraction, rate: Fraction, *, metered: bool, policy: Policy
) -> tuple[Reduction, ...]:
    """The counting discounts of a state as monthly reductions.

    `rate` turns the state's minor units into those valued in.
    """
    return tuple(
        Reduction(1 - discount.value / 100, Fraction(0))
        if discount.type == "percent"
        else Reduction(Fraction(1), discount.value / period * rate)
        for discount in discounts
        if counts(discount, period, metered=metered, policy=policy)
    )


def apply(amount: Fraction, lowered_by: Iterable[Reduction]) -> Fraction:
    """A month's amount after its reductions, each on what the one before left, never below zero."""
    for reduction in lowered_by:
        amount = max(Fraction(0), amount * reduction.remaining - reduction.off)
    return amount


def allocate_amount_off(amount: int, bases: Mapping[str, int | Fraction]) -> dict[str, int]:
    """A subscription-level amount off shared over its eligible counting items (semantics 1.6).

    In whole minor units, by largest remainder.

    Args:
        amount: Minor units off one billing period, >= 0.
        bases: Item id to its amount for one billing period after item-level discounts, >= 0, minor units of
            the same currency.

    Returns:
        Item id to its share, in item id order (which breaks ties). Zeros when no item has an amount to lower;
        otherwise they sum to `amount`.
    """
    items = sorted(bases)
    weights = [bases[item] for item in items]
    shares = largest_remainder(amount, weights) if any(weights) else [0] * len(items)
    return dict(zip(items, shares, strict=True))


def _discount(row: Mapping[str, Any]) -> Discount:
    kind, duration = row.get("type"), row.get("duration")
    if kind not in TYPES:
        raise ValueError(f"unknown discount type {kind!r}")
    if duration not in DURATIONS:
        raise ValueError(f"unknown discount duration {duration!r}")
    try:
        value = decimal(row.get("value"))
    except (ValueError, TypeError):
        raise ValueError(f"discount is negative or malformed: {row.get('value')!r}") from None
    if kind == "percent" and value > 100:
        raise ValueError(f"percent off outside 0..100: {row['value']!r}")
    return Discount(str(kind), value, str(duration))
