"""What became of expansion: what lasts of it, who left after it, how cohorts grow with age.

See semantics 4.1, 4.4, 4.5.

Here: columns and invariants. Not here: the rules (`domain/metrics/durability.py`,
`domain/metrics/expansion_then_churn.py`, `domain/metrics/cohorts.py`).
"""

from __future__ import annotations

from expansion_platform.domain.core import declared as pa
from expansion_platform.domain.core.table import MONTH_PATTERN, Monthly, Table
from expansion_platform.domain.metrics.tables.values import MetricValue
from expansion_platform.domain.mrr.vocabulary import ORIGINS


class Durability(MetricValue):
    """One row per month, slice and metric.

    What is left of the expansion of three months before and of its seats, the month's own without surges.

    The names that end in `_3m`, and the seats that were kept or given back, are of three months before; the
    rest is of the month itself.
    """

    expanded_month: str = pa.Field(
        description="Month whose expansion it is; of pending seats the newest of three",
        str_matches=MONTH_PATTERN,
    )
    n_customers: int = pa.Field(description="Customers that paid at its opening", ge=0)
    n_expanders: int = pa.Field(
        description="Customers with expansion in it; for seats, customers that added some", ge=0
    )

    class Config(Table.Config):
        name = "metrics/durability"
        metadata = {"key": ["month", "metric", "dimension", "value"], "partitioned_by": "month"}
        unique = ["month", "metric", "dimension", "value"]


class ExpansionThenChurn(Monthly):
    """One row per month, span and kind of expander.

    Who left within 3, 6 or 12 months of expanding, beside comparable customers that did not expand.

    Observational: those that expand differ in more than their segment and tenure, so a difference shows no
    cause. Those that did not expand are reweighted to the expanders' segments and tenures; expanders nobody
    is comparable to are dropped, and their share is published.
    """

    within_months: int = pa.Field(description="Span after the expansion, all of it observed", isin=[3, 6, 12])
    dimension: str = pa.Field(
        description="`total`; `flag`, for expanders with a flag of mrr/movements; `origin`",
        isin=["total", "flag", "origin"],
    )
    value: str = pa.Field(
        description="`all`; `seat_surge`; or the origin of most of their expansion, as in mrr/origins",
        isin=["all", "seat_surge", *ORIGINS],
    )
    expanded_month: str = pa.Field(
        description="Month in which they expanded: `within_months` before `month`", str_matches=MONTH_PATTERN
    )
    expanders: int = pa.Field(description="Customers with expansion in it", ge=0)
    compared: int = pa.Field(
        description="Of them those with a comparable customer, of the same segment and tenure bucket", ge=0
    )
    dropped_share: str = pa.Field(
        description="(expanders - compared) / expanders, decimal text; null without expanders", nullable=True
    )
    others: int = pa.Field(description="Continuing customers without expansion they are compared with", ge=0)
    churned: int = pa.Field(description="Of those compared, customers with a churn within the span", ge=0)
    rate: str = pa.Field(description="churned / compared, decimal text; null without any", nullable=True)
    rate_others: str = pa.Field(
        description="The same share of the others, reweighted, decimal text", nullable=True
    )
    difference: str = pa.Field(description="rate - rate_others, decimal text", nullable=True)
    low: str = pa.Field(
        description="Lower end of its 95 % interval, decimal text with 6 places", nullable=True
    )
    high: str = pa.Field(description="Upper end", nullable=True)
    interval: str = pa.Field(
        description="`newcombe`; `newcombe_weighted` where more than one stratum is reweighted: the "
        "same with effective sample sizes",
        isin=["newcombe", "newcombe_weighted"],
        nullable=True,
    )
    mrr: int = pa.Field(
        description="MRR of those compared at the closing of the month they expanded in, minor units", ge=0
    )
    mrr_churned: int = pa.Field(description="Of it, MRR of those that churned within the span", ge=0)
    mrr_rate: str = pa.Field(description="mrr_churned / mrr, decimal text", nullable=True)
    mrr_rate_others: str = pa.Field(
        description="The same share of the others, reweighted by MRR, decimal text", nullable=True
    )
    mrr_difference: str = pa.Field(description="mrr_rate - mrr_rate_others, decimal text", nullable=True)
    mrr_low: str = pa.Field(
        description="Lower end of its 95 % interval, effective "
        "sample sizes by MRR, decimal text with 6 places",
        nullable=True,
    )
    mrr_high: str = pa.Field(description="Upper end", nullable=True)
    signal: bool = pa.Field(
        description='`low` is above zero: expanders leave more often ("aggressive upselling")'
    )
    quality: str = pa.Field(
        description="The first that holds: `no_base`: nobody to compare; `low_n`: under 30 compared; "
        "`provisional`: the month has not closed; `ok`",
        isin=["ok", "low_n", "provisional", "no_base"],
    )

    @pa.dataframe_check(
        description="churned <= compared <= expanders, of customers "
        "and of MRR, and whoever is compared has rates"
    )
    def parts(cls, frame):  # noqa: N805, ANN001, ANN201, D102
        counts = (
            (frame["churned"] <= frame["compared"])
            & (frame["compared"] <= frame["expanders"])
            & (frame["mrr_churned"] <= frame["mrr"])
        )
        return (
            counts
            & ((frame["compared"] > 0) == frame["difference"].notna())
            & (frame["low"].notna() == frame["difference"].notna())
        )

    class Config(Table.Config):
        name = "metrics/expansion_then_churn"
        metadata = {"key": ["month", "within_months", "dimension", "value"], "partitioned_by": "month"}
        unique = ["month", "within_months", "dimension", "value"]


