"""How ready each customer is to expand, by points that people can check (signals/readiness, semantics 6.4).

Here: the rule score, each contribution, and the reasons. Not here: the features they are made of
(`features.py`), the ranked list (`candidates.py`).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from expansion_platform.domain.core.canonical import dumps
from expansion_platform.domain.core.money import Ints
from expansion_platform.domain.signals.definition import ReadinessPoints
from expansion_platform.domain.signals.health import highest
from expansion_platform.domain.signals.texts import number

CONTRIBUTIONS = (
    "utilisation",
    "team_growth",
    "higher_tier",
    "adoption",
    "engagement",
    "health",
    "tenure",
    "past_due",
    "contraction",
    "detractor",
    "expanded_lately",
)
HIGH, MEDIUM = 0.80, 0.60
GREW = 0.10
ADOPTED = 0.60
HEALTHY = 70
SETTLED_MONTHS = 3
DETRACTOR = 6
LATELY_MONTHS = 1
"""An expansion in this month or the one before is one of the last 60 days."""


def readiness_of(features: pd.DataFrame, health: pd.Series, of: ReadinessPoints) -> pd.DataFrame:
    """Rows of signals/readiness, one a row of signals/features; `health` is the score by row."""
    given = points(features, health, of)
    total = np.clip(sum(given.values(), np.zeros(len(features), dtype=np.int64)), 0, 100)
    rows = features[["month", "customer"]].reset_index(drop=True)
    return rows.assign(score=total, **given, reasons_json=_reasons(given))


def points(features: pd.DataFrame, health: pd.Series, of: ReadinessPoints) -> dict[str, Ints]:
    """Each contribution by row of signals/features; what is not known contributes nothing."""
    utilisation = highest(features)
    since = features["months_since_expansion"].astype("float64").to_numpy()
    higher = features[["gate_hits", "higher_tier_requests"]].astype("float64").to_numpy()
    reached = {
        "team_growth": number(features["active_users_change_3m"]) >= GREW,
        "higher_tier": (np.nan_to_num(higher) > 0).any(axis=1),
        "adoption": number(features["key_feature_adoption"]) >= ADOPTED,
        "engagement": number(features["engagement_trend"]) > 0,
        "health": health.astype("float64").to_numpy() >= HEALTHY,
        "tenure": features["tenure_months"].to_numpy() >= SETTLED_MONTHS,
        "past_due": features["past_due"].to_numpy(dtype=bool),
        "contraction": features["contractions_3m"].to_numpy() > 0,
        "detractor": features["nps"].astype("float64").to_numpy() <= DETRACTOR,
        "expanded_lately": since <= LATELY_MONTHS,
    }
    high = np.where(
        utilisation >= HIGH, of.utilisation_high, np.where(utilisation >= MEDIUM, of.utilisation_medium, 0)
    )
    found = {"utilisation": high}
    found |= {name: np.where(here, getattr(of, name), 0) for name, here in reached.items()}
    return {name: found[name].astype(np.int64) for name in CONTRIBUTIONS}


def _reasons(given: dict[str, Ints]) -> pd.Series[str]:
    """[[name, points]] of what is not zero, the largest first; made once for rows that say the same."""
    code = np.zeros(len(given[CONTRIBUTIONS[0]]), dtype=np.int64)
    for name in CONTRIBUTIONS:
        kind, kinds = pd.factorize(given[name])
        code = code * max(len(kinds), 1) + kind
    code, first = pd.factorize(code)[0], np.flatnonzero(~pd.Series(code).duplicated())
    texts = [
        dumps(
            sorted(
                ([name, points] for name, points in zip(CONTRIBUTIONS, row, strict=True) if points),
                key=lambda reason: (-abs(reason[1]), CONTRIBUTIONS.index(reason[0])),
            )
        )
        for row in zip(*(given[name][first].tolist() for name in CONTRIBUTIONS), strict=True)
    ]
    return pd.Series(pd.Index(texts, dtype="str").take(code).array, dtype="str")
