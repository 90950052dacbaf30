"""Stripe's events, and what meters counted.

Here: the columns. Not here: the order of events (`domain/history/events.py`), usage by month
(`domain/history/usage.py`).
"""

from __future__ import annotations

from expansion_platform.domain.core import declared as pa
from expansion_platform.domain.core.table import Table
from expansion_platform.domain.stripe.tables.objects import StripeObject, decimal_text


class MeterUsage(StripeObject):
    """One row per billing meter, customer and day (UTC) of metered usage that was read.

    For days without any row, usage comes from bills.

    Its id is made of the three, and `created` is the day's beginning. Empty when the key may not read billing
    meters.
    """

    customer: str = pa.Field(description="Customer who used it")
    meter: str = pa.Field(description="Billing meter that counted")
    formula: str = pa.Field(description="How the meter aggregates events: `sum`, `count` or `last`")
    value: str = decimal_text(
        "The day's usage by that formula, decimal text; null when nothing was reported", nullable=True
    )

    class Config(Table.Config):
        name = "stripe/meter_usage"
        metadata = {"key": ["id"]}
        unique = ["id"]


class Events(StripeObject):
    """One row per Stripe event seen, reduced to the state that it shows.

    Kept for ever (Stripe forgets after 30 days).
    """

    type: str = pa.Field(description="Event type")
    api_version: str = pa.Field(
        description="API version the payload is rendered in: the account's, not the SDK's", nullable=True
    )
    object_id: str = pa.Field(description="Id of the object it is about")
    customer: str = pa.Field(description="Customer it concerns, where it says", nullable=True)
    request_id: str = pa.Field(
        description="API request behind it; null when Stripe acted by itself", nullable=True
    )
    state_json: str = pa.Field(
        description="Subscription events: state after, {status, items: [{id, price, product, quantity, "
        "discounts}], discounts, pause_collection, ended_at, trial_end, cancel_at, and `initiated_by` "
        "of its metadata}; a finished checkout: {subscription}; of a discount: {discount: {id, coupon, "
        "start, end, subscription, invoice}}; `{}` otherwise"
    )
    previous_json: str = pa.Field(
        description="The same fields before the change, only those that changed; `{}` when none"
    )

    class Config(Table.Config):
        name = "stripe/events"
        metadata = {"key": ["id"]}
        unique = ["id"]
