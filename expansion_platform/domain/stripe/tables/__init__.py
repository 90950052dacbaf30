"""Floor `stripe`: one model a table, named as Stripe names its objects.

Here: the models by name. Not here: any rule.
"""

from expansion_platform.domain.stripe.tables.bills import CreditNotes, InvoiceItems, InvoiceLines, Invoices
from expansion_platform.domain.stripe.tables.catalog import Coupons, Prices, Products, TaxRates
from expansion_platform.domain.stripe.tables.events import Events, MeterUsage
from expansion_platform.domain.stripe.tables.objects import Customers, StripeObject
from expansion_platform.domain.stripe.tables.subscriptions import (
    SubscriptionItems,
    Subscriptions,
    SubscriptionSchedules,
)

__all__ = [
    "Coupons",
    "CreditNotes",
    "Customers",
    "Events",
    "InvoiceItems",
    "InvoiceLines",
    "Invoices",
    "MeterUsage",
    "Prices",
    "Products",
    "StripeObject",
    "SubscriptionItems",
    "SubscriptionSchedules",
    "Subscriptions",
    "TaxRates",
]
