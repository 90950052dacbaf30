"""Stripe objects to rows of the `stripe/*` tables: pure functions, only the allow-listed fields.

Here: one function a table, for objects in the shape of the pinned API version with discounts expanded. Not here: fetching (`client.py`), deciding
what to fetch (`pull.py`), and events, whose payloads come in other versions' shapes (`events.py`).

Values Stripe may add to (statuses, schemes, intervals) pass through as text; the domain judges them. A missing field that a row cannot do
without raises `DataQualityError` naming the object: it is never filled in.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from expansion_platform.domain import canonical
from expansion_platform.domain.errors import DataQualityError
from expansion_platform.sources.stripe.fields import Object, Row, decimal_text, discount, embedded, instant, need, reference

CUSTOMER_METADATA = ("customer_alias_of", "account_id", "org_id", "workspace_id")
CATALOG_METADATA = ("family", "tier_rank", "kind", "unit", "meter")
SUBSCRIPTION_METADATA = ("initiated_by", "migration")


def customer(item: Object, observed_at: datetime) -> Row:
    """Row of `stripe/customers`. A deleted customer's fields come from its `customer.deleted` event, which has them all."""
    held = item.get("discount")
    return {
        **_common(item, observed_at),
        "currency": item.get("currency"),
        "deleted": bool(item.get("deleted", False)),
        "discount_json": canonical.dumps(discount(held, item)) if held else None,
        "metadata_json": _metadata(item, CUSTOMER_METADATA),
    }


def product(item: Object, observed_at: datetime) -> Row:
    """Row of `stripe/products`."""
    return {
        **_common(item, observed_at),
        "name": need(item, "name"),
        "active": bool(need(item, "active")),
        "metadata_json": _metadata(item, CATALOG_METADATA),
    }


def price(item: Object, observed_at: datetime) -> Row:
    """Row of `stripe/prices`; `tiers` must have been expanded."""
    recurring = item.get("recurring") or {}
    package = item.get("transform_quantity") or {}
    tiered = need(item, "billing_scheme") == "tiered"
    unit = decimal_text(item, "unit_amount_decimal") or decimal_text(item, "unit_amount")
    if unit is None and not tiered and not item.get("custom_unit_amount"):
        raise DataQualityError("price without a unit amount", [need(item, "id")])
    return {
        **_common(item, observed_at),
        "product": reference(need(item, "product")),
        "currency": need(item, "currency"),
        "active": bool(need(item, "active")),
        "type": need(item, "type"),
        "billing_scheme": item["billing_scheme"],
        "unit_amount_decimal": None if tiered else unit,
        "tiers_mode": item.get("tiers_mode"),
        "tiers_json": canonical.dumps([_tier(tier, item) for tier in need(item, "tiers")]) if tiered else None,
        "divide_by": package.get("divide_by"),
        "round": package.get("round"),
        "interval": recurring.get("interval"),
        "interval_count": recurring.get("interval_count"),
        "usage_type": recurring.get("usage_type"),
        "lookup_key": item.get("lookup_key"),
        "metadata_json": _metadata(item, CATALOG_METADATA),
    }


def coupon(item: Object, observed_at: datetime) -> Row:
    """Row of `stripe/coupons`; `applies_to` must have been expanded, it is absent otherwise as when the coupon has no limit."""
    limit = item.get("applies_to")
    return {
        **_common(item, observed_at),
        "duration": need(item, "duration"),
        "duration_in_months": item.get("duration_in_months"),
        "percent_off": decimal_text(item, "percent_off"),
        "amount_off": item.get("amount_off"),
        "currency": item.get("currency"),
        "applies_to_json": canonical.dumps(sorted(limit["products"])) if limit else None,
    }


def subscription(item: Object, observed_at: datetime) -> Row:
    """Row of `stripe/subscriptions`, of any status."""
    return {
        **_common(item, observed_at),
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
        "discounts_json": canonical.dumps([discount(held, item) for held in item.get("discounts") or []]),
        "metadata_json": _metadata(item, SUBSCRIPTION_METADATA),
    }


