"""Items of a book and the catalog's schemes, read and checked (semantics 1.2, 1.3, 8.1).

Here: what valid input is, and which items count. Not here: what an item is worth (`reference_pricing.py`).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.simulator.truth.reference_pricing import (
    AboveLastTierError,
    Discount,
    Schedule,
    Scheme,
    Tier,
    exponent,
    gross,
    monthly,
)

STATUSES = {
    "active",
    "canceled",
    "incomplete",
    "incomplete_expired",
    "past_due",
    "paused",
    "trialing",
    "unpaid",
}
PAUSES = {"keep_as_draft", "mark_uncollectible", "void"}
USAGE_TYPES = {"licensed", "metered"}
INTERVALS = {"day", "week", "month", "year"}
DISCOUNT_TYPES = {"percent", "amount"}
DURATIONS = {"forever", "repeating", "once"}

_DECIMAL = re.compile(r"[0-9]+(\.[0-9]+)?")
_REQUIRED = (
    "customer",
    "subscription",
    "item",
    "status",
    "currency",
    "product",
    "price",
    "scheme",
    "quantity",
)
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


def read_policy(policy: Mapping[str, Any] | None) -> dict[str, Any]:
    """The counting policy with the defaults of semantics 8.1 filled in.

    Week and day lengths as `Fraction` months.
    """
    full = {**_POLICY_DEFAULTS, **(policy or {})}
    return {
        **full,
        "week_in_months": Fraction(full["week_in_months"]),
        "day_in_months": Fraction(full["day_in_months"]),
    }


def read_book(
    rows: Iterable[Mapping[str, Any]], aliases: Mapping[str, str], policy: Mapping[str, Any]
) -> list[Item]:
    """The items of one side, every one checked whether it counts or not.

    DataQualityError names the first item that is wrong.
    """
    items: list[Item] = []
    seen: set[str] = set()
    for row in rows:
        item = _read_item(row, aliases, policy)
        if item.id in seen:
            raise DataQualityError("item id appears twice in one snapshot", [item.id])
        seen.add(item.id)
        items.append(item)
    return items


def decimal(value: Any, what: str, owner: str) -> Fraction:
    """A non-negative plain decimal (text or int) as an exact rational.

    Floats, signs, exponents and blanks are DataQualityErrors.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
        raise DataQualityError(f"missing, negative or malformed {what} {value!r}", [owner])
    return Fraction(value)


def read_scheme(raw: Any, owner: str) -> Scheme:
    """A scheme of semantics 8.1.

    A tier without `unit` or `flat` charges none; one without `up_to` has no end.
    """
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
    return Scheme(
        kind, tiers, _optional(raw, "minimum", owner), divide_by, rounding, _optional(raw, "tax", owner)
    )


def billing_months(interval: Any, count: Any, policy: Mapping[str, Any], owner: str) -> Fraction:
    """Months in one billing period (semantics 1.4): weeks and days by the policy's factors."""
    if interval not in INTERVALS:
        raise DataQualityError(f"unknown interval {interval!r}", [owner])
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise DataQualityError(f"interval_count {count!r} is not an integer of at least 1", [owner])
    lengths = {
        "month": Fraction(1),
        "year": Fraction(12),
        "week": policy["week_in_months"],
        "day": policy["day_in_months"],
    }
    one: Fraction = lengths[interval]
    return one * count


def rates_to_minor(
    rates: Mapping[str, str], reporting: str, currencies: Iterable[str], needed_by: str = ""
) -> dict[str, Fraction]:
    """Reporting minor units for one minor unit of each currency.

    DataQualityError when a rate is missing or not above zero.
    """
    result = {}
    for currency in sorted(set(currencies)):
        major = (
            Fraction(1)
            if currency == reporting
            else decimal(rates.get(currency), f"exchange rate of {currency}{needed_by}", currency)
        )
        if major <= 0:
            raise DataQualityError(f"exchange rate of {currency} is not above zero", [currency])
        result[currency] = major * Fraction(10) ** (exponent(reporting) - exponent(currency))
    return result


def item_mrr(item: Item, rates: Mapping[str, Fraction], policy: Mapping[str, Any]) -> int:
    """MRR of an item in reporting minor units, rounded half to even once."""
    return round(monthly(item.schedule, item.quantity, item.discounts, rates, policy))


def item_arr(item: Item, rates: Mapping[str, Fraction], policy: Mapping[str, Any]) -> int:
    """ARR of an item, rounded on its own: 12 times the unrounded month."""
    return round(12 * monthly(item.schedule, item.quantity, item.discounts, rates, policy))


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
    status, paused, usage_type = (
        row["status"],
        row.get("collection_paused"),
        row.get("usage_type", "licensed"),
    )
    _known(status, STATUSES, "status", owner)
    _known(usage_type, USAGE_TYPES, "usage type", owner)
    if paused is not None:
        _known(paused, PAUSES, "pause", owner)
    interval, count = row.get("interval", "month"), row.get("interval_count", 1)
    months = billing_months(interval, count, policy, owner)
    metered = usage_type == "metered"
    schedule = Schedule(
        read_scheme(row["scheme"], owner), Fraction(1) if metered else months, row["currency"], metered
    )
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
    """The customer at the end of the alias chain (a merged customer may be merged again).

    DataQualityError on a circle.
    """
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
