"""Stripe's billing documents: invoices, their lines, and credit notes, in API version 2026-10-28.endive.

Here: the documents' form, their sums, and their passage from open to paid. Not here: when they are made
(`billing.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from expansion_platform.simulator.stripe_billing import catalog_objects, objects
from expansion_platform.simulator.stripe_billing.charges import Item

JSON = dict[str, Any]


def regular_line(
    identity: str,
    invoice: str,
    subscription: str,
    item: Item,
    amount: int,
    period: tuple[int, int],
    *,
    discounts: Sequence[str],
    taken: Sequence[tuple[str, int]],
) -> JSON:
    """The line charging `item` for a whole period.

    `discounts` are the item's own, `taken` what each discount took off.
    """
    return {
        **_line(
            identity, invoice, item.price.currency, amount, catalog_objects.pricing(item.price), item.quantity
        ),
        "description": f"{item.quantity} × {item.price.product.name}",
        "discount_amounts": [{"amount": off, "discount": discount} for discount, off in taken],
        "discountable": True,
        "discounts": list(discounts),
        "parent": _parent(subscription, item.id, None, None),
        "period": {"end": period[1], "start": period[0]},
        "pretax_credit_amounts": [
            {"amount": off, "discount": discount, "type": "discount"} for discount, off in taken
        ],
        "subscription": subscription,
    }


def proration_line(identity: str, invoice: str, pending: JSON, lines_of: dict[str, str]) -> JSON:
    """The line a pending invoice item becomes on `invoice`.

    Its amount is net of discounts already, as in classic billing.

    `lines_of` maps the invoice items billed by this invoice to their lines: a credit of one of them names its
    line.
    """
    credited = pending["proration_details"]["credited_items"]
    if credited is not None:
        credited = credited["invoice_line_item_details"] or {
            "invoice": invoice,
            "invoice_line_items": [lines_of[credited["invoice_item"]]],
        }
    owner = pending["parent"]["subscription_details"]
    return {
        **_line(
            identity, invoice, pending["currency"], pending["amount"], pending["pricing"], pending["quantity"]
        ),
        "description": pending["description"],
        "discount_amounts": [],
        "discountable": False,
        "discounts": [],
        "parent": _parent(owner["subscription"], owner["subscription_item"], pending["id"], credited),
        "period": dict(pending["period"]),
        "pretax_credit_amounts": [],
        "subscription": owner["subscription"],
    }


def _line(identity: str, invoice: str, currency: str, amount: int, pricing: JSON, quantity: int) -> JSON:
    return {
        "id": identity,
        "object": "line_item",
        "amount": amount,
        "currency": currency,
        "invoice": invoice,
        "livemode": True,
        "metadata": {},
        "pricing": pricing,
        "quantity": quantity,
        "quantity_decimal": str(quantity),
        "subtotal": amount,
        "taxes": [],
    }


def _parent(subscription: str, item: str, invoice_item: str | None, credited: JSON | None) -> JSON:
    details = {
        "invoice_item": invoice_item,
        "proration": invoice_item is not None,
        "proration_details": {"credited_items": credited},
        "subscription": subscription,
        "subscription_item": item,
    }
    return {
        "invoice_item_details": None,
        "subscription_item_details": details,
        "type": "subscription_item_details",
    }


def invoice(
    identity: str,
    number: str,
    customer: JSON,
    subscription: str,
    at: int,
    *,
    period: tuple[int, int],
    reason: str,
    collection_method: str,
    lines: list[JSON],
    discounts: Sequence[str],
    proration_date: int | None,
    metadata: Mapping[str, str],
) -> JSON:
    """A finalized, unpaid invoice of a subscription with all its lines.

    A credit beyond the total goes to the customer's balance.

    `metadata` is the subscription's at that moment.
    """
    offs: dict[str, int] = {}
    for entry in (entry for each in lines for entry in each["discount_amounts"]):
        offs[entry["discount"]] = offs.get(entry["discount"], 0) + entry["amount"]
    subtotal = sum(each["amount"] for each in lines)
    taxes = [tax for each in lines for tax in each["taxes"]]
    on_top, inside = (
        sum(tax["amount"] for tax in taxes if tax["tax_behavior"] == behavior)
        for behavior in ("exclusive", "inclusive")
    )
    total = subtotal - sum(offs.values()) + on_top
    due = max(0, total + customer["balance"])
    details: JSON = {
        "metadata": dict(metadata),
        "subscription": subscription,
        "subscription_proration_date": proration_date,
    }
    sends = collection_method == "send_invoice"
    return {
        "id": identity,
        "object": "invoice",
        "account_country": "US",
        "account_name": "Example Workspace Inc.",
        "account_tax_ids": None,
        "amount_due": due,
        "amount_overpaid": 0,
        "amount_paid": 0,
        "amount_remaining": due,
        "amount_shipping": 0,
        "application": None,
        "attempt_count": 0,
        "attempted": False,
        "auto_advance": True,
        "automatic_tax": {
            "disabled_reason": None,
            "enabled": False,
            "liability": None,
            "provider": None,
            "status": None,
        },
        "automatically_finalizes_at": None,
        "billing_reason": reason,
        "collection_method": collection_method,
        "created": at,
        "currency": lines[0]["currency"],
        "custom_fields": None,
        "customer": customer["id"],
        "customer_account": None,
        "customer_address": customer["address"],
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "customer_phone": None,
        "customer_shipping": None,
        "customer_tax_exempt": "none",
        "default_payment_method": None,
        "default_source": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": list(discounts),
        "due_date": at + 30 * 86_400 if sends else None,
        "effective_at": at,
        "ending_balance": min(0, total + customer["balance"]),
        "footer": None,
        "from_invoice": None,
        "hosted_invoice_url": None,
        "invoice_pdf": None,
        "issuer": {"type": "self"},
        "last_finalization_error": None,
        "latest_revision": None,
        "lines": objects.listing(lines, f"/v1/invoices/{identity}/lines"),
        "livemode": True,
        "metadata": {},
        "next_payment_attempt": None,
        "number": number,
        "on_behalf_of": None,
        "parent": {"quote_details": None, "subscription_details": details, "type": "subscription_details"},
        "payment_settings": {
            "default_mandate": None,
            "payment_method_options": None,
            "payment_method_types": None,
        },
        "period_end": period[1],
        "period_start": period[0],
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "receipt_number": None,
        "rendering": None,
        "shipping_cost": None,
        "shipping_details": None,
        "starting_balance": customer["balance"],
        "statement_descriptor": None,
        "status": "open",
        "status_transitions": {
            "finalized_at": at,
            "marked_uncollectible_at": None,
            "paid_at": None,
            "voided_at": None,
        },
        "subtotal": subtotal,
        "subtotal_excluding_tax": subtotal - inside,
        "test_clock": None,
        "total": total,
        "total_discount_amounts": [
            {"amount": amount, "discount": discount} for discount, amount in offs.items()
        ],
        "total_excluding_tax": total - on_top - inside,
        "total_pretax_credit_amounts": [
            {"amount": amount, "discount": discount, "type": "discount"} for discount, amount in offs.items()
        ],
        "total_taxes": taxes,
        "webhooks_delivered_at": at,
    }


def pay(document: JSON, at: int) -> None:
    """The invoice is paid in full."""
    attempts = max(1, document["attempt_count"])
    document.update(
        status="paid",
        amount_paid=document["amount_due"],
        amount_remaining=0,
        attempted=True,
        attempt_count=attempts,
        auto_advance=False,
    )
    document["status_transitions"] = {**document["status_transitions"], "paid_at": at}


def refuse(document: JSON, times: int = 1) -> None:
    """The customer is charged `times` times in vain. An invoice that was sent is never charged."""
    if document["collection_method"] == "charge_automatically":
        document.update(attempted=True, attempt_count=max(times, document["attempt_count"]))


def leave_draft(document: JSON) -> None:
    """The invoice is made and never finalized: it has no number, and moves no balance."""
    document.update(
        status="draft",
        auto_advance=False,
        number=None,
        effective_at=None,
        ending_balance=None,
        webhooks_delivered_at=None,
    )
    document["status_transitions"] = {**document["status_transitions"], "finalized_at": None}


def void(document: JSON, at: int) -> None:
    """The invoice is taken back."""
    document.update(status="void", auto_advance=False)
    document["status_transitions"] = {**document["status_transitions"], "voided_at": at}


def give_up(document: JSON, at: int, reason: str) -> None:
    """The invoice is marked uncollectible; `reason` is Stripe's word for why."""
    document.update(
        status="uncollectible", auto_advance=False, status_details={"uncollectible": {"reason": reason}}
    )
    document["status_transitions"] = {**document["status_transitions"], "marked_uncollectible_at": at}


