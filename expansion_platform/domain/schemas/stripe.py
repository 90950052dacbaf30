"""Floor `stripe`: Stripe's objects as received, one row an object, only the allow-listed fields.

Here: the shape of what `sources/stripe/` yields. Not here: anything computed from it. Columns ending in `_json` hold canonical JSON
(sorted keys, no spaces, decimals as strings). No e-mail, name or card is a column of any of them, and of an address only the country.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from expansion_platform.domain.schemas import declared as pa
from expansion_platform.domain.schemas.base import CURRENCY_PATTERN, DECIMAL_PATTERN, Instant, Table


def decimal_text(description: str, *, nullable: bool = False) -> Any:
    """A column of decimal text."""
    return pa.Field(description=description, str_matches=DECIMAL_PATTERN, nullable=nullable)


class StripeObject(Table):
    """Columns of every Stripe object. `observed_at` makes late facts visible: it never moves while the content stays."""

    id: str = pa.Field(description="Stripe's id of the object")
    created: Instant = pa.Field(description="When Stripe created the object")
    livemode: bool = pa.Field(description="False for objects of a sandbox or test mode")
    observed_at: Instant = pa.Field(description="When a pull first saw this content of the object")
    unreadable: str = pa.Field(
        description="What of it cannot be read, by field, null when everything can. Such a field has a blank here, and the stretch that the object "
        "speaks of is in `billing/quarantine`",
        nullable=True,
    )


class Customers(StripeObject):
    """One row per Stripe customer: who pays, without any personal field."""

    currency: str = pa.Field(description="Currency the customer is billed in, null before the first bill", nullable=True)
    country: str = pa.Field(description="Country of the billing address, two letters; no other part of it is kept", nullable=True)
    deleted: bool = pa.Field(description="The customer was deleted in Stripe")
    discount_json: str = pa.Field(description="Customer-level discount: {id, coupon, start, end}, null when none", nullable=True)
    metadata_json: str = pa.Field(
        description="The allow-listed metadata keys (`customer_alias_of`, `account_id`, `org_id`, `workspace_id`, and EXPANSION_ATTRIBUTE_KEYS)"
    )

    class Config(Table.Config):
        name = "stripe/customers"
        metadata = {"key": ["id"]}
        unique = ["id"]


class Products(StripeObject):
    """One row per Stripe product."""

    name: str = pa.Field(description="The product's name in the account's own catalogue")
    active: bool = pa.Field(description="Whether it can still be sold")
    metadata_json: str = pa.Field(description="Catalogue hints: `family`, `tier_rank`, `kind`, `unit`, `meter`")

    class Config(Table.Config):
        name = "stripe/products"
        metadata = {"key": ["id"]}
        unique = ["id"]


class Prices(StripeObject):
    """One row per Stripe price ever seen: how a product is charged. One deleted in Stripe stays here."""

    product: str = pa.Field(description="Product the price belongs to")
    currency: str = pa.Field(description="Three-letter currency, lower case", str_matches=CURRENCY_PATTERN)
    active: bool = pa.Field(description="Whether new subscriptions can use it")
    type: str = pa.Field(description="`recurring` or `one_time`")
    billing_scheme: str = pa.Field(description="`per_unit` or `tiered`")
    unit_amount_decimal: str = decimal_text("Price of one unit in minor units; null when tiered", nullable=True)
    tiers_mode: str = pa.Field(description="`graduated` or `volume`, null when not tiered", nullable=True)
    tiers_json: str = pa.Field(description="Tiers in order: [{up_to, unit, flat}], amounts as decimal strings in minor units", nullable=True)
    currency_options_json: str = pa.Field(
        description="The same price in other currencies: {currency: {unit, tiers, tax}}, like `unit_amount_decimal`, `tiers_json` and "
        "`tax_behavior`; null when it has one currency",
        nullable=True,
    )
    tax_behavior: str = pa.Field(description="`inclusive` when tax is inside its amounts, `exclusive` or `unspecified`", nullable=True)
    divide_by: pd.Int64Dtype = pa.Field(description="`transform_quantity.divide_by`: units in a package", nullable=True)
    round: str = pa.Field(description="`transform_quantity.round`: `up` or `down`", nullable=True)
    interval: str = pa.Field(description="`day`, `week`, `month` or `year`; null for one-time prices", nullable=True)
    interval_count: pd.Int64Dtype = pa.Field(description="Intervals in a billing period", nullable=True)
    usage_type: str = pa.Field(description="`licensed` or `metered`; null for one-time prices", nullable=True)
    meter: str = pa.Field(description="Billing meter that counts its usage, null where there is none", nullable=True)
    lookup_key: str = pa.Field(description="The account's own handle of the price", nullable=True)
    embedded: bool = pa.Field(description="Seen only as an item embeds it, deleted in Stripe: tiers and other currencies are not known")
    metadata_json: str = pa.Field(description="Catalogue hints, as on the product")

    class Config(Table.Config):
        name = "stripe/prices"
        metadata = {"key": ["id"]}
        unique = ["id"]


class Coupons(StripeObject):
    """One row per Stripe coupon ever seen; a coupon deleted in Stripe stays here."""

    duration: str = pa.Field(description="`once`, `repeating` or `forever`")
    duration_in_months: pd.Int64Dtype = pa.Field(description="Months a repeating coupon lasts", nullable=True)
    percent_off: str = decimal_text("Percent off, 0 to 100", nullable=True)
    amount_off: pd.Int64Dtype = pa.Field(description="Amount off an invoice, minor units of `currency`", nullable=True)
    currency: str = pa.Field(description="Currency of `amount_off`", nullable=True)
    currency_options_json: str = pa.Field(
        description="Amount off in other currencies: {currency: minor units}; null when it has one currency", nullable=True
    )
    applies_to_json: str = pa.Field(description="Products the coupon is limited to, null when all", nullable=True)
    embedded: bool = pa.Field(description="Seen only as a discount embeds it, deleted in Stripe: limits and other currencies are not known")

    class Config(Table.Config):
        name = "stripe/coupons"
        metadata = {"key": ["id"]}
        unique = ["id"]


class TaxRates(StripeObject):
    """One row per Stripe tax rate. Empty when the key may not read them: the amounts on bills then tell the percentages."""

    percentage: str = decimal_text("Percent of tax, as used where Stripe computes it", nullable=True)
    inclusive: bool = pa.Field(description="Whether the tax is inside the amounts it is on")

    class Config(Table.Config):
        name = "stripe/tax_rates"
        metadata = {"key": ["id"]}
        unique = ["id"]


class Subscriptions(StripeObject):
    """One row per Stripe subscription, in every status, as it is now."""

    customer: str = pa.Field(description="Customer who pays")
    status: str = pa.Field(description="Stripe's status, as received")
    currency: str = pa.Field(description="Three-letter currency, lower case", str_matches=CURRENCY_PATTERN)
    start_date: Instant = pa.Field(description="When it started; before `created` when backdated")
    billing_cycle_anchor: Instant = pa.Field(description="Instant its billing periods are counted from")
    trial_start: Instant = pa.Field(description="Start of the latest trial", nullable=True)
    trial_end: Instant = pa.Field(description="End of the latest trial", nullable=True)
    cancel_at: Instant = pa.Field(description="When it is set to end", nullable=True)
    cancel_at_period_end: bool = pa.Field(description="Set to end with the current period")
    canceled_at: Instant = pa.Field(description="When the cancellation was asked for", nullable=True)
    ended_at: Instant = pa.Field(description="When it ended", nullable=True)
    pause_collection: str = pa.Field(description="`pause_collection.behavior`, null when collecting", nullable=True)
    discounts_json: str = pa.Field(description="Subscription-level discounts in order: [{id, coupon, start, end}], epoch seconds")
    metadata_json: str = pa.Field(description="The allow-listed metadata keys (`initiated_by`: EXPANSION_INITIATED_BY_KEY, `migration`)")

    class Config(Table.Config):
        name = "stripe/subscriptions"
        metadata = {"key": ["id"]}
        unique = ["id"]


class SubscriptionItems(StripeObject):
    """One row per item now on a subscription; an item removed in Stripe is removed here (its history is in the invoice lines)."""

    subscription: str = pa.Field(description="Subscription the item is on")
    price: str = pa.Field(description="Price in force")
    product: str = pa.Field(description="Product of that price")
    quantity: str = decimal_text("Units; null for metered items", nullable=True)
    current_period_start: Instant = pa.Field(description="Start of the running billing period")
    current_period_end: Instant = pa.Field(description="End of the running billing period")
    trial_start: Instant = pa.Field(description="Start of the item's own trial, null when it has none now", nullable=True)
    trial_end: Instant = pa.Field(description="End of the item's own trial", nullable=True)
    discounts_json: str = pa.Field(description="Item-level discounts in order: [{id, coupon, start, end}]")
    inclusive_tax: str = decimal_text(
        "Percent of tax inside its price by the tax rates set on it or on its subscription; null when none is", nullable=True
    )
    metadata_json: str = pa.Field(description="The allow-listed metadata key (`initiated_by`: EXPANSION_INITIATED_BY_KEY)")

    class Config(Table.Config):
        name = "stripe/subscription_items"
        metadata = {"key": ["id"]}
        unique = ["id"]


class SubscriptionSchedules(StripeObject):
    """One row per subscription schedule, ended ones included: what was planned for a subscription, and what is."""

    customer: str = pa.Field(description="Customer who pays")
    subscription: str = pa.Field(description="Subscription it runs, or ran until it was released; null before it starts", nullable=True)
    status: str = pa.Field(description="`not_started`, `active`, `completed`, `released` or `canceled`")
    stopped_at: Instant = pa.Field(description="When it was released, completed or canceled: later phases never began", nullable=True)
    phases_json: str = pa.Field(description="Phases in order: [{start, end, items: [{price, quantity}]}], epoch seconds, decimal text")

    class Config(Table.Config):
        name = "stripe/subscription_schedules"
        metadata = {"key": ["id"]}
        unique = ["id"]


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
    due_date: Instant = pa.Field(description="When a bill that was sent is due, null where the customer is charged", nullable=True)
    revised_by: str = pa.Field(description="The invoice that took its place when it was revised", nullable=True)
    paid_at: Instant = pa.Field(description="When it was paid", nullable=True)
    uncollectible_at: Instant = pa.Field(description="When it was given up as uncollectible", nullable=True)
    uncollectible_reason: str = pa.Field(description="Why it was given up, in Stripe's words; null where Stripe does not say", nullable=True)
    attempt_count: pd.Int64Dtype = pa.Field(description="Attempts to charge it; null where the source does not say", nullable=True)
    metadata_json: str = pa.Field(description="`initiated_by` of its subscription's metadata when it was finalized")

    class Config(Table.Config):
        name = "stripe/invoices"
        metadata = {"key": ["id"]}
        unique = ["id"]


class InvoiceLines(StripeObject):
    """One row per line of an invoice: the evidence of what was held over which period. `created` is its invoice's."""

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
    discount_amounts_json: str = pa.Field(description="Discounts applied: [{discount, amount}] in minor units")
    taxes_json: str = pa.Field(
        description="Taxes of this line: [{rate, behavior, amount}], `inclusive` ones are inside its amount; null when Stripe computed none",
        nullable=True,
    )
    discounts_json: str = pa.Field(
        description="Discounts of this line, line-level then invoice-level, in order: "
        "[{id, coupon, start, end, subscription, subscription_item, invoice, level}] with level `line` or `invoice`, epoch seconds"
    )

    class Config(Table.Config):
        name = "stripe/invoice_lines"
        metadata = {"key": ["id"]}
        unique = ["id"]


