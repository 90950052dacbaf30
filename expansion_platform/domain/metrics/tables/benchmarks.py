"""What expansion costs, and figures beside what is said to be usual.

Here: columns and invariants. Not here: the rules (`domain/metrics/expansion_cac.py`,
`domain/metrics/benchmarks.py`).
"""

from __future__ import annotations

import pandas as pd

from expansion_platform.domain.core import declared as pa
from expansion_platform.domain.core.table import Monthly, Table
from expansion_platform.domain.metrics.tables.values import MetricValue


class ExpansionCac(MetricValue):
    """One row per month whose costs are given, and metric.

    Cost of one unit of expansion MRR, of new MRR, and the one over the other.
    """

    numerator: pd.Int64Dtype = pa.Field(
        description="Cost in minor units; of `expansion_cac_ratio` that of the reduced fraction, null "
        "beyond 64 bits and without a base",
        nullable=True,
    )
    denominator: pd.Int64Dtype = pa.Field(
        description="MRR in minor units; of `expansion_cac_ratio` that of the reduced fraction", nullable=True
    )

    class Config(Table.Config):
        name = "metrics/expansion_cac"
        metadata = {"key": ["month", "metric", "dimension", "value"], "partitioned_by": "month"}
        unique = ["month", "metric", "dimension", "value"]


class Benchmarks(Monthly):
    """One row per month and benchmark: where a figure stands, and what is missing to the next band.

    Bands are claims, not measured facts.
    """

    benchmark: str = pa.Field(description="Name of the benchmark (semantics 4.6)")
    source: str = pa.Field(description="Who says so")
    metric: str = pa.Field(
        description="The figure compared, of metrics/trailing, metrics/expanders or metrics/expansion_cac"
    )
    dimension: str = pa.Field(description="`total`, `segment` or `pricing_model`")
    value: str = pa.Field(description="The slice; `all` for the total")
    ratio: str = pa.Field(description="The figure as published; null without one", nullable=True)
    band: str = pa.Field(description="Band the figure is in; null without a figure", nullable=True)
    lower_edge: str = pa.Field(
        description="Where the band begins, decimal text; null in the lowest", nullable=True
    )
    next_band: str = pa.Field(
        description="Band above; null in the highest. Of costs the worse one", nullable=True
    )
    gap: str = pa.Field(
        description="Points of the ratio to the next band, decimal text with 10 places", nullable=True
    )
    gap_mrr: pd.Int64Dtype = pa.Field(
        description="The gap times opening MRR, minor units; null where the ratio is not of MRR",
        nullable=True,
        ge=0,
    )
    indicative: bool = pa.Field(description="The figure's quality is `low_n` or `provisional`")
    check_data: bool = pa.Field(
        description="Above 40 % a year, or twice the upper edge: "
        "price rises and migrations are the usual cause"
    )
    quality: str = pa.Field(description="Quality of the figure")

    @pa.dataframe_check(description="a figure has a band; a band has a lower edge or one above")
    def stands(cls, frame):  # noqa: N805, ANN001, ANN201, D102
        edges = frame["lower_edge"].notna() | frame["next_band"].notna()
        return (frame["ratio"].notna() == frame["band"].notna()) & (frame["band"].notna() == edges)

    class Config(Table.Config):
        name = "metrics/benchmarks"
        metadata = {"key": ["month", "benchmark", "dimension", "value"], "partitioned_by": "month"}
        unique = ["month", "benchmark", "dimension", "value"]
