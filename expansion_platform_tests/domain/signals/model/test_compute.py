"""The tables of models from rows of the lake: what counts, what is published, that it is always the same."""

from __future__ import annotations

import json
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest

from expansion_platform.domain.core.table import Table
from expansion_platform.domain.mrr.tables import Movements
from expansion_platform.domain.signals.model import closes
from expansion_platform.domain.signals.model.compute import HISTORY, compute_models
from expansion_platform.domain.signals.tables import ChurnRisk, Features, ModelCard, Propensity, Readiness
from expansion_platform_tests.domain.signals.model.companies import Company, company, stored
from expansion_platform_tests.domain.signals.model.test_assess import STRONG
from expansion_platform_tests.domain.signals.rule_inputs import close, expansion, inputs, valid

CUSTOMERS, MONTHS = 700, 28
Tables = dict[type[Table], list[dict[str, Any]]]


def calendar(length: int) -> list[str]:
    return list(pd.period_range("2023-01", periods=length, freq="M").astype(str))


def rows_of(of: Company) -> Tables:
    """The company as rows of the lake."""
    features = [
        close(
            row.pop("month"),
            row.pop("customer"),
            **{name: each for name, each in row.items() if each == each},
        )
        for row in stored(of.features).astype(object).replace({pd.NA: None, np.nan: None}).to_dict("records")
    ]
    moved = [
        {**expansion(month, customer), "flags_json": "[]"}
        if kind == "expansion"
        else {**expansion(month, customer, 0), "movement": "churn", "flags_json": "[]"}
        for month, customer, kind in of.events[["month", "customer", "kind"]].itertuples(index=False)
    ]
    scores = [
        {"month": month, "customer": customer, "score": int(rule)}
        for month, customer, rule in of.scored()[["month", "customer", "rule"]].itertuples(index=False)
    ]
    return {Features: features, Movements: moved, Readiness: scores}


@pytest.fixture(scope="module")
def tables() -> Tables:
    return rows_of(company(7, STRONG, customers=CUSTOMERS, months=MONTHS))


def computed(tables: Tables, *months: str) -> dict[type[Table], pd.DataFrame]:
    return dict(compute_models(list(months), inputs(tables)).frames)


