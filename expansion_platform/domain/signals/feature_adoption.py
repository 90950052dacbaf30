"""Which features of the product come before expansion (semantics 6.7).

Here: first uses, and others to compare them with (signals/feature_adoption). Not here: the outcome
(`outcomes.py`), what usage was known at a close (`usage_levels.py`).

Adopters are compared with customers of the same close that had not used the feature, of the same segment,
time as a customer and utilisation. It is observational all the same: who adopts may be about to grow anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from expansion_platform.domain.catalog.inputs import Computed, Inputs
from expansion_platform.domain.core import months
from expansion_platform.domain.core.money import Bools, Ints
from expansion_platform.domain.core.table import columns, empty
from expansion_platform.domain.signals.indicators import FEWEST
from expansion_platform.domain.signals.lookback import BACK, Lookback, lookback
from expansion_platform.domain.signals.proportions import NOTHING, Interval, Share, difference
from expansion_platform.domain.signals.tables import FeatureAdoption, FeatureUsage, UsageMonths
from expansion_platform.domain.signals.texts import fixed

Floats = npt.NDArray[np.float64]
NEW_TO = 3
"""Months before it in which a customer is known not to have used a feature that it then adopts."""
MOST_FEATURES = 50
"""The features that the most customers use; a tail of names that two accounts sent says nothing."""
_TENURES, _LEVELS = (6, 12, 24), (0.5, 0.8)
TEXTS = ("expanded_share", "others_share", "difference", "difference_low", "difference_high")


def compute_feature_adoption(wanted: Sequence[str], inputs: Inputs) -> Computed:
    """signals/feature_adoption of some months.

    Args:
        wanted: months.
        inputs: as of `indicators.compute_indicators`, and analytics/feature_usage and usage_months of
            `lookback.BACK` + NEW_TO months, catalog, close_lag_days.
    """
    back = lookback(wanted, inputs)
    usage = _known(inputs, back)
    complete = inputs.frame(UsageMonths)
    read = set(complete.loc[complete["complete"], "month"])
    strata = _strata(back)
    found = []
    for month, here in back.windows(wanted):
        first = months.shift(month, -BACK - NEW_TO)
        seen = usage[(usage["month"] >= first) & (usage["month"] <= month)]
        users = seen.groupby("feature")["customer"].nunique()
        common = users[users >= FEWEST].sort_index().sort_values(ascending=False, kind="stable")
        for feature in sorted(common.index[:MOST_FEATURES]):
            used = _matrix(seen[seen["feature"] == feature], back)
            found.append({"month": month, "feature": feature, **_adopted(used, here, read, strata, back)})
    if not found:
        return Computed({FeatureAdoption: empty(FeatureAdoption)})
    rows = pd.DataFrame(found).assign(label="observational")
    rows = rows.assign(**{name: fixed(rows[name].to_numpy(dtype=float)) for name in TEXTS})
    rows = rows.sort_values(["month", "feature"], ignore_index=True)
    return Computed({FeatureAdoption: rows[[name for name in columns(FeatureAdoption) if name in rows]]})


def _known(inputs: Inputs, back: Lookback) -> pd.DataFrame:
    """month, customer, feature that was used, as known at the month's close."""
    usage = inputs.frame(FeatureUsage)
    lag = inputs.value("close_lag_days")
    names = sorted(set(usage["month"]))
    closes = {month: months.closes(month, inputs.timezone, lag) for month in names}
    limit = pd.to_datetime(usage["month"].map(closes), utc=True)
    known = usage[usage["known_at"] <= limit].sort_values(["month", "account", "feature", "known_at"])
    newest = known.drop_duplicates(["month", "account", "feature"], keep="last")
    newest = newest[(newest["events"] > 0) & newest["customer"].notna()]
    customer = newest["customer"].map(inputs.catalog.customer).astype("str")
    found: pd.DataFrame = newest.assign(customer=customer)[["month", "customer", "feature"]].drop_duplicates()
    return found


