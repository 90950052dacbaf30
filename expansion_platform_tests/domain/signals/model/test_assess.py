"""Models on simulated companies whose hazards are known: how near they come, and when they are refused."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score

from expansion_platform.domain.signals.model.assess import ADDS, ADDS_NOT, RULE
from expansion_platform.domain.signals.model.closes import CHURN, EXPANSION
from expansion_platform.domain.signals.model.score import Scored, score_month
from expansion_platform_tests.domain.signals.model.companies import (
    DIFFERENT,
    NOTHING,
    Company,
    Strengths,
    company,
)

STRONG = Strengths(usage=2.0, hidden=0.3, level=-5.1)


class Judged(NamedTuple):
    """A model's numbers on the test slice, beside the truth's mean precision and that of everything."""

    scored: Scored
    value: pd.Series
    low: pd.Series
    truth: float
    best: float

    @property
    def ratio(self) -> float:
        return float(self.value["pr_auc", ""] / self.truth)


def judged(of: Company, churn: bool = False) -> Judged:
    features, months = of.scored(churn), sorted(of.features["month"].unique())
    found = score_month(features, of.outcomes(churn), months[-1], model=CHURN if churn else EXPANSION)
    # T is the last close whose three months are over, tested are T-2 to T: worked out here once more.
    outcome = of.left if churn else of.expanded
    here = features["month"].isin(months[-6:-3]).to_numpy()
    truth = average_precision_score(outcome[here], (of.risk if churn else of.hazard)[here])
    best = average_precision_score(outcome[here], of.best[int(churn)][here])
    card = found.card[found.card["split"] == "test"].set_index(["metric", "baseline"])
    return Judged(found, card["value"].astype(float), card["low"].astype(float), truth, best)


def test_a_model_of_a_company_in_which_usage_drives_expansion() -> None:
    found = judged(company(1, STRONG, customers=1200, months=28))
    value, released = found.value, found.scored.assessment
    assert released.released, released.because
    assert released.usage == ADDS
    # Not above what everything knows together, but for the luck of 90 cases.
    assert found.ratio > 0.7 and value["pr_auc", ""] < 1.15 * found.best
    assert value["lift_top_decile", ""] > 2
    assert value["pr_auc", ""] > max(value["pr_auc", RULE], value["base_rate", ""])
    assert value["pr_auc", "without usage"] < value["pr_auc", ""]
    assert found.low["calibration_slope", ""] < value["calibration_slope", ""]


def test_where_nothing_predicts_the_gate_refuses() -> None:
    found = judged(company(2, NOTHING, customers=1000, months=26)).scored.assessment
    assert not found.released
    assert found.usage != ADDS
    assert "rule score" in found.because or "base rate" in found.because


def test_too_few_cases_are_said_and_nothing_is_fitted() -> None:
    found = judged(company(3, customers=10)).scored
    assert (found.assessment.released, found.assessment.trained) == (False, None)
    assert "to learn from, 50 are needed" in found.assessment.because
    assert found.scores["probability"].isna().all() and len(found.scores) == 10
    gate = found.card.set_index("metric").loc["gate", "verdict"]
    assert gate == f"no calibrated probability: {found.assessment.because}"


@pytest.mark.parametrize("months", [1, 4, 12, 17])
def test_a_short_history_is_no_error(months: int) -> None:
    of = company(4, customers=200, months=months)
    found = score_month(of.scored(), of.outcomes(), of.features["month"].max()).assessment
    assert not found.released and "needed" in found.because


@pytest.fixture(scope="module")
def some() -> Company:
    return company(5, STRONG, customers=400, months=27)


def same(one: Scored, two: Scored) -> None:
    pd.testing.assert_frame_equal(one.card, two.card, check_exact=True)
    pd.testing.assert_frame_equal(one.scores, two.scores, check_exact=True)


def test_what_happens_after_the_month_changes_nothing(some: Company) -> None:
    """Neither later closes nor outcomes that have not passed three months are read, whatever they say."""
    months = sorted(some.features["month"].unique())
    month, known = months[-2], months[-5]
    features, outcomes = some.scored(), some.outcomes()
    figures = features.select_dtypes("float").columns
    other = features.copy()
    other.loc[other["month"] > month, figures] *= -3
    turned = outcomes.copy()
    later = turned["month"] > known
    assert later.any()
    turned.loc[later, "outcome"] = 1 - turned.loc[later, "outcome"]
    same(score_month(features, outcomes, month), score_month(other, turned, month))


def test_the_order_of_rows_and_columns_changes_no_bit(some: Company) -> None:
    features, outcomes, month = some.scored(), some.outcomes(), some.features["month"].max()
    rng = np.random.default_rng(1)
    mixed = features.iloc[rng.permutation(len(features))][list(reversed(features.columns))]
    one = score_month(features, outcomes, month)
    two = score_month(mixed, outcomes.iloc[rng.permutation(len(outcomes))], month)
    assert one.assessment.trained is not None
    same(one, two)


def test_a_row_twice_and_a_month_without_rows_are_errors(some: Company) -> None:
    features, outcomes = some.scored(), some.outcomes()
    with pytest.raises(ValueError, match="one row a customer and month"):
        score_month(pd.concat([features, features.tail(1)]), outcomes, features["month"].max())
    with pytest.raises(ValueError, match="some in 2030-01"):
        score_month(features, outcomes, "2030-01")


def test_a_figure_of_another_name_is_learned_from_and_one_that_knows_the_future_is_found_out(
    some: Company,
) -> None:
    """A planted leak ranks far better than everything could: so the bounds on honest models would see one."""
    features = some.scored().assign(csat=np.where(some.expanded == 1, 5.0, 1.0))
    months = sorted(features["month"].unique())
    found = score_month(features, some.outcomes(), months[-1])
    card = found.card.set_index(["split", "metric", "baseline"])["value"]
    here = features["month"].isin(months[-6:-3]).to_numpy()
    best = average_precision_score(some.expanded[here], some.best[0][here])
    assert float(card["test", "pr_auc", ""]) > 1.2 * best
    assert ("month", "psi_csat", "") in card


@pytest.mark.slow
def test_ten_companies_reach_most_of_what_could_be_known() -> None:
    found = [judged(company(seed)) for seed in range(10)]
    rates = [each.value["base_rate", ""] for each in found]
    assert all(0.08 <= rate <= 0.15 for rate in rates), rates
    assert all(2 <= each.truth / rate <= 4 for each, rate in zip(found, rates, strict=True))
    ratios = [each.ratio for each in found]
    assert np.mean(ratios) >= 0.80 and min(ratios) >= 0.70, ratios
    # Above what hidden differences would allow, too, would be a leak.
    assert all(each.value["pr_auc", ""] < each.best for each in found)
    slopes = [each.value["calibration_slope", ""] for each in found]
    assert sum(0.8 <= slope <= 1.25 for slope in slopes) >= 9, slopes
    lifts = [each.value["lift_top_decile", ""] for each in found]
    assert np.mean(lifts) >= 2.5, lifts
    assert all(each.scored.assessment.released for each in found)
    assert sum(each.scored.assessment.usage == ADDS for each in found) >= 9


@pytest.mark.slow
def test_ten_companies_whose_customers_leave() -> None:
    found = [judged(company(seed), churn=True) for seed in range(10)]
    ratios = [each.ratio for each in found]
    assert np.mean(ratios) >= 0.65 and min(ratios) >= 0.45, ratios
    assert np.mean([each.value["pr_auc", ""] / each.best for each in found]) < 1
    slopes = [each.value["calibration_slope", ""] for each in found]
    assert sum(0.7 <= slope <= 1.4 for slope in slopes) >= 9, slopes


@pytest.mark.slow
@pytest.mark.parametrize("churn", [False, True])
def test_twenty_companies_in_which_nothing_predicts_are_refused(churn: bool) -> None:
    found = [judged(company(100 + seed, NOTHING), churn).scored.assessment for seed in range(20)]
    assert sum(not each.released for each in found) >= 19


@pytest.mark.slow
def test_where_usage_is_irrelevant_the_card_says_so() -> None:
    found = [judged(company(200 + seed, DIFFERENT)).scored.assessment for seed in range(14)]
    assert sum(each.usage == ADDS_NOT for each in found) >= 13
    assert sum(each.released for each in found) >= 13
