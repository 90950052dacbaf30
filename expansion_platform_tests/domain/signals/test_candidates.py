"""The ranked list: order, whom to leave alone, what to offer, medians, expected values, reasons in words."""

from __future__ import annotations

import json
import random
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expansion_platform.domain.core.canonical import dumps
from expansion_platform.domain.core.months import shift
from expansion_platform.domain.core.table import to_pandas
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.signals import tables as signals
from expansion_platform.domain.signals.candidates import (
    compute_candidates,
    expected_values,
    median_expansions,
    suggested,
)
from expansion_platform.domain.signals.reason_texts import SENTENCES, in_words
from expansion_platform_tests.domain.signals.company import MARCH, Row, fact, moved
from expansion_platform_tests.domain.signals.rule_inputs import arrow, close, inputs, valid

NOBODY = pd.DataFrame(
    {name: pd.Series(dtype="str") for name in ("programme", "customer", "arm", "assigned_at", "randomised")}
)


def candidate(
    customer: str, score: int = 50, probability: str | None = None, month: str = MARCH, **features: Any
) -> dict[Any, Row]:
    """The rows of one customer by table; `health`, `top_decile` and `reasons` beside features."""
    health, leaves = features.pop("health", None), features.pop("top_decile", False)
    reasons, key = features.pop("reasons", []), {"month": month, "customer": customer}
    return {
        signals.Features: close(month, customer, own_json="{}", **features),
        signals.Readiness: {**key, "score": score, "reasons_json": dumps(reasons)},
        signals.Health: {**key, "score": health},
        signals.Propensity: {**key, "probability": probability, "reasons_json": '["of the model"]'},
        signals.ChurnRisk: {**key, "top_decile": leaves},
    }


def listed(*candidates: dict[Any, Row], more: Any = None, months: tuple[str, ...] = (MARCH,)) -> pd.DataFrame:
    tables = {model: [each[model] for each in candidates] for model in candidate("c")}
    tables = {mrr.Movements: [], signals.OwnerPeriods: [], **tables, **(more or {})}
    found = compute_candidates(list(months), inputs(tables, assignments=NOBODY)).frames[signals.Candidates]
    return valid(signals.Candidates, found)


def ranked(*candidates: dict[Any, Row]) -> list[str]:
    return listed(*candidates)["customer"].tolist()


def test_the_order_is_by_score_mrr_and_customer() -> None:
    every = [
        candidate("d", 50, mrr=900),
        candidate("a", 49, mrr=9000),
        candidate("c", 50, mrr=900),
        candidate("b", 51, mrr=1),
        candidate("e", 50, mrr=901),
    ]
    assert ranked(*every) == ranked(*every[::-1]) == ["b", "e", "c", "d", "a"]
    assert listed(*every)["rank"].tolist() == [1, 2, 3, 4, 5]


def test_a_probability_comes_before_the_score() -> None:
    every = [
        candidate("a", 90, "0.100000"),
        candidate("b", 10, "0.900000"),
        candidate("c", 20, "0.900000"),
        candidate("d", 100),
    ]
    rows = listed(*every)
    assert rows["customer"].tolist() == ["c", "b", "a", "d"]
    assert rows["basis"].tolist() == ["probability"] * 3 + ["rule score"]
    assert rows["reasons_json"].tolist() == ['["of the model"]'] * 3 + ["[]"]


def test_ranks_begin_again_with_each_month() -> None:
    rows = listed(
        candidate("a", 1), candidate("b", 2), candidate("a", 5, month="2026-02"), months=("2026-02", MARCH)
    )
    assert rows[["month", "rank", "customer"]].to_numpy().tolist() == [
        ["2026-02", 1, "a"],
        [MARCH, 1, "b"],
        [MARCH, 2, "a"],
    ]
    assert listed(candidate("a"), months=("2025-01",)).empty


@pytest.mark.parametrize(
    ("said", "because"),
    [
        ({}, None),
        ({"critical_tickets": 1}, "critical ticket open"),
        ({"critical_tickets": 0}, None),
        ({"health": 39}, "health is low"),
        ({"health": 40}, None),
        ({"past_due": True}, "payment past due"),
        ({"top_decile": True}, "high risk of leaving"),
        ({"months_since_expansion": 0}, "expanded in the last 60 days"),
        ({"months_since_expansion": 1}, "expanded in the last 60 days"),
        ({"months_since_expansion": 2}, None),
        ({"months_since_expansion": 0, "top_decile": True}, "high risk of leaving"),
        ({"top_decile": True, "past_due": True}, "payment past due"),
        ({"past_due": True, "health": 0}, "health is low"),
        ({"health": 0, "critical_tickets": 2}, "critical ticket open"),
    ],
)
def test_whom_to_leave_alone(said: Row, because: str | None) -> None:
    row = listed(candidate("a", 90, **said), candidate("b", 10)).iloc[0]
    # It keeps its place: the person decides.
    assert (row["customer"], row["do_not_push"]) == ("a", because is not None)
    assert (None if pd.isna(row["do_not_push_because"]) else row["do_not_push_because"]) == because


