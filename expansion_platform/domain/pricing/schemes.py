"""What a quantity costs: price schemes and billing periods (semantics 1.2, 1.4, 1.5).

Here: one item's amount for a billing period, before discounts, in exact minor units of its own currency. Not
here: discounts, exchange rates, rounding, and whether the item counts at all.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any

from expansion_platform.domain.core.money import decimal

SCHEMES = ("per_unit", "graduated", "volume")
ROUNDINGS = ("up", "down")
TAX_UNKNOWN = '"tax":null'
"""In a scheme's canonical JSON: there is tax inside its amounts, at a rate nobody knows (semantics 7, case
60).
"""
_KEYS = {"type", "unit", "tiers", "minimum", "divide_by", "round", "tax"}


class AboveLastTierError(ValueError):
    """The quantity lies above a finite last tier, so the price does not say what it costs."""


@dataclass(frozen=True)
class Tier:
    """Units up to and including `up_to` (None: no end): `base`, plus `unit` for each unit above `lower`.

    A graduated tier begins at `lower`, with everything below it in its base; a volume tier charges all units,
    so its lower is 0.
    """

    up_to: Fraction | None
    lower: Fraction
    base: Fraction
    unit: Fraction


@dataclass(frozen=True)
class Scheme:
    """A parsed price scheme; amounts in minor units of the price's currency.

    `per_unit` is one endless tier without flat fee.

    `tax` is the percentage of tax inside the amounts (semantics 7, case 60), None where there is some at a
    rate nobody knows.
    """

    tiers: tuple[Tier, ...]
    minimum: Fraction
    divide_by: int
    round_up: bool
    tax: Fraction | None = Fraction(0)

    @property
    def without_tax(self) -> Fraction:
        """Share of an amount that is left without the tax inside it: 5/6 at 20 %.

        All of it where the rate is not known.
        """
        return 100 / (100 + (self.tax or Fraction(0)))

    @property
    def chargeable(self) -> bool:
        """True when any unit, flat or minimum is positive (semantics 2.1)."""
        return self.minimum > 0 or any(tier.unit > 0 or tier.base > 0 for tier in self.tiers)


@lru_cache(maxsize=1 << 16)
def parse_scheme(text: str) -> Scheme:
    """A scheme from its JSON text (semantics 8.1).

    ValueError says what is missing, unknown, negative or malformed.
    """
    try:
        raw = json.loads(text, parse_float=_refuse_float)
    except (TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"price scheme is not JSON: {text!r}") from error
    if not isinstance(raw, dict):
        raise ValueError(f"price scheme is not an object: {text}")
    if unknown := sorted(set(raw) - _KEYS):
        raise ValueError(f"price scheme has unknown fields {unknown}")
    kind = raw.get("type", "per_unit")
    if kind not in SCHEMES:
        raise ValueError(f"unknown price scheme {kind!r}")
    rounding = raw.get("round", "up")
    if rounding not in ROUNDINGS:
        raise ValueError(f"unknown rounding {rounding!r}")
    divide_by = _amount(raw, "divide_by", default="1")
    if divide_by.denominator != 1 or divide_by < 1:
        raise ValueError(f"divide_by is not an integer >= 1: {raw['divide_by']!r}")
    tiers = (
        _tiers(raw, graduated=kind == "graduated")
        if kind != "per_unit"
        else (Tier(None, Fraction(0), Fraction(0), _amount(raw, "unit")),)
    )
    tax = None if raw.get("tax", "0") is None else _amount(raw, "tax", default="0")
    return Scheme(tiers, _amount(raw, "minimum", default="0"), int(divide_by), rounding == "up", tax)


def gross(scheme: Scheme, quantity: Fraction) -> Fraction:
    """Amount for one billing period, minor units, tax inside it included (semantics 1.4).

    AboveLastTierError when no tier holds the quantity.

    Quantity 0 sits in the first tier, whose flat fee is therefore charged (D-2).
    """
    units = _packages(scheme, quantity)
    for tier in scheme.tiers:
        if tier.up_to is None or units <= tier.up_to:
            # Most prices have one unit amount and nothing else: what is zero is left out, since fractions
            # cost.
            amount = tier.unit * (units - tier.lower if tier.lower else units)
            amount = amount + tier.base if tier.base else amount
            return max(amount, scheme.minimum) if scheme.minimum else amount
    raise AboveLastTierError(
        f"quantity {units} is above the last tier, which ends at {scheme.tiers[-1].up_to}"
    )


@cache
def period_months(interval: str, count: int, *, metered: bool, week: Fraction, day: Fraction) -> Fraction:
    """Months in a billing period; `week` and `day` are months in one of them (D-10).

    1 for metered items, whose quantity is a calendar month's usage (semantics 1.5). ValueError for an unknown
    interval or a count under 1.
    """
    if count < 1:
        raise ValueError(f"interval_count is not an integer >= 1: {count!r}")
    lengths = {"day": day, "week": week, "month": Fraction(1), "year": Fraction(12)}
    if interval not in lengths:
        raise ValueError(f"unknown interval {interval!r}")
    return Fraction(1) if metered else lengths[interval] * count


def _packages(scheme: Scheme, quantity: Fraction) -> Fraction:
    if scheme.divide_by == 1:
        return quantity
    packages = quantity / scheme.divide_by
    return Fraction(math.ceil(packages) if scheme.round_up else math.floor(packages))


def _tiers(raw: dict[str, Any], *, graduated: bool) -> tuple[Tier, ...]:
    rows = raw.get("tiers")
    if not isinstance(rows, list) or not rows:
        raise ValueError("a tiered price scheme without tiers")
    tiers: list[Tier] = []
    lower, below = Fraction(0), Fraction(0)
    for row in rows:
        if not isinstance(row, dict) or "up_to" not in row:
            raise ValueError("a tier without up_to")
        up_to = None if row["up_to"] is None else _amount(row, "up_to")
        if tiers and (tiers[-1].up_to is None or (up_to is not None and up_to <= tiers[-1].up_to)):
            raise ValueError("tiers do not ascend")
        # In Stripe a tier may have either alone.
        flat, unit = (
            Fraction(0) if row.get(name) is None else _amount(row, name) for name in ("flat", "unit")
        )
        tiers.append(Tier(up_to, lower, below + flat, unit))
        if graduated and up_to is not None:
            lower, below = up_to, tiers[-1].base + tiers[-1].unit * (up_to - lower)
    return tuple(tiers)


def _amount(row: dict[str, Any], name: str, default: str | None = None) -> Fraction:
    value = row.get(name, default)
    if value is None:
        raise ValueError(f"{name} is missing")
    try:
        return decimal(value)
    except (ValueError, TypeError):
        raise ValueError(f"{name} is negative or malformed: {value!r}") from None


def _refuse_float(text: str) -> str:
    raise ValueError(f"a bare number with decimals, {text}: write amounts as decimal text")
