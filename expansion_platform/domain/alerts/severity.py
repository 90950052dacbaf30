"""How bad a finding is (semantics 5.5).

Here: the ladder of severities. Not here: whether there is a finding (`rules.py`).
"""

from __future__ import annotations

from fractions import Fraction

from expansion_platform.domain.alerts.findings import SEVERITIES, Drop

HALVED = Fraction(1, 2)
SURE = Fraction(1, 100)
LARGE = Fraction(1, 100)
"""Of opening MRR."""
RETENTION_FELL = Fraction(2, 100)
SMALL_BASE = 100


def severity(drop: Drop, grr_fall: Fraction) -> str:
    """Of a fallen rate.

    Args:
        drop: the rate against its baseline.
        grr_fall: how far gross retention lies under its mean over the baseline; 2 points or more is a step
            up, since loss joins the missing growth.
    """
    halved = drop.rate <= HALVED * drop.baseline and drop.p < SURE
    level = "critical" if halved or drop.shortfall >= LARGE * drop.opening else "warning"
    return step(level, (grr_fall >= RETENTION_FELL) - (drop.members < SMALL_BASE))


def step(level: str, by: int) -> str:
    """Some steps up or down the ladder, which ends at info and critical."""
    return SEVERITIES[min(len(SEVERITIES) - 1, max(0, SEVERITIES.index(level) + by))]
