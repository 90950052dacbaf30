"""When the expansion rate has really dropped.

Here: the rule over the monthly rates. Not here: the rates (`metrics.py`), the message (`delivery/messages.py`), the outbox
(`storage/ledger.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import pandas as pd

from expansion_platform.domain import months

BASELINE_MONTHS = 6  # semantics 5.3
MINIMUM_BASELINE = 3
DROP = Fraction(3, 4)  # fires at or under three quarters of the baseline: a fall by a quarter


@dataclass(frozen=True)
class Drop:
    """A fall of the expansion rate: exact rates, the expansion missing against the baseline in minor units, and the base it is over."""

    month: str
    rate: Fraction
    baseline: Fraction
    baseline_months: tuple[str, ...]
    expansion: int
    opening: int
    shortfall: int

    @property
    def change(self) -> Fraction:
        """Relative change against the baseline, -1/4 for a quarter less."""
        return self.rate / self.baseline - 1


def expansion_drop(rates: pd.DataFrame, month: str) -> Drop | None:
    """The drop of `month` against the mean of the six months before it, or None.

    Args:
        rates: rows of metrics/expansion with metric `expansion_rate` (month, numerator, denominator); months without a base are left out.
        month: the newest closed month.

    None too when the month itself or fewer than three of the six months before it have a base (semantics 5.3).
    """
    based = rates[rates["denominator"] > 0]
    amounts = zip(based["numerator"].tolist(), based["denominator"].tolist(), strict=True)
    known: dict[str, tuple[int, int]] = dict(zip(based["month"].tolist(), amounts, strict=True))
    before = tuple(name for name in months.between(months.shift(month, -BASELINE_MONTHS), months.shift(month, -1)) if name in known)
    if month not in known or len(before) < MINIMUM_BASELINE:
        return None
    baseline = sum((Fraction(*known[name]) for name in before), Fraction(0)) / len(before)
    expansion, opening = known[month]
    rate = Fraction(expansion, opening)
    if baseline == 0 or rate > DROP * baseline:
        return None
    return Drop(month, rate, baseline, before, expansion, opening, round((baseline - rate) * opening))
