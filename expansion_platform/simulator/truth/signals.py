"""What really drove the customers of a company with signals: what estimates of it are compared with.

Here: hidden states, hazards and what came of them, as tables. Not here: how they arose
(`simulator/company/hidden.py`). Only tests read it.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

STATES = (
    *("account", "customer", "month", "seats", "people", "left", "engagement", "features"),
    *("gate_hits", "limit_warnings", "invites", "integrations", "milestones"),
    *("trouble", "fall", "utilisation", "connected", "higher_plan", "since_expansion"),
)
RISKS = (
    *("account", "customer", "month", "hazard_seats", "hazard_upgrade", "hazard_addon", "hazard_churn"),
    *("hazard_expansion", "multiplier", "drawn", "drawn_churn", "expanded_at", "churned_at"),
)


@dataclass(frozen=True)
class SignalTruth:
    """The truth of a company with signals.

    Attributes:
        states: STATES, one row per account and closed month with seats, as at its close. `left` are people
            that left before, `fall` by how much the logarithm of engagement fell in three months, `connected`
            integrations so far, `since_expansion` months since the last one.
        risks: RISKS, one row per account and month in which the customer could expand or leave: the chances
            that it would, by the states of the month before, times the programmes' `multiplier`; what was
            `drawn` (seats, upgrade, addon, or null) and when it was done (UTC; null where nothing was, as
            the subscription could not be changed until the month's end).
        customers: account, customer, frailty: the difference of each that nothing shows.
        programmes: programme, multiplier, begins, months, randomised.
    """

    states: pd.DataFrame
    risks: pd.DataFrame
    customers: pd.DataFrame
    programmes: pd.DataFrame
