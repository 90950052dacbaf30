"""What customers that expand do differently, by segment (semantics 6.7).

Here: means of figures before an expansion and where none followed (signals/practices). Not here: the figures
(`features.py`), what is looked back on (`lookback.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from expansion_platform.domain.catalog.inputs import Computed, Inputs
from expansion_platform.domain.core.money import Bools
from expansion_platform.domain.core.table import columns, empty
from expansion_platform.domain.signals.indicators import FEWEST
from expansion_platform.domain.signals.lookback import Lookback, lookback
from expansion_platform.domain.signals.proportions import Z95
from expansion_platform.domain.signals.tables import Practices
from expansion_platform.domain.signals.texts import fixed

Floats = npt.NDArray[np.float64]
EVERYBODY = "all"
FIGURES = (
    *("tenure_months", "seats", "products_held", "discount_share", "interval_months"),
    *("seat_utilisation", "unit_utilisation", "active_users", "active_users_change_3m", "new_users"),
    *("active_days", "stickiness", "engagement_trend", "features_used", "key_feature_adoption", "logins"),
    *("invites", "gate_hits", "limit_warnings", "integrations", "milestones"),
    *("open_tickets", "higher_tier_requests", "nps", "touches_3m"),
)
TEXTS = ("mean_expanders", "mean_others", "difference", "difference_low", "difference_high")


def compute_practices(wanted: Sequence[str], inputs: Inputs) -> Computed:
    """signals/practices of some months; inputs as of `indicators.compute_indicators`."""
    back = lookback(wanted, inputs)
    segments = back.rows["segment"]
    scopes = {EVERYBODY: np.ones(len(back.rows), dtype=bool)} | {
        name: np.asarray(segments == name, dtype=bool) for name in sorted(segments.dropna().unique())
    }
    found = [
        {"month": month, "segment": segment, "indicator": figure, **_compared(values, here & within, back)}
        for figure in FIGURES
        for values in (back.figure(figure),)
        for month, here in back.windows(wanted)
        for segment, within in scopes.items()
        if (here & within).any()
    ]
    if not found:
        return Computed({Practices: empty(Practices)})
    rows = pd.DataFrame(found)
    rows = rows.assign(**{name: fixed(rows[name].to_numpy(dtype=float)) for name in TEXTS})
    rows = rows.sort_values(["month", "segment", "indicator"], ignore_index=True)
    return Computed({Practices: rows[[name for name in columns(Practices) if name in rows]]})


def _compared(values: Floats, here: Bools, back: Lookback) -> dict[str, Any]:
    """Means of rows that expanded and of the others, and their difference.

    The variance is that of sums over customers, since rows of one customer are alike.
    """
    known, expanded = here & ~np.isnan(values), back.outcomes.expanded
    sides = [_mean(values, known & side, back) for side in (expanded, ~expanded)]
    (first, first_variance, expanders), (second, second_variance, others) = sides
    apart, half = first - second, Z95 * np.sqrt(first_variance + second_variance)
    few = min(expanders, others) < FEWEST
    return {
        "expanders": expanders,
        "others": others,
        "mean_expanders": first,
        "mean_others": second,
        "difference": apart,
        "difference_low": apart - half,
        "difference_high": apart + half,
        "verdict": "too few" if few else "shown" if abs(apart) > half else "not shown",
    }


def _mean(values: Floats, side: Bools, back: Lookback) -> tuple[float, float, int]:
    """Mean, its variance, and distinct customers."""
    rows = int(side.sum())
    if not rows:
        return np.nan, np.nan, 0
    customer = back.outcomes.customer[side]
    mean = float(values[side].mean())
    apart = np.bincount(customer, weights=values[side] - mean, minlength=len(back.outcomes.customers))
    return mean, float(np.square(apart).sum()) / rows**2, len(np.unique(customer))
