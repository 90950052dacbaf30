"""Rows of published figures: a numerator over a denominator, its ratio as text, and its quality (semantics 4).

Here: what every table of figures is written with. Not here: which sums a figure divides (`metrics.py` and the modules of the other tables).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import pandas as pd

from expansion_platform.domain.schemas.metrics import LOW_EXPANDERS, LOW_MEMBERS, PLACES
from expansion_platform.domain.schemas.mrr import SEGMENTS

SLICES = [("total", "all"), *(("segment", name) for name in SEGMENTS)]
"""Dimension and value of what most tables are given for."""
ROW = ["month", "metric", "dimension", "value", "numerator", "denominator", "ratio", "n_customers", "n_expanders", "quality"]
Sums = Any
"""A row of `sql/slice_sums.sql` or one of its kind, its columns as attributes."""
Amount = Callable[[Sums], int]
Metrics = Mapping[str, tuple[Amount, Amount]] | Mapping[str, tuple[Amount, Amount | None]]


def slices(wanted: Sequence[tuple[str, str]] = SLICES) -> pd.DataFrame:
    """Slices as queries read them: dimension, value."""
    return pd.DataFrame(wanted, columns=["dimension", "value"])


def ratio_text(numerator: int, denominator: int) -> str | None:
    """Quotient as decimal text with 10 places, half-even; None when the denominator is zero (never 0, never infinity)."""
    return None if denominator == 0 else decimal_text(Fraction(numerator, denominator))


def decimal_text(value: Fraction) -> str:
    """A rational as decimal text with 10 places, rounded half-even once."""
    scaled = round(value * 10**PLACES)
    digits = f"{abs(scaled):0{PLACES + 1}d}"
    return f"{'-' if scaled < 0 else ''}{digits[:-PLACES]}.{digits[-PLACES:]}"


def total(rows: pd.DataFrame, metric: str | None = None) -> dict[str, dict[Hashable, Any]]:
    """The total's published row of each month, of one metric where the table has several."""
    found = rows[rows["dimension"] == "total"]
    found = found if metric is None else found[found["metric"] == metric]
    return {str(row["month"]): row for row in found.to_dict("records")}


def metric_rows(sums: pd.DataFrame, metrics: Metrics) -> pd.DataFrame:
    """One row per row of sums and metric: its numerator, denominator, quotient and quality."""
    records = []
    row: Sums
    for row in sums.itertuples(index=False):
        for metric, (numerator_of, denominator_of) in metrics.items():
            numerator = int(numerator_of(row))
            denominator = None if denominator_of is None else int(denominator_of(row))
            records.append(
                {
                    "month": row.month,
                    "metric": metric,
                    "dimension": row.dimension,
                    "value": row.value,
                    "numerator": numerator,
                    "denominator": denominator,
                    "ratio": None if denominator is None else ratio_text(numerator, denominator),
                    "n_customers": int(row.members),
                    "n_expanders": int(row.expanders),
                    "quality": quality(metric, denominator, int(row.members), int(row.expanders)),
                }
            )
    return pd.DataFrame.from_records(records, columns=ROW).astype({"denominator": "Int64"})


def quality(metric: str, denominator: int | None, members: int, expanders: int) -> str:
    """Quality of a figure of a closed month (semantics 4)."""
    if denominator == 0:
        return "no_losses" if metric.startswith("quick_ratio") else "no_base"
    return quality_by_size(members, expanders)


def quality_by_size(members: int, expanders: int, *, complete: bool = True) -> str:
    """Quality of a figure that has a base: few customers are said before an open month or an incomplete window (semantics 4)."""
    if members < LOW_MEMBERS or expanders < LOW_EXPANDERS:
        return "low_n"
    return "ok" if complete else "provisional"
