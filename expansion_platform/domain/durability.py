"""How much of an expansion lasts (semantics 4.5).

Here: which months are looked at from which, and the rates. Not here: the sums (`sql/durability_sums.sql`), the alert (`detection/followups.py`).
"""

from __future__ import annotations

import pandas as pd

from expansion_platform.domain import months
from expansion_platform.domain.metrics import Amount, metric_rows

LASTS = 3
"""Months after which an expansion is judged."""

JUDGED: dict[str, tuple[Amount, Amount]] = {
    "durability_3m": (lambda s: s.durable, lambda s: s.expansion),
    "durable_expansion_rate": (lambda s: s.durable, lambda s: s.opening),
}
AT_ONCE: dict[str, tuple[Amount, Amount]] = {"core_expansion_rate": (lambda s: s.core, lambda s: s.opening)}


def spans(wanted: list[str]) -> pd.DataFrame:
    """What is looked at in each month: its own expansion, and that of three months before. Columns month, expanded_month."""
    return pd.DataFrame([{"month": month, "expanded_month": months.shift(month, -age)} for month in wanted for age in (0, LASTS)])


def durability(sums: pd.DataFrame) -> pd.DataFrame:
    """metrics/durability without hashes, from `sql/durability_sums.sql` over `spans`."""
    newest = sums["month"] == sums["expanded_month"]
    parts = []
    for rows, metrics in ((sums[~newest], JUDGED), (sums[newest], AT_ONCE)):
        parts.append(metric_rows(rows, metrics).assign(expanded_month=rows["expanded_month"].repeat(len(metrics)).to_numpy()))
    return pd.concat(parts, ignore_index=True)
