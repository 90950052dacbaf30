"""What a quantity on a price is worth a month, in plain rationals (semantics 1.4, 1.6).

Here: schemes, billing periods, discounts and their one formula. Not here: reading them
(`reference_items.py`), what moved between two books (`reference.py`) and why (`reference_causes.py`). The
reference shares no code with `expansion_platform.domain`'s own pricing: each checks the other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

ZERO_DECIMAL = {
    "bif",
    "clp",
    "djf",
    "gnf",
    "jpy",
    "kmf",
    "krw",
    "mga",
    "pyg",
    "rwf",
    "vnd",
    "vuv",
    "xaf",
    "xof",
    "xpf",
}
THREE_DECIMAL = {"bhd", "jod", "kwd", "omr", "tnd"}


@dataclass(frozen=True)
class Tier:
    """Up to `up_to` units (None: without end) at `unit` each, plus `flat` once the tier is reached.

    Minor units.
    """

    up_to: Fraction | None
    unit: Fraction
    flat: Fraction


@dataclass(frozen=True)
class Scheme:
    """How a quantity becomes an amount for one billing period. A per-unit price is one endless tier."""

    type: str
    tiers: tuple[Tier, ...]
    minimum: Fraction
    divide_by: Fraction | None
    round: str
    tax: Fraction = Fraction(0)
    """Percentage of tax inside its amounts, 0 where that is not known."""

    @property
    def charges(self) -> bool:
        """Whether any unit, flat fee or minimum is above zero."""
        return self.minimum > 0 or any(tier.unit > 0 or tier.flat > 0 for tier in self.tiers)


@dataclass(frozen=True)
class Schedule:
    """A price: its scheme, its billing period, its currency and whether it is metered.

    The period is in months (1 for metered).
    """

    scheme: Scheme
    period: Fraction
    currency: str
    metered: bool


@dataclass(frozen=True)
class Discount:
    """One discount in force.

    `value` is a percentage or minor units of the item's currency for one billing period.
    """

    type: str
    value: Fraction
    duration: str


class AboveLastTierError(Exception):
    """The quantity lies above a finite last tier: the scheme has no amount for it."""


def exponent(currency: str) -> int:
    """Decimals of a currency's minor unit in the Stripe API (semantics 1.4)."""
    if currency in ZERO_DECIMAL:
        return 0
    return 3 if currency in THREE_DECIMAL else 2


def gross(scheme: Scheme, quantity: Fraction) -> Fraction:
    """Amount for one billing period before discounts, in minor units of the price's currency.

    AboveLastTierError when there is none.
    """
    if scheme.divide_by is not None:
        packages = quantity / scheme.divide_by
        quantity = Fraction(math.ceil(packages) if scheme.round == "up" else math.floor(packages))
    last = scheme.tiers[-1].up_to
    if last is not None and quantity > last:
        raise AboveLastTierError
    amount = (
        _graduated(scheme.tiers, quantity) if scheme.type == "graduated" else _volume(scheme.tiers, quantity)
    )
    return max(amount, scheme.minimum)


def monthly(
    schedule: Schedule,
    quantity: Fraction,
    discounts: Sequence[Discount],
    rates: Mapping[str, Fraction],
    policy: Mapping[str, Any],
    discounts_of: Schedule | None = None,
) -> Fraction:
    """Exact reporting minor units a month, not rounded: x of semantics 1.4.

    `discounts_of` is the schedule whose period and currency the discounts belong to when it is not `schedule`
    (hybrid states, semantics 3.4).
    """
    own = discounts_of or schedule
    x = (
        gross(schedule.scheme, quantity)
        / schedule.period
        * rates[schedule.currency]
        / (1 + schedule.scheme.tax / 100)
    )
    for discount in discounts:
        if not _reduces(discount, own, policy):
            continue
        if discount.type == "percent":
            x *= 1 - discount.value / 100
        else:
            x = max(
                Fraction(0),
                x - discount.value / own.period * rates[own.currency] / (1 + own.scheme.tax / 100),
            )
    return x


def _reduces(discount: Discount, schedule: Schedule, policy: Mapping[str, Any]) -> bool:
    """Whether a discount lowers MRR (semantics 1.6).

    A `once` coupon only where it covers a whole long licensed period.
    """
    if discount.duration == "repeating":
        return bool(policy["repeating_discount_counts"])
    if discount.duration == "once":
        return not schedule.metered and schedule.period >= policy["once_discount_min_months"]
    return True


def _volume(tiers: Sequence[Tier], quantity: Fraction) -> Fraction:
    tier = next(tier for tier in tiers if tier.up_to is None or quantity <= tier.up_to)
    return tier.unit * quantity + tier.flat


def _graduated(tiers: Sequence[Tier], quantity: Fraction) -> Fraction:
    total, below = Fraction(0), Fraction(0)
    for tier in tiers:
        top = quantity if tier.up_to is None else min(quantity, tier.up_to)
        total += tier.unit * (top - below) + tier.flat
        if tier.up_to is None or quantity <= tier.up_to:
            break
        below = tier.up_to
    return total
