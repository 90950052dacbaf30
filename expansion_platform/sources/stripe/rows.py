"""Stripe objects to rows of the `stripe/*` tables: pure functions, only the allow-listed fields.

Here: one function a table, for objects in the shape of the pinned API version with discounts expanded. Not
here: invoices and their kin (`bills.py`), fetching (`client.py`), deciding what to fetch (`pull.py`), and
events, whose payloads come in other versions' shapes (`events.py`).

Each mapping begins with `shapes.read`: what is not declared there is not seen here, and what is seen is of
its kind. Values Stripe may add to (statuses, schemes, intervals) pass through as text; the domain judges
them. What cannot be read is said in the row's `unreadable`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from expansion_platform.domain.core import canonical
from expansion_platform.sources.stripe import shapes
from expansion_platform.sources.stripe.fields import (
    PLAIN_KEYS,
    MetadataKeys,
    Object,
    Row,
    common,
    decimal_text,
    discount,
    embedded,
    instant,
    need,
    reference,
)
from expansion_platform.sources.stripe.shapes import read

CUSTOMER_METADATA = ("customer_alias_of", "account_id", "org_id", "workspace_id")
CATALOG_METADATA = ("family", "tier_rank", "kind", "unit", "meter")
SUBSCRIPTION_METADATA = ("migration",)


def customer(item: Object, observed_at: datetime, keys: MetadataKeys = PLAIN_KEYS) -> Row:
    """Row of `stripe/customers`.

    A deleted customer's fields come from its `customer.deleted` event, which has them all.
    """
    item = read(shapes.CUSTOMER, item)
    current = item.get("discount")
    return {
        **common(item, observed_at),
        "currency": item.get("currency"),
        "country": (item.get("address") or {}).get("country"),
        "deleted": bool(item.get("deleted", False)),
        "discount_json": canonical.dumps(discount(current)) if current else None,
        "metadata_json": _metadata(item, (*CUSTOMER_METADATA, *keys.customers)),
    }


def product(item: Object, observed_at: datetime) -> Row:
    """Row of `stripe/products`."""
    item = read(shapes.PRODUCT, item)
    return {
        **common(item, observed_at),
        "name": item.get("name") or item["id"],
        "active": bool(need(item, "active")),
        "metadata_json": _metadata(item, CATALOG_METADATA),
    }


def price(item: Object, observed_at: datetime, *, embedded: bool = False) -> Row:
    """Row of `stripe/prices`.

    `tiers` and `currency_options` must have been expanded, the tiers of the options too.

    One that is `embedded` in another object has neither.
    """
    item = read(shapes.PRICE, item)
    recurring = item.get("recurring") or {}
    package = item.get("transform_quantity") or {}
    tiered = need(item, "billing_scheme") == "tiered"
    unit = decimal_text(item, "unit_amount_decimal") or decimal_text(item, "unit_amount")
    return {
        **common(item, observed_at),
        "product": reference(need(item, "product")),
        "currency": need(item, "currency"),
        "active": bool(need(item, "active")),
        "type": need(item, "type"),
        "billing_scheme": item["billing_scheme"],
        "unit_amount_decimal": None if tiered else unit,
        "tiers_mode": item.get("tiers_mode"),
        "tiers_json": canonical.dumps([_tier(tier, item) for tier in item["tiers"]])
        if tiered and item.get("tiers") is not None
        else None,
        "currency_options_json": _in_other_currencies(item, lambda option: _amounts(option, item)),
        "tax_behavior": item.get("tax_behavior"),
        "divide_by": package.get("divide_by"),
        "round": package.get("round"),
        "interval": recurring.get("interval"),
        "interval_count": recurring.get("interval_count"),
        "usage_type": recurring.get("usage_type"),
        "meter": recurring.get("meter"),
        "lookup_key": item.get("lookup_key"),
        "embedded": embedded,
        "metadata_json": _metadata(item, CATALOG_METADATA),
    }


def coupon(item: Object, observed_at: datetime, *, embedded: bool = False) -> Row:
    """Row of `stripe/coupons`.

    `applies_to` and `currency_options` must have been expanded: otherwise they are absent, as for a coupon
    without.

    One that is `embedded` in another object has neither.
    """
    item = read(shapes.COUPON, item)
    limit = item.get("applies_to")
    return {
        **common(item, observed_at),
        "duration": need(item, "duration"),
        "duration_in_months": item.get("duration_in_months"),
        "percent_off": decimal_text(item, "percent_off"),
        "amount_off": item.get("amount_off"),
        "currency": item.get("currency"),
        "currency_options_json": _in_other_currencies(item, lambda option: option.get("amount_off")),
        "applies_to_json": canonical.dumps(sorted(limit["products"])) if limit else None,
        "embedded": embedded,
    }


def tax_rate(item: Object, observed_at: datetime) -> Row:
    """Row of `stripe/tax_rates`. Of one that Stripe made to compute tax, the percentage it used."""
    item = read(shapes.TAX_RATE, item)
    effective = decimal_text(item, "effective_percentage")
    return {
        **common(item, observed_at),
        "percentage": decimal_text(item, "percentage") if effective is None else effective,
        "inclusive": bool(need(item, "inclusive")),
    }


def subscription(item: Object, observed_at: datetime, keys: MetadataKeys = PLAIN_KEYS) -> Row:
    """Row of `stripe/subscriptions`, of any status."""
    item = read(shapes.SUBSCRIPTION, item)
    return {
        **common(item, observed_at),
        "customer": reference(need(item, "customer")),
        "status": need(item, "status"),
        "currency": need(item, "currency"),
        "start_date": instant(need(item, "start_date")),
        "billing_cycle_anchor": instant(need(item, "billing_cycle_anchor")),
        "trial_start": instant(item.get("trial_start")),
        "trial_end": instant(item.get("trial_end")),
        "cancel_at": instant(item.get("cancel_at")),
        "cancel_at_period_end": bool(item.get("cancel_at_period_end", False)),
        "canceled_at": instant(item.get("canceled_at")),
        "ended_at": instant(item.get("ended_at")),
        "pause_collection": (item.get("pause_collection") or {}).get("behavior"),
        "discounts_json": canonical.dumps([discount(entry) for entry in item.get("discounts") or []]),
        "metadata_json": _metadata(item, SUBSCRIPTION_METADATA, keys.initiator(item)),
    }


def subscription_items(item: Object, observed_at: datetime, keys: MetadataKeys = PLAIN_KEYS) -> list[Row]:
    """Rows of `stripe/subscription_items` of one subscription: every item now on it."""
    item = read(shapes.ITEMS_OWNER, item)
    return [
        {
            **common(part, observed_at, livemode=need(item, "livemode")),
            "subscription": need(item, "id"),
            "price": reference(need(part, "price")),
            "product": part["price"]["product"],
            "quantity": decimal_text(part, "quantity"),
            "current_period_start": instant(need(part, "current_period_start")),
            "current_period_end": instant(need(part, "current_period_end")),
            "trial_start": instant((part.get("current_trial") or {}).get("start_date")),
            "trial_end": instant((part.get("current_trial") or {}).get("end_date")),
            "discounts_json": canonical.dumps([discount(entry) for entry in part.get("discounts") or []]),
            "inclusive_tax": _inclusive_tax(part.get("tax_rates") or item.get("default_tax_rates") or []),
            "metadata_json": canonical.dumps(keys.initiator(part)),
        }
        for part in (read(shapes.SUBSCRIPTION_ITEM, each, item["id"]) for each in embedded(item, "items"))
    ]


def subscription_schedule(item: Object, observed_at: datetime) -> Row:
    """Row of `stripe/subscription_schedules`.

    A released schedule names the subscription it ran in another field.
    """
    item = read(shapes.SUBSCRIPTION_SCHEDULE, item)
    stops = [
        item[name] for name in ("released_at", "completed_at", "canceled_at") if item.get(name) is not None
    ]
    return {
        **common(item, observed_at),
        "customer": reference(need(item, "customer")),
        "subscription": reference(item.get("subscription") or item.get("released_subscription")),
        "status": need(item, "status"),
        "stopped_at": instant(min(stops, default=None)),
        "phases_json": canonical.dumps([_phase(phase, item) for phase in need(item, "phases")]),
    }


def _inclusive_tax(rates: Sequence[Any]) -> str | None:
    """Percentage of the tax rates set on an item that are inside its price, None where none is set.

    Stripe embeds them whole.
    """
    if not rates or not all(isinstance(rate, Mapping) for rate in rates):
        return None
    inside = [Decimal(rate["percentage"] or "0") for rate in rates if rate["inclusive"]]
    return canonical.decimal_text(sum(inside, Decimal(0)))


def embedded_coupons(item: Object) -> list[Object]:
    """Coupon objects carried by the discounts of a customer, a subscription or an invoice.

    The only trace of a coupon deleted in Stripe.
    """
    listed = item.get("discounts")
    entries = [
        entry
        for entry in [*(listed if isinstance(listed, list | tuple) else []), item.get("discount")]
        if isinstance(entry, Mapping)
    ]
    coupons = [
        source.get("coupon") for entry in entries if isinstance(source := entry.get("source"), Mapping)
    ]
    return [
        found
        for found in coupons
        if isinstance(found, Mapping) and "duration" in found and shapes.identified(shapes.COUPON, found)
    ]


def embedded_prices(item: Object) -> list[Object]:
    """Price objects carried by a subscription's items: the only trace of a price deleted in Stripe.

    Before prices (2020) items had plans.
    """
    listed = item.get("items")
    data = listed.get("data") if isinstance(listed, Mapping) else None
    prices = (
        [entry.get("price") for entry in data or [] if isinstance(entry, Mapping)]
        if isinstance(data, list | tuple)
        else []
    )
    return [
        found
        for found in prices
        if isinstance(found, Mapping) and "billing_scheme" in found and shapes.identified(shapes.PRICE, found)
    ]


def _metadata(item: Object, allowed: tuple[str, ...], also: Row | None = None) -> str:
    given = item.get("metadata") or {}
    return canonical.dumps({name: given[name] for name in allowed if name in given} | (also or {}))


def _in_other_currencies(item: Object, amount: Callable[[Object], Any]) -> str | None:
    """What a price or a coupon is in the currencies it offers beside its own, None where there is none.

    Stripe lists its own among them.
    """
    options = item.get("currency_options") or {}
    read_options = {
        currency: amount(option) for currency, option in options.items() if currency != item.get("currency")
    }
    return canonical.dumps(read_options) if read_options else None


def _amounts(option: Object, owner: Object) -> Row:
    """Unit amount and tiers of a price in one of its currencies, null where the option has none."""
    named = {**option, "object": "currency option of a price", "id": owner.get("id")}
    return {
        "unit": decimal_text(named, "unit_amount_decimal") or decimal_text(named, "unit_amount"),
        "tiers": [_tier(tier, owner) for tier in option.get("tiers") or []] or None,
        "tax": option.get("tax_behavior"),
    }


def _tier(tier: Object, owner: Object) -> Row:
    """A tier sets a unit amount, a flat amount or both; the one it leaves null is not charged."""
    named = {**tier, "object": "price tier", "id": owner.get("id")}
    return {
        "up_to": tier.get("up_to"),
        "unit": decimal_text(named, "unit_amount_decimal") or decimal_text(named, "unit_amount") or "0",
        "flat": decimal_text(named, "flat_amount_decimal") or decimal_text(named, "flat_amount") or "0",
    }


def _phase(phase: Object, owner: Object) -> Row:
    named = {**phase, "object": "phase of a subscription schedule", "id": owner.get("id")}
    items = [
        {**entry, "object": "item of a subscription schedule", "id": owner.get("id")}
        for entry in need(named, "items")
    ]
    return {
        "start": need(named, "start_date"),
        "end": phase.get("end_date"),
        "items": [
            {"price": reference(need(entry, "price")), "quantity": decimal_text(entry, "quantity")}
            for entry in items
        ],
    }