def test_who_is_in_no_table_of_risk_is_at_none() -> None:
    rows = candidate("a")
    found = listed(rows, more={signals.ChurnRisk: [], signals.Propensity: []})
    assert (found["do_not_push"].tolist(), found["basis"].tolist()) == ([False], ["rule score"])


@pytest.mark.parametrize(
    ("said", "offer"),
    [
        ({}, None),
        ({"seat_utilisation": "0.800000"}, "seat"),
        ({"seat_utilisation": "0.799999"}, None),
        ({"unit_utilisation": "0.800000"}, "usage"),
        ({"seat_utilisation": "0.900000", "unit_utilisation": "0.900000"}, "seat"),
        ({"seat_utilisation": "0.850000", "unit_utilisation": "0.900000"}, "usage"),
        ({"seat_utilisation": "0.100000", "unit_utilisation": "0.900000", "gate_hits": 3}, "usage"),
        ({"gate_hits": 1}, "tier"),
        ({"higher_tier_requests": 1, "active_users_change_3m": "0.500000"}, "tier"),
        ({"gate_hits": 0, "higher_tier_requests": 0}, None),
        ({"active_users_change_3m": "0.000001", "key_feature_adoption": "1.000000"}, "seat"),
        ({"active_users_change_3m": "0.000000", "key_feature_adoption": "0.600000"}, "cross_sell"),
        ({"key_feature_adoption": "0.599999"}, None),
    ],
)
def test_what_it_would_most_likely_buy(said: Row, offer: str | None) -> None:
    features = to_pandas(arrow(signals.Features, [close(MARCH, "a", **said)]))
    found = suggested(features)[0]
    assert (None if pd.isna(found) else found) == offer


class TestMedians:
    def medians(self, *movements: Row, months: tuple[str, ...] = (MARCH,)) -> dict[tuple[str, str], int]:
        frame = to_pandas(arrow(mrr.Movements, movements))
        found = median_expansions(months, frame[["month", "customer", "segment", "flow_expansion"]])
        return {(row.month, row.segment): row.median_expansion for row in found.itertuples()}

    def test_of_the_year_up_to_the_month(self) -> None:
        movements = [
            moved(shift(MARCH, -12), 9000),
            moved(shift(MARCH, -11), 100),
            moved(MARCH, 300),
            moved(MARCH, 700, customer="c2"),
            moved(MARCH, 5000, customer="c3", segment="enterprise"),
            moved(MARCH, 0, -40, customer="c4"),
            moved("2026-04", 9000),
        ]
        assert self.medians(*movements) == {(MARCH, "smb"): 300, (MARCH, "enterprise"): 5000}

    @pytest.mark.parametrize(("amounts", "median"), [((1, 2), 2), ((2, 3), 2), ((3, 4), 4), ((5, 8), 6)])
    def test_halves_are_rounded_to_even(self, amounts: tuple[int, int], median: int) -> None:
        movements = [moved(MARCH, amount, customer=f"c{amount}") for amount in amounts]
        assert self.medians(*movements) == {(MARCH, "smb"): median}

    def test_of_each_month_its_own_year(self) -> None:
        movements = [moved("2026-02", 100), moved(MARCH, 300)]
        found = self.medians(*movements, months=("2026-02", MARCH))
        assert found == {("2026-02", "smb"): 100, (MARCH, "smb"): 200}

    def test_of_none(self) -> None:
        assert self.medians() == {}
        row = listed(candidate("a", 1, "0.500000")).iloc[0]
        assert pd.isna(row["median_expansion"])
        assert pd.isna(row["expected_value"])

    def test_in_the_list_by_segment_and_with_the_probability(self) -> None:
        movements = {mrr.Movements: [moved(MARCH, 250), moved(MARCH, 7, customer="c3", segment="enterprise")]}
        rows = listed(candidate("a", 1, "0.100000"), candidate("b", 1), more=movements)
        assert rows["median_expansion"].tolist() == [250, 250]
        # 25 and nothing without a probability.
        assert rows["expected_value"].tolist() == [25, pd.NA]


