"""The published figures of semantics 4, from the sums of each month and slice.

Here: which sums each metric divides, the ratio's text and its quality. Not here: the sums (`sql/slice_sums.sql`), segments and flows
(`movements.py`), alerts (`detection/`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from operator import attrgetter
from typing import Any

import pandas as pd

from expansion_platform.domain.schemas.metrics import LOW_EXPANDERS, LOW_MEMBERS, PLACES
from expansion_platform.domain.schemas.mrr import DORMANT_REASONS, FLOWS, ORGANIC, SEGMENTS

SLICES = [("total", "all"), *(("segment", name) for name in SEGMENTS)]
"""Dimension and value of what most tables are given for."""

ROW = ["month", "metric", "dimension", "value", "numerator", "denominator", "ratio", "n_customers", "n_expanders", "quality"]

Sums = Any
"""A row of `sql/slice_sums.sql` or one of its kind, its columns as attributes."""
Amount = Callable[[Sums], int]
Metrics = Mapping[str, tuple[Amount, Amount]] | Mapping[str, tuple[Amount, Amount | None]]

EXPANSION: dict[str, tuple[Amount, Amount]] = {
    "expansion_rate": (lambda s: s.expansion, lambda s: s.opening),
    "expansion_gross_rate": (lambda s: s.expansion_gross, lambda s: s.opening),
    "expansion_unadjusted_rate": (lambda s: s.expansion_unadjusted, lambda s: s.opening),
    "expander_rate": (lambda s: s.expanders, lambda s: s.members),
}
"""Metric -> numerator and denominator, for metrics/expansion and metrics/expansion_by_segment."""

RETENTION: dict[str, tuple[Amount, Amount | None]] = {
    "nrr": (lambda s: s.opening + s.expansion + s.contraction + s.price + s.discount + s.interval_ + s.churn, lambda s: s.opening),
    "nrr_organic": (lambda s: s.opening + s.expansion + s.contraction + s.churn, lambda s: s.opening),
    "grr": (lambda s: s.retained, lambda s: s.opening),
    "grr_organic": (lambda s: s.opening + s.contraction + s.churn, lambda s: s.opening),
    "net_mrr_churn": (lambda s: -s.churn - s.contraction - s.expansion, lambda s: s.opening),
    "contraction_rate": (lambda s: -s.contraction, lambda s: s.opening),
    "churn_rate": (lambda s: -s.churn, lambda s: s.opening),
    "price_rate": (lambda s: s.price, lambda s: s.opening),
    "discount_rate": (lambda s: s.discount, lambda s: s.opening),
    "interval_rate": (lambda s: s.interval_, lambda s: s.opening),
    "fx_rate": (lambda s: s.fx, lambda s: s.opening),
    "logo_churn": (lambda s: s.churned_logos, lambda s: s.members),
    "dormant_churn": (lambda s: s.dormant_logos, lambda s: s.members),
    **{f"dormant_churn_{reason}": (attrgetter(f"dormant_{reason}"), None) for reason in DORMANT_REASONS},
    "dormant_churn_mrr": (lambda s: s.dormant_churn, None),
    "logo_reactivation": (lambda s: s.returned_logos, None),
    "dormant_reactivation": (lambda s: s.woken_logos, None),
    "dormant_reactivation_mrr": (lambda s: s.dormant_reactivation, None),
    "quick_ratio": (lambda s: s.new + s.expansion, lambda s: -s.contraction - s.churn),
    "quick_ratio_with_reactivation": (lambda s: s.new + s.reactivation + s.expansion, lambda s: -s.contraction - s.churn),
    "net_new_mrr": (lambda s: s.new + s.expansion + s.contraction + s.churn, None),
    "net_new_mrr_with_reactivation": (lambda s: s.new + s.reactivation + s.expansion + s.contraction + s.churn, None),
    "mrr_change": (lambda s: s.closing - s.opening, None),
}
"""Metric -> numerator and denominator (None for an amount or a count), for metrics/retention. Dormant customers are beside logos (semantics 2.1)."""

EXPANDERS: dict[str, tuple[Amount, Amount | None]] = {
    "expanders": (lambda s: s.expanders, None),
    "avg_expansion": (lambda s: s.expansion, lambda s: s.expanders),
    "median_expansion": (lambda s: s.middle_two, lambda s: 2 if s.expanders else 0),
    "top_10_share": (lambda s: s.top_ten, lambda s: s.expansion),
    "expansion_share_of_new": (lambda s: s.expansion, lambda s: s.expansion + s.new),
    "expansion_share_of_new_with_reactivation": (lambda s: s.expansion, lambda s: s.expansion + s.new + s.reactivation),
    "expansion_share_of_growth": (lambda s: s.expansion, lambda s: max(0, s.closing - s.opening)),
    "arpa": (lambda s: s.closing, lambda s: s.payers),
    "arr": (lambda s: s.arr, None),
}
"""Metric -> numerator and denominator (None for an amount or a count), for metrics/expanders. MRR that did not grow has no share: no base."""

COVERAGE: dict[str, tuple[Amount, Amount]] = {
    "inferred_mrr_share": (lambda s: s.inferred, lambda s: s.closing),
    "inferred_plans_mrr_share": (lambda s: s.inferred_plans, lambda s: s.closing),
    "low_confidence_mrr_share": (lambda s: s.low_confidence, lambda s: s.closing),
    "tax_unknown_mrr_share": (lambda s: s.tax_unknown, lambda s: s.closing),
}
"""Metric -> numerator and denominator, for metrics/coverage."""


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


def expansion(sums: pd.DataFrame) -> pd.DataFrame:
    """metrics/expansion without hashes: the total's rates."""
    return metric_rows(_total(sums), EXPANSION)


