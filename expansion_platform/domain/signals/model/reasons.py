"""Why a model expects what it expects of a customer, in words that somebody who knows the customer can check.

Here: what each figure adds to the log odds, and its sentence. Not here: the figures, the model.

A reason is what the model goes by, not what causes anything.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd

from expansion_platform.domain.core.canonical import dumps
from expansion_platform.domain.signals.model.fitting import LOGISTIC, Fitted

Floats = npt.NDArray[np.float64]
SHOWN = 3
LEAST = 0.05
"""Log odds under which a figure is no reason."""


_ONE = re.compile(
    r"(?<![\d.,])1 (seat|month|expansion|contraction|product|user|day|login|attempt|warning|integration"
    r"|milestone|ticket|request|feature|invite|higher plan|critical ticket|open ticket|new user"
    r"|active user)s\b"
)
"""One of something, by words that say many."""


def _percent(value: float) -> str:
    return f"{round(100 * value)} %"


def _count(value: float) -> str:
    return f"{round(value):,}"


def _plain(value: float) -> str:
    return f"{value:g}"


_WORDS: dict[str, tuple[str, Callable[[float], str]]] = {
    "log_mrr": ("MRR of about {}", lambda value: f"{math.exp(value):,.0f}"),
    "tenure_months": ("customer for {} months", _count),
    "seats": ("{} seats", _count),
    "seats_growth_1m": ("seats changed by {} in a month", _percent),
    "seats_growth_3m": ("seats changed by {} in three months", _percent),
    "seats_growth_6m": ("seats changed by {} in six months", _percent),
    "months_since_expansion": ("{} months since the last expansion", _count),
    "expansions_12m": ("{} expansions in twelve months", _count),
    "contractions_3m": ("{} contractions in three months", _count),
    "contractions_6m": ("{} contractions in six months", _count),
    "discount_share": ("a discount of {}", _percent),
    "interval_months": ("billed every {} months", _count),
    "months_to_renewal": ("renews in {} months", _count),
    "months_to_discount_end": ("a discount ends in {} months", _count),
    "past_due": ("payment past due: {}", lambda value: "yes" if value else "no"),
    "products_held": ("{} products", _count),
    "tier_rank": ("plan of rank {}", _count),
    "tier_headroom": ("{} higher plans", _count),
    "unit_utilisation": ("uses {} of the included units", _percent),
    "seat_utilisation": ("uses {} of its seats", _percent),
    "active_users": ("{} active users", _count),
    "active_users_change_1m": ("active users changed by {} in a month", _percent),
    "active_users_change_3m": ("active users changed by {} in three months", _percent),
    "new_users": ("{} new users", _count),
    "active_days": ("active on {} days", _count),
    "stickiness": ("{} of its active users come each day", _percent),
    "engagement_trend": ("daily use changes by {} a month", _percent),
    "features_used": ("{} features used", _count),
    "key_feature_adoption": ("uses {} of the key features", _percent),
    "logins": ("{} logins", _count),
    "invites": ("{} invites sent", _count),
    "gate_hits": ("{} attempts at features of a higher plan", _count),
    "limit_warnings": ("{} warnings that a limit is near", _count),
    "integrations": ("{} integrations connected", _count),
    "milestones": ("{} milestones reached", _count),
    "open_tickets": ("{} open tickets", _count),
    "critical_tickets": ("{} critical tickets", _count),
    "higher_tier_requests": ("{} requests for features of a higher plan", _count),
    "nps": ("NPS answer {}", _count),
    "touches_3m": ("{} touches in three months", _count),
}


def contributions(fitted: Fitted, figures: Floats) -> Floats:
    """(rows, figures): what each adds to the log odds against a typical customer of the training rows.

    Of boosted trees, how the log odds change when the figure alone is that of a typical customer.
    """
    if fitted.kind == LOGISTIC:
        parts = fitted.scale.ready(figures[:, fitted.used]) * fitted.weights
        found = np.zeros_like(figures)
        found[:, fitted.used] = parts[:, : len(fitted.used)]
        found[:, fitted.used[fitted.scale.gaps]] += parts[:, len(fitted.used) :]
        return found
    whole = fitted.log_odds(figures)
    found = np.zeros_like(figures)
    for place in fitted.used.tolist():
        changed = figures.copy()
        changed[:, place] = fitted.typical[place]
        found[:, place] = whole - fitted.log_odds(changed)
    return found


def reasons(fitted: Fitted, figures: Floats) -> pd.Series[str]:
    """By row, the figures that raise its odds most, as JSON texts; those that are not known are no reason."""
    added = np.where(np.isnan(figures), -np.inf, contributions(fitted, figures))
    shown = min(SHOWN, added.shape[1])
    order = np.argsort(-added, axis=1, kind="stable")[:, :shown]
    texts = [
        dumps(
            [
                sentence(fitted.names[place], figures[row, place])
                for place in places
                if added[row, place] >= LEAST
            ]
        )
        for row, places in enumerate(order.tolist())
    ]
    return pd.Series(texts, dtype="str")


def sentence(name: str, value: float) -> str:
    """A figure in words; one of the user's own by its name."""
    words, shown = _WORDS.get(name, (f"{name} {{}}", _plain))
    return _ONE.sub(r"1 \1", words.format(shown(value)))