def _matrix(used: pd.DataFrame, back: Lookback) -> tuple[Bools, list[str]]:
    """Whether each customer used a feature in each month, from NEW_TO months before the calendar on."""
    calendar = back.outcomes.calendar
    every = months.between(months.shift(calendar[0], -NEW_TO), calendar[-1])
    found = np.zeros((len(back.outcomes.customers), len(every)), dtype=bool)
    customer = back.outcomes.customers.get_indexer(pd.Index(used["customer"]))
    month = pd.Index(every).get_indexer(pd.Index(used["month"]))
    here = (customer >= 0) & (month >= 0)
    found[customer[here], month[here]] = True
    return found, every


def _adopted(
    used: tuple[Bools, list[str]], here: Bools, read: set[str], strata: Ints, back: Lookback
) -> dict[str, Any]:
    """Adopters of one feature at the closes of a window, and those they are compared with."""
    matrix, every = used
    outcomes = back.outcomes
    complete = np.array([month in read for month in every], dtype=bool)
    place = outcomes.month + NEW_TO
    before = np.zeros(len(place), dtype=bool)
    known = complete[place] & ~np.isnan(back.figure("active_users"))
    for step in range(1, NEW_TO + 1):
        before |= matrix[outcomes.customer, place - step]
        known &= complete[place - step]
    now = matrix[outcomes.customer, place]
    adopters, others = here & known & now & ~before, here & known & ~now & ~before
    return _compared(adopters, others, strata, outcomes.expanded)


def _compared(adopters: Bools, others: Bools, strata: Ints, expanded: Bools) -> dict[str, Any]:
    """Shares that expanded, of adopters and of others weighted as adopters are spread over the strata."""
    size = int(strata.max(initial=-1)) + 1
    counts = np.bincount(strata[adopters], minlength=size)
    rows = np.bincount(strata[others], minlength=size)
    hits = np.bincount(strata[others & expanded], minlength=size)
    matched = adopters & (rows > 0)[strata]
    weight = np.where(rows > 0, counts, 0) / max(int(matched.sum()), 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = np.where(rows > 0, hits / rows, 0.0)
        # One more case and one more without: no stratum of three rows is certain.
        smoothed = (hits + 1) / (rows + 2)
        variance = np.where(rows > 0, weight**2 * smoothed * (1 - smoothed) / rows, 0.0).sum()
    apart: Interval = NOTHING
    share = other = np.nan
    if matched.any():
        share, other = float(expanded[matched].mean()), float((weight * shares).sum())
        smooth = float((weight * smoothed).sum())
        apart = difference(
            Share(share, float(matched.sum())), Share(other, smooth * (1 - smooth) / float(variance))
        )
    few = int(matched.sum()) < FEWEST or int(others.sum()) < FEWEST
    return {
        "adopters": int(adopters.sum()),
        "matched": int(matched.sum()),
        "compared": int((others & (counts > 0)[strata]).sum()),
        "expanded_share": share,
        "others_share": other,
        "difference": apart.value,
        "difference_low": apart.low,
        "difference_high": apart.high,
        "verdict": "too few" if few else "shown" if apart.low > 0 or apart.high < 0 else "not shown",
    }


def _strata(back: Lookback) -> Ints:
    """By row, the number of its close, segment, tenure and utilisation together."""
    segment = pd.factorize(back.rows["segment"].fillna(""), sort=True)[0]
    tenure = np.searchsorted(_TENURES, back.figure("tenure_months"), side="right")
    level = back.figure("seat_utilisation")
    band = np.where(np.isnan(level), len(_LEVELS) + 1, np.searchsorted(_LEVELS, level, side="right"))
    whole = ((back.outcomes.month * 8 + segment) * 4 + tenure) * 4 + band
    return np.asarray(np.unique(whole, return_inverse=True)[1].reshape(-1), dtype=np.int64)