def credit_note(
    identity: str, credited_line: str, document: JSON, amount: int, at: int, *, line_identity: str
) -> JSON:
    """A refund of part of a paid invoice's line: it gives money back and changes no subscription."""
    position = {
        "id": line_identity,
        "object": "credit_note_line_item",
        "amount": amount,
        "description": "Goodwill",
        "discount_amount": 0,
        "discount_amounts": [],
        "invoice_line_item": credited_line,
        "livemode": True,
        "metadata": {},
        "pretax_credit_amounts": [],
        "quantity": None,
        "tax_rates": [],
        "taxes": [],
        "type": "invoice_line_item",
        "unit_amount": None,
        "unit_amount_decimal": None,
    }
    return {
        "id": identity,
        "object": "credit_note",
        "amount": amount,
        "amount_shipping": 0,
        "created": at,
        "currency": document["currency"],
        "customer": document["customer"],
        "customer_account": None,
        "customer_balance_transaction": None,
        "discount_amount": 0,
        "discount_amounts": [],
        "effective_at": at,
        "invoice": document["id"],
        "lines": objects.listing([position], f"/v1/credit_notes/{identity}/lines"),
        "livemode": True,
        "memo": None,
        "metadata": {},
        "number": f"{document['number']}-CN-01",
        "out_of_band_amount": amount,
        "pdf": f"https://pay.example.com/credit_notes/{identity}/pdf",
        "post_payment_amount": amount,
        "pre_payment_amount": 0,
        "pretax_credit_amounts": [],
        "reason": "order_change",
        "refunds": [],
        "shipping_cost": None,
        "status": "issued",
        "subtotal": amount,
        "subtotal_excluding_tax": amount,
        "total": amount,
        "total_excluding_tax": amount,
        "total_taxes": [],
        "type": "post_payment",
        "voided_at": None,
    }
