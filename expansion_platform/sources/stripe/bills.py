"""Stripe's billing documents to rows: invoices, their lines, pending invoice items, credit notes.

Here: one function a table, as in `rows.py`, which has the rest and the rules of both. Not here: what a
document says of a subscription (`domain/history*.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

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


def invoice(item: Object, observed_at: datetime, keys: MetadataKeys = PLAIN_KEYS) -> Row:
    """Row of `stripe/invoices`.

    Its subscription's metadata is kept as it was when the bill was finalized: the only dated trace of it.
    """
    item = read(shapes.INVOICE, item)
    transitions = item.get("status_transitions") or {}
    return {
        **common(item, observed_at),
        "customer": reference(need(item, "customer")),
        "subscription": reference(_subscription_details(item).get("subscription")),
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
        "uncollectible_reason": ((item.get("status_details") or {}).get("uncollectible") or {}).get("reason"),
        "attempt_count": _attempts(item),
        "metadata_json": canonical.dumps(keys.initiator(_subscription_details(item))),
    }


def _attempts(item: Object) -> int | None:
    """How often Stripe tried to charge a bill.

    A source may say only whether it did (`attempted`), or nothing (None).
    """
    count, attempted = item.get("attempt_count"), item.get("attempted")
    if attempted is True and not count:
        return 1
    return 0 if attempted is False and count is None else count


def invoice_lines(
    item: Object, observed_at: datetime, subscription_item_of: Mapping[str, str] | None = None
) -> list[Row]:
    """Rows of `stripe/invoice_lines` of one invoice: all its lines.

    Args:
        item: The invoice with all its lines, discounts expanded on both.
        observed_at: When it was read.
        subscription_item_of: Invoice item to subscription item, for prorations whose line names only the
            invoice item (`unresolved_items`).
    """
    item = read(shapes.LINES_OWNER, item)
    lines = (read(shapes.INVOICE_LINE, line, item["id"]) for line in embedded(item, "lines"))
    return [_invoice_line(line, item, observed_at, subscription_item_of or {}) for line in lines]


def unresolved_items(item: Object) -> set[str]:
    """Invoice items on an invoice that must be read to know the subscription item.

    Prorations whose line does not name one.
    """
    lines = embedded(read(shapes.LINES_OWNER, item), "lines")
    details = (_line_parent(shapes.LINE_PARENT.read_fields(line, [])) for line in lines)
    prorations = (found for found in details if found.get("proration") and not found.get("subscription_item"))
    return {str(found["invoice_item"]) for found in prorations if found.get("invoice_item")}


def billed_item(item: Object) -> str | None:
    """The subscription item an invoice item bills, None when it bills something else."""
    return reference(_subscription_details(read(shapes.INVOICE_ITEM, item)).get("subscription_item"))


def invoice_item(item: Object, observed_at: datetime) -> Row:
    """Row of `stripe/invoice_items`."""
    item = read(shapes.INVOICE_ITEM, item)
    parent = _subscription_details(item)
    return {
        **common(item, observed_at, created=need(item, "date")),
        "customer": reference(need(item, "customer")),
        "subscription": reference(parent.get("subscription")),
        "subscription_item": reference(parent.get("subscription_item")),
        **_priced(item),
        "amount": need(item, "amount"),
        "currency": need(item, "currency"),
        **_period(item),
        "proration": bool(need(item, "proration")),
        "invoice": reference(item.get("invoice")),
    }


def credit_note(item: Object, observed_at: datetime) -> Row:
    """Row of `stripe/credit_notes`."""
    item = read(shapes.CREDIT_NOTE, item)
    return {
        **common(item, observed_at),
        "customer": reference(need(item, "customer")),
        "invoice": reference(need(item, "invoice")),
        "currency": need(item, "currency"),
        "amount": need(item, "amount"),
        "status": need(item, "status"),
    }


def _subscription_details(item: Object) -> Object:
    return (item.get("parent") or {}).get("subscription_details") or {}


def _line_parent(line: Object) -> Object:
    parent = line.get("parent") or {}
    return parent.get("subscription_item_details") or parent.get("invoice_item_details") or {}


def _period(item: Object) -> Row:
    """Service period of a line or an invoice item."""
    period = {**need(item, "period"), "object": f"{item.get('object')} period", "id": item.get("id")}
    return {"period_start": instant(need(period, "start")), "period_end": instant(need(period, "end"))}


def _priced(item: Object) -> Row:
    """Price, product, quantity and unit amount of a line or an invoice item.

    `quantity` is cut to an integer, `quantity_decimal` is not.
    """
    pricing = item.get("pricing") or {}
    details = pricing.get("price_details") or {}
    return {
        "price": reference(details.get("price")),
        "product": reference(details.get("product")),
        "quantity": decimal_text(item, "quantity_decimal") or decimal_text(item, "quantity"),
        "unit_amount_decimal": decimal_text(
            {**pricing, "object": item.get("object"), "id": item.get("id")}, "unit_amount_decimal"
        ),
    }


def _invoice_line(
    line: Object, owner: Object, observed_at: datetime, subscription_item_of: Mapping[str, str]
) -> Row:
    parent = _line_parent(line)
    invoice_item_id = reference(parent.get("invoice_item"))
    credited = ((parent.get("proration_details") or {}).get("credited_items") or {}).get("invoice_line_items")
    return {
        **common(line, observed_at, created=need(owner, "created"), livemode=need(owner, "livemode")),
        "invoice": need(owner, "id"),
        "customer": reference(need(owner, "customer")),
        "subscription": reference(parent.get("subscription")),
        "subscription_item": reference(parent.get("subscription_item"))
        or subscription_item_of.get(invoice_item_id or ""),
        "invoice_item": invoice_item_id,
        **_priced(line),
        "amount": need(line, "amount"),
        "currency": need(line, "currency"),
        **_period(line),
        "proration": bool(parent.get("proration", False)),
        "credited_lines_json": canonical.dumps(credited) if credited else None,
        "discount_amounts_json": canonical.dumps(
            [
                {"discount": reference(entry["discount"]), "amount": entry["amount"]}
                for entry in line.get("discount_amounts") or []
            ]
        ),
        "taxes_json": _taxes(line, owner),
        "discounts_json": canonical.dumps(
            [_line_discount(entry, "line") for entry in line.get("discounts") or []]
            + [_line_discount(entry, "invoice") for entry in owner.get("discounts") or []]
        ),
    }


def _taxes(line: Object, owner: Object) -> str | None:
    """What tax Stripe computed for a line.

    None is something else than none computed, which leaves open what tax its price has inside.
    """
    taxes = line.get("taxes") or []
    if not taxes and (owner.get("automatic_tax") or {}).get("status") != "complete":
        return None
    named = [(reference((tax.get("tax_rate_details") or {}).get("tax_rate")), tax) for tax in taxes]
    return canonical.dumps(
        [{"rate": rate, "behavior": tax["tax_behavior"], "amount": tax["amount"]} for rate, tax in named]
    )


def _line_discount(entry: Object, level: str) -> Row:
    found = discount(entry)
    return {
        **found,
        "subscription": entry.get("subscription"),
        "subscription_item": entry.get("subscription_item"),
        "invoice": entry.get("invoice"),
        "level": level,
    }
