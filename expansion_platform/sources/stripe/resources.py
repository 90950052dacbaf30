"""The lists of Stripe's API that are read: their paths, permissions, and what comes with each object.

Here: the declarations. Not here: how they are read (`client.py`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Resource:
    """A list of the API.

    `expand` keeps to the four levels Stripe allows, counted without the list's own `data` when one object is
    read.
    """

    path: str
    permission: str
    expand: tuple[str, ...] = ()
    embedded: str | None = None  # an embedded list that Stripe cuts off
    embedded_expand: tuple[str, ...] = ()
    # What an account is like whose key may not read it; None: it is not read at all.
    without: str | None = None


RESOURCES: dict[str, Resource] = {
    "customers": Resource("customers", "Customers", ("discount.source.coupon",)),
    "products": Resource("products", "Products"),
    "prices": Resource("prices", "Prices", ("tiers", "currency_options")),
    "coupons": Resource("coupons", "Coupons", ("applies_to", "currency_options")),
    "tax_rates": Resource("tax_rates", "Tax rates", without="the tax rate inside a price comes from bills"),
    "subscriptions": Resource(
        "subscriptions",
        "Subscriptions",
        ("discounts.source.coupon", "items.data.discounts"),
        "items",
        ("discounts",),
    ),
    "subscription_schedules": Resource(
        "subscription_schedules",
        "Subscription schedules",
        without="what a schedule changed is dated by bills",
    ),
    "invoices": Resource(
        "invoices", "Invoices", ("discounts.source.coupon", "lines.data.discounts"), "lines", ("discounts",)
    ),
    "invoiceitems": Resource("invoiceitems", "Invoices"),
    "credit_notes": Resource("credit_notes", "Credit notes"),
    "events": Resource("events", "Events"),
    "billing/meters": Resource("billing/meters", "Billing meters", without="usage comes from bills"),
}
