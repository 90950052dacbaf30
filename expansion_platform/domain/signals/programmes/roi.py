"""What a programme brought beside what it cost (semantics 6.5).

Here: the arithmetic, of the estimate and of both ends of its interval. Not here: the estimate.
"""

from __future__ import annotations

from dataclasses import dataclass

from expansion_platform.domain.signals.programmes.intervals import Difference


@dataclass(frozen=True)
class Worth:
    """What one unit of monthly MRR is worth, and what the programme cost.

    Args:
        cost: minor units; None when not given.
        margin: gross margin, 0 to 1; None when not given.
        months: for which what was gained is kept.
    """

    cost: int | None
    margin: float | None
    months: int


def roi(incremental: Difference, worth: Worth) -> Difference:
    """(incremental MRR x margin x months - cost) / cost; unknown without cost, or margin, or at no cost."""
    margin, cost = worth.margin, worth.cost
    if margin is None or not cost:
        return Difference()

    def of(mrr: float | None) -> float | None:
        return None if mrr is None else (mrr * margin * worth.months - cost) / cost

    return Difference(of(incremental.value), of(incremental.low), of(incremental.high))


def influenced(incremental: Difference, expansion: int) -> float | None:
    """Share of the treated's expansion that the programme made; the rest came by itself.

    Below 0 where the control group expanded more. None without expansion.
    """
    return None if incremental.value is None or expansion == 0 else incremental.value / expansion
