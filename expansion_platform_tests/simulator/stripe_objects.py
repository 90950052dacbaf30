"""A small hand-made Stripe account for tests: complete objects, made from a few facts each."""

from __future__ import annotations

from typing import Any

from expansion_platform.simulator.stripe_billing.account import StripeAccount

START = 1_760_000_000
DAY = 86_400


def customer(number: int) -> dict[str, Any]:
    return {
        "id": f"cus_{number:03d}",
        "object": "customer",
        "created": START + number,
        "livemode": True,
        "email": f"c{number}@example.com",
    }


def product(product_id: str = "prod_seats") -> dict[str, Any]:
    return {
        "id": product_id,
        "object": "product",
        "active": True,
        "created": START,
        "images": [],
        "livemode": True,
        "marketing_features": [],
        "metadata": {},
        "name": "Seats",
        "type": "service",
        "updated": START,
    }


def tier(unit: int) -> dict[str, Any]:
    return {
        "up_to": None,
        "unit_amount": unit,
        "unit_amount_decimal": str(unit),
        "flat_amount": None,
        "flat_amount_decimal": None,
    }


def price(price_id: str = "price_seat", *, active: bool = True, created: int = START) -> dict[str, Any]:
    option = {
        "custom_unit_amount": None,
        "tax_behavior": "unspecified",
        "unit_amount": None,
        "unit_amount_decimal": None,
    }
    return {
        "id": price_id,
        "object": "price",
        "active": active,
        "billing_scheme": "tiered",
        "created": created,
        "currency": "usd",
        "currency_options": {
            "usd": {**option, "tiers": [tier(1000)]},
            "eur": {**option, "tiers": [tier(900)]},
        },
        "livemode": True,
        "lookup_key": None,
        "metadata": {},
        "product": "prod_seats",
        "recurring": {
            "interval": "month",
            "interval_count": 1,
            "meter": None,
            "trial_period_days": None,
            "usage_type": "licensed",
        },
        "tiers": [tier(1000)],
        "tiers_mode": "graduated",
        "type": "recurring",
        "unit_amount": None,
        "unit_amount_decimal": None,
    }


def plan() -> dict[str, Any]:
    return {
        "id": "price_seat",
        "object": "plan",
        "active": True,
        "billing_scheme": "tiered",
        "created": START,
        "currency": "usd",
        "interval": "month",
        "interval_count": 1,
        "livemode": True,
        "tiers": price()["tiers"],
        "usage_type": "licensed",
    }


def coupon() -> dict[str, Any]:
    return {
        "id": "SAVE10",
        "object": "coupon",
        "applies_to": {"products": ["prod_seats"]},
        "created": START,
        "currency_options": {"eur": {"amount_off": 450}},
        "duration": "forever",
        "livemode": True,
        "percent_off": 10.0,
        "times_redeemed": 1,
        "valid": True,
    }


def discount(discount_id: str = "di_1", subscription_id: str = "sub_001") -> dict[str, Any]:
    return {
        "id": discount_id,
        "object": "discount",
        "source": {"coupon": "SAVE10", "type": "coupon"},
        "start": START,
        "end": None,
        "subscription": subscription_id,
        "subscription_item": None,
    }


def subscription(
    number: int,
    customer_number: int,
    *,
    status: str = "active",
    items: int = 1,
    discounts: tuple[str, ...] = (),
) -> dict[str, Any]:
    subscription_id = f"sub_{number:03d}"
    held = [subscription_item(subscription_id, item) for item in range(items)]
    return {
        "id": subscription_id,
        "object": "subscription",
        "automatic_tax": {"enabled": False},
        "billing_cycle_anchor": START,
        "billing_mode": {"type": "classic"},
        "billing_schedules": [],
        "cancel_at_period_end": False,
        "collection_method": "charge_automatically",
        "created": START + number * DAY,
        "currency": "usd",
        "customer": f"cus_{customer_number:03d}",
        "discounts": list(discounts),
        "invoice_settings": {"issuer": {"type": "self"}},
        "items": embedded(held, f"/v1/subscription_items?subscription={subscription_id}"),
        "latest_invoice": None,
        "livemode": True,
        "metadata": {},
        "start_date": START,
        "status": status,
    }


def subscription_item(subscription_id: str, number: int = 0) -> dict[str, Any]:
    return {
        "id": f"si_{subscription_id[4:]}_{number:02d}",
        "object": "subscription_item",
        "created": START,
        "current_period_end": START + 30 * DAY,
        "current_period_start": START,
        "discounts": [],
        "metadata": {},
        "plan": plan(),
        "price": price(),
        "quantity": 5,
        "subscription": subscription_id,
    }


