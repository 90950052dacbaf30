"""Measures of scores against scikit-learn's, row by row of the weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score

from expansion_platform.domain.signals.model import measures


@st.composite
def judged(draw: st.DrawFn) -> tuple[measures.Sample, np.ndarray]:
    """Rows of customers with ties, both outcomes among them."""
    size = draw(st.integers(6, 40))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    outcome = rng.integers(0, 2, size)
    outcome[:2] = [0, 1]
    scores = rng.integers(0, draw(st.integers(1, 8)), size).astype(float)
    sample = measures.sample(outcome, rng.integers(0, size // 2, size), seed=1, draws=5)
    return sample, scores


@given(judged())
@settings(max_examples=60, deadline=None)
def test_areas_are_those_of_scikit_learn_under_every_draw(case: tuple[measures.Sample, np.ndarray]) -> None:
    sample, scores = case
    weights = sample.weights[:, sample.customer]
    both = [i for i in range(len(weights)) if 0 < (weights[i] * sample.outcome).sum() < weights[i].sum()]
    found, areas = measures.pr_auc(sample, scores), measures.roc_auc(sample, scores)
    for draw in both:
        drawn = weights[draw]
        expected = average_precision_score(sample.outcome, scores, sample_weight=drawn)
        assert found[draw] == pytest.approx(expected, abs=1e-9)
        expected = roc_auc_score(sample.outcome, scores, sample_weight=drawn)
        assert areas[draw] == pytest.approx(expected, abs=1e-9)


def test_customers_are_drawn_and_not_rows() -> None:
    sample = measures.sample(np.array([1, 0, 1, 0]), np.array([7, 7, 9, 9]), seed=3, draws=50)
    assert (sample.weights[0] == 1).all()
    assert (sample.weights[1:].sum(axis=1) == 2).all()
    # Both rows of a customer have one weight, so the base rate of every draw is a half.
    assert measures.base_rate(sample) == pytest.approx(0.5)


def test_brier_skill_by_hand() -> None:
    sample = measures.sample(np.array([1, 0, 0, 0]), np.arange(4), seed=1, draws=0)
    said = np.array([0.5, 0.1, 0.1, 0.1])
    assert measures.brier(sample, said)[0] == pytest.approx((0.25 + 3 * 0.01) / 4)
    assert measures.brier_skill(sample, said)[0] == pytest.approx(1 - 0.07 / (0.25 * 0.75))
    assert measures.precision_at(sample, said, 2)[0] == pytest.approx(0.5)


def test_the_line_is_that_of_an_unpenalised_regression() -> None:
    rng = np.random.default_rng(5)
    log_odds = rng.normal(-2, 1, 3000)
    outcome = (rng.random(3000) < 1 / (1 + np.exp(-(0.6 * log_odds - 0.3)))).astype(float)
    slope, intercept = measures.logistic_line(outcome, log_odds)
    theirs = LogisticRegression(C=1e9, tol=1e-10, max_iter=1000).fit(log_odds[:, None], outcome)
    assert slope == pytest.approx(theirs.coef_[0, 0], abs=1e-4)
    assert intercept == pytest.approx(theirs.intercept_[0], abs=1e-4)


@pytest.mark.parametrize("outcome", [[0.0, 0.0], [1.0, 1.0], []])
def test_without_both_outcomes_there_is_no_line(outcome: list[float]) -> None:
    assert np.isnan(measures.logistic_line(np.array(outcome), np.arange(float(len(outcome))))[0])


def test_equal_scores_at_the_end_of_a_list_count_in_part() -> None:
    """Of the first two one is sure to be in, the other is one of three, of which one has the outcome."""
    sample = measures.sample(np.array([1, 0, 1, 0, 0]), np.arange(5), seed=1, draws=0)
    scores = np.array([0.9, 0.5, 0.5, 0.5, 0.1])
    assert measures.precision_at(sample, scores, 2)[0] == pytest.approx((1 + 1 / 3) / 2)
    assert measures.precision_at(sample, scores[::-1], 2)[0] == pytest.approx((0 + 1 / 3) / 2)
    assert measures.precision_at(sample, scores, 4)[0] == pytest.approx(2 / 4)
    assert measures.precision_at(sample, np.zeros(5), 1)[0] == pytest.approx(2 / 5)


def test_the_line_of_each_draw_is_that_of_its_rows() -> None:
    rng = np.random.default_rng(6)
    said = 1 / (1 + np.exp(-rng.normal(-2, 1, 6000)))
    outcome = (rng.random(6000) < said).astype(np.int64)
    sample = measures.sample(outcome, np.arange(6000) // 3, seed=2, draws=20)
    slopes, intercepts = measures.calibration_line(sample, said)
    for draw in range(21):
        weights = sample.weights[draw][sample.customer].astype(float)
        slope, intercept = measures.logistic_line(sample.outcome, measures.logit(said), weights)
        assert slopes[draw] == pytest.approx(slope, abs=0.01)
        assert intercepts[draw] == pytest.approx(intercept, abs=0.02)
    assert slopes[0] == pytest.approx(measures.logistic_line(sample.outcome, measures.logit(said))[0])
    assert np.isnan(measures.calibration_line(sample, np.full(6000, 0.1))[0]).all()
