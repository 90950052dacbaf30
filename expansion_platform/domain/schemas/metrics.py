"""Floor `metrics`: the published figures, each with its numerator and denominator.

Here: one shape for every ratio (`MetricValue`) and the roll-forward. Not here: how they are computed (`domain/metrics.py`).
"""

from __future__ import annotations

import pandas as pd

from expansion_platform.domain.schemas import declared as pa
from expansion_platform.domain.schemas.base import Instant, Table
from expansion_platform.domain.schemas.given import NAME_PATTERN
from expansion_platform.domain.schemas.mrr import DORMANT_REASONS, FLOWS, ORGANIC, Monthly

DIMENSIONS = ["cohort", "country", "currency", "plan", "pricing_model", "tenure"]
"""Dimensions every company has; the attributes its user maps are further ones."""
DIMENSION = "What it is sliced by: `total`, " + ", ".join(f"`{name}`" for name in DIMENSIONS) + ", or an attribute the user maps"
QUALITIES = ["ok", "low_n", "no_base", "no_losses", "provisional"]
PLACES = 10
LOW_MEMBERS, LOW_EXPANDERS = 30, 5
"""Fewer opening members or expanders than these are `low_n` (semantics 4)."""
RESTATED_FIGURES = [
    *("opening", *FLOWS, "closing"),
    *(f"{flow}_{kind}" for flow in ("expansion", "contraction") for kind in ORGANIC),
    *("expansion_gross", "contraction_gross", "expansion_unadjusted", "arr", "transfer_in", "transfer_out"),
    *("dormant_churn", *(f"dormant_churn_{reason}" for reason in DORMANT_REASONS), "dormant_reactivation"),
]
RESTATED_PATTERN = rf"^(([a-z][a-z0-9_]*:.+:)?({'|'.join(RESTATED_FIGURES)})|expansion_from_[a-z_]+)$"
"""A figure, or a slice's: `dimension:value:figure`."""
RESTATED_BECAUSE = ["merge", "backdated", "late_event", "late_usage", "fx_revision", "catalog_change", "policy_change", "code_change"]
"""Reasons of a restatement (semantics 1.8), what is surest of one customer first."""


class MetricValue(Monthly):
    """One row per month, metric and slice: exact numerator and denominator, and their quotient as text."""

    metric: str = pa.Field(description="Name of the metric (semantics 4)")
    dimension: str = pa.Field(description="What it is sliced by: `total`, `segment` or `type`")
    value: str = pa.Field(description="The slice; `all` for the total")
    numerator: int = pa.Field(description="Minor units, or a count of customers for count-based metrics")
    denominator: pd.Int64Dtype = pa.Field(description="Minor units or a count; null for metrics that are amounts", nullable=True)
    ratio: str = pa.Field(description="numerator / denominator as decimal text with 10 places, half-even; null without a base", nullable=True)
    n_customers: int = pa.Field(description="Customers that paid at opening", ge=0)
    n_expanders: int = pa.Field(description="Customers with expansion", ge=0)
    quality: str = pa.Field(
        description="The first that holds: `no_base`, `no_losses`: denominator zero; `low_n`: under 30 customers or 5 expanders; "
        "`provisional`: the month has not closed; `ok`",
        isin=QUALITIES,
    )

    @pa.dataframe_check(description="ratio = numerator / denominator to half a unit of the tenth place; none without a base")
    def quotient(cls, frame):  # noqa: N805, ANN001, ANN201, D102
        known = frame["numerator"].notna()  # compounded and mean rates have no sum above a line
        based = frame["denominator"].notna() & (frame["denominator"] != 0)
        cells = zip(frame["ratio"], frame["numerator"], frame["denominator"], known & based & frame["ratio"].notna(), strict=True)
        right = [not checked or _is_quotient(ratio, int(above), int(below)) for ratio, above, below, checked in cells]
        return pd.Series(right, index=frame.index, dtype=bool) & (~known | (frame["ratio"].notna() == based))

    @pa.dataframe_check(description="a zero denominator is `no_base` or `no_losses`; else few customers or expanders are `low_n`")
    def graded(cls, frame):  # noqa: N805, ANN001, ANN201, D102
        empty = frame["numerator"].notna() & (frame["denominator"] == 0).fillna(False)
        few = (frame["n_customers"] < LOW_MEMBERS) | (frame["n_expanders"] < LOW_EXPANDERS)
        valueless = ~frame["quality"].isin(["low_n", "provisional", "ok"])
        return (~empty | valueless) & (valueless | (few == (frame["quality"] == "low_n")))


