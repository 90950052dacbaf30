"""Floor `metrics`, what is read out of the figures: sentences, how far targets were met, and the pace of the open month.

Here: the tables' columns and invariants. Not here: the figures themselves (`metrics.py`), thresholds and words (`domain/diagnosis.py`), paces
(`domain/pace.py`), targets (`domain/detection/targets.py`).
"""

from __future__ import annotations

import pandas as pd

from expansion_platform.domain.schemas import declared as pa
from expansion_platform.domain.schemas.base import MONTH_PATTERN, Instant, Table
from expansion_platform.domain.schemas.mrr import FLOWS, Monthly

KINDS = [
    *("headline", "growth_masks_losses", "losses_behind_growth", "stay_without_growing", "one_type", "few_customers", "seat_surges"),
    *("possible_price_migrations", "stopped_growing"),
]


class Diagnosis(Monthly):
    """One row per month and sentence: what the figures say, only where a stated threshold holds."""

    position: int = pa.Field(description="Order of the sentence within its month, from 1", ge=1)
    kind: str = pa.Field(description="Which threshold held (`domain/diagnosis.py` states each)", isin=KINDS)
    text: str = pa.Field(description="The sentence, with its numbers")
    numbers_json: str = pa.Field(description="The same numbers: minor units, counts, decimal text, and the customers behind them, at most 50")

    class Config(Table.Config):
        name = "metrics/diagnosis"
        metadata = {"key": ["month", "position"], "partitioned_by": "month"}
        unique = ["month", "kind"]


class Attainment(Monthly):
    """One row per month, period and target: the figure, what it was to be, how much of that was reached, and what is missing in MRR."""

    period: str = pa.Field(
        description="The month, or the fiscal quarter or year up to it (expansion rates only: sums of expansion over sums of opening MRR)",
        isin=["month", "quarter_to_date", "year_to_date"],
    )
    metric: str = pa.Field(description="The figure, of metrics/expansion, expansion_by_segment, expanders or retention")
    dimension: str = pa.Field(description="`total` or `segment`")
    value: str = pa.Field(description="The slice; `all` for the total")
    first_month: str = pa.Field(description="First month of the period", str_matches=MONTH_PATTERN)
    numerator: int = pa.Field(description="Sum of the figure's numerators, minor units")
    denominator: int = pa.Field(description="Sum of its denominators, minor units", ge=0)
    actual: str = pa.Field(description="numerator / denominator as decimal text with 10 places; null without a base", nullable=True)
    target: str = pa.Field(description="What was to be reached, decimal text; of periods the months' targets weighted by their opening MRR")
    attainment: str = pa.Field(description="actual / target as decimal text; null without a base", nullable=True)
    gap: str = pa.Field(description="target - actual as decimal text, below zero when exceeded; null without a base", nullable=True)
    gap_mrr: pd.Int64Dtype = pa.Field(description="The gap in minor units of MRR; null where the figure is not of opening MRR", nullable=True)
    met: pd.BooleanDtype = pa.Field(description="Whether the target was reached; null without a base", nullable=True)
    quality: str = pa.Field(
        description="The first that holds: `no_base`; `low_n` when that of a month is; `provisional`: the month has not closed; `ok`",
        isin=["ok", "low_n", "provisional", "no_base"],
    )

    @pa.dataframe_check(description="a figure is judged, and nothing else")
    def judged(cls, frame):  # noqa: N805, ANN001, ANN201, D102
        judged = frame["met"].notna()
        return (frame["actual"].notna() == judged) & (frame["attainment"].notna() == judged) & ((frame["denominator"] > 0) == judged)

    @pa.dataframe_check(description="nothing is missing where the target is met, nothing is over where it is not")
    def closes(cls, frame):  # noqa: N805, ANN001, ANN201, D102
        gap, met = frame["gap_mrr"].fillna(0), frame["met"].fillna(False)
        return ((gap <= 0) & met) | ((gap >= 0) & ~met)

    class Config(Table.Config):
        name = "metrics/attainment"
        metadata = {"key": ["month", "period", "metric", "dimension", "value"], "partitioned_by": "month"}
        unique = ["month", "period", "metric", "dimension", "value"]


class Pace(Monthly):
    """One row per slice of the open month: its provisional roll-forward up to where Stripe was read, and its expansion beside the usual pace.

    Only the open month is here, never a closed one. Metered usage counts as last month's and exchange rates as at the opening until the month ends.
    """

    dimension: str = pa.Field(description="`total` or `segment`", isin=["total", "segment"])
    value: str = pa.Field(description="The slice; `all` for the total")
    read_until: Instant = pa.Field(description="Up to when everything is known: the month to date ends here")
    day: int = pa.Field(description="Day of the month that instant falls on, in the reporting time zone", ge=1, le=31)
    opening: int = pa.Field(description="MRR at the opening instant", ge=0)
    new: int = pa.Field(description="MRR of customers that never paid before", ge=0)
    reactivation: int = pa.Field(description="MRR of customers that paid before and returned", ge=0)
    expansion: int = pa.Field(description="Headline expansion so far", ge=0)
    contraction: int = pa.Field(description="Organic losses of continuing customers so far", le=0)
    price: int = pa.Field(description="Vendor repricing so far")
    discount: int = pa.Field(description="Discounts given and ended so far")
    interval: int = pa.Field(description="Annual against monthly so far")
    fx: int = pa.Field(description="Zero: exchange rates of the open month are not known", isin=[0])
    churn: int = pa.Field(description="MRR of customers that stopped paying", le=0)
    closing: int = pa.Field(description="MRR as of `read_until`")
    months_compared: int = pa.Field(description="Months of the six before that had expansion, and so a pace", ge=0, le=6)
    shares_json: str = pa.Field(
        description="{month: share of its expansion reached at the same point}, decimal text; above 1 where gains were taken back"
    )
    share_p10: str = pa.Field(description="10th percentile of these shares, decimal text; null with fewer than three", nullable=True)
    share_lower: str = pa.Field(description="Their lower quartile", nullable=True)
    share_median: str = pa.Field(description="Their median", nullable=True)
    share_upper: str = pa.Field(description="Their upper quartile", nullable=True)
    target: str = pa.Field(description="Expansion rate that alerts ask of the month, decimal text; null without one", nullable=True)
    due: pd.Int64Dtype = pa.Field(description="share_p10 x target x opening, minor units: less than this by now is slow", nullable=True)
    behind: pd.BooleanDtype = pa.Field(description="Whether expansion is under `due`; null up to day 15, and where nothing is due", nullable=True)
    quality: str = pa.Field(description="`provisional`: the month is open", isin=["provisional"])

    @pa.dataframe_check(description="opening + flows = closing")
    def flows_close(cls, frame):  # noqa: N805, ANN001, ANN201, D102
        return frame["opening"] + frame[FLOWS].sum(axis=1) == frame["closing"]

    class Config(Table.Config):
        name = "metrics/pace"
        metadata = {"key": ["month", "dimension", "value"], "partitioned_by": None}
        unique = ["month", "dimension", "value"]
