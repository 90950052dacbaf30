"""How large an effect must be to be found in four of five programmes (semantics 6.5).

Here: minimum detectable differences at 80 % power of a two-sided 95 % test. Not here: which base they start
from (`outcomes.py`, `reports/holdout.py`).
"""

from __future__ import annotations

import math

from expansion_platform.domain.core.statistics import TWO_SIDED

POWER = 0.841621
"""Standard normal deviations that 80 % lie below."""


def detectable_share(base: float, treated: int, control: int) -> float | None:
    """The smallest rise of a share of expanders that is found in 80 %; None where even all would not do.

    Args:
        base: the share without a programme.
        treated: customers in treatment.
        control: customers in control.
    """
    if min(treated, control) == 0:
        return None

    def found(rise: float) -> bool:
        raised = base + rise
        pooled = (raised * treated + base * control) / (treated + control)
        by_chance = math.sqrt(pooled * (1 - pooled) * (1 / treated + 1 / control))
        spread = math.sqrt(raised * (1 - raised) / treated + base * (1 - base) / control)
        return rise >= TWO_SIDED * by_chance + POWER * spread

    low, high = 0.0, 1 - base
    if not found(high):
        return None
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if found(middle) else (middle, high)
    return high


def detectable_amount(spread: float, treated: int, control: int) -> float | None:
    """The smallest difference of means that is found in 80 %, from the standard deviation of one customer.

    None where nobody expanded, which says nothing of the spread, or an arm is empty.
    """
    if min(treated, control) == 0 or not spread > 0:
        return None
    return (TWO_SIDED + POWER) * spread * math.sqrt(1 / treated + 1 / control)
