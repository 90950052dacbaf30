"""What one subscription item is worth a month, in plain rationals (semantics 1.2-1.4, 8.1).

Here: reading and checking an item of a book, and its MRR. Not here: what moved between two books (`reference.py`) and why (`reference_causes.py`).
The reference shares no code with `expansion_platform.domain`'s own pricing: each checks the other.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from expansion_platform.domain.errors import DataQualityError

STATUSES = {"active", "canceled", "incomplete", "incomplete_expired", "past_due", "paused", "trialing", "unpaid"}
PAUSES = {"keep_as_draft", "mark_uncollectible", "void"}
USAGE_TYPES = {"licensed", "metered"}
INTERVALS = {"day", "week", "month", "year"}
DISCOUNT_TYPES = {"percent", "amount"}
DURATIONS = {"forever", "repeating", "once"}
ZERO_DECIMAL = {"bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"}
THREE_DECIMAL = {"bhd", "jod", "kwd", "omr", "tnd"}

_DECIMAL = re.compile(r"[0-9]+(\.[0-9]+)?")
_REQUIRED = ("customer", "subscription", "item", "status", "currency", "product", "price", "scheme", "quantity")
_POLICY_DEFAULTS: dict[str, Any] = {
    "statuses": ["active", "past_due"],
    "paused_counts": ["keep_as_draft"],
    "metered_counts": True,
    "repeating_discount_counts": True,
    "once_discount_min_months": 12,
    "week_in_months": "84/365",
    "day_in_months": "12/365",
    "enterprise_acv": 10_000_000,
    "mid_market_acv": 2_500_000,
}


@dataclass(frozen=True)
class Tier:
    """Up to `up_to` units (None: without end) at `unit` each, plus `flat` once the tier is reached. Minor units."""

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

    @property
    def charges(self) -> bool:
        """Whether any unit, flat fee or minimum is above zero."""
        return self.minimum > 0 or any(tier.unit > 0 or tier.flat > 0 for tier in self.tiers)


@dataclass(frozen=True)
class Schedule:
    """A price: its scheme, the months a billing period lasts (1 for metered), its currency and whether it is metered."""

    scheme: Scheme
    period: Fraction
    currency: str
    metered: bool


@dataclass(frozen=True)
class Discount:
    """One discount in force. `value` is a percentage or minor units of the item's currency for one billing period."""

    type: str
    value: Fraction
    duration: str


@dataclass(frozen=True)
class Item:
    """One checked subscription item of a book, its customer after aliases."""

    customer: str
    subscription: str
    id: str
    product: str
    price: str
    interval: str
    interval_count: int
    billing_months: Fraction
    schedule: Schedule
    quantity: Fraction
    discounts: tuple[Discount, ...]
    counts: bool

    @property
    def chargeable(self) -> bool:
        """Whether it counts and could cost something (semantics 2.1)."""
        return self.counts and self.schedule.scheme.charges


class AboveLastTierError(Exception):
    """The quantity lies above a finite last tier: the scheme has no amount for it."""


def read_policy(policy: Mapping[str, Any] | None) -> dict[str, Any]:
    """The counting policy with the defaults of semantics 8.1 filled in; week and day lengths as `Fraction` months."""
    full = {**_POLICY_DEFAULTS, **(policy or {})}
    return {**full, "week_in_months": Fraction(full["week_in_months"]), "day_in_months": Fraction(full["day_in_months"])}


def read_book(rows: Iterable[Mapping[str, Any]], aliases: Mapping[str, str], policy: Mapping[str, Any]) -> list[Item]:
    """The items of one side, every one checked whether it counts or not. DataQualityError names the first item that is wrong."""
    items: list[Item] = []
    seen: set[str] = set()
    for row in rows:
        item = _read_item(row, aliases, policy)
        if item.id in seen:
            raise DataQualityError("item id appears twice in one snapshot", [item.id])
        seen.add(item.id)
        items.append(item)
    return items


