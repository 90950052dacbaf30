"""Rates of a month and of the months that end with it: expansion, retention, expanders, coverage.

Here: one model a table. Not here: how they are computed (the module of the table's name in
`domain/metrics/`).
"""

from __future__ import annotations

import pandas as pd

from expansion_platform.domain.core import declared as pa
from expansion_platform.domain.core.table import Table
from expansion_platform.domain.metrics.tables.values import QUALITIES, MetricValue
from expansion_platform.domain.mrr.vocabulary import ORIGINS


class ExpansionByOrigin(MetricValue):
    """One row per month, origin (or motion) and metric: the headline split by who began it.

    Either sums to it. Attribution, not causation.
    """

    dimension: str = pa.Field(
        description="`origin`, or `motion`: product-led is "
        "self_serve and product, sales-driven is sales and csm"
    )
    value: str = pa.Field(description="The origin or motion", isin=[*ORIGINS, "product_led", "sales_driven"])
    incomplete: bool = pa.Field(
        description="More than a fifth of the month's expansion has "
        "no known origin: the split is not reliable"
    )

    class Config(Table.Config):
        name = "metrics/expansion_by_origin"
        metadata = {"key": ["month", "metric", "dimension", "value"], "partitioned_by": "month"}
        unique = ["month", "metric", "dimension", "value"]


class Expansion(MetricValue):
    """One row per month and rate.

    Headline, gross and unadjusted expansion over opening MRR, and how many customers expanded.
    """

    class Config(Table.Config):
        name = "metrics/expansion"
        metadata = {"key": ["month", "metric", "dimension", "value"], "partitioned_by": "month"}
        unique = ["month", "metric", "dimension", "value"]


class ExpansionByType(MetricValue):
    """One row per month, type (seat, tier, usage, cross_sell, addon) and metric.

    Rate over opening MRR, and share of the headline.
    """

    class Config(Table.Config):
        name = "metrics/expansion_by_type"
        metadata = {"key": ["month", "metric", "dimension", "value"], "partitioned_by": "month"}
        unique = ["month", "metric", "dimension", "value"]


class ExpansionBySegment(MetricValue):
    """One row per month, segment and metric: each segment's expansion over its own opening MRR.

    Segments sum to the total.
    """

    class Config(Table.Config):
        name = "metrics/expansion_by_segment"
        metadata = {"key": ["month", "metric", "dimension", "value"], "partitioned_by": "month"}
        unique = ["month", "metric", "dimension", "value"]


class Retention(MetricValue):
    """One row per month, slice and metric.

    NRR, GRR, their organic variants, churn, contraction, quick ratio and net new MRR.

    `logo_churn` and `logo_reactivation` leave out dormant customers, who pay nothing for a while for what
    they still hold; `dormant_...` counts them.
    """

    class Config(Table.Config):
        name = "metrics/retention"
        metadata = {"key": ["month", "metric", "dimension", "value"], "partitioned_by": "month"}
        unique = ["month", "metric", "dimension", "value"]


class Expanders(MetricValue):
    """One row per month, slice and metric.

    Who expands, by how much, whether few carry it, expansion's share of new MRR and of growth, ARPA, ARR.
    """

    class Config(Table.Config):
        name = "metrics/expanders"
        metadata = {"key": ["month", "metric", "dimension", "value"], "partitioned_by": "month"}
        unique = ["month", "metric", "dimension", "value"]


class Coverage(MetricValue):
    """One row per month and metric.

    Share of closing MRR whose catalog entry is inferred, and whose state is not dated by a fact.

    `tax_unknown_mrr_share` is of prices with tax inside whose rate no invoice shows, so that MRR has the tax
    in it (semantics 7, case 60). `inferred_plans_mrr_share` is of prices that are plans only because they are
    sold beside other prices of their product (semantics 3.1, D-12).
    """

    class Config(Table.Config):
        name = "metrics/coverage"
        metadata = {"key": ["month", "metric", "dimension", "value"], "partitioned_by": "month"}
        unique = ["month", "metric", "dimension", "value"]


class Trailing(MetricValue):
    """One row per month, slice and metric over the months that end with it.

    T12M expansion in its three forms, T12M NRR and GRR, T3M quick ratio.

    `grr_t12m` compares the two ends of the window. `grr_continuous_t12m` counts a customer as lost whose MRR
    was zero at a closing instant within it.
    """

    dimension: str = pa.Field(
        description="`total`, `segment` or `pricing_model`, as at the window's start",
        isin=["total", "segment", "pricing_model"],
    )

    window_months: int = pa.Field(
        description="Months the value is made of, counted back from `month`; 1 for the annualised rate "
        "of a single month",
        ge=0,
        le=12,
    )
    numerator: pd.Int64Dtype = pa.Field(
        description="Minor units; null for compounded and mean rates, which have no sum above a line",
        nullable=True,
    )
    denominator: pd.Int64Dtype = pa.Field(
        description="Minor units; null for compounded and mean rates", nullable=True
    )
    n_customers: int = pa.Field(
        description="Customers that paid at the opening of the first of these months", ge=0
    )
    n_expanders: int = pa.Field(description="Customers with expansion in the window", ge=0)
    quality: str = pa.Field(
        description="The first that holds: `no_base`, `no_losses`: denominator zero; `too_short`: too "
        "few months for any value; `low_n`: under 30 customers or 5 expanders; `provisional`: not "
        "closed, or fewer months than it is meant for; `ok`",
        isin=[*QUALITIES, "too_short"],
    )

    class Config(Table.Config):
        name = "metrics/trailing"
        metadata = {"key": ["month", "metric", "dimension", "value"], "partitioned_by": "month"}
        unique = ["month", "metric", "dimension", "value"]