class InvoiceItems(StripeObject):
    """One row per pending invoice item: prorations not billed yet. One that has been billed is removed here (its line has it)."""

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


class MeterUsage(StripeObject):
    """One row per billing meter, customer and day (UTC) of metered usage that was read; for days without any row, usage comes from bills.

    Its id is made of the three, and `created` is the day's beginning. Empty when the key may not read billing meters.
    """

    customer: str = pa.Field(description="Customer who used it")
    meter: str = pa.Field(description="Billing meter that counted")
    formula: str = pa.Field(description="How the meter aggregates events: `sum`, `count` or `last`")
    value: str = decimal_text("The day's usage by that formula, decimal text; null when nothing was reported", nullable=True)

    class Config(Table.Config):
        name = "stripe/meter_usage"
        metadata = {"key": ["id"]}
        unique = ["id"]


class Events(StripeObject):
    """One row per Stripe event seen, kept for ever (Stripe forgets after 30 days), reduced to the state it tells of."""

    type: str = pa.Field(description="Event type")
    api_version: str = pa.Field(description="API version the payload is rendered in: the account's, not the SDK's", nullable=True)
    object_id: str = pa.Field(description="Id of the object it is about")
    customer: str = pa.Field(description="Customer it concerns, where it says", nullable=True)
    request_id: str = pa.Field(description="API request behind it; null when Stripe acted by itself", nullable=True)
    state_json: str = pa.Field(
        description="Subscription events: state after, {status, items: [{id, price, product, quantity, discounts}], discounts, "
        "pause_collection, ended_at, trial_end, cancel_at, and `initiated_by` of its metadata}; a finished checkout: {subscription}; "
        "of a discount: {discount: {id, coupon, start, end, subscription, invoice}}; `{}` otherwise"
    )
    previous_json: str = pa.Field(description="The same fields before the change, only those that changed; `{}` when none")

    class Config(Table.Config):
        name = "stripe/events"
        metadata = {"key": ["id"]}
        unique = ["id"]
