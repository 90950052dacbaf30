"""Subscriptions, their items and their schedules, as Stripe holds them now.

Here: the columns. Not here: how they were before (`domain/history/`).
"""

from __future__ import annotations

from expansion_platform.domain.core import declared as pa
from expansion_platform.domain.core.table import CURRENCY_PATTERN, Instant, Table
from expansion_platform.domain.stripe.tables.objects import StripeObject, decimal_text


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
    pause_collection: str = pa.Field(
        description="`pause_collection.behavior`, null when collecting", nullable=True
    )
    discounts_json: str = pa.Field(
        description="Subscription-level discounts in order: [{id, coupon, start, end}], epoch seconds"
    )
    metadata_json: str = pa.Field(
        description="The allow-listed metadata keys (`initiated_by`: EXPANSION_INITIATED_BY_KEY, `migration`)"
    )

    class Config(Table.Config):
        name = "stripe/subscriptions"
        metadata = {"key": ["id"]}
        unique = ["id"]


class SubscriptionItems(StripeObject):
    """One row per item now on a subscription.

    An item removed in Stripe is removed here (its history is in the invoice lines).
    """

    subscription: str = pa.Field(description="Subscription the item is on")
    price: str = pa.Field(description="Price in force")
    product: str = pa.Field(description="Product of that price")
    quantity: str = decimal_text("Units; null for metered items", nullable=True)
    current_period_start: Instant = pa.Field(description="Start of the running billing period")
    current_period_end: Instant = pa.Field(description="End of the running billing period")
    trial_start: Instant = pa.Field(
        description="Start of the item's own trial, null when it has none now", nullable=True
    )
    trial_end: Instant = pa.Field(description="End of the item's own trial", nullable=True)
    discounts_json: str = pa.Field(description="Item-level discounts in order: [{id, coupon, start, end}]")
    inclusive_tax: str = decimal_text(
        "Percent of tax inside its price by the tax rates set on it or on its subscription; null when "
        "none is",
        nullable=True,
    )
    metadata_json: str = pa.Field(
        description="The allow-listed metadata key (`initiated_by`: EXPANSION_INITIATED_BY_KEY)"
    )

    class Config(Table.Config):
        name = "stripe/subscription_items"
        metadata = {"key": ["id"]}
        unique = ["id"]


class SubscriptionSchedules(StripeObject):
    """One row per subscription schedule, ended ones included.

    What was planned for a subscription, and what is.
    """

    customer: str = pa.Field(description="Customer who pays")
    subscription: str = pa.Field(
        description="Subscription it runs, or ran until it was released; null before it starts", nullable=True
    )
    status: str = pa.Field(description="`not_started`, `active`, `completed`, `released` or `canceled`")
    stopped_at: Instant = pa.Field(
        description="When it was released, completed or canceled: later phases never began", nullable=True
    )
    phases_json: str = pa.Field(
        description="Phases in order: [{start, end, items: [{price, quantity}]}], epoch seconds, decimal text"
    )

    class Config(Table.Config):
        name = "stripe/subscription_schedules"
        metadata = {"key": ["id"]}
        unique = ["id"]
