"""Health, worked out by hand: each component, and their weighted mean."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expansion_platform.domain.core.table import to_pandas
from expansion_platform.domain.signals.definition import HealthWeights
from expansion_platform.domain.signals.health import components, health_of
from expansion_platform.domain.signals.tables import Features, Health
from expansion_platform_tests.domain.signals.rule_inputs import arrow, close, valid


def features(**said: Any) -> pd.DataFrame:
    return to_pandas(arrow(Features, [close("2026-03", "c1", **said)]))


def component(name: str, **said: Any) -> float | None:
    value = components(features(**said))[name][0]
    return None if pd.isna(value) else round(float(value), 6)


def health(weights: HealthWeights | None = None, **said: Any) -> dict[str, Any]:
    """Score, components and what is missing."""
    row = valid(Health, health_of(features(**said), weights or HealthWeights())).iloc[0]
    return {
        "score": None if pd.isna(row["score"]) else int(row["score"]),
        "components": json.loads(row["components_json"]),
        "missing": json.loads(row["missing_json"]),
    }


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ({"active_days": 10}, 50),
        ({"active_days": 20}, 100),
        ({"active_days": 31}, 100),
        ({"stickiness": "0.100000"}, 25),
        ({"stickiness": "0.400000"}, 100),
        ({"stickiness": "0.900000"}, 100),
        ({"active_days": 10, "stickiness": "0.400000"}, 75),
        ({"active_days": 0}, 0),
        ({}, None),
    ],
)
def test_engagement_is_days_and_daily_users(said: dict[str, Any], value: float | None) -> None:
    assert component("engagement", **said) == value


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ({"key_feature_adoption": "0.250000"}, 25),
        ({"key_feature_adoption": "0.250000", "features_used": 5}, 25),
        ({"features_used": 2}, 40),
        ({"features_used": 5}, 100),
        ({"features_used": 9}, 100),
        ({"features_used": 0}, 0),
        ({}, None),
    ],
)
def test_adoption_is_of_key_features_where_they_are_named(said: dict[str, Any], value: float | None) -> None:
    assert component("adoption", **said) == value


@pytest.mark.parametrize(
    ("used", "value"),
    [
        ("0.000000", 0),
        ("0.350000", 50),
        ("0.700000", 100),
        ("0.950000", 100),
        ("1.225000", 75),  # half way from 95 % to 150 %
        ("1.500000", 50),
        ("9.000000", 50),
    ],
)
def test_utilisation_is_best_from_70_to_95_percent(used: str, value: float) -> None:
    assert component("utilisation", seat_utilisation=used) == value
    assert component("utilisation", unit_utilisation=used) == value
    assert component("utilisation", unit_utilisation=used, seat_utilisation="0.000000") == value


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ({"nps": 7}, 70),
        ({"open_tickets": 0, "critical_tickets": 0}, 100),
        ({"open_tickets": 2, "critical_tickets": 1}, 40),  # 100 - 2 x 10 - 40
        ({"open_tickets": 4, "critical_tickets": 3}, 0),
        ({"nps": 9, "open_tickets": 3, "critical_tickets": 0}, 80),  # mean of 90 and 70
        ({}, None),
    ],
)
def test_support_is_tickets_and_nps(said: dict[str, Any], value: float | None) -> None:
    assert component("support", **said) == value


def test_the_mean_by_weights() -> None:
    found = health(
        active_days=10, key_feature_adoption="0.800000", seat_utilisation="0.350000", nps=9, open_tickets=0,
        critical_tickets=1,
    )  # fmt: skip
    # 50 x 35 + 80 x 25 + 50 x 20 + mean(90, 60) x 20 = 1750 + 2000 + 1000 + 1500, by 100: 62.5, half to even.
    assert found == {
        "score": 62,
        "components": {
            "adoption": [80, 25], "engagement": [50, 35], "support": [75, 20], "utilisation": [50, 20]
        },
        "missing": [],
    }  # fmt: skip


def test_weights_of_what_is_known_count_for_the_rest() -> None:
    found = health(active_days=10, features_used=4)
    assert found["score"] == 62  # (50 x 35 + 80 x 25) / 60 = 62.5
    assert found["components"] == {"adoption": [80, 25], "engagement": [50, 35]}
    assert found["missing"] == ["support", "utilisation"]


def test_one_component_makes_no_score() -> None:
    found = health(nps=9)
    assert (found["score"], found["components"]) == (None, {"support": [90, 20]})
    assert found["missing"] == ["adoption", "engagement", "utilisation"]
    assert health()["score"] is None and health()["components"] == {}


def test_a_component_of_no_weight_is_left_out() -> None:
    weights = HealthWeights(engagement=1, adoption=3, utilisation=0, support=0)
    found = health(weights, active_days=20, features_used=0, seat_utilisation="0.700000", nps=3)
    assert (found["score"], found["components"]) == (25, {"adoption": [0, 3], "engagement": [100, 1]})
    alone = HealthWeights(engagement=1, adoption=0, utilisation=0, support=0)
    assert health(alone, active_days=20, features_used=5)["score"] is None


def test_what_is_not_known_is_not_bad() -> None:
    """Two customers alike, of one of which the support is not known: it has no lower health."""
    said = {"active_days": 20, "features_used": 5}
    assert health(**said)["score"] == 100
    assert health(**said, nps=0)["score"] == 75  # 100 x 60 + 0 x 20, by 80


def test_each_row_has_its_own_components() -> None:
    """Also beside customers of which nothing is known."""
    rows = [close("2026-03", "c1"), close("2026-03", "c2", nps=9), close("2026-03", "c3")]
    rows.append(close("2026-03", "c4", active_days=20, features_used=1))
    found = valid(Health, health_of(to_pandas(arrow(Features, rows)), HealthWeights()))
    shown = dict(zip(found["customer"], found["components_json"].map(json.loads), strict=True))
    assert shown == {
        "c1": {},
        "c2": {"support": [90, 20]},
        "c3": {},
        "c4": {"adoption": [20, 25], "engagement": [100, 35]},
    }


def test_no_rows() -> None:
    assert health_of(features().iloc[:0], HealthWeights()).empty


@given(
    st.fixed_dictionaries(
        {
            "active_days": st.none() | st.integers(0, 31),
            "stickiness": st.none() | st.integers(0, 10**6).map(lambda part: f"{part / 10**6:.6f}"),
            "features_used": st.none() | st.integers(0, 20),
            "seat_utilisation": st.none() | st.integers(0, 3 * 10**6).map(lambda part: f"{part / 10**6:.6f}"),
            "nps": st.none() | st.integers(0, 10),
            "open_tickets": st.none() | st.integers(0, 20),
        }
    )
)
def test_health_is_the_mean_of_the_components_it_shows(said: dict[str, Any]) -> None:
    found = health(**said, critical_tickets=None if said["open_tickets"] is None else 0)
    shown = found["components"]
    assert set(shown) | set(found["missing"]) == {"engagement", "adoption", "utilisation", "support"}
    assert all(0 <= value <= 100 for value, _ in shown.values())
    if len(shown) < 2:
        assert found["score"] is None
    else:
        mean = sum(value * weight for value, weight in shown.values()) / sum(w for _, w in shown.values())
        assert abs(found["score"] - mean) <= 0.5 + 1e-9
