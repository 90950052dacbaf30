"""The metric tables that are made of the same sums.

Expansion, by type and by segment, retention, expanders, roll-forward.

Here: the rule over a range of months, and what must hold between the tables. Not here: formulas
(`retention.py`), sums (`slice_sums.sql`).
"""

from __future__ import annotations

from collections.abc import Sequence

from expansion_platform.domain.catalog.inputs import Computed, Inputs
from expansion_platform.domain.metrics import expanders, expansion, retention, rollforward
from expansion_platform.domain.metrics import tables as metrics
from expansion_platform.domain.metrics.slice_sums import slice_sums

RULES = {
    metrics.Expansion: expansion.expansion,
    metrics.ExpansionByType: expansion.expansion_by_type,
    metrics.ExpansionBySegment: expansion.expansion_by_segment,
    metrics.Retention: retention.retention,
    metrics.Expanders: expanders.expanders,
    metrics.Rollforward: rollforward.rollforward,
}


def compute_metrics(months: Sequence[str], inputs: Inputs) -> Computed:
    """The six tables of some months."""
    sums = slice_sums(months, inputs)
    return Computed({model: rule(sums) for model, rule in RULES.items()})
