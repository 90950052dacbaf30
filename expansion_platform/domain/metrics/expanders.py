"""Who expands, by how much, and whether few carry it (semantics 4.2).

Here: which sums each metric divides. Not here: the sums (`slice_sums.sql`).
"""

from __future__ import annotations

import pandas as pd

from expansion_platform.domain.metrics.rows import Amount, metric_rows

EXPANDERS: dict[str, tuple[Amount, Amount | None]] = {
    "expanders": (lambda s: s.expanders, None),
    "avg_expansion": (lambda s: s.expansion, lambda s: s.expanders),
    "median_expansion": (lambda s: s.middle_two, lambda s: 2 if s.expanders else 0),
    "top_10_share": (lambda s: s.top_ten, lambda s: s.expansion),
    "expansion_share_of_new": (lambda s: s.expansion, lambda s: s.expansion + s.new),
    "expansion_share_of_new_with_reactivation": (
        lambda s: s.expansion,
        lambda s: s.expansion + s.new + s.reactivation,
    ),
    "expansion_share_of_growth": (lambda s: s.expansion, lambda s: max(0, s.closing - s.opening)),
    "arpa": (lambda s: s.closing, lambda s: s.payers),
    "arr": (lambda s: s.arr, None),
}
"""Metric -> numerator and denominator (None for an amount or a count), for metrics/expanders. MRR that did
not grow has no share: no base.
"""


def expanders(sums: pd.DataFrame) -> pd.DataFrame:
    """metrics/expanders without hashes, for the total and each segment."""
    return metric_rows(sums, EXPANDERS)
