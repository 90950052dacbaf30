"""Rows of published figures: a numerator over a denominator, its ratio as text, and its quality.

See semantics 4.

Here: what every table of figures is written with. Not here: which sums a figure divides (`retention.py` and
the modules of the other tables).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import pandas as pd

from expansion_platform.domain.core.ratios import ratio_text
from expansion_platform.domain.metrics.tables.values import LOW_EXPANDERS, LOW_MEMBERS
from expansion_platform.domain.mrr.vocabulary import SEGMENTS

SLICES = [("total", "all"), *(("segment", name) for name in SEGMENTS)]
"""Dimension and value of what most tables are given for."""
ROW = [
    "month",
    "metric",
    "dimension",
    "value",
    "numerator",
    "denominator",
    "ratio",
    "n_customers",
    "n_expanders",
    "quality",
]
Sums = Any
"""A row of `slice_sums.sql` or one of its kind, its columns as attributes."""
Amount = Callable[[Sums], int]
Metrics = Mapping[str, tuple[Amount, Amount]] | Mapping[str, tuple[Amount, Amount | None]]


def slices(wanted: Sequence[tuple[str, str]] = SLICES) -> pd.DataFrame:
    """Slices as queries read them: dimension, value."""
    return pd.DataFrame(wanted, columns=["dimension", "value"])


def total(rows: pd.DataFrame, metric: str | None = None) -> dict[str, dict[Hashable, Any]]:
    """The total's published row of each month, of one metric where the table has several."""
    found = rows[rows["dimension"] == "total"]
    found = found if metric is None else found[found["metric"] == metric]
    return {str(row["month"]): row for row in found.to_dict("records")}


def metric_rows(sums: pd.DataFrame, metrics: Metrics) -> pd.DataFrame:
    """One row per row of sums and metric: its numerator, denominator, quotient and quality.

    Python's integers: no sum is too large for them.
    """
    records: list[tuple[object, ...]] = []
    row: Sums
    for row in sums.itertuples(index=False):
        month, dimension, value, members, expanders = (
            row.month,
            row.dimension,
            row.value,
            int(row.members),
            int(row.expanders),
        )
        of_size = quality_by_size(members, expanders)
        for metric, (numerator_of, denominator_of) in metrics.items():
            numerator = int(numerator_of(row))
            denominator = None if denominator_of is None else int(denominator_of(row))
            ratio = None if denominator is None else ratio_text(numerator, denominator)
            of_figure = of_size if denominator != 0 else _without_base(metric)
            records.append(
                (
                    month,
                    metric,
                    dimension,
                    value,
                    numerator,
                    denominator,
                    ratio,
                    members,
                    expanders,
                    of_figure,
                )
            )
    columns = dict(zip(ROW, zip(*records, strict=True), strict=True)) if records else dict.fromkeys(ROW, ())
    return pd.DataFrame({**columns, "denominator": pd.Series(columns["denominator"], dtype="Int64")})


def quality(metric: str, denominator: int | None, members: int, expanders: int) -> str:
    """Quality of a figure of a closed month (semantics 4)."""
    return _without_base(metric) if denominator == 0 else quality_by_size(members, expanders)


def _without_base(metric: str) -> str:
    return "no_losses" if metric.startswith("quick_ratio") else "no_base"


def quality_by_size(members: int, expanders: int, *, complete: bool = True) -> str:
    """Quality of a figure that has a base.

    Few customers are said before an open month or an incomplete window (semantics 4).
    """
    if members < LOW_MEMBERS or expanders < LOW_EXPANDERS:
        return "low_n"
    return "ok" if complete else "provisional"
