"""Rules that look at what became of earlier expansion: seats that were given back, expanders that left (semantics 4.4, 4.5, 5.4).

Here: `durability`, `post_expansion_churn`. Not here: rules over the newest month's rates (`rules.py`).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from fractions import Fraction
from typing import Any

import pandas as pd

from expansion_platform.domain import months
from expansion_platform.domain.detection.findings import Finding
from expansion_platform.domain.detection.panel import TOTAL
from expansion_platform.domain.detection.statistics import newcombe

SEAT_EVENTS = 5
LEAST_DURABLE = Fraction(1, 2)
RECOVERED_DURABLE = Fraction(11, 20)
SURGES = Fraction(1, 4)
CHURN_WITHIN = 6
TENURES = [3, 12, 24]  # months at which a tenure bucket ends: first 90 days, rest of year 1, year 2


def durability(month: str, figures: pd.DataFrame) -> Finding | None:
    """Seats bought three months ago were mostly given back, in a month whose expansion came to a quarter or more from surges.

    Args:
        month: the newest closed month; what is judged is the month three before it.
        figures: metrics/durability of that month.

    None with fewer than five purchases.
    """
    total = {row["metric"]: row for row in figures[(figures["month"] == month) & (figures["dimension"] == "total")].to_dict("records")}
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


def post_expansion_churn(month: str, customer_months: pd.DataFrame, movements: pd.DataFrame) -> Finding | None:
    """Customers that expanded six months ago have left since more often than comparable customers that had not (semantics 4.4).

    Args:
        month: the newest closed month; the expanders are those of six months before it.
        customer_months: mrr/customer_months of that month.
        movements: mrr/movements of that month and the six after it.

    Those that did not expand are reweighted to the expanders' segments and tenures; expanders nobody is comparable to are left out. The interval
    of the difference is Newcombe's, with the reweighted side's effective size (sum of weights squared over sum of squares).
    """
    then = months.shift(month, -CHURN_WITHIN)
    base = customer_months[(customer_months["month"] == then) & (customer_months["opening"] > 0) & (customer_months["closing"] > 0)]
    expanders = set(movements.loc[(movements["month"] == then) & (movements["flow_expansion"] > 0), "customer"])
    left = set(movements.loc[(movements["month"] > then) & (movements["movement"] == "churn"), "customer"])
    tenure = base["first_paid_month"].map(lambda first: sum(months.distance(first, then) >= edge for edge in TENURES))
    rows = pd.DataFrame(
        {"stratum": base["segment"] + "/" + tenure.astype(str), "expanded": base["customer"].isin(expanders), "left": base["customer"].isin(left)}
    )
    counts = rows.groupby(["stratum", "expanded"])["left"].agg(["size", "sum"]).unstack("expanded", fill_value=0)
    if not {("size", True), ("size", False)} <= set(counts.columns):
        return None
    counts = counts[(counts["size", True] > 0) & (counts["size", False] > 0)]
    compared, churned = int(counts["size", True].sum()), int(counts["sum", True].sum())
    if not compared:
        return None
    weights = counts["size", True] / compared
    other = float((weights * counts["sum", False] / counts["size", False]).sum())
    effective = 1 / float((weights**2 / counts["size", False]).sum())
    low, high = newcombe(churned / compared, compared, other, effective)
    figures: dict[str, Fraction | int | str] = {
        "then": then,
        "expanders": len(expanders & set(base["customer"])),
        "compared": compared,
        "churned": Fraction(churned, compared),
        "churned_others": Fraction(other),
        "low": Fraction(low),
        "high": Fraction(high),
    }
    return Finding(
        "post_expansion_churn",
        *TOTAL,
        month,
        outcome="fires" if low > 0 else "clear",
        severity="warning",
        measured=Fraction(low),
        recovers_at=Fraction(0),
        falling=False,
        figures=figures,
    )


def _ratio(row: Mapping[Hashable, Any]) -> tuple[int, int]:
    return int(row["numerator"]), int(row["denominator"])
