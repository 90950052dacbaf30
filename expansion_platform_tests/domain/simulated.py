"""A simulated account as staged tables, without a server in between.

Here: what one first pull reads. Not here: pulling (`sources/pulled.py`), and what is made of the tables.
"""

from __future__ import annotations

from datetime import datetime

from expansion_platform.domain.history import Staged
from expansion_platform.domain.schemas import stripe
from expansion_platform.simulator.account import StripeAccount
from expansion_platform.sources.stripe import bills, events, rows
from expansion_platform.sources.stripe.fields import frame


def staged(account: StripeAccount, observed_at: datetime) -> Staged:
    """The account's tables as one first pull reads them, discounts expanded."""
    held = account.objects

    def expanded(item: dict) -> dict:
        return {**item, "discounts": [account.discounts[name] for name in item["discounts"]]}

    coupons = [*held["coupons"], *account.deleted_coupons.values()]

    def embedded(item: dict, field: str) -> dict:
        return {**expanded(item), field: {**item[field], "data": [expanded(each) for each in item[field]["data"]]}}

    subscriptions = [embedded(item, "items") for item in held["subscriptions"]]
    invoices = [embedded(item, "lines") for item in held["invoices"]]
    return Staged(
        customers=frame(stripe.Customers, (rows.customer(item, observed_at) for item in held["customers"])),
        prices=frame(stripe.Prices, (rows.price(item, observed_at) for item in held["prices"])),
        coupons=frame(stripe.Coupons, (rows.coupon(item, observed_at) for item in coupons)),
        subscriptions=frame(stripe.Subscriptions, (rows.subscription(item, observed_at) for item in subscriptions)),
        subscription_items=frame(stripe.SubscriptionItems, (row for item in subscriptions for row in rows.subscription_items(item, observed_at))),
        subscription_schedules=frame(
            stripe.SubscriptionSchedules, (rows.subscription_schedule(item, observed_at) for item in held["subscription_schedules"])
        ),
        invoices=frame(stripe.Invoices, (bills.invoice(item, observed_at) for item in invoices)),
        invoice_lines=frame(stripe.InvoiceLines, (row for item in invoices for row in bills.invoice_lines(item, observed_at))),
        invoice_items=frame(stripe.InvoiceItems, (bills.invoice_item(item, observed_at) for item in held["invoiceitems"] if item["invoice"] is None)),
        events=frame(stripe.Events, (events.event(item, observed_at) for item in held["events"])),
    )
