"""How much of its limits each customer uses (signals/utilisation, semantics 6.7).

Here: use against seats, included units and tier edges, and when a limit is reached. Not here: what is held
(`holdings.py`), usage (`usage_levels.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from expansion_platform.domain.signals.holdings import Holdings
from expansion_platform.domain.signals.members import Floats, Members
from expansion_platform.domain.signals.texts import fixed
from expansion_platform.domain.signals.usage_levels import UsageLevels

SOONEST = 0.0
SLOPE = ((0, 0.5), (2, -0.5))
"""Months back and weight: the least-squares slope through three months."""


def utilisation_of(members: Members, held: Holdings, usage: UsageLevels) -> pd.DataFrame:
    """Rows of signals/utilisation, one a member and limit."""
    used, included, edge = held.limited
    active = [members.pick(usage.level("active_users", back)) for back in range(3)]
    rows = pd.concat(
        [
            _limit(members, "seats", active, members.pick(held.seats)),
            _limit(members, "unit", _before(members, used), members.pick(included)),
            _limit(members, "tier", _before(members, held.metered), members.pick(edge)),
        ],
        ignore_index=True,
    )
    return rows.sort_values(["month", "customer", "limit"], ignore_index=True)


def _before(members: Members, matrix: Floats) -> list[Floats]:
    """A figure of the month and of the two before it."""
    return [members.pick(matrix, back) for back in range(3)]


def _limit(members: Members, limit: str, used: Sequence[Floats], available: Floats) -> pd.DataFrame:
    """Rows of one kind of limit, of the members that have it and whose use is known."""
    here = ~np.isnan(used[0]) & (available > 0)
    # Without the month in between the slope would be the same, but no one could say that use grew on.
    slope = sum((used[back] * weight for back, weight in SLOPE), 0 * used[1])
    left = np.maximum(available - used[0], 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        until = np.where(left == 0, SOONEST, np.where(slope > 0, left / slope, np.nan))
    rows = members.frame.loc[here, ["month", "customer"]].reset_index(drop=True)
    return rows.assign(
        limit=limit,
        used=fixed(used[0][here]),
        available=fixed(available[here]),
        share=fixed(used[0][here] / available[here]),
        months_to_limit=fixed(until[here]),
    )
