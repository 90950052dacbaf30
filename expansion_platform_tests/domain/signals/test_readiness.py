"""Readiness: each contribution with its threshold exactly at the edge, their sum and the reasons."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

from expansion_platform.domain.core.table import to_pandas
from expansion_platform.domain.signals.definition import ReadinessPoints
from expansion_platform.domain.signals.readiness import CONTRIBUTIONS, readiness_of
from expansion_platform.domain.signals.tables import Features, Readiness
from expansion_platform_tests.domain.signals.rule_inputs import arrow, close, valid

NEW = {"tenure_months": 2}
"""A customer of which nothing gives or takes points."""


def readiness(health: int | None = None, of: ReadinessPoints | None = None, **said: Any) -> dict[str, Any]:
    """The row of one customer; of one that is new unless said otherwise."""
    features = to_pandas(arrow(Features, [close("2026-03", "c1", **{**NEW, **said})]))
    scores = pd.Series(pd.array([health], dtype="Int64"))
    row = valid(Readiness, readiness_of(features, scores, of or ReadinessPoints())).iloc[0]
    return {str(name): row[name] for name in (*CONTRIBUTIONS, "score", "reasons_json")}


EDGES = [
    ("utilisation", {"seat_utilisation": "0.800000"}, 30),
    ("utilisation", {"seat_utilisation": "0.799999"}, 15),
    ("utilisation", {"unit_utilisation": "0.600000"}, 15),
    ("utilisation", {"unit_utilisation": "0.599999"}, 0),
    ("utilisation", {"seat_utilisation": "0.100000", "unit_utilisation": "0.800000"}, 30),
    ("utilisation", {"seat_utilisation": "0.800000", "unit_utilisation": "0.100000"}, 30),
    ("team_growth", {"active_users_change_3m": "0.100000"}, 20),
    ("team_growth", {"active_users_change_3m": "0.099999"}, 0),
    ("higher_tier", {"gate_hits": 1}, 15),
    ("higher_tier", {"higher_tier_requests": 1}, 15),
    ("higher_tier", {"gate_hits": 2, "higher_tier_requests": 3}, 15),
    ("higher_tier", {"gate_hits": 0, "higher_tier_requests": 0}, 0),
    ("adoption", {"key_feature_adoption": "0.600000"}, 10),
    ("adoption", {"key_feature_adoption": "0.599999"}, 0),
    ("engagement", {"engagement_trend": "0.000001"}, 10),
    ("engagement", {"engagement_trend": "0.000000"}, 0),
    ("engagement", {"engagement_trend": "-0.500000"}, 0),
    ("health", {"health": 70}, 10),
    ("health", {"health": 69}, 0),
    ("tenure", {"tenure_months": 3}, 5),
    ("tenure", {"tenure_months": 2}, 0),
    ("past_due", {"past_due": True}, -25),
    ("past_due", {"past_due": False}, 0),
    ("contraction", {"contractions_3m": 1}, -15),
    ("contraction", {"contractions_3m": 3}, -15),
    ("contraction", {"contractions_3m": 0, "contractions_6m": 1}, 0),
    ("detractor", {"nps": 6}, -10),
    ("detractor", {"nps": 0}, -10),
    ("detractor", {"nps": 7}, 0),
    ("expanded_lately", {"months_since_expansion": 0}, -10),
    ("expanded_lately", {"months_since_expansion": 1}, -10),
    ("expanded_lately", {"months_since_expansion": 2}, 0),
]


@pytest.mark.parametrize(("name", "said", "points"), EDGES)
def test_a_contribution_at_its_edge(name: str, said: dict[str, Any], points: int) -> None:
    row = readiness(**said)
    assert row[name] == points
    assert {other for other in CONTRIBUTIONS if row[other] and other != name} == set()
    assert row["score"] == max(points, 0)
    assert json.loads(row["reasons_json"]) == ([[name, points]] if points else [])


def test_the_edges_are_those_of_every_contribution() -> None:
    for name in CONTRIBUTIONS:
        assert {0} < {points for each, _, points in EDGES if each == name}


def test_what_is_not_known_gives_nothing() -> None:
    assert (readiness()["score"], readiness()["reasons_json"]) == (0, "[]")


EVERYTHING = {
    "seat_utilisation": "0.900000",
    "active_users_change_3m": "0.200000",
    "gate_hits": 1,
    "key_feature_adoption": "1.000000",
    "engagement_trend": "0.100000",
    "health": 90,
    "tenure_months": 20,
}


def test_the_score_is_the_sum() -> None:
    assert readiness(**EVERYTHING)["score"] == 100  # 30 + 20 + 15 + 10 + 10 + 10 + 5
    row = readiness(**EVERYTHING, past_due=True, contractions_3m=1, nps=2, months_since_expansion=1)
    assert row["score"] == 40  # less 25 + 15 + 10 + 10


def test_the_score_is_between_0_and_100() -> None:
    assert readiness(past_due=True, contractions_3m=1)["score"] == 0
    assert readiness(of=ReadinessPoints(tenure=90), **EVERYTHING)["score"] == 100


def test_reasons_are_in_the_order_of_their_weight_either_way() -> None:
    row = readiness(**EVERYTHING, past_due=True, nps=2)
    assert json.loads(row["reasons_json"]) == [
        ["utilisation", 30],
        ["past_due", -25],
        ["team_growth", 20],
        ["higher_tier", 15],
        ["adoption", 10],
        ["engagement", 10],
        ["health", 10],
        ["detractor", -10],
        ["tenure", 5],
    ]


def test_points_of_the_user_s_own() -> None:
    of = ReadinessPoints(utilisation_high=7, team_growth=0)
    row = readiness(of=of, seat_utilisation="0.900000", active_users_change_3m="0.200000")
    assert (row["score"], row["team_growth"]) == (7, 0)
    assert json.loads(row["reasons_json"]) == [["utilisation", 7]]


def test_rows_keep_their_customers() -> None:
    rows = [close("2026-03", "c1", gate_hits=1, **NEW), close("2026-03", "c2", **NEW)]
    rows.append(close("2026-04", "c1", gate_hits=1, nps=1, **NEW))
    features = to_pandas(arrow(Features, rows))
    scores = pd.Series(pd.array([None, 80, None], dtype="Int64"))
    found = readiness_of(features, scores, ReadinessPoints())
    assert found[["month", "customer", "score"]].to_numpy().tolist() == [
        ["2026-03", "c1", 15],
        ["2026-03", "c2", 10],
        ["2026-04", "c1", 5],
    ]
    empty = readiness_of(features.iloc[:0], scores.iloc[:0], ReadinessPoints())
    assert empty.empty and list(empty.columns) == list(found.columns)
