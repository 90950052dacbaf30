"""Each customer's month as it was when the month closed (semantics 1.8).

Here: columns and invariants. Not here: what is kept of it (`domain/metrics/restatements.py`).
"""

from __future__ import annotations

import pandas as pd

from expansion_platform.domain.core import declared as pa
from expansion_platform.domain.core.table import MONTH_PATTERN, Instant, Monthly, Table
from expansion_platform.domain.mrr.vocabulary import DORMANT_REASONS, FLOWS, ORGANIC, SEGMENTS


class FirstReported(Monthly):
    """One row per customer and month as it was when the month closed (semantics 1.8).

    Written once, never again; the other tables are restated.

    Of every customer that had any item at either end, paying or not, with what its figures were made of, so
    that a later difference has a reason. Columns that are null in all rows of a month were not kept by the
    version that closed it: they are unknown, not zero.
    """

    customer: str = pa.Field(description="Stripe customer after the aliases of then")
    reported_at: Instant = pa.Field(description="When Stripe had last been read as the month closed")
    segment: str = pa.Field(
        description="Size at opening (closing for new and reactivated); null when it paid at neither end",
        isin=SEGMENTS,
        nullable=True,
    )
    first_paid_month: str = pa.Field(
        description="Month of its first MRR; null when it paid at neither end",
        str_matches=MONTH_PATTERN,
        nullable=True,
    )
    opening: int = pa.Field(description="MRR at the opening instant", ge=0)
    closing: int = pa.Field(description="MRR at the closing instant", ge=0)
    flow_new: int = pa.Field(description="MRR of a customer that never paid before", ge=0)
    flow_reactivation: int = pa.Field(description="MRR of a customer that paid before and returned", ge=0)
    flow_expansion: int = pa.Field(description="Headline expansion", ge=0)
    flow_contraction: int = pa.Field(description="Organic loss of a continuing customer", le=0)
    flow_price: int = pa.Field(description="Vendor repricing")
    flow_discount: int = pa.Field(description="Discounts given and ended")
    flow_interval: int = pa.Field(description="Annual against monthly")
    flow_fx: int = pa.Field(description="Exchange rates")
    flow_churn: int = pa.Field(description="MRR of a customer that stopped paying", le=0)
    expansion_seat: int = pa.Field(description="Part of the headline from seats", ge=0)
    expansion_tier: int = pa.Field(description="Part of the headline from higher plans", ge=0)
    expansion_usage: int = pa.Field(description="Part of the headline from metered usage", ge=0)
    expansion_cross_sell: int = pa.Field(description="Part of the headline from further products", ge=0)
    expansion_addon: int = pa.Field(description="Part of the headline from add-ons", ge=0)
    contraction_seat: pd.Int64Dtype = pa.Field(
        description="Part of the contraction from seats, as a positive amount", ge=0, nullable=True
    )
    contraction_tier: pd.Int64Dtype = pa.Field(
        description="Part of the contraction from lower plans, as a positive amount", ge=0, nullable=True
    )
    contraction_usage: pd.Int64Dtype = pa.Field(
        description="Part of the contraction from usage, as a positive amount", ge=0, nullable=True
    )
    contraction_cross_sell: pd.Int64Dtype = pa.Field(
        description="Part of the contraction from dropped products", ge=0, nullable=True
    )
    contraction_addon: pd.Int64Dtype = pa.Field(
        description="Part of the contraction from dropped add-ons", ge=0, nullable=True
    )
    expansion_gross: pd.Int64Dtype = pa.Field(
        description="Sum of positive organic amounts per match group and cause", ge=0, nullable=True
    )
    contraction_gross: pd.Int64Dtype = pa.Field(
        description="Sum of negative organic amounts, as a positive amount", ge=0, nullable=True
    )
    expansion_unadjusted: pd.Int64Dtype = pa.Field(
        description="Any rise of a continuing customer", ge=0, nullable=True
    )
    dormant_churn: pd.Int64Dtype = pa.Field(
        description="flow_churn of a customer that still had an item", le=0, nullable=True
    )
    dormant_churn_full_discount: pd.Int64Dtype = pa.Field(
        description="The same for this reason", le=0, nullable=True
    )
    dormant_churn_zero_quantity: pd.Int64Dtype = pa.Field(
        description="The same for this reason", le=0, nullable=True
    )
    dormant_churn_zero_usage: pd.Int64Dtype = pa.Field(
        description="The same for this reason", le=0, nullable=True
    )
    dormant_reactivation: pd.Int64Dtype = pa.Field(
        description="flow_reactivation of a customer that had an item before", ge=0, nullable=True
    )
    closing_arr: pd.Int64Dtype = pa.Field(description="ARR at the closing instant", ge=0, nullable=True)
    next_segment: str = pa.Field(
        description="Segment at the next opening, by the thresholds of then", isin=SEGMENTS, nullable=True
    )
    slices_json: str = pa.Field(
        description="{dimension: value} of then, as in mrr/customer_slices", nullable=True
    )
    next_slices_json: str = pa.Field(description="The same at the next opening", nullable=True)
    origins_json: str = pa.Field(
        description="Its headline expansion by origin: {origin: minor units}", nullable=True
    )
    states_hash: str = pa.Field(description="Hash of its items at both ends, metered quantities left out")
    usage_hash: str = pa.Field(description="Hash of its metered quantities at both ends")
    rates_json: str = pa.Field(description="Exchange rates of its currencies: {currency: [opening, closing]}")
    timezone: str = pa.Field(description="Reporting time zone of then")
    rules_hash: str = pa.Field(description="Content hash of the package's rules behind the row")

    @pa.dataframe_check(description="opening + flows = closing")
    def flows_close(cls, frame):  # noqa: N805, ANN001, ANN201, D102
        return frame["opening"] + frame[[f"flow_{name}" for name in FLOWS]].sum(axis=1) == frame["closing"]

    @pa.dataframe_check(description="types sum to expansion")
    def types_sum(cls, frame):  # noqa: N805, ANN001, ANN201, D102
        return frame[[f"expansion_{name}" for name in ORGANIC]].sum(axis=1) == frame["flow_expansion"]

    class Config(Table.Config):
        name = "mrr/first_reported"
        metadata = {
            "key": ["month", "customer"],
            "partitioned_by": "month",
            "added": [
                *(f"contraction_{name}" for name in ORGANIC),
                *("expansion_gross", "contraction_gross", "expansion_unadjusted", "closing_arr"),
                *(
                    "dormant_churn",
                    *(f"dormant_churn_{reason}" for reason in DORMANT_REASONS),
                    "dormant_reactivation",
                ),
                *("next_segment", "slices_json", "next_slices_json", "origins_json"),
            ],
        }
        unique = ["month", "customer"]
