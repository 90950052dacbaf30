"""Floor `billing`: the full history of every subscription item, and the exchange rates it is valued at.

Here: what was learned of every item and when (`item_changes`), what follows from it (`item_states`, semantics
1.2), what of that cannot be read (`quarantine`) and `fx_rates` (semantics 7, case 21). Not here: MRR, which
values these states at month ends.
"""

from __future__ import annotations

from expansion_platform.domain.core import declared as pa
from expansion_platform.domain.core.table import (
    CURRENCY_PATTERN,
    DECIMAL_PATTERN,
    MONTH_PATTERN,
    Instant,
    Table,
)
from expansion_platform.domain.stripe.vocabulary import INTERVALS, PAUSES, STATUSES, USAGE_TYPES

SOURCES = ["event", "schedule", "proration", "meter", "invoice_line", "snapshot"]
"""Kinds of facts, the strongest first."""
CONFIDENCES = ["exact", "renewal", "snapshot"]
CHANGES = [
    "began",
    "collection",
    "discount",
    "discount_end",
    "gone",
    "held",
    "status",
    "tax",
    "trial",
    "unreadable",
    "usage",
]
TOLD, CONFIRMED, WITHDRAWN = OPS = ["told", "confirmed", "withdrawn"]


class ItemChanges(Table):
    """One row per thing learned of a subscription or an item.

    A change, more evidence of one, or that it was none after all. Rows are only added.

    A change holds if it was logged and not withdrawn since (`domain/history/log.py`); `billing/item_states`
    follows from the changes that hold and from prices and coupons alone. What was known at an earlier pull
    is what holds of the rows up to its `known_at`.
    """

    entry: int = pa.Field(description="Place in the log, from 0", ge=0)
    known_at: Instant = pa.Field(description="Until when Stripe had been read when this was learned")
    op: str = pa.Field(
        description="`told`: holds from now on, with this evidence; `confirmed`: more evidence of it; "
        "`withdrawn`: later facts say otherwise",
        isin=OPS,
    )
    change: str = pa.Field(
        description="Content hash of the change: the same change twice has the same hash",
        str_matches=r"^[0-9a-f]{16}$",
    )
    customer: str = pa.Field(description="Stripe customer")
    subscription: str = pa.Field(description="Stripe subscription")
    item: str = pa.Field(
        description="Stripe subscription item; null for what is of the whole subscription", nullable=True
    )
    kind: str = pa.Field(
        description="`began`: the subscription, until it ended; `held`: the item is at this price and "
        "quantity; `gone`: it is not there; `status`, `collection` (paused how), `trial` (of one item), "
        "`tax` (inside its price); `discount` and `discount_end`; `usage` of a metered item in a month; "
        "`unreadable`: a stretch of which the only evidence is an object that cannot be read",
        isin=CHANGES,
    )
    effective_at: Instant = pa.Field(description="From when on")
    until: Instant = pa.Field(
        description="Until when; null: until the next of its kind, or as long as it lasts", nullable=True
    )
    price: str = pa.Field(description="Price of the item", nullable=True)
    quantity: str = pa.Field(
        description="Number of units, or usage, as decimal text; null where it is unknown", nullable=True
    )
    coupon: str = pa.Field(description="Coupon of a discount", nullable=True)
    value: str = pa.Field(
        description="Of `status` the status, of `tax` the percentage, of `collection` how it is paused "
        "(null: it is not); as JSON of `began` {currency, livemode}, of a discount {discount, level, "
        "place}, with {products, value} where invoices show what its coupon does not, and of `held` "
        "the terms of a price that only invoices show; of `unreadable` what is wrong",
        nullable=True,
    )
    source: str = pa.Field(description="Kind of fact that shows the change", isin=SOURCES)
    rank: int = pa.Field(
        description="Precedence where two kinds describe one instant, the highest is used: event 5, "
        "schedule 4, proration 3, meter 2, invoice_line 1, snapshot 0",
        ge=0,
        le=5,
    )
    confidence: str = pa.Field(
        description="How the instant is known, as in `billing/item_states`", isin=CONFIDENCES
    )
    evidence_json: str = pa.Field(
        description="[[Stripe id, from, until]]: the objects that say "
        "so and when each speaks, epoch microseconds"
    )

    class Config(Table.Config):
        name = "billing/item_changes"
        metadata = {"key": ["entry"]}
        unique = ["entry"]


