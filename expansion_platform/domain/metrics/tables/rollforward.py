"""Roll-forwards, and expansion by what customers are.

Here: columns and invariants. Not here: the rules (`domain/metrics/rollforward.py`,
`domain/metrics/dimensions.py`).
"""

from __future__ import annotations

from expansion_platform.domain.catalog.tables import NAME_PATTERN
from expansion_platform.domain.core import declared as pa
from expansion_platform.domain.core.table import Monthly, Table
from expansion_platform.domain.metrics.tables.values import MetricValue
from expansion_platform.domain.mrr.vocabulary import DIMENSIONS, FLOWS

DIMENSION = (
    "What it is sliced by: `total`, "
    + ", ".join(f"`{name}`" for name in DIMENSIONS)
    + ", or an attribute the user maps"
)


class ExpansionByDimension(MetricValue):
    """One row per month, dimension, value and rate: expansion and what goes with it, by what customers are.

    By pricing model, plan, currency, country, cohort, tenure, and every attribute given in
    EXPANSION_CUSTOMER_ATTRIBUTES or EXPANSION_ATTRIBUTE_KEYS.
    """

    dimension: str = pa.Field(description=DIMENSION, str_matches=NAME_PATTERN)
    value: str = pa.Field(
        description="The slice at opening (closing for new and "
        "returned customers); `all` for the total, `unknown`"
    )

    class Config(Table.Config):
        name = "metrics/expansion_by_dimension"
        metadata = {"key": ["month", "metric", "dimension", "value"], "partitioned_by": "month"}
        unique = ["month", "metric", "dimension", "value"]


class RollforwardByDimension(Monthly):
    """One row per month, dimension and value.

    Opening MRR, nine flows, closing MRR of the customers who have it for the month.
    """

    dimension: str = pa.Field(description=DIMENSION, str_matches=NAME_PATTERN)
    value: str = pa.Field(
        description="The slice at opening (closing for new and "
        "returned customers); `all` for the total, `unknown`"
    )
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
    transfer_in: int = pa.Field(
        description="Closing MRR of customers that enter the slice at the next opening", ge=0
    )
    transfer_out: int = pa.Field(
        description="Closing MRR of customers that leave the slice at the next opening", ge=0
    )

    @pa.dataframe_check(description="opening + flows = closing")
    def ties(cls, frame):  # noqa: N805, ANN001, ANN201, D102
        return frame[["opening", *FLOWS]].sum(axis=1) == frame["closing"]

    class Config(Table.Config):
        name = "metrics/rollforward_by_dimension"
        metadata = {"key": ["month", "dimension", "value"], "partitioned_by": "month"}
        unique = ["month", "dimension", "value"]


class Rollforward(Monthly):
    """One row per month and slice.

    Opening MRR, nine flows, transfers between segments at the next opening, closing MRR.
    """

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
    transfer_in: int = pa.Field(
        description="Closing MRR of customers that enter the slice at the next opening", ge=0
    )
    transfer_out: int = pa.Field(
        description="Closing MRR of customers that leave the slice at the next opening", ge=0
    )

    @pa.dataframe_check(description="opening + flows = closing")
    def ties(cls, frame):  # noqa: N805, ANN001, ANN201, D102
        names = [
            "opening",
            "new",
            "reactivation",
            "expansion",
            "contraction",
            "price",
            "discount",
            "interval",
            "fx",
            "churn",
        ]
        return frame[names].sum(axis=1) == frame["closing"]

    class Config(Table.Config):
        name = "metrics/rollforward"
        metadata = {"key": ["month", "dimension", "value"], "partitioned_by": "month"}
        unique = ["month", "dimension", "value"]
