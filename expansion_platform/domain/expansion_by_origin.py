"""The headline by who began it (semantics 4.3).

Here: each origin's and each motion's part of the published headline. Not here: who began what (`origins.py`).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import pandas as pd

from expansion_platform.domain.inputs import Computed, Frames, Inputs, month_by_month
from expansion_platform.domain.metric_rows import Amount, metric_rows, total
from expansion_platform.domain.schemas.metrics import Expansion
from expansion_platform.domain.schemas.origin import MOTIONS, ORIGINS, ExpansionByOrigin, Origins

MOST_UNKNOWN = 5  # one in five of the headline
METRICS: dict[str, tuple[Amount, Amount | None]] = {
    "expansion_rate": (lambda s: s.expansion, lambda s: s.opening),
    "expansion_mix": (lambda s: s.expansion, lambda s: s.headline),
}


def compute_expansion_by_origin(wanted: Sequence[str], inputs: Inputs) -> Computed:
    """metrics/expansion_by_origin of some months."""
    published = total(inputs.frame(Expansion), "expansion_rate")
    rows = inputs.frame(Origins)

    def compute(month: str) -> Frames:
        return {ExpansionByOrigin: expansion_by_origin(rows[rows["month"] == month], published[month])}

    return month_by_month(wanted, compute)


def expansion_by_origin(rows: pd.DataFrame, published: Mapping[Hashable, Any]) -> pd.DataFrame:
    """metrics/expansion_by_origin of one month without hashes.

    Args:
        rows: its mrr/origins.
        published: `expansion_rate` of metrics/expansion: month, numerator (the headline), denominator (opening MRR), n_customers, n_expanders.

    Returns:
        Each origin and each motion, also those nothing came from.
    """
    parts = rows.groupby("origin")["expansion"].sum().reindex(ORIGINS, fill_value=0)
    shared = {"month": published["month"], "opening": int(published["denominator"]), "headline": int(published["numerator"])}
    shared |= {"members": int(published["n_customers"]), "expanders": int(published["n_expanders"])}
    sums = [{**shared, "dimension": "origin", "value": origin, "expansion": int(parts[origin])} for origin in ORIGINS]
    sums += [{**shared, "dimension": "motion", "value": motion, "expansion": int(parts[held].sum())} for motion, held in MOTIONS.items()]
    incomplete = bool(int(parts["unknown"]) * MOST_UNKNOWN > shared["headline"])
    return metric_rows(pd.DataFrame(sums), METRICS).assign(incomplete=incomplete)