def expansion_by_segment(sums: pd.DataFrame) -> pd.DataFrame:
    """metrics/expansion_by_segment without hashes: each segment over its own opening MRR."""
    return metric_rows(sums[sums["dimension"] == "segment"], EXPANSION)


def expansion_by_type(sums: pd.DataFrame) -> pd.DataFrame:
    """metrics/expansion_by_type without hashes: each type's share of opening MRR and of the headline, and its contraction."""
    frames = []
    for kind in ORGANIC:
        metrics: dict[str, tuple[Amount, Amount | None]] = {
            "expansion_rate": (attrgetter(f"expansion_{kind}"), attrgetter("opening")),
            "expansion_mix": (attrgetter(f"expansion_{kind}"), attrgetter("expansion")),
            "contraction_rate": (attrgetter(f"contraction_{kind}"), attrgetter("opening")),
        }
        frames.append(metric_rows(_total(sums), metrics).assign(dimension="type", value=kind))
    return pd.concat(frames, ignore_index=True)


def retention(sums: pd.DataFrame) -> pd.DataFrame:
    """metrics/retention without hashes, for the total and each segment."""
    return metric_rows(sums, RETENTION)


def expanders(sums: pd.DataFrame) -> pd.DataFrame:
    """metrics/expanders without hashes, for the total and each segment."""
    return metric_rows(sums, EXPANDERS)


def coverage(sums: pd.DataFrame) -> pd.DataFrame:
    """metrics/coverage without hashes: what closing MRR rests on, from the total's sums with those of `coverage.mrr_by_trust` in them."""
    return metric_rows(_total(sums), COVERAGE)


def rollforward(sums: pd.DataFrame) -> pd.DataFrame:
    """metrics/rollforward without hashes."""
    columns = ["month", "dimension", "value", "opening", *FLOWS, "closing", "transfer_in", "transfer_out"]
    return sums.rename(columns={"interval_": "interval"})[columns]


def _total(sums: pd.DataFrame) -> pd.DataFrame:
    return sums[sums["dimension"] == "total"]


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
