"""Expansion over opening MRR: the headline, its types, each segment (semantics 4.2).

Here: which sums each metric divides. Not here: the sums (`slice_sums.sql`), who began it
(`expansion_by_origin.py`), windows (`trailing.py`).
"""

from __future__ import annotations

from operator import attrgetter

import pandas as pd

from expansion_platform.domain.metrics.rows import Amount, metric_rows
from expansion_platform.domain.mrr.vocabulary import ORGANIC

EXPANSION: dict[str, tuple[Amount, Amount]] = {
    "expansion_rate": (lambda s: s.expansion, lambda s: s.opening),
    "expansion_gross_rate": (lambda s: s.expansion_gross, lambda s: s.opening),
    "expansion_unadjusted_rate": (lambda s: s.expansion_unadjusted, lambda s: s.opening),
    "expander_rate": (lambda s: s.expanders, lambda s: s.members),
}
"""Metric -> numerator and denominator, for metrics/expansion and metrics/expansion_by_segment."""


def expansion(sums: pd.DataFrame) -> pd.DataFrame:
    """metrics/expansion without hashes: the total's rates."""
    return metric_rows(_total(sums), EXPANSION)


def expansion_by_segment(sums: pd.DataFrame) -> pd.DataFrame:
    """metrics/expansion_by_segment without hashes: each segment over its own opening MRR."""
    return metric_rows(sums[sums["dimension"] == "segment"], EXPANSION)


def expansion_by_type(sums: pd.DataFrame) -> pd.DataFrame:
    """metrics/expansion_by_type without hashes.

    Each type's share of opening MRR and of the headline, and its contraction.
    """
    frames = []
    for kind in ORGANIC:
        metrics: dict[str, tuple[Amount, Amount | None]] = {
            "expansion_rate": (attrgetter(f"expansion_{kind}"), attrgetter("opening")),
            "expansion_mix": (attrgetter(f"expansion_{kind}"), attrgetter("expansion")),
            "contraction_rate": (attrgetter(f"contraction_{kind}"), attrgetter("opening")),
        }
        frames.append(metric_rows(_total(sums), metrics).assign(dimension="type", value=kind))
    return pd.concat(frames, ignore_index=True)


def _total(sums: pd.DataFrame) -> pd.DataFrame:
    return sums[sums["dimension"] == "total"]