def _is_quotient(text: str, numerator: int, denominator: int) -> bool:
    """Whether decimal text with ten places is the quotient, within rounding."""
    scaled = int(text.replace(".", ""))
    return len(text.partition(".")[2]) == PLACES and 2 * abs(scaled * denominator - numerator * 10**PLACES) <= abs(denominator)


class Expansion(MetricValue):
    """One row per month and rate: headline, gross and unadjusted expansion over opening MRR, and how many customers expanded."""

    class Config(Table.Config):
        name = "metrics/expansion"
        metadata = {"key": ["month", "metric", "dimension", "value"], "partitioned_by": "month"}
        unique = ["month", "metric", "dimension", "value"]


class ExpansionByType(MetricValue):
    """One row per month, type (seat, tier, usage, cross_sell, addon) and metric: rate over opening MRR, and share of the headline."""

    class Config(Table.Config):
        name = "metrics/expansion_by_type"
        metadata = {"key": ["month", "metric", "dimension", "value"], "partitioned_by": "month"}
        unique = ["month", "metric", "dimension", "value"]


class ExpansionBySegment(MetricValue):
    """One row per month, segment and metric: each segment's expansion over its own opening MRR; segments sum to the total."""

    class Config(Table.Config):
        name = "metrics/expansion_by_segment"
        metadata = {"key": ["month", "metric", "dimension", "value"], "partitioned_by": "month"}
        unique = ["month", "metric", "dimension", "value"]


class Retention(MetricValue):
    """One row per month, slice and metric: NRR, GRR, their organic variants, churn, contraction, quick ratio and net new MRR.

    `logo_churn` and `logo_reactivation` leave out dormant customers, who pay nothing for a while for what they still hold; `dormant_...` counts them.
    """

    class Config(Table.Config):
        name = "metrics/retention"
        metadata = {"key": ["month", "metric", "dimension", "value"], "partitioned_by": "month"}
        unique = ["month", "metric", "dimension", "value"]


class Expanders(MetricValue):
    """One row per month, slice and metric: who expands, by how much, whether few carry it, expansion's share of new MRR and of growth, ARPA, ARR."""

    class Config(Table.Config):
        name = "metrics/expanders"
        metadata = {"key": ["month", "metric", "dimension", "value"], "partitioned_by": "month"}
        unique = ["month", "metric", "dimension", "value"]


class Coverage(MetricValue):
    """One row per month and metric: share of closing MRR whose catalog entry is inferred, and whose state is not dated by a fact.

    `tax_unknown_mrr_share` is of prices with tax inside whose rate no bill tells, so that MRR has the tax in it (semantics 7, case 60).
    `inferred_plans_mrr_share` is of prices that are plans only because they are sold beside other prices of their product (semantics 3.1, D-12).
    """

    class Config(Table.Config):
        name = "metrics/coverage"
        metadata = {"key": ["month", "metric", "dimension", "value"], "partitioned_by": "month"}
        unique = ["month", "metric", "dimension", "value"]


class Trailing(MetricValue):
    """One row per month, slice and metric over the months that end with it: T12M expansion in its three forms, T12M NRR and GRR, T3M quick ratio.

    `grr_t12m` compares the two ends of the window. `grr_continuous_t12m` counts a customer as lost whose MRR was zero at a closing instant within it.
    """

    dimension: str = pa.Field(
        description="`total`, `segment` or `pricing_model`, as at the window's start", isin=["total", "segment", "pricing_model"]
    )

    window_months: int = pa.Field(
        description="Months the value is made of, counted back from `month`; 1 for the annualised rate of a single month", ge=0, le=12
    )
    numerator: pd.Int64Dtype = pa.Field(description="Minor units; null for compounded and mean rates, which have no sum above a line", nullable=True)
    denominator: pd.Int64Dtype = pa.Field(description="Minor units; null for compounded and mean rates", nullable=True)
    n_customers: int = pa.Field(description="Customers that paid at the opening of the first of these months", ge=0)
    n_expanders: int = pa.Field(description="Customers with expansion in the window", ge=0)
    quality: str = pa.Field(
        description="The first that holds: `no_base`, `no_losses`: denominator zero; `too_short`: too few months for any value; `low_n`: under 30 "
        "customers or 5 expanders; `provisional`: not closed, or fewer months than it is meant for; `ok`",
        isin=[*QUALITIES, "too_short"],
    )

    class Config(Table.Config):
        name = "metrics/trailing"
        metadata = {"key": ["month", "metric", "dimension", "value"], "partitioned_by": "month"}
        unique = ["month", "metric", "dimension", "value"]


