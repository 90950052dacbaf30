"""Signs that customers show before they expand: how much more often, and how long before (semantics 6.7).

Here: the signs and their comparison (signals/indicators). Not here: the figures behind them (`features.py`),
what is looked back on (`lookback.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from expansion_platform.domain.catalog.inputs import Computed, Inputs
from expansion_platform.domain.core import months
from expansion_platform.domain.core.money import Bools, Ints
from expansion_platform.domain.core.table import columns, empty
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.signals.lookback import Lookback, lookback
from expansion_platform.domain.signals.proportions import quotient, share_of
from expansion_platform.domain.signals.tables import Indicators
from expansion_platform.domain.signals.texts import fixed

Floats = npt.NDArray[np.float64]
FEWEST = 10
"""Customers on each side, and expansions, that make a comparison."""
TEXTS = (*("share_with", "share_without", "lift", "lift_low", "lift_high", "pr_auc", "base_rate"),)


class Sign(NamedTuple):
    """Something a customer shows when a figure of signals/features is at least, or at most, a value."""

    name: str
    figure: str
    value: float
    says: str
    at_most: bool = False

    def shows(self, figures: Floats) -> Bools:
        """Where it shows; false where the figure is not known."""
        with np.errstate(invalid="ignore"):
            found = figures <= self.value if self.at_most else figures >= self.value
        return np.asarray(found, dtype=bool)


_RISES = 1e-9
SIGNS = (
    Sign("seats_nearly_full", "seat_utilisation", 0.80, "80 % of the seats and more are used"),
    Sign("units_nearly_used", "unit_utilisation", 0.80, "80 % of the included units and more are used"),
    Sign("team_grows", "active_users_change_3m", 0.10, "active users grew by 10 % and more in three months"),
    Sign("people_invited", "invites", 1, "people were invited"),
    Sign("gate_hit", "gate_hits", 1, "a feature of a higher plan was tried"),
    Sign("limit_warned", "limit_warnings", 1, "a limit was near"),
    Sign("integration_connected", "integrations", 1, "an integration was connected"),
    Sign("milestone_reached", "milestones", 1, "a milestone was reached"),
    Sign("key_features_adopted", "key_feature_adoption", 0.60, "60 % of the key features and more are used"),
    Sign("engagement_rises", "engagement_trend", _RISES, "the product is used more from month to month"),
    Sign("higher_tier_requested", "higher_tier_requests", 1, "a ticket asked for a higher plan's feature"),
    Sign("spoken_to", "touches_3m", 1, "somebody spoke with the customer in three months"),
    Sign("promoter", "nps", 9, "answered NPS with 9 or 10"),
    Sign("expanded_before", "months_since_expansion", 5, "expanded in the last six months", at_most=True),
    Sign("seats_grew", "seats_growth_3m", _RISES, "seats grew in three months"),
    Sign("several_products", "products_held", 2, "holds two products and more"),
    Sign("pays_by_year", "interval_months", 12, "pays by the year"),
    Sign("contracted", "contractions_6m", 1, "contracted in the last six months"),
    Sign("critical_ticket", "critical_tickets", 1, "a critical ticket is open"),
    Sign("detractor", "nps", 6, "answered NPS with 0 to 6", at_most=True),
)


def compute_indicators(wanted: Sequence[str], inputs: Inputs) -> Computed:
    """signals/indicators of some months.

    Args:
        wanted: months.
        inputs: signals/features, mrr/movements and mrr/origins of `lookback.BACK` months before each,
            exponent, timezone.
    """
    back = lookback(wanted, inputs)
    found = [row for sign in SIGNS for row in _rows(sign, wanted, back, _expanded_at(back, inputs), inputs)]
    if not found:
        return Computed({Indicators: empty(Indicators)})
    rows = pd.DataFrame(found)
    rows = rows.assign(**{name: fixed(rows[name].to_numpy(dtype=float)) for name in TEXTS})
    rows["lead_days"] = rows["lead_days"].astype("Int64")
    rows = rows.sort_values(["month", "indicator"], ignore_index=True)
    return Computed({Indicators: rows[[name for name in columns(Indicators) if name in rows]]})


def _rows(
    sign: Sign, wanted: Sequence[str], back: Lookback, expanded_at: Floats, inputs: Inputs
) -> Iterator[dict[str, Any]]:
    """The rows of one sign, of the months that have anything to look back on."""
    figures = back.figure(sign.figure)
    known, shows = ~np.isnan(figures), sign.shows(figures)
    before = back.before
    new = shows & (before >= 0) & known[before] & ~shows[before]
    order = np.argsort(figures if sign.at_most else -figures, kind="stable")
    expanded, customer = back.outcomes.expanded, back.outcomes.customer
    days = _lead_days(back, expanded_at, inputs)
    for month, here in back.windows(wanted):
        if not here.any():
            continue
        on, off = here & shows, here & known & ~shows
        yield {
            "month": month,
            "indicator": sign.name,
            "says": sign.says,
            "customers_with": len(np.unique(customer[on])),
            "rows_with": int(on.sum()),
            "rows_without": int(off.sum()),
            "rows_unknown": int((here & ~known).sum()),
            "expanded_with": int(expanded[on].sum()),
            "expanded_without": int(expanded[off].sum()),
            **_compared(on, off, back),
            **_ranked(order[(here & known)[order]], figures, expanded),
            **_leads(days[here & new & expanded]),
        }


def _compared(on: Bools, off: Bools, back: Lookback) -> dict[str, Any]:
    """Shares with and without, their quotient, and what may be said of it."""
    expanded, customer, size = (
        back.outcomes.expanded,
        back.outcomes.customer,
        len(back.outcomes.customers),
    )
    with_it = share_of(customer[on], expanded[on], size)
    without = share_of(customer[off], expanded[off], size)
    lift = quotient(with_it, without)
    few = min(len(np.unique(customer[on])), len(np.unique(customer[off])), int(expanded[on | off].sum()))
    apart = lift.low > 1 or lift.high < 1
    return {
        "share_with": with_it.value,
        "share_without": without.value,
        "lift": lift.value,
        "lift_low": lift.low,
        "lift_high": lift.high,
        "verdict": "too few" if few < FEWEST else "shown" if apart else "not shown",
    }


def _ranked(order: Ints, figures: Floats, expanded: Bools) -> dict[str, float]:
    """Mean precision (PR-AUC) of rows in the order of a figure, and the share that expanded.

    Rows with the same figure are taken together, so their order does not matter.
    """
    hits = np.cumsum(expanded[order])
    if not len(order) or not hits[-1]:
        return {"pr_auc": np.nan, "base_rate": 0.0 if len(order) else np.nan}
    values = figures[order]
    last = np.append(np.flatnonzero(values[1:] != values[:-1]), len(order) - 1)
    gained = np.diff(hits[last], prepend=0)
    precision = hits[last] / (last + 1)
    return {"pr_auc": float(gained @ precision) / float(hits[-1]), "base_rate": float(hits[-1]) / len(order)}


def _leads(days: Floats) -> dict[str, Any]:
    return {"lead_days": None if not len(days) else int(np.median(days) + 0.5), "leads": len(days)}


def _expanded_at(back: Lookback, inputs: Inputs) -> Floats:
    """By customer and month of the calendar, days since the calendar's begin at which an expansion began.

    The first change behind it; the end of the month where nothing was changed, as with usage.
    """
    outcomes = back.outcomes
    ends = _days(pd.Series([months.closing(month, inputs.timezone) for month in outcomes.calendar]))
    found = np.tile(ends, (len(outcomes.customers), 1))
    origins = inputs.frame(mrr.Origins)
    origins = origins[(origins["expansion"] > 0) & origins["changed_at"].notna()]
    customer = outcomes.customers.get_indexer(pd.Index(origins["customer"]))
    month = pd.Index(outcomes.calendar).get_indexer(pd.Index(origins["month"]))
    here = (customer >= 0) & (month >= 0)
    np.minimum.at(found, (customer[here], month[here]), _days(origins["changed_at"])[here])
    return found


def _lead_days(back: Lookback, expanded_at: Floats, inputs: Inputs) -> Floats:
    """By row, days from its month's end to the first expansion after it; not less than 0."""
    outcomes = back.outcomes
    ends = _days(pd.Series([months.closing(month, inputs.timezone) for month in outcomes.calendar]))
    then = np.minimum(outcomes.month + outcomes.ahead, len(outcomes.calendar) - 1)
    return np.asarray(np.maximum(expanded_at[outcomes.customer, then] - ends[outcomes.month], 0.0))


def _days(instants: pd.Series[pd.Timestamp]) -> Floats:
    """Days since 1970."""
    since = pd.to_datetime(instants, utc=True) - pd.Timestamp(0, tz="UTC")
    return np.asarray(since / pd.Timedelta(1, unit="D"), dtype=float)
