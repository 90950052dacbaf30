"""The tables of models from rows of the lake: what counts, what is published, that it is always the same."""

from __future__ import annotations

import json
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest

from expansion_platform.domain.core.table import Table, arrow_schema
from expansion_platform.domain.mrr.tables import Movements
from expansion_platform.domain.signals.model import compute
from expansion_platform.domain.signals.model.compute import compute_models
from expansion_platform.domain.signals.tables import ChurnRisk, Features, ModelCard, Propensity, Readiness
from expansion_platform_tests.domain.signals.model.companies import Company, company
from expansion_platform_tests.domain.signals.model.test_assess import REAL
from expansion_platform_tests.domain.signals.rule_inputs import close, expansion, inputs, valid

Tables = dict[type[Table], list[dict[str, Any]]]


def calendar(length: int) -> list[str]:
    return list(pd.period_range("2024-01", periods=length, freq="M").astype(str))


def rows_of(of: Company) -> Tables:
    """The company as rows of the lake."""
    months, schema = calendar(of.newest + 1), arrow_schema(Features)
    kinds = {name: str(schema.field(name).type) for name in of.panel.names if name in schema.names}
    features = []
    for row in range(len(of.panel)):
        said: dict[str, Any] = {}
        for name, value in zip(of.panel.names, of.panel.figures[row], strict=True):
            kind = kinds.get(name)
            if kind is None or np.isnan(value):
                continue
            said[name] = bool(value) if kind == "bool" else round(value) if "int" in kind else f"{value:.6f}"
        if said.get("months_since_expansion", 0) > 24:
            del said["months_since_expansion"]
        features.append(close(months[of.panel.month[row]], f"cus_{of.panel.customer[row]:05d}", **said))
    moved = [
        {**expansion(months[month], f"cus_{customer:05d}"), "flags_json": "[]"}
        for month, customer in zip(*of.happened, strict=True)
    ]
    scores = [
        {"month": row["month"], "customer": row["customer"], "score": int(rule)}
        for row, rule in zip(features, of.panel.rule, strict=True)
    ]
    return {Features: features, Movements: moved, Readiness: scores}


@pytest.fixture(scope="module")
def tables() -> Tables:
    return rows_of(company(7, customers=700, months=26, **{**REAL, "usage": 3.5, "base": -6.3}))


def computed(tables: Tables, *months: str) -> dict[type[Table], pd.DataFrame]:
    return dict(compute_models(list(months), inputs(tables)).frames)


def test_a_released_model_gives_each_customer_a_probability_and_reasons(tables: Tables) -> None:
    month = calendar(26)[-1]
    frames = computed(tables, month)
    for model, rows in frames.items():
        valid(model, rows)
    said, card = frames[Propensity], frames[ModelCard].query("model == 'expansion'")
    gate = card[card["metric"] == "gate"].iloc[0]
    assert gate["value"] == "1.000000" and gate["verdict"].startswith("released: "), gate["verdict"]
    assert said["probability"].notna().all() and len(said) == 700
    assert said["model"].str.match(r"(logistic|boosted) \d{4}-\d{2}$").all()
    assert (said["decile"].value_counts() == 70).all()
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
    # Nobody leaves this company, so there is nothing to learn of leaving.
    risk, churn = frames[ChurnRisk], frames[ModelCard].query("model == 'churn' and metric == 'gate'").iloc[0]
    assert churn["verdict"] == "no calibrated probability: 0 cases to learn from, 50 are needed"
    assert (risk["basis"] == "rule score").all() and risk["probability"].isna().all()


def test_the_order_of_rows_and_later_facts_change_nothing(tables: Tables) -> None:
    months = calendar(26)
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
    both = computed(later, month, months[-1])
    for model, rows in both.items():
        mine = rows[rows["month"] == month].reset_index(drop=True)
        pd.testing.assert_frame_equal(mine, before[model])


def _moved_by_everybody(month: str) -> list[dict[str, Any]]:
    return [
        {**expansion(month, f"cus_{number:05d}", 99999), "flags_json": "[]"} for number in range(0, 700, 2)
    ]


def test_of_large_accounts_the_same_customers_are_drawn(tables: Tables) -> None:
    month = calendar(26)[-1]
    with patch.object(compute, "MOST_CUSTOMERS", 400):
        frames = computed(tables, month)
    card = frames[ModelCard].query("model == 'expansion' and metric == 'rows' and split == 'test'")
    assert card["value"].tolist() == ["1200.000000"]  # 400 customers at three closes
    assert len(frames[Propensity]) == 700


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
    assert all(rows.empty for rows in computed(nothing, "2024-01", "2024-02").values())
    frames = computed({**nothing, Features: [close("2024-01", "c", past_due=True)]}, "2024-01")
    assert frames[ChurnRisk]["score"].tolist() == [30]
    assert json.loads(frames[ChurnRisk]["reasons_json"].iloc[0]) == ["a payment is past due"]
    assert frames[ChurnRisk]["top_decile"].tolist() == [True]
    assert frames[Propensity]["probability"].isna().all()