def rates_to_minor(rates: Mapping[str, str], reporting: str, currencies: Iterable[str], needed_by: str = "") -> dict[str, Fraction]:
    """Reporting minor units for one minor unit of each currency. DataQualityError when a rate is missing or not above zero."""
    result = {}
    for currency in sorted(set(currencies)):
        major = Fraction(1) if currency == reporting else decimal(rates.get(currency), f"exchange rate of {currency}{needed_by}", currency)
        if major <= 0:
            raise DataQualityError(f"exchange rate of {currency} is not above zero", [currency])
        result[currency] = major * Fraction(10) ** (exponent(reporting) - exponent(currency))
    return result


def exponent(currency: str) -> int:
    """Decimals of a currency's minor unit in the Stripe API (semantics 1.4)."""
    if currency in ZERO_DECIMAL:
        return 0
    return 3 if currency in THREE_DECIMAL else 2


def decimal(value: Any, what: str, owner: str) -> Fraction:
    """A non-negative plain decimal (text or int) as an exact rational. Floats, signs, exponents and blanks are DataQualityErrors."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
        raise DataQualityError(f"missing, negative or malformed {what} {value!r}", [owner])
    return Fraction(value)


def read_scheme(raw: Any, owner: str) -> Scheme:
    """A scheme of semantics 8.1. A tier without `unit` or `flat` charges none; one without `up_to` has no end."""
    if not isinstance(raw, Mapping):
        raise DataQualityError("missing scheme", [owner])
    kind = raw.get("type", "per_unit")
    if kind == "per_unit":
        tiers: tuple[Tier, ...] = (Tier(None, decimal(raw.get("unit"), "unit", owner), Fraction(0)),)
    elif kind in ("graduated", "volume"):
        tiers = tuple(_read_tier(tier, owner) for tier in raw.get("tiers") or ())
        _check_ladder(tiers, owner)
    else:
        raise DataQualityError(f"unknown scheme {kind!r}", [owner])
    divide_by = None if raw.get("divide_by") is None else decimal(raw["divide_by"], "divide_by", owner)
    if divide_by == 0:
        raise DataQualityError("divide_by is zero", [owner])
    rounding = "up" if raw.get("round") is None else raw["round"]
    if rounding not in ("up", "down"):
        raise DataQualityError(f"unknown round {rounding!r}", [owner])
    return Scheme(kind, tiers, _optional(raw, "minimum", owner), divide_by, rounding)


def billing_months(interval: Any, count: Any, policy: Mapping[str, Any], owner: str) -> Fraction:
    """Months in one billing period (semantics 1.4): weeks and days by the policy's factors."""
    if interval not in INTERVALS:
        raise DataQualityError(f"unknown interval {interval!r}", [owner])
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise DataQualityError(f"interval_count {count!r} is not an integer of at least 1", [owner])
    lengths = {"month": Fraction(1), "year": Fraction(12), "week": policy["week_in_months"], "day": policy["day_in_months"]}
    one: Fraction = lengths[interval]
    return one * count