class ExpansionByDimension(MetricValue):
    """One row per month, dimension, value and rate: expansion and what goes with it, by what customers are.

    By pricing model, plan, currency, country, cohort, tenure, and every attribute given in EXPANSION_CUSTOMER_ATTRIBUTES or EXPANSION_ATTRIBUTE_KEYS.
    """

    dimension: str = pa.Field(description=DIMENSION, str_matches=NAME_PATTERN)
    value: str = pa.Field(description="The slice at opening (closing for new and returned customers); `all` for the total, `unknown`")

    class Config(Table.Config):
        name = "metrics/expansion_by_dimension"
        metadata = {"key": ["month", "metric", "dimension", "value"], "partitioned_by": "month"}
        unique = ["month", "metric", "dimension", "value"]


class RollforwardByDimension(Monthly):
    """One row per month, dimension and value: opening MRR, nine flows, closing MRR of the customers who have it for the month."""

    dimension: str = pa.Field(description=DIMENSION, str_matches=NAME_PATTERN)
    value: str = pa.Field(description="The slice at opening (closing for new and returned customers); `all` for the total, `unknown`")
    opening: int = pa.Field(description="MRR at the opening instant", ge=0)
    new: int = pa.Field(description="From customers that never paid before", ge=0)
    reactivation: int = pa.Field(description="From customers that returned", ge=0)
    expansion: int = pa.Field(description="Headline expansion", ge=0)
    contraction: int = pa.Field(description="Organic losses of continuing customers", le=0)
    price: int = pa.Field(description="Vendor repricing")
    discount: int = pa.Field(description="Discounts given and ended")
    interval: int = pa.Field(description="Annual against monthly")
    fx: int = pa.Field(description="Exchange rates")
    churn: int = pa.Field(description="From customers that stopped paying", le=0)
    closing: int = pa.Field(description="MRR at the closing instant, by the slice of this month", ge=0)
    transfer_in: int = pa.Field(description="Closing MRR of customers that enter the slice at the next opening", ge=0)
    transfer_out: int = pa.Field(description="Closing MRR of customers that leave the slice at the next opening", ge=0)

    @pa.dataframe_check(description="opening + flows = closing")
    def ties(cls, frame):  # noqa: N805, ANN001, ANN201, D102
        return frame[["opening", *FLOWS]].sum(axis=1) == frame["closing"]

    class Config(Table.Config):
        name = "metrics/rollforward_by_dimension"
        metadata = {"key": ["month", "dimension", "value"], "partitioned_by": "month"}
        unique = ["month", "dimension", "value"]


class ExpansionCac(MetricValue):
    """One row per month whose costs are given, and metric: cost of one unit of expansion MRR, of new MRR, and the one over the other."""

    numerator: pd.Int64Dtype = pa.Field(
        description="Cost in minor units; of `expansion_cac_ratio` that of the reduced fraction, null beyond 64 bits and without a base",
        nullable=True,
    )
    denominator: pd.Int64Dtype = pa.Field(description="MRR in minor units; of `expansion_cac_ratio` that of the reduced fraction", nullable=True)

    class Config(Table.Config):
        name = "metrics/expansion_cac"
        metadata = {"key": ["month", "metric", "dimension", "value"], "partitioned_by": "month"}
        unique = ["month", "metric", "dimension", "value"]


class Benchmarks(Monthly):
    """One row per month and benchmark: where a figure stands, and what is missing to the next band. Bands are claims, not measured facts."""

    benchmark: str = pa.Field(description="Name of the benchmark (semantics 4.6)")
    source: str = pa.Field(description="Who says so")
    metric: str = pa.Field(description="The figure compared, of metrics/trailing, metrics/expanders or metrics/expansion_cac")
    dimension: str = pa.Field(description="`total`, `segment` or `pricing_model`")
    value: str = pa.Field(description="The slice; `all` for the total")
    ratio: str = pa.Field(description="The figure as published; null without one", nullable=True)
    band: str = pa.Field(description="Band the figure is in; null without a figure", nullable=True)
    lower_edge: str = pa.Field(description="Where the band begins, decimal text; null in the lowest", nullable=True)
    next_band: str = pa.Field(description="Band above; null in the highest. Of costs the worse one", nullable=True)
    gap: str = pa.Field(description="Points of the ratio to the next band, decimal text with 10 places", nullable=True)
    gap_mrr: pd.Int64Dtype = pa.Field(description="The gap times opening MRR, minor units; null where the ratio is not of MRR", nullable=True, ge=0)
    indicative: bool = pa.Field(description="The figure's quality is `low_n` or `provisional`")
    check_data: bool = pa.Field(description="Above 40 % a year, or twice the upper edge: price rises and migrations are the usual cause")
    quality: str = pa.Field(description="Quality of the figure")

    @pa.dataframe_check(description="a figure has a band; a band has a lower edge or one above")
    def stands(cls, frame):  # noqa: N805, ANN001, ANN201, D102
        edges = frame["lower_edge"].notna() | frame["next_band"].notna()
        return (frame["ratio"].notna() == frame["band"].notna()) & (frame["band"].notna() == edges)

    class Config(Table.Config):
        name = "metrics/benchmarks"
        metadata = {"key": ["month", "benchmark", "dimension", "value"], "partitioned_by": "month"}
        unique = ["month", "benchmark", "dimension", "value"]


