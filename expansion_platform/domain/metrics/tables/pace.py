"""The open month beside the pace of months before it.

Here: columns and invariants. Not here: the rule (`domain/metrics/pace.py`).
"""

from __future__ import annotations

import pandas as pd

from expansion_platform.domain.core import declared as pa
from expansion_platform.domain.core.table import Instant, Monthly, Table
from expansion_platform.domain.mrr.vocabulary import FLOWS


class Pace(Monthly):
    """One row per slice of the open month.

    Its provisional roll-forward up to where Stripe was read, and its expansion beside the usual pace.

    Only the open month is here, never a closed one. Metered usage counts as last month's and exchange rates
    as at the opening until the month ends.
    """

    dimension: str = pa.Field(description="`total` or `segment`", isin=["total", "segment"])
    value: str = pa.Field(description="The slice; `all` for the total")
    read_until: Instant = pa.Field(description="Up to when everything is known: the month to date ends here")
    day: int = pa.Field(
        description="Day of the month that instant falls on, in the reporting time zone", ge=1, le=31
    )
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
    months_compared: int = pa.Field(
        description="Months of the six before that had expansion, and so a pace", ge=0, le=6
    )
    shares_json: str = pa.Field(
        description="{month: share of its expansion reached at the same point}, decimal text; above 1 "
        "where gains were taken back"
    )
    share_p10: str = pa.Field(
        description="10th percentile of these shares, decimal text; null with fewer than three", nullable=True
    )
    share_lower: str = pa.Field(description="Their lower quartile", nullable=True)
    share_median: str = pa.Field(description="Their median", nullable=True)
    share_upper: str = pa.Field(description="Their upper quartile", nullable=True)
    target: str = pa.Field(
        description="Expansion rate that alerts ask of the month, decimal text; null without one",
        nullable=True,
    )
    due: pd.Int64Dtype = pa.Field(
        description="share_p10 x target x opening, minor units: less than this by now is slow", nullable=True
    )
    behind: pd.BooleanDtype = pa.Field(
        description="Whether expansion is under `due`; null up to day 15, and where nothing is due",
        nullable=True,
    )
    quality: str = pa.Field(description="`provisional`: the month is open", isin=["provisional"])

    @pa.dataframe_check(description="opening + flows = closing")
    def flows_close(cls, frame):  # noqa: N805, ANN001, ANN201, D102
        return frame["opening"] + frame[FLOWS].sum(axis=1) == frame["closing"]

    class Config(Table.Config):
        name = "metrics/pace"
        metadata = {"key": ["month", "dimension", "value"], "partitioned_by": None}
        unique = ["month", "dimension", "value"]
