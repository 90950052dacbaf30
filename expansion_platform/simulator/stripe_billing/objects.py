"""The simulated company's Stripe objects, complete, in API version 2026-10-28.endive.

Here: one function an object kind, dict out. Not here: what happened (`billing.py`), the shape rules
(`simulator/servers/shapes.py`), older versions (`events.py`). References are ids; decimals are text, as on
the wire; optional fields Stripe sends as null are null.
"""

from __future__ import annotations

import hashlib
from typing import Any

from expansion_platform.simulator.stripe_billing import catalog_objects
from expansion_platform.simulator.stripe_billing.charges import Discount, Item
from expansion_platform.simulator.stripe_billing.subscription import Subscription

JSON = dict[str, Any]
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class Ids:
    """Ids in Stripe's form.

    A pure function of the seed text, the kind and how many of the kind came before.
    """

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._counts: dict[str, int] = {}

    def new(self, prefix: str) -> str:
        """The next id of a kind: `in_` and 24 letters."""
        count = self._counts[prefix] = self._counts.get(prefix, 0) + 1
        number = int.from_bytes(
            hashlib.blake2b(f"{self._seed}:{prefix}:{count}".encode(), digest_size=18).digest(), "big"
        )
        letters = []
        for _ in range(24):
            number, index = divmod(number, 62)
            letters.append(_ALPHABET[index])
        return prefix + "".join(letters)

    def skip(self, prefix: str) -> None:
        """Count one id of a kind without making it."""
        self._counts[prefix] = self._counts.get(prefix, 0) + 1


def listing(data: list[JSON], url: str) -> JSON:
    """Stripe's list object holding everything."""
    return {"object": "list", "data": data, "has_more": False, "url": url}


def discount(value: Discount, customer: str) -> JSON:
    """A discount: the redemption of a coupon."""
    return {
        "id": value.id,
        "object": "discount",
        "checkout_session": None,
        "customer": customer,
        "customer_account": None,
        "end": value.end,
        "invoice": None,
        "invoice_item": None,
        "promotion_code": None,
        "source": {"coupon": value.coupon.id, "type": "coupon"},
        "start": value.start,
        "subscription": value.subscription,
        "subscription_item": value.item,
    }


def customer(identity: str, number: int, created: int, metadata: dict[str, str]) -> JSON:
    """A customer with the personal fields a pull must leave behind (all of them made up)."""
    name = f"Example Company {number}"
    address = {
        "city": "Springfield",
        "country": "US",
        "line1": f"{number} Example Street",
        "line2": None,
        "postal_code": "00000",
        "state": None,
    }
    return {
        "id": identity,
        "object": "customer",
        "address": address,
        "balance": 0,
        "business_name": None,
        "created": created,
        "currency": None,
        "customer_account": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": f"billing-{number}@example.com",
        "individual_name": None,
        "invoice_prefix": identity[-8:].upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": True,
        "metadata": metadata,
        "name": name,
        "next_invoice_sequence": 1,
        "phone": f"+1555{number:07d}",
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }


def subscription(value: Subscription, as_of: int) -> JSON:
    """A subscription as it is at `as_of`; one that ended keeps the items and discounts it ended with."""
    at = as_of if value.ended_at is None else value.ended_at
    items = [subscription_item(item, value.id, value.period, at, as_of) for item in value.items]
    return {
        **subscription_base(value),
        "billing_mode": billing_mode(value.created, flexible=value.flexible),
        "billing_schedules": [],
        "customer_account": None,
        "discounts": [each.id for each in value.discounts if each.listed(at)],
        "items": listing(items, f"/v1/subscription_items?subscription={value.id}"),
        "managed_payments": None,
        "presentment_details": None,
        "status_details": None,
    }


def billing_mode(since: int, *, flexible: bool) -> JSON:
    """The billing mode of a subscription or a schedule."""
    if flexible:
        return {"flexible": {"proration_discounts": "included"}, "type": "flexible", "updated_at": since}
    return {"flexible": None, "type": "classic", "updated_at": None}