class CohortExpansion(Monthly):
    """One row per month and cohort.

    What its customers have expanded by since they first paid, over the MRR the cohort began with.

    Rows of the same `months_since` compare cohorts at one age; rows of one cohort show when it expands.
    Cohorts that began before the first computed month are left out: nobody knows with what they began.
    """

    cohort: str = pa.Field(description="Month of its customers' first MRR", str_matches=MONTH_PATTERN)
    months_since: int = pa.Field(
        description="Age in months: 0 in the month it began, in which nobody can expand", ge=0
    )
    customers: int = pa.Field(description="Customers it began with", ge=1)
    paying: int = pa.Field(description="Of them those paying at the closing instant", ge=0)
    expanders: int = pa.Field(description="Of them those that have expanded since", ge=0)
    starting_mrr: int = pa.Field(
        description="MRR it began with, at the closing instant of its first month, minor units", ge=1
    )
    expansion: int = pa.Field(description="Headline expansion of the month, minor units", ge=0)
    cumulative_expansion: int = pa.Field(description="The same of all months since it began", ge=0)
    cumulative_rate: str = pa.Field(
        description="cumulative_expansion / starting_mrr as decimal text with 10 places"
    )
    closing: int = pa.Field(description="MRR at the closing instant, minor units", ge=0)
    quality: str = pa.Field(
        description="The first that holds: `low_n`: it began with under 30 customers, or under 5 have "
        "expanded; `provisional`: the month has not closed; `ok`",
        isin=["ok", "low_n", "provisional"],
    )

    @pa.dataframe_check(
        description="a cohort does not expand in its first month, nor beyond what it has expanded by in all"
    )
    def adds_up(cls, frame):  # noqa: N805, ANN001, ANN201, D102
        return (frame["expansion"] <= frame["cumulative_expansion"]) & (
            (frame["months_since"] > 0) | (frame["cumulative_expansion"] == 0)
        )

    class Config(Table.Config):
        name = "metrics/cohort_expansion"
        metadata = {"key": ["month", "cohort"], "partitioned_by": "month"}
        unique = ["month", "cohort"]
