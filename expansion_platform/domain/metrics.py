"""The published figures of semantics 4, from the sums of each month and slice.

Here: which sums each metric divides, the ratio's text and its quality. Not here: the sums (`sql/slice_sums.sql`), segments and flows
(`movements.py`), alerts (`detection/`).
"""

from __future__ import annotations

from operator import attrgetter

import pandas as pd

from expansion_platform.domain.metric_rows import Amount, metric_rows
from expansion_platform.domain.schemas.mrr import DORMANT_REASONS, FLOWS, ORGANIC

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


def rollforward(sums: pd.DataFrame) -> pd.DataFrame:
    """metrics/rollforward without hashes."""
    columns = ["month", "dimension", "value", "opening", *FLOWS, "closing", "transfer_in", "transfer_out"]
    return sums.rename(columns={"interval_": "interval"})[columns]


def _total(sums: pd.DataFrame) -> pd.DataFrame:
    return sums[sums["dimension"] == "total"]