def subscription_items(item: Object, observed_at: datetime) -> list[Row]:
    """Rows of `stripe/subscription_items` of one subscription: every item now on it."""
    return [
        {
            **_common(held, observed_at, livemode=need(item, "livemode")),
            "subscription": need(item, "id"),
            "price": reference(need(held, "price")),
            "product": _product_of(held),
            "quantity": decimal_text(held, "quantity"),
            "current_period_start": instant(need(held, "current_period_start")),
            "current_period_end": instant(need(held, "current_period_end")),
            "trial_start": instant((held.get("current_trial") or {}).get("start_date")),
            "trial_end": instant((held.get("current_trial") or {}).get("end_date")),
            "discounts_json": canonical.dumps([discount(entry, held) for entry in held.get("discounts") or []]),
        }
        for held in embedded(item, "items")
    ]


def subscription_schedule(item: Object, observed_at: datetime) -> Row:
    """Row of `stripe/subscription_schedules`. A released schedule names the subscription it ran in another field."""
    stops = [item[name] for name in ("released_at", "completed_at", "canceled_at") if item.get(name) is not None]
    return {
        **_common(item, observed_at),
        "customer": reference(need(item, "customer")),
        "subscription": reference(item.get("subscription") or item.get("released_subscription")),
        "status": need(item, "status"),
        "stopped_at": instant(min(stops, default=None)),
        "phases_json": canonical.dumps([_phase(phase, item) for phase in need(item, "phases")]),
    }


def invoice(item: Object, observed_at: datetime) -> Row:
    """Row of `stripe/invoices`."""
    transitions = item.get("status_transitions") or {}
    return {
        **_common(item, observed_at),
        "customer": reference(need(item, "customer")),
        "subscription": _billed_subscription(item),
        "status": need(item, "status"),
        "billing_reason": item.get("billing_reason"),
        "currency": need(item, "currency"),
        "period_start": instant(need(item, "period_start")),
        "period_end": instant(need(item, "period_end")),
        "subtotal": need(item, "subtotal"),
        "total": need(item, "total"),
        "finalized_at": instant(transitions.get("finalized_at")),
        "voided_at": instant(transitions.get("voided_at")),
        "due_date": instant(item.get("due_date")),
        "revised_by": reference(item.get("latest_revision")),
        "paid_at": instant(transitions.get("paid_at")),
        "uncollectible_at": instant(transitions.get("marked_uncollectible_at")),
    }


def invoice_lines(item: Object, observed_at: datetime, subscription_item_of: Mapping[str, str] | None = None) -> list[Row]:
    """Rows of `stripe/invoice_lines` of one invoice: all its lines.

    Args:
        item: The invoice with all its lines, discounts expanded on both.
        observed_at: When it was read.
        subscription_item_of: Invoice item to subscription item, for prorations whose line names only the invoice item (`unresolved_items`).
    """
    return [_invoice_line(line, item, observed_at, subscription_item_of or {}) for line in embedded(item, "lines")]


def unresolved_items(item: Object) -> set[str]:
    """Invoice items on an invoice that must be read to know the subscription item: prorations whose line does not name one."""
    details = (_line_parent(line) for line in embedded(item, "lines"))
    return {found["invoice_item"] for found in details if found.get("proration") and not found.get("subscription_item")}


def billed_item(item: Object) -> str | None:
    """The subscription item an invoice item bills, None when it bills something else."""
    return reference(((item.get("parent") or {}).get("subscription_details") or {}).get("subscription_item"))


def invoice_item(item: Object, observed_at: datetime) -> Row:
    """Row of `stripe/invoice_items`."""
    parent = (item.get("parent") or {}).get("subscription_details") or {}
    return {
        **_common(item, observed_at, created=need(item, "date")),
        "customer": reference(need(item, "customer")),
        "subscription": reference(parent.get("subscription")),
        "subscription_item": billed_item(item),
        **_priced(item),
        "amount": need(item, "amount"),
        "currency": need(item, "currency"),
        **_period(item),
        "proration": bool(need(item, "proration")),
        "invoice": reference(item.get("invoice")),
    }


def credit_note(item: Object, observed_at: datetime) -> Row:
    """Row of `stripe/credit_notes`."""
    return {
        **_common(item, observed_at),
        "customer": reference(need(item, "customer")),
        "invoice": reference(need(item, "invoice")),
        "currency": need(item, "currency"),
        "amount": need(item, "amount"),
        "status": need(item, "status"),
    }


