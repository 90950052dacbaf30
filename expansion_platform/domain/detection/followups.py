"""Rules that look at what became of earlier expansion: seats that were given back, expanders that left (semantics 4.4, 4.5, 5.4).

Here: `durability`, `post_expansion_churn`. Not here: rules over the newest month's rates (`rules.py`).
"""

from __future__ import annotations

import json
from fractions import Fraction

import pandas as pd

from expansion_platform.domain import months
from expansion_platform.domain.detection.findings import Finding
from expansion_platform.domain.detection.panel import TOTAL
from expansion_platform.domain.detection.statistics import newcombe
from expansion_platform.domain.money import decimal

DURABLE_AFTER = 3
SEAT_EVENTS = 5
LEAST_DURABLE = Fraction(1, 2)
RECOVERED_DURABLE = Fraction(11, 20)
SURGES = Fraction(1, 4)
CHURN_WITHIN = 6
TENURES = [3, 12, 24]  # months at which a tenure bucket ends: first 90 days, rest of year 1, year 2


def durability(month: str, causes: pd.DataFrame, movements: pd.DataFrame, customer_months: pd.DataFrame) -> Finding | None:
    """Seats bought three months ago were mostly given back, in a month whose expansion came to a quarter or more from surges.

    Args:
        month: the newest closed month; what is judged is the month three before it.
        causes: mrr/causes of that month and the three after it.
        movements: mrr/movements of the same months.
        customer_months: mrr/customer_months of the newest month.

    An event is a customer's match group whose seats rose. What is kept is the seats still held three months later over those added, from none to
    all; a customer that no longer pays keeps none. None with fewer than five events.
    """
    bought = months.shift(month, -DURABLE_AFTER)
    seats = _seat_changes(causes)
    added = {event: change for event, change in seats.get(bought, {}).items() if change > 0}
    sums = causes[(causes["month"] == bought) & (causes["cause"] == "seat")].groupby(["customer", "group"])["amount"].sum()
    gains = {event: amount for event, amount in zip(sums.index.tolist(), sums.tolist(), strict=True) if amount > 0 and event in added}
    if len(gains) < SEAT_EVENTS:
        return None
    paying = set(customer_months.loc[(customer_months["month"] == month) & (customer_months["closing"] > 0), "customer"])
    kept = Fraction(0)
    for event, amount in gains.items():
        later = sum((changes.get(event, Fraction(0)) for name, changes in seats.items() if name > bought), Fraction(0))
        held = 1 + later / added[event] if event[0] in paying else Fraction(0)
        kept += amount * min(Fraction(1), max(Fraction(0), held))
    total = sum(gains.values())
    durable = kept / total
    moved = movements[movements["month"] == bought]
    surged = moved["flags_json"].map(lambda flags: "seat_surge" in json.loads(flags)).astype(bool)
    expansion, from_surges = int(moved["flow_expansion"].sum()), int(moved.loc[surged, "flow_expansion"].sum())
    surges = Fraction(from_surges, expansion) if expansion else Fraction(0)
    return Finding(
        "durability",
        *TOTAL,
        month,
        outcome="fires" if durable < LEAST_DURABLE and surges >= SURGES else "clear",
        severity="warning",
        measured=durable,
        recovers_at=RECOVERED_DURABLE,
        shortfall=total - round(kept),
        figures={"bought": bought, "durable": durable, "events": len(gains), "surges": surges, "amount": total},
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


def _seat_changes(causes: pd.DataFrame) -> dict[str, dict[tuple[str, str], Fraction]]:
    """Month -> (customer, group) -> seats gained, from the pairs of items in groups where seats were a cause; exact."""
    groups = causes.loc[causes["cause"] == "seat", ["customer", "group"]].drop_duplicates()
    pairs = causes.merge(groups, on=["customer", "group"]).drop_duplicates(["month", "customer", "group", "from_item", "to_item"])
    changes: dict[str, dict[tuple[str, str], Fraction]] = {}
    columns = [pairs[name].tolist() for name in ("month", "customer", "group", "from_quantity", "to_quantity")]
    for month, customer, group, before, after in zip(*columns, strict=True):
        of_month = changes.setdefault(month, {})
        of_month[customer, group] = of_month.get((customer, group), Fraction(0)) + _quantity(after) - _quantity(before)
    return changes


def _quantity(text: str | None) -> Fraction:
    return Fraction(0) if text is None or text != text else decimal(text)
