"""Rules that look at what became of earlier expansion: seats that were given back, expanders that left.

See semantics 4.4, 4.5, 5.4.

Here: `durability`, `post_expansion_churn`. Not here: rules over the newest month's rates (`rules.py`).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from fractions import Fraction
from typing import Any

import pandas as pd

from expansion_platform.domain.alerts.findings import Finding
from expansion_platform.domain.alerts.panel import TOTAL

SEAT_EVENTS = 5
LEAST_DURABLE = Fraction(1, 2)
RECOVERED_DURABLE = Fraction(11, 20)
SURGES = Fraction(1, 4)
CHURN_WITHIN = 6


def durability(month: str, figures: pd.DataFrame) -> Finding | None:
    """Seats bought three months ago were mostly given back, and many of them were surges.

    A quarter or more of that month's expansion came from surges.

    Args:
        month: the newest closed month; what is judged is the month three before it.
        figures: metrics/durability of that month.

    None with fewer than five purchases.
    """
    total = {
        row["metric"]: row
        for row in figures[(figures["month"] == month) & (figures["dimension"] == "total")].to_dict("records")
    }
    if not total or total["seat_events_durable"]["denominator"] < SEAT_EVENTS:
        return None
    kept, amount = _ratio(total["seat_durability_3m"])
    from_surges, expansion = _ratio(total["seat_surge_share_3m"])
    durable, surges = Fraction(kept, amount), Fraction(from_surges, expansion) if expansion else Fraction(0)
    return Finding(
        "durability",
        *TOTAL,
        month,
        outcome="fires" if durable < LEAST_DURABLE and surges >= SURGES else "clear",
        severity="warning",
        measured=durable,
        recovers_at=RECOVERED_DURABLE,
        shortfall=amount - kept,
        figures={
            "bought": total["seat_durability_3m"]["expanded_month"],
            "durable": durable,
            "events": int(total["seat_events_durable"]["denominator"]),
            "surges": surges,
            "amount": amount,
        },
    )


def post_expansion_churn(month: str, figures: pd.DataFrame) -> Finding | None:
    """Customers that expanded six months ago left more often than others (semantics 4.4).

    The others are comparable customers that had not expanded.

    Args:
        month: the newest closed month; the expanders are those of six months before it.
        figures: metrics/expansion_then_churn of that month.

    None where nobody is comparable.
    """
    chosen = figures[
        (figures["month"] == month)
        & (figures["within_months"] == CHURN_WITHIN)
        & (figures["dimension"] == "total")
    ]
    if chosen.empty or chosen["difference"].isna().all():
        return None
    row = chosen.to_dict("records")[0]
    low = Fraction(row["low"])
    return Finding(
        "post_expansion_churn",
        *TOTAL,
        month,
        outcome="fires" if low > 0 else "clear",
        severity="warning",
        measured=low,
        recovers_at=Fraction(0),
        falling=False,
        figures={
            "then": row["expanded_month"],
            "expanders": int(row["expanders"]),
            "compared": int(row["compared"]),
            "churned": Fraction(row["rate"]),
            "churned_others": Fraction(row["rate_others"]),
            "low": low,
            "high": Fraction(row["high"]),
        },
    )


def _ratio(row: Mapping[Hashable, Any]) -> tuple[int, int]:
    return int(row["numerator"]), int(row["denominator"])
