"""Stripe accounts of a few customers, written down by hand and billed as Stripe would bill them.

Here: what each customer of an account does, and the account it leaves. Not here: companies of many customers
(`simulator/company/company.py`), objects with single fields set by hand (`simulator/stripe_objects.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

from expansion_platform.simulator.company.agenda import Agenda
from expansion_platform.simulator.company.catalog import PRODUCTS, Catalog, Price, build
from expansion_platform.simulator.stripe_billing import catalog_objects, invoices, objects
from expansion_platform.simulator.stripe_billing.account import StripeAccount
from expansion_platform.simulator.stripe_billing.billing import Billing, Edit
from expansion_platform.simulator.stripe_billing.events import Recorder
from expansion_platform.simulator.stripe_billing.subscription import Subscription
from expansion_platform.simulator.truth.items import EVENTS_KEPT

AS_OF = datetime(2026, 11, 8, 6, tzinfo=UTC)
"""October is the newest month that ended, and it has closed."""
OPENED = int(datetime(2020, 1, 1, tzinfo=UTC).timestamp())
CATALOG: Catalog = build(OPENED, ())
PRICE: Price = CATALOG.price(PRODUCTS[0], "usd", "month", OPENED)

JSON = dict[str, Any]
Story = Callable[[Billing, Agenda], None]
"""Puts what a customer does on its agenda."""


def on(day: str) -> int:
    """Noon of a day (`2026-03-15`), epoch seconds."""
    return int(datetime.fromisoformat(f"{day}T12:00:00+00:00").timestamp())


def paying(
    since: str,
    until: str | None = None,
    *,
    again: str | None = None,
    seats: int = 5,
    more: Mapping[str, int] | None = None,
) -> Story:
    """Subscribes on a day, cancels on another, comes back on a third; `more` are later seats by day."""

    def story(billing: Billing, agenda: Agenda) -> None:
        held = []
        agenda.put(on(since), lambda at: held.append(billing.create(at, [(PRICE, seats)])))
        for day, wanted in (more or {}).items():
            agenda.put(on(day), lambda at, wanted=wanted: _seats(billing, held[0], at, wanted))
        if until is not None:
            agenda.put(on(until), lambda at: billing.cancel(held[0], at))
        if again is not None:
            agenda.put(on(again), lambda at: held.append(billing.create(at, [(PRICE, seats)])))

    return story


def _seats(billing: Billing, subscription: Subscription, at: int, wanted: int) -> None:
    (item,) = subscription.items
    billing.change(subscription, at, [Edit(item, item.price, wanted)], "create_prorations")


def trying(since: str, days: int) -> Story:
    """Begins a trial of so many days."""
    return lambda billing, agenda: agenda.put(
        on(since), lambda at: billing.create(at, [(PRICE, 5)], trial_days=days)
    )


def buying_once(*days: str) -> Story:
    """Pays one-off invoices, without any subscription."""

    def story(billing: Billing, agenda: Agenda) -> None:
        for day in days:
            agenda.put(on(day), lambda at: billing.invoices.append(one_off(billing.customer, at)))

    return story


def one_off(customer: JSON, at: int) -> JSON:
    """A paid invoice for something that is sold once; it belongs to no subscription."""
    identity = f"in_once_{at}"
    line = {
        "id": f"il_once_{at}",
        "object": "line_item",
        "amount": 25_000,
        "subtotal": 25_000,
        "currency": "usd",
        "invoice": identity,
        "description": "Workshop",
        "discount_amounts": [],
        "discountable": True,
        "discounts": [],
        "livemode": True,
        "metadata": {},
        "parent": {
            "invoice_item_details": {
                "invoice_item": f"ii_once_{at}",
                "proration": False,
                "proration_details": None,
                "subscription": None,
            },
            "subscription_item_details": None,
            "type": "invoice_item_details",
        },
        "period": {"start": at, "end": at},
        "pretax_credit_amounts": [],
        "pricing": {
            "price_details": {"price": "price_workshop", "product": "prod_workshop"},
            "type": "price_details",
            "unit_amount_decimal": "25000",
        },
        "quantity": 1,
        "quantity_decimal": "1",
        "subscription": None,
        "taxes": [],
    }
    document = invoices.invoice(
        identity,
        f"ONCE-{at}",
        customer,
        "",
        at,
        period=(at, at),
        reason="manual",
        collection_method="charge_automatically",
        lines=[line],
        discounts=(),
        proration_date=None,
        metadata={},
    )
    invoices.pay(document, at)
    return {**document, "parent": None}


def account(*stories: Story, as_of: datetime = AS_OF) -> StripeAccount:
    """The account of these customers as Stripe would hold it at an instant."""
    now = int(as_of.timestamp())
    found = StripeAccount("acct_Small")
    held = found.objects
    for number, story in enumerate(stories, start=1):
        agenda, ids = Agenda(), objects.Ids(f"small:{number}")
        recorder = Recorder(ids, now - EVENTS_KEPT)
        billing = Billing(objects.customer(f"cus_{number}", number, OPENED, {}), ids, recorder, agenda.put)
        story(billing, agenda)
        agenda.run(now)
        held["customers"].append(billing.customer)
        held["subscriptions"] += [objects.subscription(each, now) for each in billing.subscriptions]
        held["invoices"] += billing.invoices
        held["invoiceitems"] += billing.invoice_items
        held["credit_notes"] += billing.credit_notes
        held["events"] += recorder.events
    if stories:
        held["products"] = [catalog_objects.product(PRICE.product, OPENED)]
        held["prices"] = [catalog_objects.price(PRICE, now, whole=True)]
    for resource, entries in held.items():
        entries.sort(key=itemgetter("date" if resource == "invoiceitems" else "created"))
    return found
