"""Fitting a model on customers at closes: logistic regression, or boosted trees (semantics 6.3).

Here: figures made ready, the two kinds of model, and choosing between them. Not here: which rows
(`splits.py`), calibration, what is said of the model.

Everything runs on one thread: sums over threads differ in the last bits, and a model has to be the same to
the byte wherever it is trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from expansion_platform.domain.core.money import Bools, Ints
from expansion_platform.domain.signals.model import measures
from expansion_platform.domain.signals.model.panel import Panel
from expansion_platform.domain.signals.model.splits import Split

Floats = npt.NDArray[np.float64]
LOGISTIC, BOOSTED = "logistic", "boosted"
SEED = 20260101
PENALTIES = (0.003, 0.03, 0.3)
"""Inverse strengths of the ridge that are tried; the strongest within one standard error is taken."""
LEAVES, LEAST_ROWS, RATE, ROUNDS, RIDGE = 8, 60, 0.06, 120, 5.0
"""Small trees, slowly: 120 rounds of 8 leaves are the depth that 45,000 rows of 10 % positives bear."""
FEWEST_TO_CHOOSE = 10
"""Positives on both sides of a fold that choosing takes."""
_EDGES = (0.005, 0.995)


@dataclass(frozen=True)
class Scale:
    """Figures on one scale: logarithms of what is skewed, cut at the ends, mean 0 and deviation 1.

    What is not known is the mean, and a column says so where training had any.
    """

    low: Floats
    high: Floats
    mean: Floats
    deviation: Floats
    gaps: Bools

    @classmethod
    def of(cls, figures: Floats) -> Scale:
        """The scale of training rows."""
        spread = _spread(figures)
        known = ~np.isnan(spread)
        some = known.any(axis=0)
        filled = np.where(some, spread, 0.0)
        low, high = np.nanquantile(filled, _EDGES, axis=0)
        cut = np.clip(filled, low, high)
        mean, deviation = np.nanmean(cut, axis=0), np.nanstd(cut, axis=0)
        gaps = np.asarray(some & (~known).any(axis=0), dtype=bool)
        return cls(low, high, mean, np.where(deviation > 1e-12, deviation, np.inf), gaps)

    def ready(self, figures: Floats) -> Floats:
        """(rows, figures and gaps)."""
        spread = _spread(figures)
        known = ~np.isnan(spread)
        values = (np.clip(spread, self.low, self.high) - self.mean) / self.deviation
        return np.hstack([np.where(known, values, 0.0), (~known[:, self.gaps]).astype(float)])


def _spread(figures: Floats) -> Floats:
    return np.asarray(np.sign(figures) * np.log1p(np.abs(figures)))


@dataclass(frozen=True)
class Fitted:
    """A model: log odds from figures, before calibration.

    Args:
        kind: LOGISTIC or BOOSTED.
        names: of the figures, in order.
        scale: of the training rows.
        model: what scikit-learn fitted.
        typical: by figure, the median of the training rows; NaN where nothing is known.
        used: places of the figures that differ between training rows; the others say nothing.
    """

    kind: str
    names: tuple[str, ...]
    scale: Scale
    model: Any
    typical: Floats
    used: Ints

    def log_odds(self, figures: Floats) -> Floats:
        """By row."""
        figures = figures[:, self.used]
        if self.kind == LOGISTIC:
            return np.asarray(self.scale.ready(figures) @ self.weights + self.model.intercept_[0])
        with one_thread():
            return np.asarray(self.model.decision_function(figures), dtype=float).reshape(-1)

    @cached_property
    def weights(self) -> Floats:
        """By column of `Scale.ready`, of a logistic model."""
        return np.asarray(self.model.coef_[0], dtype=float)


def one_thread() -> Any:
    """While it is open, the numeric libraries use one thread."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(limits=1)


def fit(kind: str, rows: Panel, penalty: float = PENALTIES[1]) -> Fitted:
    """A model of some kind on labelled rows with both outcomes."""
    used = np.flatnonzero([_differs(column) for column in rows.figures.T]).astype(np.int64)
    figures = rows.figures[:, used]
    scale = Scale.of(figures)
    typical = np.array([_median(column) for column in rows.figures.T])
    with one_thread():
        if kind == LOGISTIC:
            from sklearn.linear_model import LogisticRegression

            model: Any = LogisticRegression(C=penalty, max_iter=500, tol=1e-6)
            model.fit(scale.ready(figures), rows.outcome)
        else:
            from sklearn.ensemble import HistGradientBoostingClassifier

            model = HistGradientBoostingClassifier(
                max_leaf_nodes=LEAVES,
                min_samples_leaf=LEAST_ROWS,
                learning_rate=RATE,
                max_iter=ROUNDS,
                l2_regularization=RIDGE,
                early_stopping=False,
                random_state=SEED,
            )
            model.fit(figures, rows.outcome)
    return Fitted(kind, rows.names, scale, model, typical, used)


def _differs(column: Floats) -> bool:
    known = column[~np.isnan(column)]
    return len(known) > 0 and bool(np.ptp(known) > 0)


def _median(column: Floats) -> float:
    known = column[~np.isnan(column)]
    return float(np.median(known)) if len(known) else np.nan


def chosen(rows: Panel, split: Split) -> tuple[str, float]:
    """Kind and penalty that rank best on the folds of a split.

    The simpler one, the stronger penalty and logistic before boosted, wins within one standard error of the
    difference. With one fold nothing is known of the error, so it wins, too.
    """
    scores = _scores(rows, split)
    count = len(next(iter(scores.values()), []))
    best = (LOGISTIC, PENALTIES[0])
    if count < 2:
        return (LOGISTIC, PENALTIES[1])
    for other, theirs in scores.items():
        gain = np.array(theirs) - np.array(scores[best])
        if gain.mean() > gain.std(ddof=1) / np.sqrt(count):
            best = other
    return best


def _scores(rows: Panel, split: Split) -> Mapping[tuple[str, float], list[float]]:
    """By kind and penalty, the mean precision on each fold that has enough to choose by."""
    found: dict[tuple[str, float], list[float]] = {
        **{(LOGISTIC, penalty): [] for penalty in PENALTIES},
        (BOOSTED, 0.0): [],
    }
    for last, (first, end) in split.folds:
        train, valid = rows.between(split.trained[0], last), rows.between(first, end)
        if min(train.positives, valid.positives) < FEWEST_TO_CHOOSE:
            continue
        judged = measures.sample(valid.outcome, valid.customer, SEED, draws=0)
        for (kind, penalty), scores in found.items():
            said = fit(kind, train, penalty).log_odds(valid.figures)
            scores.append(float(measures.pr_auc(judged, said)[0]))
    return found
