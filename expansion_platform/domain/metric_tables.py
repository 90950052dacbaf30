"""The metric tables that are made of the same sums: expansion, by type and by segment, retention, expanders, roll-forward.

Here: the rule over a range of months, and what must hold between the tables. Not here: formulas (`metrics.py`), sums (`sql/slice_sums.sql`).
"""

from __future__ import annotations

from collections.abc import Sequence

from expansion_platform.domain import metrics as formulas
from expansion_platform.domain.inputs import Computed, Inputs
from expansion_platform.domain.schemas import metrics
from expansion_platform.domain.slice_sums import slice_sums

RULES = {
    metrics.Expansion: formulas.expansion,
    metrics.ExpansionByType: formulas.expansion_by_type,
    metrics.ExpansionBySegment: formulas.expansion_by_segment,
    metrics.Retention: formulas.retention,
    metrics.Expanders: formulas.expanders,
    metrics.Rollforward: formulas.rollforward,
}


def compute_metrics(months: Sequence[str], inputs: Inputs) -> Computed:
    """The six tables of some months."""
    sums = slice_sums(months, inputs)
    return Computed({model: rule(sums) for model, rule in RULES.items()})
