"""Stripe's events as the account emits them: rendered in its own, older API version, and kept for 30 days.

Here: the form objects had in 2024-06-20 (periods and `discount` on the subscription, `price` and `type` on
invoice lines, embedded coupons), and the recorder of events. Not here: what happened (`billing.py`), the
current form (`objects.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from expansion_platform.simulator.stripe_billing import catalog_objects, objects
from expansion_platform.simulator.stripe_billing.charges import Discount, Item
from expansion_platform.simulator.stripe_billing.schedules import Schedule
from expansion_platform.simulator.stripe_billing.subscription import Subscription

JSON = dict[str, Any]
ACCOUNT_API_VERSION = "2024-06-20"
_STATUS_AFTER = {
    "invoice.created": "draft",
    "invoice.finalized": "open",
    "invoice.paid": "paid",
    "invoice.voided": "void",
    "invoice.marked_uncollectible": "uncollectible",
}


class Recorder:
    """Keeps the events from `since` on.

    Earlier ones are only counted, so that ids never depend on when the account is read.
    """

    def __init__(self, ids: objects.Ids, since: int) -> None:
        self.events: list[JSON] = []
        self._ids = ids
        self._since = since

    def emit(
        self,
        kind: str,
        at: int,
        payload: Callable[[], JSON],
        previous: JSON | None = None,
        *,
        requested: bool,
    ) -> None:
        """Record an event.

        `requested`: an API call or the dashboard is behind it; otherwise Stripe acted by itself.
        """
        if at < self._since:
            self._ids.skip("evt_")
            return
        identity = self._ids.new("evt_")
        data: JSON = {"object": payload()}
        if previous is not None:
            data["previous_attributes"] = previous
        self.events.append(
            {
                "id": identity,
                "object": "event",
                "api_version": ACCOUNT_API_VERSION,
                "created": at,
                "data": data,
                "livemode": True,
                "pending_webhooks": 0,
                "request": {"id": f"req_{identity[4:18]}" if requested else None, "idempotency_key": None},
                "type": kind,
            }
        )

    def subscription(self, kind: str, value: Subscription, at: int, *, requested: bool) -> None:
        """An event about a subscription as it now is."""
        self.emit(kind, at, lambda: _subscription(value, at), requested=requested)

    @contextmanager
    def updating(self, value: Subscription, at: int, *, requested: bool) -> Iterator[None]:
        """Emit customer.subscription.updated after the block.

        The event has the attributes it changed as they were before.
        """
        before = None if at < self._since else _subscription(value, at)
        value.log.updates.append(at)
        yield
        after = _subscription(value, at) if before is not None else {}
        previous = {key: old for key, old in (before or {}).items() if after[key] != old}
        self.emit("customer.subscription.updated", at, lambda: after, previous, requested=requested)

    def discount(self, kind: str, value: Discount, customer: str, at: int, *, requested: bool) -> None:
        """An event about a discount."""
        self.emit(kind, at, lambda: _discount(value, customer), requested=requested)

    def schedule(self, kind: str, value: Schedule, at: int, *, requested: bool) -> None:
        """An event about a schedule, which had no billing mode then."""
        gone = {"billing_mode", "pause_schedules", "customer_account"}
        self.emit(
            kind,
            at,
            lambda: {key: each for key, each in value.rendered(None, at).items() if key not in gone},
            requested=requested,
        )

    def invoice(self, kind: str, document: JSON, at: int, *, requested: bool) -> None:
        """An event about an invoice in the status the event leaves it in."""
        status = _STATUS_AFTER[kind]
        self.emit(kind, at, lambda: _invoice(document, status), requested=requested)


def _subscription(value: Subscription, at: int) -> JSON:
    items = [_item(item, value, at) for item in value.items]
    listed = [each for each in value.discounts if each.listed(at)]
    only = items[0] if len(items) == 1 else None
    return {
        **objects.subscription_base(value),
        "current_period_end": value.period[1],
        "current_period_start": value.period[0],
        "discount": _discount(listed[-1], value.customer) if listed else None,
        "discounts": [each.id for each in listed],
        "items": {
            **objects.listing(items, f"/v1/subscription_items?subscription={value.id}"),
            "total_count": len(items),
        },
        "plan": only["plan"] if only else None,
        "quantity": only.get("quantity") if only else None,
    }


def _item(value: Item, subscription: Subscription, at: int) -> JSON:
    rendered = objects.subscription_item(value, subscription.id, subscription.period, at, at)
    del rendered["current_period_end"], rendered["current_period_start"]
    rendered.pop("current_trial", None)
    return rendered


def _discount(value: Discount, customer: str) -> JSON:
    rendered = objects.discount(value, customer)
    del rendered["source"], rendered["customer_account"]
    coupon = catalog_objects.coupon(value.coupon, 0)
    del coupon["applies_to"], coupon["currency_options"]
    return {**rendered, "coupon": coupon}


def _invoice(document: JSON, status: str) -> JSON:
    gone = {
        "parent",
        "total_taxes",
        "total_pretax_credit_amounts",
        "amount_overpaid",
        "customer_account",
        "status_details",
    }
    rendered = {key: value for key, value in document.items() if key not in gone}
    details = document["parent"]["subscription_details"]
    transitions = document["status_transitions"]
    return {
        **rendered,
        "charge": None,
        "discount": None,
        "lines": {
            **document["lines"],
            "data": [_line(line) for line in document["lines"]["data"]],
            "total_count": len(document["lines"]["data"]),
        },
        "paid": status == "paid",
        "payment_intent": None,
        "status": status,
        "status_transitions": {
            **transitions,
            "finalized_at": None if status == "draft" else transitions["finalized_at"],
            "paid_at": transitions["paid_at"] if status == "paid" else None,
        },
        "subscription": details["subscription"],
        "subscription_details": {"metadata": details["metadata"]},
        "tax": None,
        "total_tax_amounts": [],
    }


def _line(line: JSON) -> JSON:
    gone = {"parent", "pricing", "taxes", "pretax_credit_amounts", "quantity_decimal", "subtotal"}
    details, charged = line["parent"]["subscription_item_details"], line["pricing"]
    rendered = {key: value for key, value in line.items() if key not in gone}
    unit = charged["unit_amount_decimal"]
    price = {
        "id": charged["price_details"]["price"],
        "object": "price",
        "currency": line["currency"],
        "product": charged["price_details"]["product"],
        "type": "recurring",
        "unit_amount_decimal": unit,
    }
    credited = details["proration_details"]["credited_items"]
    return {
        **rendered,
        "amount_excluding_tax": line["amount"],
        "price": price,
        "proration": details["proration"],
        "proration_details": {"credited_items": credited},
        "subscription_item": details["subscription_item"],
        "tax_amounts": [],
        "tax_rates": [],
        "type": "invoiceitem" if details["proration"] else "subscription",
        "unit_amount_excluding_tax": unit,
        **({"invoice_item": details["invoice_item"]} if details["invoice_item"] else {}),
    }
