"""The parts of a model: scales, calibration, drift, reasons."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from expansion_platform.domain.signals.model.calibration import sigmoid
from expansion_platform.domain.signals.model.drift import MOVED, stability
from expansion_platform.domain.signals.model.fitting import BOOSTED, LOGISTIC, Scale, fit
from expansion_platform.domain.signals.model.panel import (
    FIGURES,
    NEVER,
    OWN_MOST,
    Panel,
    figures_of,
    own_figures,
)
from expansion_platform.domain.signals.model.reasons import _WORDS, contributions, reasons, sentence


def panel(figures: np.ndarray, outcome: np.ndarray, names: tuple[str, ...]) -> Panel:
    rows = len(outcome)
    zero = np.zeros(rows)
    return Panel(
        np.zeros(rows, dtype=np.int64),
        np.arange(rows),
        names,
        figures,
        outcome.astype(np.int64),
        zero,
        zero,
        zero,
    )


@pytest.fixture(params=[LOGISTIC, BOOSTED])
def fitted(request: pytest.FixtureRequest):
    rng = np.random.default_rng(1)
    figures = np.stack(
        [rng.normal(0.7, 0.2, 3000), rng.normal(0, 1, 3000), np.full(3000, np.nan), np.ones(3000)], axis=1
    )
    outcome = rng.random(3000) < 1 / (1 + np.exp(-(6 * (figures[:, 0] - 0.9))))
    figures[::10, 0] = np.nan
    names = ("seat_utilisation", "engagement_trend", "nps", "products_held")
    return fit(request.param, panel(figures, outcome, names))


def test_what_never_differs_is_not_used_and_what_drives_is_the_reason(fitted) -> None:
    assert fitted.used.tolist() == [0, 1]
    figures = np.array([[1.0, 0.0, np.nan, 1.0], [0.4, 0.0, np.nan, 1.0], [np.nan, 0.0, 9.0, 1.0]])
    odds = fitted.log_odds(figures)
    assert odds[0] > odds[1]
    added = contributions(fitted, figures)
    assert added[0, 0] > 0 > added[1, 0]
    said = [json.loads(text) for text in reasons(fitted, figures)]
    assert said[0][0] == "uses 100 % of its seats"
    assert not any("seats" in text for text in said[1] + said[2])


def test_a_customer_that_never_expanded_did_so_long_ago() -> None:
    rows = pd.DataFrame(
        {
            "months_since_expansion": pd.array([3, None], dtype="Int64"),
            "stickiness": pd.Series(["0.250000", None], dtype="str"),
            "past_due": [True, False],
        }
    )
    names, figures = figures_of(rows)
    assert names == ("months_since_expansion", "past_due", "stickiness")
    assert figures[0].tolist() == [3, 1, 0.25]
    assert figures[1, :2].tolist() == [NEVER, 0] and np.isnan(figures[1, 2])


def test_own_signals_are_figures_under_their_names_and_ours_come_first() -> None:
    rows = pd.DataFrame({"own_json": ['{"csat":"4.5","nps":"9"}', "{}", '{"admins":"2","csat":"1"}', None]})
    names, figures = own_figures(rows)
    assert names == ("admins", "csat")
    assert np.array_equal(figures[:, 0], [np.nan, np.nan, 2, np.nan], equal_nan=True)
    assert np.array_equal(figures[:, 1], [4.5, np.nan, 1, np.nan], equal_nan=True)
    many = pd.DataFrame({"own_json": [json.dumps({f"s{place:02d}": "1" for place in range(OWN_MOST + 5)})]})
    assert own_figures(many)[0] == tuple(f"s{place:02d}" for place in range(OWN_MOST))
    for none in (rows.iloc[:0], rows.iloc[1:2], rows[[]]):
        assert own_figures(none)[0] == () and own_figures(none)[1].shape == (len(none), 0)


def test_unknown_is_the_mean_and_a_column_of_its_own() -> None:
    scale = Scale.of(np.array([[1.0, 5.0], [3.0, np.nan], [np.nan, 5.0], [2.0, 5.0]]))
    ready = scale.ready(np.array([[np.nan, 5.0]]))
    assert ready.shape == (1, 4)
    assert ready[0].tolist() == [0.0, 0.0, 1.0, 0.0]


def test_a_model_that_ranks_the_wrong_way_says_the_base_rate() -> None:
    outcome = np.array([1.0, 1.0, 0.0, 0.0, 0.0, 0.0])
    line = sigmoid(outcome, np.array([-3.0, -2.0, 1.0, 2.0, 3.0, 2.5]))
    assert line.probability(np.array([-5.0, 5.0])) == pytest.approx([3 / 8, 3 / 8])


def test_drift_is_zero_for_the_same_customers_and_large_for_others() -> None:
    rng = np.random.default_rng(2)
    before = rng.normal(0, 1, 5000)
    assert stability(before, before) == pytest.approx(0, abs=1e-12)
    assert stability(before, rng.normal(0, 1, 5000)) < 0.02
    assert stability(before, rng.normal(1.5, 1, 5000)) > MOVED
    gone = np.where(rng.random(5000) < 0.5, np.nan, before)
    assert stability(before, gone) > MOVED
    assert np.isnan(stability(before, np.empty(0)))


def test_every_figure_has_words() -> None:
    assert set(_WORDS) == set(FIGURES)
    assert all(sentence(name, 1.0) for name in FIGURES)
    assert sentence("csat", 0.5) == "csat 0.5"
    assert sentence("months_since_expansion", 1.0) == "1 month since the last expansion"
    assert sentence("tenure_months", 1.0) == "customer for 1 month"
    assert sentence("tenure_months", 11.0) == "customer for 11 months"
