"""Health of each customer, from 0 to 100 (signals/health, semantics 6.1).

Here: the components and their weighted mean. Not here: the features they are made of (`features.py`).

What is not known is left out and the other weights count for more; it is never taken as bad.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pyarrow as pa

from expansion_platform.domain.core.canonical import dumps
from expansion_platform.domain.signals.definition import HealthWeights
from expansion_platform.domain.signals.members import Floats
from expansion_platform.domain.signals.tables.scores import COMPONENTS
from expansion_platform.domain.signals.texts import joined, listed, number

FEWEST = 2
"""Known components that make a score."""
BUSY_DAYS, DAILY = 20, 0.4
"""Active days a month, and share of the active users that come each day, of a wholly engaged customer."""
MANY_FEATURES = 5
LOW, HIGH, FULL = 0.70, 0.95, 1.50
"""Utilisation is best between the first two; at the third half of the points are left."""
OPEN_TICKET, CRITICAL_TICKET = 10, 40


def health_of(features: pd.DataFrame, weights: HealthWeights) -> pd.DataFrame:
    """Rows of signals/health, one a row of signals/features."""
    rows = features[["month", "customer"]].reset_index(drop=True)
    return rows.assign(**scored(components(features), weights))


def components(features: pd.DataFrame) -> dict[str, Floats]:
    """Each component, 0 to 100, by row of signals/features; NaN where it is not known."""
    days, daily = _count(features["active_days"]), number(features["stickiness"])
    nps, tickets = _count(features["nps"]), _count(features["open_tickets"])
    utilisation = highest(features)
    adopted = number(features["key_feature_adoption"])
    over = 100 - 50 * (np.minimum(utilisation, FULL) - HIGH) / (FULL - HIGH)
    calm = 100 - OPEN_TICKET * tickets - CRITICAL_TICKET * _count(features["critical_tickets"])
    return {
        "engagement": _mean(100 * np.minimum(days / BUSY_DAYS, 1), 100 * np.minimum(daily / DAILY, 1)),
        "adoption": np.where(
            np.isnan(adopted),
            100 * np.minimum(_count(features["features_used"]) / MANY_FEATURES, 1),
            100 * adopted,
        ),
        "utilisation": np.where(
            utilisation < LOW, 100 * utilisation / LOW, np.where(utilisation <= HIGH, 100.0, over)
        ),
        "support": _mean(10 * nps, np.maximum(calm, 0)),
    }


def scored(known: Mapping[str, Floats], weights: HealthWeights) -> dict[str, pd.Series]:
    """Columns of signals/health beside the key, from the components by row."""
    values = {name: np.round(known[name]) for name in COMPONENTS}
    weight = {
        name: np.where(np.isnan(values[name]), 0, getattr(weights, name)).astype(float) for name in COMPONENTS
    }
    whole = sum(weight.values(), np.zeros(len(values[COMPONENTS[0]])))
    total = sum((np.nan_to_num(values[name]) * weight[name] for name in COMPONENTS), np.zeros(len(whole)))
    enough = (sum((each > 0).astype(int) for each in weight.values()) >= FEWEST) & (whole > 0)
    score = np.where(enough, np.rint(total / np.maximum(whole, 1)), np.nan)
    return {
        "score": pd.Series(pd.array(score, dtype="Int64")),
        "components_json": _texts(values, weight),
        "missing_json": listed({name: np.isnan(values[name]) for name in COMPONENTS}),
    }


def highest(features: pd.DataFrame) -> Floats:
    """The highest utilisation that is known, of seats and of units; NaN for none."""
    both = number(features["seat_utilisation"]), number(features["unit_utilisation"])
    return np.asarray(np.fmax(*both))


def _texts(values: Mapping[str, Floats], weight: Mapping[str, Floats]) -> pd.Series[str]:
    """{component: [value, weight]} by row; the text of each component and value is made once."""
    parts = []
    for name in sorted(COMPONENTS):
        known, of = weight[name] > 0, int(weight[name].max(initial=0))
        texts = pa.array([dumps({name: [value, of]})[1:-1] for value in range(101)])
        parts.append(texts.take(pa.array(np.where(known, values[name], 0).astype(np.int64), mask=~known)))
    return joined(parts, "{}")


def _count(counts: pd.Series) -> Floats:
    return np.asarray(counts.astype("float64"), dtype=float)


def _mean(one: Floats, other: Floats) -> Floats:
    """The mean of what is known of two."""
    both = np.where(np.isnan(one), other, np.where(np.isnan(other), one, (one + other) / 2))
    return np.asarray(both)
