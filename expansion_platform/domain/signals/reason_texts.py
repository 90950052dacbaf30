"""The reasons of readiness in words, as people read them in signals/candidates.

Here: the sentences, whole columns at once. Not here: the points (`readiness.py`), the list (`candidates.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import pandas as pd
import pyarrow as pa

from expansion_platform.domain.core.canonical import text
from expansion_platform.domain.core.money import Ints
from expansion_platform.domain.signals.health import highest
from expansion_platform.domain.signals.members import Floats
from expansion_platform.domain.signals.readiness import CONTRIBUTIONS
from expansion_platform.domain.signals.texts import joined, number

SHOWN_REASONS = 3
SENTENCES: Mapping[str, str] = {
    "utilisation": "uses {} % of its limit",
    "team_growth": "active users changed by {} % in three months",
    "higher_tier": "{} attempts at or requests for features of a higher plan",
    "adoption": "uses {} % of the key features",
    "engagement": "is used more from month to month",
    "health": "health is {}",
    "tenure": "customer for {} months",
    "past_due": "a payment is past due",
    "contraction": "contracted in the last three months",
    "detractor": "answered NPS with {}",
    "expanded_lately": "expanded in the last 60 days",
}


def in_words(rows: pd.DataFrame) -> pd.Series[str]:
    """The three strongest reasons of each row in words, as JSON.

    Args:
        rows: signals/features with `reasons_json` of signals/readiness and `health_score`.
    """
    figures = _figures(rows)
    code, distinct = pd.factorize(rows["reasons_json"])
    strongest = np.full((len(distinct), SHOWN_REASONS), -1, dtype=np.int64)
    for kind, reasons in enumerate(distinct):
        names = [CONTRIBUTIONS.index(name) for name, _ in json.loads(reasons)[:SHOWN_REASONS]]
        strongest[kind, : len(names)] = names
    shown = strongest[code]
    # Each sentence is made once for each figure that is said with it.
    texts: list[str] = []
    said = np.full(shown.shape, -1, dtype=np.int64)
    for place, name in enumerate(CONTRIBUTIONS):
        here = shown == place
        values = figures.get(name, np.zeros(len(rows), dtype=np.int64))
        kind, kinds = pd.factorize(np.broadcast_to(values[:, None], shown.shape)[here])
        said[here] = kind + len(texts)
        texts += [text(SENTENCES[name].format(value)) for value in kinds.tolist()]
    known = pa.array(texts, pa.string())
    parts = [known.take(pa.array(column, mask=column < 0)) for column in said.T]
    return joined(parts, "[]").set_axis(rows.index)


def _figures(rows: pd.DataFrame) -> dict[str, Ints]:
    tries = rows[["gate_hits", "higher_tier_requests"]].astype("float64").fillna(0).sum(axis=1)
    return {
        "utilisation": _percent(highest(rows)),
        "team_growth": _percent(number(rows["active_users_change_3m"])),
        "higher_tier": tries.to_numpy().astype(np.int64),
        "adoption": _percent(number(rows["key_feature_adoption"])),
        "health": _whole(rows["health_score"]),
        "tenure": rows["tenure_months"].to_numpy(dtype=np.int64),
        "detractor": _whole(rows["nps"]),
    }


def _percent(shares: Floats) -> Ints:
    return np.rint(100 * np.nan_to_num(shares)).astype(np.int64)


def _whole(counts: pd.Series[int]) -> Ints:
    return np.nan_to_num(counts.astype("float64").to_numpy()).astype(np.int64)