def gross(scheme: Scheme, quantity: Fraction) -> Fraction:
    """Amount for one billing period before discounts, in minor units of the price's currency. AboveLastTierError when there is none."""
    if scheme.divide_by is not None:
        packages = quantity / scheme.divide_by
        quantity = Fraction(math.ceil(packages) if scheme.round == "up" else math.floor(packages))
    last = scheme.tiers[-1].up_to
    if last is not None and quantity > last:
        raise AboveLastTierError
    amount = _graduated(scheme.tiers, quantity) if scheme.type == "graduated" else _volume(scheme.tiers, quantity)
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

    `discounts_of` is the schedule whose period and currency the discounts belong to when it is not `schedule` (hybrid states, semantics 3.4).
    """
    own = discounts_of or schedule
    x = gross(schedule.scheme, quantity) / schedule.period * rates[schedule.currency]
    for discount in discounts:
        if not _reduces(discount, own, policy):
            continue
        if discount.type == "percent":
            x *= 1 - discount.value / 100
        else:
            x = max(Fraction(0), x - discount.value / own.period * rates[own.currency])
    return x


def item_mrr(item: Item, rates: Mapping[str, Fraction], policy: Mapping[str, Any]) -> int:
    """MRR of an item in reporting minor units, rounded half to even once."""
    return round(monthly(item.schedule, item.quantity, item.discounts, rates, policy))


def item_arr(item: Item, rates: Mapping[str, Fraction], policy: Mapping[str, Any]) -> int:
    """ARR of an item, rounded on its own: 12 times the unrounded month."""
    return round(12 * monthly(item.schedule, item.quantity, item.discounts, rates, policy))


def _reduces(discount: Discount, schedule: Schedule, policy: Mapping[str, Any]) -> bool:
    """Whether a discount lowers MRR (semantics 1.6): a `once` coupon only where it covers a whole long licensed period."""
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


def _read_tier(raw: Mapping[str, Any], owner: str) -> Tier:
    up_to = None if raw.get("up_to") is None else decimal(raw["up_to"], "up_to", owner)
    return Tier(up_to, _optional(raw, "unit", owner), _optional(raw, "flat", owner))


def _optional(raw: Mapping[str, Any], field: str, owner: str) -> Fraction:
    return Fraction(0) if raw.get(field) is None else decimal(raw[field], field, owner)


def _check_ladder(tiers: Sequence[Tier], owner: str) -> None:
    if not tiers:
        raise DataQualityError("a tiered scheme without tiers", [owner])
    borders = [tier.up_to for tier in tiers]
    finite = [border for border in borders[:-1] if border is not None]
    if len(finite) < len(borders) - 1:
        raise DataQualityError("only the last tier may be without end", [owner])
    if borders[-1] is not None:
        finite.append(borders[-1])
    if any(low >= high for low, high in itertools.pairwise(finite)):
        raise DataQualityError("tiers are not ascending", [owner])


def _read_item(row: Mapping[str, Any], aliases: Mapping[str, str], policy: Mapping[str, Any]) -> Item:
    owner = str(row.get("item"))
    for field in _REQUIRED:
        if row.get(field) in (None, ""):
            raise DataQualityError(f"missing {field}", [owner])
    status, paused, usage_type = row["status"], row.get("collection_paused"), row.get("usage_type", "licensed")
    _known(status, STATUSES, "status", owner)
    _known(usage_type, USAGE_TYPES, "usage type", owner)
    if paused is not None:
        _known(paused, PAUSES, "pause", owner)
    interval, count = row.get("interval", "month"), row.get("interval_count", 1)
    months = billing_months(interval, count, policy, owner)
    metered = usage_type == "metered"
    schedule = Schedule(read_scheme(row["scheme"], owner), Fraction(1) if metered else months, row["currency"], metered)
    quantity = decimal(row["quantity"], "quantity", owner)
    try:
        gross(schedule.scheme, quantity)
    except AboveLastTierError:
        raise DataQualityError(f"quantity {row['quantity']} is above the last tier", [owner]) from None
    counts = (
        row.get("livemode", True)
        and status in policy["statuses"]
        and (paused is None or paused in policy["paused_counts"])
        and (policy["metered_counts"] or not metered)
    )
    return Item(
        customer=resolve(row["customer"], aliases),
        subscription=row["subscription"],
        id=row["item"],
        product=row["product"],
        price=row["price"],
        interval=interval,
        interval_count=count,
        billing_months=months,
        schedule=schedule,
        quantity=quantity,
        discounts=tuple(_read_discount(discount, owner) for discount in row.get("discounts") or ()),
        counts=bool(counts),
    )


def resolve(customer: str, aliases: Mapping[str, str]) -> str:
    """The customer at the end of the alias chain (a merged customer may be merged again). DataQualityError on a circle."""
    passed = [customer]
    while customer in aliases and aliases[customer] != customer:
        customer = aliases[customer]
        if customer in passed:
            raise DataQualityError("customer aliases form a circle", passed)
        passed.append(customer)
    return customer


def _read_discount(raw: Mapping[str, Any], owner: str) -> Discount:
    _known(raw.get("type"), DISCOUNT_TYPES, "discount type", owner)
    _known(raw.get("duration"), DURATIONS, "discount duration", owner)
    value = decimal(raw.get("value"), "discount", owner)
    if raw["type"] == "percent" and value > 100:
        raise DataQualityError(f"discount of {raw['value']} percent", [owner])
    return Discount(raw["type"], value, raw["duration"])


def _known(value: Any, allowed: set[str], what: str, owner: str) -> None:
    if not isinstance(value, str) or value not in allowed:
        raise DataQualityError(f"unknown {what} {value!r}", [owner])
