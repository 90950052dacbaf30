"""How far targets were met (semantics 4.7).

Here: columns and invariants. Not here: the targets (`domain/catalog/targets.py`), the rule
(`domain/metrics/attainment.py`).
"""

from __future__ import annotations

import pandas as pd

from expansion_platform.domain.core import declared as pa
from expansion_platform.domain.core.table import MONTH_PATTERN, Monthly, Table


class Attainment(Monthly):
    """One row per month, period and target.

    The figure, what it was to be, how much of that was reached, and what is missing in MRR.
    """

    period: str = pa.Field(
        description="The month, or the fiscal quarter or year up to it (expansion rates only: sums of "
        "expansion over sums of opening MRR)",
        isin=["month", "quarter_to_date", "year_to_date"],
    )
    metric: str = pa.Field(
        description="The figure, of metrics/expansion, expansion_by_segment, expanders or retention"
    )
    dimension: str = pa.Field(description="`total` or `segment`")
    value: str = pa.Field(description="The slice; `all` for the total")
    first_month: str = pa.Field(description="First month of the period", str_matches=MONTH_PATTERN)
    numerator: int = pa.Field(description="Sum of the figure's numerators, minor units")
    denominator: int = pa.Field(description="Sum of its denominators, minor units", ge=0)
    actual: str = pa.Field(
        description="numerator / denominator as decimal text with 10 places; null without a base",
        nullable=True,
    )
    target: str = pa.Field(
        description="What was to be reached, decimal text; of periods the months' targets weighted by "
        "their opening MRR"
    )
    attainment: str = pa.Field(
        description="actual / target as decimal text; null without a base", nullable=True
    )
    gap: str = pa.Field(
        description="target - actual as decimal text, below zero when exceeded; null without a base",
        nullable=True,
    )
    gap_mrr: pd.Int64Dtype = pa.Field(
        description="The gap in minor units of MRR; null where the figure is not of opening MRR",
        nullable=True,
    )
    met: pd.BooleanDtype = pa.Field(
        description="Whether the target was reached; null without a base", nullable=True
    )
    quality: str = pa.Field(
        description="The first that holds: `no_base`; `low_n` when that of a month is; `provisional`: "
        "the month has not closed; `ok`",
        isin=["ok", "low_n", "provisional", "no_base"],
    )

    @pa.dataframe_check(description="a figure is judged, and nothing else")
    def judged(cls, frame):  # noqa: N805, ANN001, ANN201, D102
        judged = frame["met"].notna()
        return (
            (frame["actual"].notna() == judged)
            & (frame["attainment"].notna() == judged)
            & ((frame["denominator"] > 0) == judged)
        )

    @pa.dataframe_check(
        description="nothing is missing where the target is met, nothing is over where it is not"
    )
    def closes(cls, frame):  # noqa: N805, ANN001, ANN201, D102
        gap, met = frame["gap_mrr"].fillna(0), frame["met"].fillna(False)
        return ((gap <= 0) & met) | ((gap >= 0) & ~met)

    class Config(Table.Config):
        name = "metrics/attainment"
        metadata = {"key": ["month", "period", "metric", "dimension", "value"], "partitioned_by": "month"}
        unique = ["month", "period", "metric", "dimension", "value"]