def test_a_released_model_gives_each_customer_a_probability_and_reasons(tables: Tables) -> None:
    month = calendar(MONTHS)[-1]
    frames = computed(tables, month)
    for model, rows in frames.items():
        valid(model, rows)
    said, card = frames[Propensity], frames[ModelCard].query("model == 'expansion'")
    gate = card[card["metric"] == "gate"].iloc[0]
    assert gate["value"] == "1.000000" and gate["verdict"].startswith("released: "), gate["verdict"]
    assert said["probability"].notna().all() and len(said) == CUSTOMERS
    assert said["model"].str.match(r"(logistic|boosted) \d{4}-\d{2}$").all()
    assert (said["decile"].value_counts() == CUSTOMERS // 10).all()
    first = said.assign(p=said["probability"].astype(float)).groupby("decile")["p"]
    assert (first.min().iloc[:-1].to_numpy() >= first.max().iloc[1:].to_numpy()).all()
    assert all(len(json.loads(text)) <= 3 for text in said["reasons_json"])
    assert json.loads(said.sort_values("probability").iloc[-1]["reasons_json"])
    metrics = set(card["metric"])
    assert {"pr_auc", "roc_auc", "brier_skill", "calibration_slope", "bin_10_happened", "usage"} <= metrics
    assert any(name.startswith("psi_") for name in metrics)
    baselines = set(card.loc[card["metric"] == "pr_auc", "baseline"])
    assert baselines == {
        "",
        "rule score",
        "expanded lately",
        "utilisation alone",
        "base rate",
        "without usage",
    }
    risk, churn = frames[ChurnRisk], frames[ModelCard].query("model == 'churn' and metric == 'gate'").iloc[0]
    released = churn["value"] == "1.000000"
    assert (risk["basis"] == ("probability" if released else "rule score")).all()
    assert risk["probability"].notna().all() == released
    assert 0 < risk["top_decile"].sum() <= CUSTOMERS // 10


def test_where_nobody_leaves_the_risk_is_the_rule_score(tables: Tables) -> None:
    staying = [row for row in tables[Movements] if row["movement"] != "churn"]
    frames = computed({**tables, Movements: staying}, calendar(MONTHS)[-1])
    risk, churn = frames[ChurnRisk], frames[ModelCard].query("model == 'churn' and metric == 'gate'").iloc[0]
    assert churn["verdict"] == "no calibrated probability: 0 cases to learn from, 50 are needed"
    assert (risk["basis"] == "rule score").all() and risk["probability"].isna().all()
    assert risk["score"].max() > 0 and json.loads(risk.sort_values("score").iloc[-1]["reasons_json"])


def test_the_order_of_rows_and_later_facts_change_nothing(tables: Tables) -> None:
    months = calendar(MONTHS)
    month = months[-2]
    until = {model: [row for row in rows if row["month"] <= month] for model, rows in tables.items()}
    before = computed(until, month)
    rng = np.random.default_rng(3)
    shuffled = {
        model: [rows[place] for place in rng.permutation(len(rows))] for model, rows in tables.items()
    }
    later = {**shuffled, Movements: [*shuffled[Movements], *_moved_by_everybody(months[-1])]}
    for model, rows in computed(later, month).items():
        pd.testing.assert_frame_equal(rows, before[model])
    # Of a range each month is as if it were computed alone: what is trained for one serves the next, too.
    both, newest = computed(later, month, months[-1]), computed(later, months[-1])
    for model, rows in both.items():
        for name, alone in ((month, before), (months[-1], newest)):
            mine = rows[rows["month"] == name].reset_index(drop=True)
            pd.testing.assert_frame_equal(mine, alone[model])


def _moved_by_everybody(month: str) -> list[dict[str, Any]]:
    return [{**expansion(month, f"cus_{number:06d}", 99999), "flags_json": "[]"} for number in range(1500)]


def test_the_models_of_a_month_see_so_many_months_and_no_more(tables: Tables) -> None:
    """Facts of the month before the window do not change a card; those of its first month do."""
    month = "2026-06"
    window = list(pd.period_range(end=month, periods=HISTORY + 1, freq="M").astype(str))
    assert window[0] == "2023-06" and len(window) == 37
    # The company, ending in that month.
    later = dict(zip(calendar(MONTHS), window[-MONTHS:], strict=True))
    moved = {model: [{**row, "month": later[row["month"]]} for row in rows] for model, rows in tables.items()}
    before = [close("2023-05", f"old{number}", tenure_months=500) for number in range(200)]
    one = computed(moved, month)[ModelCard]
    two = computed({**moved, Features: [*before, *moved[Features]]}, month)[ModelCard]
    pd.testing.assert_frame_equal(one, two)


def test_of_large_accounts_the_same_customers_are_drawn(tables: Tables) -> None:
    month = calendar(MONTHS)[-1]
    with patch.object(closes, "MOST_CUSTOMERS", 400):
        frames = computed(tables, month)
    card = frames[ModelCard].query("model == 'expansion' and metric == 'rows' and split == 'test'")
    assert card["value"].tolist() == ["1200.000000"]  # 400 customers at three closes
    assert len(frames[Propensity]) == CUSTOMERS
    said = frames[ModelCard].query("model == 'expansion' and metric == 'sampled'").iloc[0]
    assert said["verdict"] == "of more customers 400 a close were drawn by a hash of their ids"


def test_signals_of_the_users_own_are_figures_under_their_names(tables: Tables) -> None:
    """One that drives nothing, from the third month on, beside one that is named as a figure of ours."""
    months = calendar(MONTHS)
    features = [
        {**row, "own_json": f'{{"csat":"{number % 7}","nps":"3"}}'} if row["month"] >= months[2] else row
        for number, row in enumerate(tables[Features])
    ]
    frames = computed({**tables, Features: features}, months[-1])
    metrics = list(frames[ModelCard].query("model == 'expansion'")["metric"])
    assert "psi_csat" in metrics and metrics.count("psi_nps") == 1


def small(moved: list[dict[str, Any]], length: int = 25) -> pd.DataFrame:
    """Cases in the training slice of a company of five customers."""
    months = calendar(length)
    features = [close(month, f"c{number}") for month in months for number in range(5)]
    scores = [{"month": row["month"], "customer": row["customer"], "score": 0} for row in features]
    frames = computed({Features: features, Movements: moved, Readiness: scores}, months[-1])
    card = frames[ModelCard]
    found: pd.DataFrame = card[(card["split"] == "train")].set_index(["model", "metric"])
    return found


def test_what_counts_as_leaving_and_as_expansion() -> None:
    """Training ends at month 10 of 25: outcomes of the closes up to it reach to month 13."""
    month = calendar(25)[5]
    move = {"month": month, "opening": 10000, "flow_expansion": 0, "flags_json": "[]"}
    left = {**move, "movement": "churn", "dormant": False}
    grown = {**move, "movement": "continuing", "dormant": False, "flow_expansion": 5000}
    card = small(
        [
            {**left, "customer": "c0"},
            {**left, "customer": "c1", "dormant": True},
            {**grown, "customer": "c2"},
            {**grown, "customer": "c3", "flags_json": '["contracted_ramp"]'},
            {**grown, "customer": "c4", "flow_expansion": 999},
        ]
    )
    # Three closes come before each; those of the planned increase are no rows of anything.
    assert card.loc[("churn", "positives"), "value"] == "3.000000"
    assert card.loc[("expansion", "positives"), "value"] == "3.000000"
    rows = [float(card.loc[(model, "rows"), "value"]) for model in ("churn", "expansion")]
    assert rows[0] - rows[1] == 3


def test_a_young_or_empty_account_has_the_rule_score() -> None:
    nothing: Tables = {Features: [], Movements: [], Readiness: []}
    assert all(rows.empty for rows in computed(nothing, "2023-01", "2023-02").values())
    frames = computed({**nothing, Features: [close("2023-01", "c", past_due=True)]}, "2023-01")
    assert frames[ChurnRisk]["score"].tolist() == [30]
    assert json.loads(frames[ChurnRisk]["reasons_json"].iloc[0]) == ["a payment is past due"]
    assert frames[ChurnRisk]["top_decile"].tolist() == [True]
    assert frames[Propensity]["probability"].isna().all()
