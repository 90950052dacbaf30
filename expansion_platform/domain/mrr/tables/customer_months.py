"""What each customer pays a month, and what it is in every dimension.

Here: columns and invariants. Not here: how that moved (`movements.py`) and why (`causes.py`).
"""

from __future__ import annotations

from expansion_platform.domain.core import declared as pa
from expansion_platform.domain.core.table import MONTH_PATTERN, Instant, Monthly, Table
from expansion_platform.domain.mrr.vocabulary import PRICING_MODELS, SEGMENTS


class CustomerMonths(Monthly):
    """One row per customer and month in which it paid at the opening or the closing instant.

    Its MRR at both ends.
    """

    customer: str = pa.Field(description="Stripe customer after aliases")
    opening: int = pa.Field(description="MRR at the opening instant", ge=0)
    closing: int = pa.Field(description="MRR at the closing instant", ge=0)
    flow_fx: int = pa.Field(
        description="What exchange rates alone did to a customer that paid at both ends, also where "
        "nothing else moved and mrr/movements has no row"
    )
    opening_arr: int = pa.Field(description="ARR at the opening instant, rounded on its own per item", ge=0)
    closing_arr: int = pa.Field(description="ARR at the closing instant, rounded on its own per item", ge=0)
    opening_list: int = pa.Field(description="MRR at the opening instant before discounts", ge=0)
    closing_list: int = pa.Field(description="MRR at the closing instant before discounts", ge=0)
    items: int = pa.Field(description="Counting items at the closing instant", ge=0)
    segment: str = pa.Field(
        description="Size at opening (closing for new and reactivated), by ACV", isin=SEGMENTS
    )
    pricing_model: str = pa.Field(
        description="What at least 60 % of MRR before discounts counts, at opening (closing for new and "
        "reactivated), else `hybrid`",
        isin=PRICING_MODELS,
    )
    closing_pricing_model: str = pa.Field(
        description="The same at the closing instant, so at the next "
        "opening; of a customer that left, its last",
        isin=PRICING_MODELS,
    )
    first_paid_month: str = pa.Field(
        description="Cohort: month of the customer's first MRR, YYYY-MM", str_matches=MONTH_PATTERN
    )
    first_paid_at: Instant = pa.Field(
        description="Beginning of the customer's first state with MRR, from which its tenure runs; "
        "before the cohort's month where it paid for less than a month first"
    )

    @pa.dataframe_check(description="a row pays at one end at least")
    def pays(cls, frame):  # noqa: N805, ANN001, ANN201, D102
        return (frame["opening"] > 0) | (frame["closing"] > 0)

    @pa.dataframe_check(description="exchange rates move continuing customers only")
    def rates(cls, frame):  # noqa: N805, ANN001, ANN201, D102
        return frame["flow_fx"].eq(0) | ((frame["opening"] > 0) & (frame["closing"] > 0))

    class Config(Table.Config):
        name = "mrr/customer_months"
        metadata = {"key": ["month", "customer"], "partitioned_by": "month"}
        unique = ["month", "customer"]


class CustomerSlices(Monthly):
    """One row per customer and month.

    Its value in each dimension of metrics/expansion_by_dimension, fixed at the month's opening.
    """

    customer: str = pa.Field(description="Stripe customer after aliases")
    slices_json: str = pa.Field(
        description="{dimension: value}, at the opening (at the closing of a new or returned customer)"
    )
    next_slices_json: str = pa.Field(description="{dimension: value} at the next opening")

    class Config(Table.Config):
        name = "mrr/customer_slices"
        metadata = {"key": ["month", "customer"], "partitioned_by": "month"}
        unique = ["month", "customer"]