def invoice(
    number: int, subscription_number: int, customer_number: int, *, lines: int = 1, status: str = "paid"
) -> dict[str, Any]:
    invoice_id = f"in_{number:04d}"
    created = START + number * DAY
    billed = [invoice_line(invoice_id, line, subscription_number, created) for line in range(lines)]
    return {
        "id": invoice_id,
        "object": "invoice",
        "amount_due": 1000 * lines,
        "amount_overpaid": 0,
        "amount_paid": 1000 * lines,
        "amount_remaining": 0,
        "amount_shipping": 0,
        "attempt_count": 1,
        "attempted": True,
        "automatic_tax": {"enabled": False},
        "collection_method": "charge_automatically",
        "created": created,
        "currency": "usd",
        "customer": f"cus_{customer_number:03d}",
        "default_tax_rates": [],
        "discounts": [],
        "issuer": {"type": "self"},
        "lines": embedded(billed, f"/v1/invoices/{invoice_id}/lines"),
        "livemode": True,
        "parent": {
            "type": "subscription_details",
            "subscription_details": {"metadata": {}, "subscription": f"sub_{subscription_number:03d}"},
        },
        "payment_settings": {},
        "period_end": created,
        "period_start": created,
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "starting_balance": 0,
        "status": status,
        "status_transitions": {"finalized_at": created, "paid_at": created},
        "subtotal": 1000 * lines,
        "total": 1000 * lines,
    }


def invoice_line(invoice_id: str, number: int, subscription_number: int, created: int) -> dict[str, Any]:
    subscription_id = f"sub_{subscription_number:03d}"
    item_id = f"si_{subscription_id[4:]}_{number:02d}"
    return {
        "id": f"il_{invoice_id[3:]}_{number:02d}",
        "object": "line_item",
        "amount": 1000,
        "currency": "usd",
        "description": "Seats",
        "discount_amounts": [{"amount": 100, "discount": "di_1"}],
        "discountable": True,
        "discounts": ["di_1"],
        "invoice": invoice_id,
        "livemode": True,
        "metadata": {},
        "parent": {
            "type": "subscription_item_details",
            "subscription_item_details": {
                "proration": False,
                "subscription": subscription_id,
                "subscription_item": item_id,
            },
        },
        "period": {"start": created, "end": created + 30 * DAY},
        "pricing": {
            "type": "price_details",
            "price_details": {"price": "price_seat", "product": "prod_seats"},
            "unit_amount_decimal": "200",
        },
        "quantity": 5,
        "quantity_decimal": "5",
        "subtotal": 1000,
    }


def invoice_item(number: int, *, invoice_id: str | None) -> dict[str, Any]:
    return {
        "id": f"ii_{number:03d}",
        "object": "invoiceitem",
        "amount": -500,
        "currency": "usd",
        "customer": "cus_001",
        "date": START + number,
        "discountable": False,
        "invoice": invoice_id,
        "livemode": True,
        "period": {"start": START, "end": START + DAY},
        "proration": True,
        "quantity": 5,
        "quantity_decimal": "5",
    }


def event(number: int, kind: str, item: dict[str, Any], *, created: int | None = None) -> dict[str, Any]:
    return {
        "id": f"evt_{number:03d}",
        "object": "event",
        "api_version": "2024-06-20",
        "created": START + number if created is None else created,
        "data": {"object": item},
        "livemode": True,
        "pending_webhooks": 0,
        "request": {"id": None, "idempotency_key": None},
        "type": kind,
    }


def embedded(items: list[dict[str, Any]], url: str) -> dict[str, Any]:
    return {"object": "list", "data": items, "has_more": False, "url": url}


def account() -> StripeAccount:
    """35 customers, 25 invoices of one subscription (one with 23 lines), a canceled subscription, one with 12
    items, 30 events in one second.
    """
    return StripeAccount(
        id="acct_test",
        objects={
            "customers": [customer(number) for number in range(1, 36)],
            "products": [product()],
            "prices": [price(), price("price_old", active=False, created=START + 1)],
            "coupons": [coupon()],
            "subscriptions": [
                subscription(1, 1, discounts=("di_1",)),
                subscription(2, 2, status="canceled"),
                subscription(3, 3, items=12),
                subscription(4, 4, status="incomplete_expired"),
            ],
            "invoices": [invoice(number, 1, 1, lines=23 if number == 7 else 1) for number in range(1, 25)]
            + [invoice(25, 3, 3, status="draft")],
            "invoiceitems": [invoice_item(1, invoice_id="in_0001"), invoice_item(2, invoice_id=None)],
            "credit_notes": [],
            "events": [
                event(number, "invoice.created", {"id": f"in_{number}"}, created=START)
                for number in range(30)
            ]
            + [event(30, "customer.subscription.updated", {"id": "sub_001"})],
        },
        discounts={"di_1": discount()},
    )
