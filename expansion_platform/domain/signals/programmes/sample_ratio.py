"""Are as many customers in each arm as was planned (semantics 6.9)?

Here: the chi-square test. Not here: what follows from it (`outcomes.py`).
"""

from __future__ import annotations

import math

INVALID_UNDER = 0.001
"""A fair programme is under it once in a thousand; one that is off by 5.7 standard errors in 99 %."""


def sample_ratio_p(treated: int, control: int, planned: float) -> float | None:
    """How rarely the arms of a fair programme would be as far from the planned share of treatment.

    Chi-square with one degree of freedom, which is a squared normal deviation. None without customers.

    Args:
        treated: customers in treatment.
        control: customers in control.
        planned: share of treatment, above 0 and below 1.
    """
    size = treated + control
    if size == 0:
        return None
    deviation = (treated - size * planned) / math.sqrt(size * planned * (1 - planned))
    return math.erfc(abs(deviation) / math.sqrt(2))
