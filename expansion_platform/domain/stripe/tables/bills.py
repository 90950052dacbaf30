"""Invoices, their lines, pending invoice items and credit notes, as Stripe holds them.

Here: the columns. Not here: what invoices show of the past (`domain/history/bills.py`).
"""

from __future__ import annotations

import pandas as pd

from expansion_platform.domain.core import declared as pa
from expansion_platform.domain.core.table import CURRENCY_PATTERN, Instant, Table
from expansion_platform.domain.stripe.tables.objects import StripeObject, decimal_text


class Invoices(StripeObject):
    """One row per Stripe invoice. The service periods are on its lines, not here."""

    customer: str = pa.Field(description="Customer billed")
    subscription: str = pa.Field(description="Subscription it bills, null for a one-off", nullable=True)
    status: str = pa.Field(description="`draft`, `open`, `paid`, `uncollectible` or `void`")
    billing_reason: str = pa.Field(description="Why Stripe made it", nullable=True)
    currency: str = pa.Field(description="Three-letter currency, lower case", str_matches=CURRENCY_PATTERN)
    period_start: Instant = pa.Field(description="Invoice period, not the service period")
    period_end: Instant = pa.Field(description="Invoice period, not the service period")
    subtotal: int = pa.Field(description="Before discounts and tax, minor units")
    total: int = pa.Field(description="After discounts and tax, minor units")
    finalized_at: Instant = pa.Field(description="When it was finalized", nullable=True)
    voided_at: Instant = pa.Field(description="When it was voided", nullable=True)
    due_date: Instant = pa.Field(
        description="When a bill that was sent is due, null where the customer is charged", nullable=True
    )
    revised_by: str = pa.Field(
        description="The invoice that took its place when it was revised", nullable=True
    )
    paid_at: Instant = pa.Field(description="When it was paid", nullable=True)
    uncollectible_at: Instant = pa.Field(description="When it was given up as uncollectible", nullable=True)
    uncollectible_reason: str = pa.Field(
        description="Why it was given up, in Stripe's words; null where Stripe does not say", nullable=True
    )
    attempt_count: pd.Int64Dtype = pa.Field(
        description="Attempts to charge it; null where the source does not say", nullable=True
    )
    metadata_json: str = pa.Field(
        description="`initiated_by` of its subscription's metadata when it was finalized"
    )

    class Config(Table.Config):
        name = "stripe/invoices"
        metadata = {"key": ["id"]}
        unique = ["id"]


class InvoiceLines(StripeObject):
    """One row per line of an invoice: the evidence of which item there was in which period.

    `created` is its invoice's.
    """

    invoice: str = pa.Field(description="Invoice the line is on")
    customer: str = pa.Field(description="Customer billed")
    subscription: str = pa.Field(description="Subscription it bills, null for a one-off", nullable=True)
    subscription_item: str = pa.Field(description="Item it bills, null for a one-off", nullable=True)
    invoice_item: str = pa.Field(description="Pending invoice item it came from", nullable=True)
    price: str = pa.Field(description="Price billed, null for a one-off amount", nullable=True)
    product: str = pa.Field(description="Product billed", nullable=True)
    quantity: str = decimal_text("Full quantity of the item in this state, also on prorations", nullable=True)
    unit_amount_decimal: str = decimal_text("Unit price in minor units, null when tiered", nullable=True)
    amount: int = pa.Field(description="Line amount before discounts, minor units; negative for a credit")
    currency: str = pa.Field(description="Three-letter currency, lower case", str_matches=CURRENCY_PATTERN)
    period_start: Instant = pa.Field(description="Service period, inclusive")
    period_end: Instant = pa.Field(description="Service period, exclusive")
    proration: bool = pa.Field(description="A pro-rata line: only its state counts, never its amount")
    credited_lines_json: str = pa.Field(description="Lines a credit reverses", nullable=True)
    discount_amounts_json: str = pa.Field(
        description="Discounts applied: [{discount, amount}] in minor units"
    )
    taxes_json: str = pa.Field(
        description="Taxes of this line: [{rate, behavior, amount}], `inclusive` ones are inside its "
        "amount; null when Stripe computed none",
        nullable=True,
    )
    discounts_json: str = pa.Field(
        description="Discounts of this line, line-level then invoice-level, in order: [{id, coupon, "
        "start, end, subscription, subscription_item, invoice, level}] with level `line` or `invoice`, "
        "epoch seconds"
    )

    class Config(Table.Config):
        name = "stripe/invoice_lines"
        metadata = {"key": ["id"]}
        unique = ["id"]


class InvoiceItems(StripeObject):
    """One row per pending invoice item: prorations not billed yet.

    One that has been billed is removed here (its line has it).
    """

    customer: str = pa.Field(description="Customer to be billed")
    subscription: str = pa.Field(description="Subscription it belongs to, null for a one-off", nullable=True)
    subscription_item: str = pa.Field(description="Item it belongs to, null for a one-off", nullable=True)
    price: str = pa.Field(description="Price", nullable=True)
    product: str = pa.Field(description="Product", nullable=True)
    quantity: str = decimal_text("Full quantity of the item in this state", nullable=True)
    unit_amount_decimal: str = decimal_text("Unit price in minor units, null when tiered", nullable=True)
    amount: int = pa.Field(description="Amount, minor units; negative for a credit")
    currency: str = pa.Field(description="Three-letter currency, lower case", str_matches=CURRENCY_PATTERN)
    period_start: Instant = pa.Field(description="Service period, inclusive")
    period_end: Instant = pa.Field(description="Service period, exclusive")
    proration: bool = pa.Field(description="Whether it is a pro-rata amount")
    invoice: str = pa.Field(description="Invoice it is on, null while pending", nullable=True)

    class Config(Table.Config):
        name = "stripe/invoice_items"
        metadata = {"key": ["id"]}
        unique = ["id"]


class CreditNotes(StripeObject):
    """One row per credit note: money given back. It changes no MRR."""

    customer: str = pa.Field(description="Customer credited")
    invoice: str = pa.Field(description="Invoice credited")
    currency: str = pa.Field(description="Three-letter currency, lower case", str_matches=CURRENCY_PATTERN)
    amount: int = pa.Field(description="Amount credited, minor units", ge=0)
    status: str = pa.Field(description="`issued` or `void`")

    class Config(Table.Config):
        name = "stripe/credit_notes"
        metadata = {"key": ["id"]}
        unique = ["id"]
