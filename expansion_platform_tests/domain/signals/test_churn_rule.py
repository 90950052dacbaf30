"""The points of the churn rule, each at its edge."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from expansion_platform.domain.signals.churn_rule import (
    POINTS,
    churn_points,
    churn_reasons,
    churn_score,
    first_tenth,
)

NOTHING: dict[str, Any] = {
    "past_due": False,
    "engagement_trend": None,
    "active_users_change_3m": None,
    "contractions_3m": 0,
    "critical_tickets": None,
    "nps": None,
    "months_to_renewal": None,
    "interval_months": 1,
    "seats_growth_3m": None,
    "months_to_discount_end": None,
}


def features(*rows: dict[str, Any]) -> pd.DataFrame:
    frame = pd.DataFrame([{**NOTHING, **row} for row in rows])
    texts = ["engagement_trend", "active_users_change_3m", "seats_growth_3m"]
    counts = ["critical_tickets", "nps", "months_to_renewal", "interval_months", "months_to_discount_end"]
    return frame.astype(dict.fromkeys(texts, "str") | dict.fromkeys(counts, "Int64"))


@pytest.mark.parametrize(
    ("row", "given"),
    [
        ({}, {}),
        ({"past_due": True}, {"past_due": 30}),
        ({"active_users_change_3m": "-0.250000"}, {"team_shrinks": 20}),
        ({"active_users_change_3m": "-0.249999"}, {}),
        ({"contractions_3m": 1}, {"contracted": 15}),
        ({"critical_tickets": 1}, {"unhappy": 15}),
        ({"nps": 6}, {"unhappy": 15}),
        ({"nps": 7}, {}),
        ({"nps": 0, "critical_tickets": 2}, {"unhappy": 15}),
        ({"months_to_renewal": 2, "interval_months": 12}, {"renews": 10}),
        ({"months_to_renewal": 3, "interval_months": 12}, {}),
        ({"months_to_renewal": 1}, {}),  # by the month it always renews soon
        ({"months_to_discount_end": 2}, {"discount_ends": 10}),
        ({"seats_growth_3m": "0.500000"}, {"seat_surge": 5}),
        ({"seats_growth_3m": "0.499999"}, {}),
    ],
)
def test_points(row: dict[str, Any], given: dict[str, int]) -> None:
    points = churn_points(features(row))
    assert {name: int(each[0]) for name, each in points.items() if each[0]} == given
    assert churn_score(points).tolist() == [sum(given.values())]


def test_engagement_counts_in_the_lowest_quarter_and_only_where_it_falls() -> None:
    falling = features(*({"engagement_trend": f"{trend:.6f}"} for trend in (-0.4, -0.2, -0.1, 0.1, 0.3)))
    assert churn_points(falling)["engagement_falls"].tolist() == [20, 20, 0, 0, 0]
    rising = features(*({"engagement_trend": f"{trend:.6f}"} for trend in (0.1, 0.2, 0.3, 0.4)))
    assert churn_points(rising)["engagement_falls"].tolist() == [0, 0, 0, 0]


def test_all_together_are_at_most_100_and_the_most_first() -> None:
    rows = features(
        {
            "past_due": True,
            "engagement_trend": "-1.000000",
            "active_users_change_3m": "-0.500000",
            "contractions_3m": 2,
            "nps": 1,
            "months_to_renewal": 1,
            "interval_months": 12,
            "months_to_discount_end": 1,
            "seats_growth_3m": "1.000000",
        },
        {},
    )
    points = churn_points(rows)
    assert churn_score(points).tolist() == [100, 0]
    said = [json.loads(text) for text in churn_reasons(points)]
    assert len(said[0]) == len(POINTS) and said[0][0] == "a payment is past due" and said[1] == []


def test_the_first_tenth_has_risk_and_ties_go_by_name() -> None:
    customers = pd.Series([f"c{number:02d}" for number in range(20)])
    score = np.zeros(20)
    assert not first_tenth(score, customers).any()
    score[[7, 3, 11]] = 20
    assert customers[first_tenth(score, customers)].tolist() == ["c03", "c07"]
    assert first_tenth(np.empty(0), customers[:0]).tolist() == []
