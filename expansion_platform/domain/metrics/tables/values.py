"""One shape for every ratio: exact numerator and denominator, their quotient as text, and its quality.

See semantics 4.

Here: the shape that tables of figures share. Not here: any one table.
"""

from __future__ import annotations

import pandas as pd

from expansion_platform.domain.core import declared as pa
from expansion_platform.domain.core.ratios import PLACES
from expansion_platform.domain.core.table import Monthly

QUALITIES = ["ok", "low_n", "no_base", "no_losses", "provisional"]
LOW_MEMBERS, LOW_EXPANDERS = 30, 5
"""Fewer opening members or expanders than these are `low_n` (semantics 4)."""


class MetricValue(Monthly):
    """One row per month, metric and slice: exact numerator and denominator, and their quotient as text."""

    metric: str = pa.Field(description="Name of the metric (semantics 4)")
    dimension: str = pa.Field(description="What it is sliced by: `total`, `segment` or `type`")
    value: str = pa.Field(description="The slice; `all` for the total")
    numerator: int = pa.Field(description="Minor units, or a count of customers for count-based metrics")
    denominator: pd.Int64Dtype = pa.Field(
        description="Minor units or a count; null for metrics that are amounts", nullable=True
    )
    ratio: str = pa.Field(
        description="numerator / denominator as decimal text with 10 places, half-even; null without a base",
        nullable=True,
    )
    n_customers: int = pa.Field(description="Customers that paid at opening", ge=0)
    n_expanders: int = pa.Field(description="Customers with expansion", ge=0)
    quality: str = pa.Field(
        description="The first that holds: `no_base`, `no_losses`: denominator zero; `low_n`: under 30 "
        "customers or 5 expanders; `provisional`: the month has not closed; `ok`",
        isin=QUALITIES,
    )

    @pa.dataframe_check(
        description="ratio = numerator / denominator to half a unit of the tenth place; none without a base"
    )
    def quotient(cls, frame):  # noqa: N805, ANN001, ANN201, D102
        known = frame["numerator"].notna()  # compounded and mean rates have no sum above a line
        based = frame["denominator"].notna() & (frame["denominator"] != 0)
        cells = zip(
            frame["ratio"],
            frame["numerator"],
            frame["denominator"],
            known & based & frame["ratio"].notna(),
            strict=True,
        )
        right = [
            not checked or _is_quotient(ratio, int(above), int(below))
            for ratio, above, below, checked in cells
        ]
        return pd.Series(right, index=frame.index, dtype=bool) & (~known | (frame["ratio"].notna() == based))

    @pa.dataframe_check(
        description="a zero denominator is `no_base` or `no_losses`; "
        "else few customers or expanders are `low_n`"
    )
    def graded(cls, frame):  # noqa: N805, ANN001, ANN201, D102
        empty = frame["numerator"].notna() & (frame["denominator"] == 0).fillna(False)
        few = (frame["n_customers"] < LOW_MEMBERS) | (frame["n_expanders"] < LOW_EXPANDERS)
        valueless = ~frame["quality"].isin(["low_n", "provisional", "ok"])
        return (~empty | valueless) & (valueless | (few == (frame["quality"] == "low_n")))


def _is_quotient(text: str, numerator: int, denominator: int) -> bool:
    """Whether decimal text with ten places is the quotient, within rounding."""
    scaled = int(text.replace(".", ""))
    return len(text.partition(".")[2]) == PLACES and 2 * abs(
        scaled * denominator - numerator * 10**PLACES
    ) <= abs(denominator)