@pytest.mark.parametrize(
    ("probability", "median", "value"),
    [
        ("0.500000", 5, 2),  # 2.5
        ("0.500000", 7, 4),  # 3.5
        ("0.333333", 3, 1),  # 0.999999
        ("0.000001", 500_000, 0),  # 0.5
        ("0.000001", 500_001, 1),
        ("1.000000", 10**12, 10**12),
        (None, 5, None),
        ("0.500000", None, None),
    ],
)
def test_expected_values_are_rounded_half_to_even(
    probability: str | None, median: int | None, value: int | None
) -> None:
    found = expected_values(pd.Series([probability], dtype="str"), pd.Series([median], dtype="Int64"))
    assert (None if pd.isna(found[0]) else found[0]) == value


def test_owner_segment_and_touch_are_shown() -> None:
    owners = [fact("2026-01-01", customer="a", owner="ana", valid_from="2025-01-01")]
    owners += [fact("2026-04-07", customer="a", owner="bo", valid_from="2026-01-01", version=1)]
    row = listed(
        candidate("a", segment="enterprise", last_touch="2026-03-03"), more={signals.OwnerPeriods: owners}
    ).iloc[0]
    assert (row["owner"], row["segment"], row["last_touch"]) == ("ana", "enterprise", "2026-03-03")


def words(reasons: list[Any], health: int | None = None, **said: Any) -> list[str]:
    features = to_pandas(arrow(signals.Features, [close(MARCH, "a", **said)]))
    scored = pd.Series([health], dtype="Int64")
    found = in_words(features.assign(reasons_json=dumps(reasons), health_score=scored))
    return list(json.loads(found[0]))


@pytest.mark.parametrize(
    ("name", "said", "sentence"),
    [
        ("utilisation", {"seat_utilisation": "0.814999"}, "uses 81 % of its limit"),
        (
            "utilisation",
            {"seat_utilisation": "0.1", "unit_utilisation": "1.250000"},
            "uses 125 % of its limit",
        ),
        (
            "team_growth",
            {"active_users_change_3m": "0.250000"},
            "active users changed by 25 % in three months",
        ),
        (
            "higher_tier",
            {"gate_hits": 4, "higher_tier_requests": None},
            "4 attempts at or requests for features of a higher plan",
        ),
        ("adoption", {"key_feature_adoption": "0.666667"}, "uses 67 % of the key features"),
        ("engagement", {}, "is used more from month to month"),
        ("health", {"health": 88}, "health is 88"),
        ("tenure", {"tenure_months": 14}, "customer for 14 months"),
        ("past_due", {}, "a payment is past due"),
        ("contraction", {}, "contracted in the last three months"),
        ("detractor", {"nps": 0}, "answered NPS with 0"),
        ("expanded_lately", {}, "expanded in the last 60 days"),
    ],
)
def test_each_reason_in_words(name: str, said: Row, sentence: str) -> None:
    assert words([[name, 10]], **said) == [sentence]
    assert name in SENTENCES


def test_the_three_strongest_reasons_in_their_order() -> None:
    reasons = [["utilisation", 30], ["past_due", -25], ["engagement", 10], ["tenure", 5]]
    assert words(reasons, seat_utilisation="0.9") == [
        "uses 90 % of its limit",
        "a payment is past due",
        "is used more from month to month",
    ]
    assert words([]) == []


def test_reasons_of_many_rows_stay_with_their_rows() -> None:
    """Rows without a reason among them, and an index of their own."""
    features = to_pandas(
        arrow(signals.Features, [close(MARCH, f"c{each}", tenure_months=each) for each in range(6)])
    )
    reasons = [dumps([["tenure", 5]] if each % 2 else []) for each in range(6)]
    rows = features.assign(
        reasons_json=pd.Series(reasons, dtype="str"), health_score=pd.array([None] * 6, "Int64")
    )
    found = in_words(rows.set_index(pd.Index([9, 8, 7, 6, 5, 4])))
    assert found.to_dict() == {
        9: "[]",
        8: '["customer for 1 months"]',
        7: "[]",
        6: '["customer for 3 months"]',
        5: "[]",
        4: '["customer for 5 months"]',
    }
    assert in_words(rows.iloc[:0]).empty


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_the_order_of_rows_does_not_matter(seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311
    every = [
        candidate(
            f"c{place}",
            dice.choice([10, 20]),
            dice.choice([None, "0.100000", "0.200000"]),
            mrr=dice.choice([100, 200]),
            health=dice.choice([None, 10, 90]),
        )
        for place in range(6)
    ]
    rows = listed(*every)
    for _ in range(2):
        dice.shuffle(every)
        pd.testing.assert_frame_equal(listed(*every), rows)
    first = rows["probability"].astype(float).fillna(-1)
    keys = list(zip(-first, -rows["score"], -rows["mrr"], rows["customer"], strict=True))
    assert keys == sorted(keys)