class ItemStates(Table):
    """One row per subscription item and interval in which nothing about it changed.

    Cut by month where metered; they never overlap.
    """

    customer: str = pa.Field(description="Stripe customer")
    subscription: str = pa.Field(description="Stripe subscription")
    item: str = pa.Field(description="Stripe subscription item")
    valid_from: Instant = pa.Field(description="First instant of the state")
    valid_to: Instant = pa.Field(description="First instant after it, null while it lasts", nullable=True)
    status: str = pa.Field(description="Subscription status during the state", isin=STATUSES)
    collection_paused: str = pa.Field(
        description="`pause_collection.behavior` during the state", isin=PAUSES, nullable=True
    )
    livemode: bool = pa.Field(description="False is never counted")
    currency: str = pa.Field(description="Currency it is charged in", str_matches=CURRENCY_PATTERN)
    product: str = pa.Field(description="Product of the item")
    price: str = pa.Field(description="Price in force")
    usage_type: str = pa.Field(description="`licensed` or `metered`", isin=USAGE_TYPES)
    interval: str = pa.Field(description="Billing interval", isin=INTERVALS)
    interval_count: int = pa.Field(description="Intervals in a billing period", ge=1)
    scheme_json: str = pa.Field(
        description="How a quantity becomes an amount (semantics 1.2), decimal strings in minor units; "
        "`tax` is the percentage of tax inside these amounts, which MRR leaves out, null where there is "
        "some at a rate nobody knows, so that MRR has it"
    )
    quantity: str = pa.Field(
        description="Number of units, or for a metered item the calendar month's usage, decimal text",
        str_matches=DECIMAL_PATTERN,
    )
    discounts_json: str = pa.Field(
        description="Discounts in force in the order they apply: [{type, value, duration, coupon}]"
    )
    source: str = pa.Field(
        description="Kind of fact that begins the state; `meter` where the month's usage is the meter's",
        isin=SOURCES,
    )
    confidence: str = pa.Field(
        description="`exact`: dated by a fact; `renewal`: changed without proration, dated by the "
        "renewal that shows it; `snapshot`: known only from today's subscription, dated by when it was "
        "first seen, or lowered by a deleted coupon of which no bill shows what it is limited to. Usage "
        "is `exact` by the meter and `renewal` by invoices once they cover the whole month, `snapshot` "
        "before",
        isin=CONFIDENCES,
    )
    evidence_json: str = pa.Field(description="Ids of the Stripe objects the state was read from, sorted")

    @pa.dataframe_check(description="an interval ends after it begins")
    def ends_after_start(cls, frame):  # noqa: N805, ANN001, ANN201, D102
        return frame["valid_to"].isna() | (frame["valid_to"] > frame["valid_from"])

    class Config(Table.Config):
        name = "billing/item_states"
        metadata = {"key": ["customer", "subscription", "item", "valid_from"]}
        unique = ["item", "valid_from"]


class Quarantine(Table):
    """One row per subscription and stretch of time that cannot be read.

    `billing/item_states` has no state there.

    A month that begins or ends within one is not computed: the error names these objects. Mended in Stripe,
    or its customer put on the catalog's `excluded_customers`, it goes away with the next refresh.
    """

    customer: str = pa.Field(description="Stripe customer")
    subscription: str = pa.Field(description="Stripe subscription")
    valid_from: Instant = pa.Field(description="First instant that cannot be read")
    valid_to: Instant = pa.Field(
        description="First instant after it that can, null while there is none", nullable=True
    )
    problem: str = pa.Field(description="What is wrong, in words")
    objects_json: str = pa.Field(description="Ids of the Stripe objects that say so, sorted")

    class Config(Table.Config):
        name = "billing/quarantine"
        metadata = {"key": ["subscription", "valid_from"]}
        unique = ["subscription", "valid_from"]


class FxRates(Table):
    """One row per month end and currency.

    The single rate at which that month's closing figures are valued.
    """

    month: str = pa.Field(
        description="Month whose closing instant the rate is for, YYYY-MM", str_matches=MONTH_PATTERN
    )
    currency: str = pa.Field(description="Currency converted", str_matches=CURRENCY_PATTERN)
    rate: str = pa.Field(
        description="Reporting currency for one unit of `currency`, major for major, decimal text",
        str_matches=DECIMAL_PATTERN,
    )
    source: str = pa.Field(
        description="Where the rate is from: `identity`, `file:NAME` or `ecb`, with the day it was published"
    )

    class Config(Table.Config):
        name = "billing/fx_rates"
        metadata = {"key": ["month", "currency"]}
        unique = ["month", "currency"]
