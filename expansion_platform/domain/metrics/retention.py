"""Retention: NRR, GRR, churn, the quick ratio, net new MRR (semantics 4.2).

Here: which sums each metric divides. Not here: the sums (`slice_sums.sql`), segments and flows
(`mrr/movements.py`).
"""

from __future__ import annotations

from operator import attrgetter

import pandas as pd

from expansion_platform.domain.metrics.rows import Amount, metric_rows
from expansion_platform.domain.mrr.vocabulary import DORMANT_REASONS

RETENTION: dict[str, tuple[Amount, Amount | None]] = {
    "nrr": (
        lambda s: s.opening + s.expansion + s.contraction + s.price + s.discount + s.interval_ + s.churn,
        lambda s: s.opening,
    ),
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
    "quick_ratio_with_reactivation": (
        lambda s: s.new + s.reactivation + s.expansion,
        lambda s: -s.contraction - s.churn,
    ),
    "net_new_mrr": (lambda s: s.new + s.expansion + s.contraction + s.churn, None),
    "net_new_mrr_with_reactivation": (
        lambda s: s.new + s.reactivation + s.expansion + s.contraction + s.churn,
        None,
    ),
    "mrr_change": (lambda s: s.closing - s.opening, None),
}
"""Metric -> numerator and denominator (None for an amount or a count), for metrics/retention. Dormant
customers are beside logos (semantics 2.1).
"""


def retention(sums: pd.DataFrame) -> pd.DataFrame:
    """metrics/retention without hashes, for the total and each segment."""
    return metric_rows(sums, RETENTION)