def embedded_coupons(item: Object) -> list[Object]:
    """Coupon objects carried by the discounts of a customer, a subscription or an invoice: the only trace of a coupon deleted in Stripe."""
    held = [entry for entry in [*(item.get("discounts") or []), item.get("discount")] if isinstance(entry, Mapping)]
    coupons = [(entry.get("source") or {}).get("coupon") for entry in held]
    return [found for found in coupons if isinstance(found, Mapping) and "duration" in found]


def _common(item: Object, observed_at: datetime, *, created: int | None = None, livemode: bool | None = None) -> Row:
    return {
        "id": need(item, "id"),
        "created": instant(need(item, "created") if created is None else created),
        "livemode": bool(need(item, "livemode") if livemode is None else livemode),
        "observed_at": observed_at,
    }


def _metadata(item: Object, allowed: tuple[str, ...]) -> str:
    given = item.get("metadata") or {}
    return canonical.dumps({name: given[name] for name in allowed if name in given})


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
    items = [{**held, "object": "item of a subscription schedule", "id": owner.get("id")} for held in need(named, "items")]
    return {
        "start": need(named, "start_date"),
        "end": phase.get("end_date"),
        "items": [{"price": reference(need(held, "price")), "quantity": decimal_text(held, "quantity")} for held in items],
    }


def _product_of(held: Object) -> str:
    found = held["price"].get("product") if isinstance(held["price"], Mapping) else None
    if found is None:
        raise DataQualityError("subscription item without a product", [str(held.get("id"))])
    return str(reference(found))


def _billed_subscription(item: Object) -> str | None:
    details = (item.get("parent") or {}).get("subscription_details") or {}
    return reference(details.get("subscription"))


def _line_parent(line: Object) -> Object:
    parent = line.get("parent") or {}
    return parent.get("subscription_item_details") or parent.get("invoice_item_details") or {}


def _period(item: Object) -> Row:
    """Service period of a line or an invoice item."""
    period = {**need(item, "period"), "object": f"{item.get('object')} period", "id": item.get("id")}
    return {"period_start": instant(need(period, "start")), "period_end": instant(need(period, "end"))}


def _priced(item: Object) -> Row:
    """Price, product, quantity and unit amount of a line or an invoice item. `quantity` is cut to an integer, `quantity_decimal` is not."""
    pricing = item.get("pricing") or {}
    details = pricing.get("price_details") or {}
    return {
        "price": reference(details.get("price")),
        "product": reference(details.get("product")),
        "quantity": decimal_text(item, "quantity_decimal") or decimal_text(item, "quantity"),
        "unit_amount_decimal": decimal_text({**pricing, "object": item.get("object"), "id": item.get("id")}, "unit_amount_decimal"),
    }


def _invoice_line(line: Object, owner: Object, observed_at: datetime, subscription_item_of: Mapping[str, str]) -> Row:
    parent = _line_parent(line)
    invoice_item_id = reference(parent.get("invoice_item"))
    credited = ((parent.get("proration_details") or {}).get("credited_items") or {}).get("invoice_line_items")
    return {
        **_common(line, observed_at, created=need(owner, "created"), livemode=need(owner, "livemode")),
        "invoice": need(owner, "id"),
        "customer": reference(need(owner, "customer")),
        "subscription": reference(parent.get("subscription")),
        "subscription_item": reference(parent.get("subscription_item")) or subscription_item_of.get(invoice_item_id or ""),
        "invoice_item": invoice_item_id,
        **_priced(line),
        "amount": need(line, "amount"),
        "currency": need(line, "currency"),
        **_period(line),
        "proration": bool(parent.get("proration", False)),
        "credited_lines_json": canonical.dumps(credited) if credited else None,
        "discount_amounts_json": canonical.dumps(
            [{"discount": reference(entry["discount"]), "amount": entry["amount"]} for entry in line.get("discount_amounts") or []]
        ),
        "discounts_json": canonical.dumps(
            [_line_discount(held, line, "line") for held in line.get("discounts") or []]
            + [_line_discount(held, owner, "invoice") for held in owner.get("discounts") or []]
        ),
    }


def _line_discount(held: Any, owner: Object, level: str) -> Row:
    found = discount(held, owner)
    return {
        **found,
        "subscription": held.get("subscription"),
        "subscription_item": held.get("subscription_item"),
        "invoice": held.get("invoice"),
        "level": level,
    }