class Restatements(Monthly):
    """One row per closed month, customer and figure that is no longer as first reported, and why.

    Rows sum, month by month and figure by figure, to the published sum less what was first reported. A customer that moved to another slice has a row
    in both, also where its own figures are unchanged. What an older version did not keep as the month closed is not compared.
    """

    customer: str = pa.Field(description="Stripe customer, under its id of then or of now")
    metric: str = pa.Field(
        description="`opening`, one of the nine flows, `closing`; `expansion_seat` and so on, `contraction_seat` and so on; `expansion_from_sales` "
        "and so on, by origin; `expansion_gross`, `contraction_gross`, `expansion_unadjusted`, `arr`, `dormant_churn` (and by reason), "
        "`dormant_reactivation`; the same of a slice, with `transfer_in` and `transfer_out`, as `segment:smb:opening`, `plan:prod_pro:expansion`",
        str_matches=RESTATED_PATTERN,
    )
    first_reported: int = pa.Field(description="Minor units, when the month closed")
    restated: int = pa.Field(description="Minor units, by everything known now under the present policy, catalog and rules")
    difference: int = pa.Field(description="restated - first_reported; never zero", ne=0)
    reason: str = pa.Field(
        description="`merge`: customers were merged; `backdated`: a subscription made after the close; `late_event`: another fact not known then; "
        "`late_usage`: metered usage not billed then; `fx_revision`: an exchange rate; `catalog_change`, `policy_change` (the time zone, too), "
        "`code_change`. Of several the first of these, the surest of one customer",
        isin=RESTATED_BECAUSE,
    )
    also_json: str = pa.Field(description="Sorted list of the other reasons that hold beside it: no amount is split between changes made together")
    reported_at: Instant = pa.Field(description="When Stripe had last been read as the month closed")

    @pa.dataframe_check(description="difference = restated - first_reported")
    def differs(cls, frame):  # noqa: N805, ANN001, ANN201, D102
        return frame["restated"] - frame["first_reported"] == frame["difference"]

    class Config(Table.Config):
        name = "metrics/restatements"
        metadata = {"key": ["month", "customer", "metric"], "partitioned_by": "month"}
        unique = ["month", "customer", "metric"]


class Rollforward(Monthly):
    """One row per month and slice: opening MRR, nine flows, transfers between segments at the next opening, closing MRR."""

    dimension: str = pa.Field(description="`total` or `segment`")
    value: str = pa.Field(description="The slice; `all` for the total")
    opening: int = pa.Field(description="MRR at the opening instant", ge=0)
    new: int = pa.Field(description="From customers that never paid before", ge=0)
    reactivation: int = pa.Field(description="From customers that returned", ge=0)
    expansion: int = pa.Field(description="Headline expansion", ge=0)
    contraction: int = pa.Field(description="Organic losses of continuing customers", le=0)
    price: int = pa.Field(description="Vendor repricing")
    discount: int = pa.Field(description="Discounts given and ended")
    interval: int = pa.Field(description="Annual against monthly")
    fx: int = pa.Field(description="Exchange rates")
    churn: int = pa.Field(description="From customers that stopped paying", le=0)
    closing: int = pa.Field(description="MRR at the closing instant, by the slice of this month", ge=0)
    transfer_in: int = pa.Field(description="Closing MRR of customers that enter the slice at the next opening", ge=0)
    transfer_out: int = pa.Field(description="Closing MRR of customers that leave the slice at the next opening", ge=0)

    @pa.dataframe_check(description="opening + flows = closing")
    def ties(cls, frame):  # noqa: N805, ANN001, ANN201, D102
        names = ["opening", "new", "reactivation", "expansion", "contraction", "price", "discount", "interval", "fx", "churn"]
        return frame[names].sum(axis=1) == frame["closing"]

    class Config(Table.Config):
        name = "metrics/rollforward"
        metadata = {"key": ["month", "dimension", "value"], "partitioned_by": "month"}
        unique = ["month", "dimension", "value"]