def subscription_base(value: Subscription) -> JSON:
    """What a subscription's form has in common in both API versions."""
    reason = {
        "comment": None,
        "feedback": None,
        "reason": "cancellation_requested" if value.canceled_at is not None else None,
    }
    return {
        "id": value.id,
        "object": "subscription",
        "application": None,
        "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": value.anchor,
        "billing_cycle_anchor_config": None,
        "billing_thresholds": None,
        "cancel_at": value.period[1] if value.cancel_at_period_end else None,
        "cancel_at_period_end": value.cancel_at_period_end,
        "canceled_at": value.canceled_at,
        "cancellation_details": reason,
        "collection_method": value.collection_method,
        "created": value.created,
        "currency": value.log.currency,
        "customer": value.customer,
        "days_until_due": 30 if value.collection_method == "send_invoice" else None,
        "default_payment_method": None,
        "default_source": None,
        "default_tax_rates": [],
        "description": None,
        "ended_at": value.ended_at,
        "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
        "latest_invoice": value.latest_invoice,
        "livemode": True,
        "metadata": dict(value.metadata),
        "next_pending_invoice_item_invoice": None,
        "on_behalf_of": None,
        "pause_collection": None if value.paused is None else {"behavior": value.paused, "resumes_at": None},
        "payment_settings": {
            "payment_method_options": None,
            "payment_method_types": None,
            "save_default_payment_method": "off",
        },
        "pending_invoice_item_interval": None,
        "pending_setup_intent": None,
        "pending_update": value.pending_update,
        "schedule": value.schedule,
        "start_date": value.log.start,
        "status": value.status,
        "test_clock": None,
        "transfer_data": None,
        "trial_end": value.trial_end,
        "trial_settings": {
            "end_behavior": {
                "missing_payment_method": "pause" if value.log.pauses_after_trial else "create_invoice"
            }
        },
        "trial_start": value.created if value.trial_end is not None else None,
    }


def subscription_item(value: Item, subscription: str, period: tuple[int, int], at: int, as_of: int) -> JSON:
    """An item with its price and plan embedded as they are at `as_of`.

    It names the discounts in force at `at`.
    """
    return {
        "id": value.id,
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": value.created,
        "current_period_end": period[1],
        "current_period_start": period[0],
        **_trial(value, at),
        "discounts": [each.id for each in value.discounts if each.listed(at)],
        "metadata": {},
        "plan": catalog_objects.plan(value.price, as_of),
        "price": catalog_objects.price(value.price, as_of),
        **({"quantity": value.quantity} if value.price.usage_type == "licensed" else {}),
        "subscription": subscription,
        "tax_rates": [],
    }


def _trial(value: Item, at: int) -> JSON:
    if value.trial is None or at >= value.trial[2]:
        return {}
    return {"current_trial": dict(zip(("trial_offer", "start_date", "end_date"), value.trial, strict=True))}


def invoice_item(
    identity: str,
    customer: str,
    subscription: str,
    item: Item,
    amount: int,
    period: tuple[int, int],
    credited: JSON | None,
    *,
    at: int,
) -> JSON:
    """A pending proration of `item` over `period`, made at `at`.

    A credit has a negative amount and names what it credits.
    """
    return {
        "id": identity,
        "object": "invoiceitem",
        "amount": amount,
        "currency": item.price.currency,
        "customer": customer,
        "customer_account": None,
        "date": at,
        "description": f"{'Unused' if credited else 'Remaining'} time on {item.price.product.name}",
        "discountable": False,
        "discounts": [],
        "frozen_fields": None,
        "invoice": None,
        "livemode": True,
        "metadata": {},
        "net_amount": amount,
        "parent": {
            "subscription_details": {"subscription": subscription, "subscription_item": item.id},
            "type": "subscription_details",
        },
        "period": {"end": period[1], "start": period[0]},
        "pricing": catalog_objects.pricing(item.price),
        "proration": True,
        "proration_details": {"credited_items": credited, "discount_amounts": []},
        "quantity": item.quantity,
        "quantity_decimal": str(item.quantity),
        "tax_rates": [],
        "test_clock": None,
    }
