"""How likely each customer is to leave, by points that people can check (semantics 6.8).

Here: the rule score where no model is released, and its reasons. Not here: the model (`model/`), the
features.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from expansion_platform.domain.core.canonical import dumps
from expansion_platform.domain.core.money import Bools, Ints
from expansion_platform.domain.signals.texts import number

Floats = npt.NDArray[np.float64]
POINTS: Mapping[str, tuple[int, str]] = {
    "past_due": (30, "a payment is past due"),
    "engagement_falls": (20, "engagement falls, among the lowest quarter"),
    "team_shrinks": (20, "active users fell by 25 % and more in three months"),
    "contracted": (15, "contracted in the last three months"),
    "unhappy": (15, "a critical ticket is open, or NPS was answered with 0 to 6"),
    "renews": (10, "renews within 60 days"),
    "discount_ends": (10, "a discount ends within 60 days"),
    "seat_surge": (5, "seats rose by half within three months"),
}
"""Points and what they are given for."""
SHRINKS, SURGE, SOON_MONTHS, DETRACTOR = -0.25, 0.5, 2, 6


def churn_points(features: pd.DataFrame) -> dict[str, Ints]:
    """Points of each kind, by row of signals/features of one month; what is not known gives none.

    The lowest quarter of engagement is that of the month's customers of which it is known, where it falls.
    """
    trend = number(features["engagement_trend"])
    known = trend[~np.isnan(trend)]
    lowest = np.quantile(known, 0.25) if len(known) else np.nan
    with np.errstate(invalid="ignore"):
        reached = {
            "past_due": features["past_due"].to_numpy(dtype=bool),
            "engagement_falls": (trend <= lowest) & (trend < 0),
            "team_shrinks": number(features["active_users_change_3m"]) <= SHRINKS,
            "contracted": features["contractions_3m"].to_numpy() > 0,
            "unhappy": (_count(features, "critical_tickets") > 0) | (_count(features, "nps") <= DETRACTOR),
            "renews": (_count(features, "months_to_renewal") <= SOON_MONTHS)
            & (_count(features, "interval_months") > 1),
            "discount_ends": _count(features, "months_to_discount_end") <= SOON_MONTHS,
            "seat_surge": number(features["seats_growth_3m"]) >= SURGE,
        }
    return {name: np.where(reached[name], points, 0).astype(np.int64) for name, (points, _) in POINTS.items()}


def churn_score(points: Mapping[str, Ints]) -> Ints:
    """The sum, from 0 to 100."""
    total: Ints = np.sum(list(points.values()), axis=0, dtype=np.int64)
    return np.minimum(total, 100)


def churn_reasons(points: Mapping[str, Ints]) -> pd.Series[str]:
    """What points were given for, the most first, as JSON; made once for rows that say the same."""
    names = list(POINTS)
    table = np.stack([points[name] for name in names], axis=1)
    distinct, code = np.unique(table, axis=0, return_inverse=True)
    texts = [
        dumps([POINTS[name][1] for name, given in sorted(zip(names, row, strict=True), key=_first) if given])
        for row in distinct.tolist()
    ]
    return pd.Series(pd.Index(texts, dtype="str").take(code.reshape(-1)).array, dtype="str")


def _first(pair: tuple[str, int]) -> int:
    return -pair[1]


def first_tenth(score: Floats, customer: pd.Series[str]) -> Bools:
    """The tenth of the rows with the highest scores above 0; of equal ones those that come first by name."""
    order = np.lexsort((customer.to_numpy(dtype=object), -score))
    first = order[: int(np.ceil(len(score) / 10))]
    found = np.zeros(len(score), dtype=bool)
    found[first] = True
    return found & (score > 0)


def _count(features: pd.DataFrame, name: str) -> Floats:
    if name not in features:
        return np.full(len(features), np.nan)
    return np.asarray(features[name].astype("float64"), dtype=float)
