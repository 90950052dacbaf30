"""How well scores tell who has the outcome, with intervals by resampling customers (semantics 6.3).

Here: measures of scores and probabilities under weights. Not here: which models are compared (`assess.py`).

A customer has up to three rows of a slice, and these are alike: customers are drawn, not rows. A draw gives
each customer a weight, so one sort serves all draws.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from expansion_platform.domain.core.money import Ints

Floats = npt.NDArray[np.float64]
DRAWS = 200
_CELLS = 4_000_000
"""Weights in memory at once: 32 MB."""
DECILE = 0.10
BINS = 10


@dataclass(frozen=True)
class Sample:
    """Rows that are judged, and the weights of the draws.

    Args:
        outcome: by row, 1 or 0.
        weights: (1 + draws, customers), the first one all ones.
        customer: by row, its place in the weights.
    """

    outcome: Floats
    weights: npt.NDArray[np.float32]
    customer: Ints

    def over(self, measure: Callable[[Floats], Floats]) -> Floats:
        """A measure of (draws, rows) weights, by draw; the first is that of the rows themselves."""
        step = max(1, _CELLS // max(1, len(self.outcome)))
        parts = [
            measure(self.weights[start : start + step][:, self.customer].astype(np.float64))
            for start in range(0, len(self.weights), step)
        ]
        return np.concatenate(parts)


def sample(outcome: Ints, customer: Ints, seed: int, draws: int = DRAWS) -> Sample:
    """A sample whose customers are drawn with replacement so many times."""
    distinct, place = np.unique(customer, return_inverse=True)
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(len(distinct), np.full(len(distinct), 1 / max(len(distinct), 1)), size=draws)
    weights = np.vstack([np.ones(len(distinct)), counts]).astype(np.float32)
    return Sample(outcome.astype(float), weights, place.reshape(-1).astype(np.int64))


def _ranked(scores: Floats) -> tuple[Ints, Ints]:
    """The order of scores from the highest, and the last place of each group of equal ones."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), max(len(scores) - 1, 0))
    return order, last.astype(np.int64)


def pr_auc(of: Sample, scores: Floats) -> Floats:
    """Mean precision over the recall gained (average precision), by draw; equal scores are taken together."""
    order, last = _ranked(scores)
    outcome = of.outcome[order]

    def measure(weights: Floats) -> Floats:
        drawn = weights[:, order]
        hits, seen = np.cumsum(drawn * outcome, axis=1)[:, last], np.cumsum(drawn, axis=1)[:, last]
        gained = np.diff(hits, axis=1, prepend=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            precision = np.where(seen > 0, hits / seen, 0.0)
            return np.asarray((gained * precision).sum(axis=1) / hits[:, -1])

    return of.over(measure)


def roc_auc(of: Sample, scores: Floats) -> Floats:
    """Chance that a row with the outcome has the higher score than one without, by draw."""
    order, last = _ranked(scores)
    outcome = of.outcome[order]

    def measure(weights: Floats) -> Floats:
        drawn = weights[:, order]
        hits = np.diff(np.cumsum(drawn * outcome, axis=1)[:, last], axis=1, prepend=0)
        misses = np.diff(np.cumsum(drawn * (1 - outcome), axis=1)[:, last], axis=1, prepend=0)
        below = misses.sum(axis=1, keepdims=True) - np.cumsum(misses, axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            pairs = hits.sum(axis=1) * misses.sum(axis=1)
            return np.asarray((hits * (below + misses / 2)).sum(axis=1) / pairs)

    return of.over(measure)


def precision_at(of: Sample, scores: Floats, count: int) -> Floats:
    """Share of the first rows by score that have the outcome, by draw.

    Of equal scores at the end of the list each counts for a part: it is the mean over all orders of them.
    """
    cut = np.partition(scores, -count)[-count]
    above, tied = scores > cut, scores == cut
    part = np.where(above, 1.0, np.where(tied, (count - above.sum()) / max(int(tied.sum()), 1), 0.0))
    first = np.flatnonzero(part)
    part, outcome = part[first], of.outcome[first]

    def measure(weights: Floats) -> Floats:
        drawn = weights[:, first] * part
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray((drawn @ outcome) / drawn.sum(axis=1))

    return of.over(measure)


def base_rate(of: Sample) -> Floats:
    """Share of rows that have the outcome, by draw."""
    return of.over(lambda weights: np.asarray((weights @ of.outcome) / weights.sum(axis=1)))


def brier(of: Sample, probabilities: Floats) -> Floats:
    """Mean squared distance of probabilities from what happened, by draw."""
    apart = np.square(probabilities - of.outcome)
    return of.over(lambda weights: np.asarray((weights @ apart) / weights.sum(axis=1)))


def brier_skill(of: Sample, probabilities: Floats) -> Floats:
    """1 - Brier score over that of always saying the base rate of the same rows, by draw."""
    rate = base_rate(of)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(1 - brier(of, probabilities) / (rate * (1 - rate)))


def logit(probabilities: Floats) -> Floats:
    """Log odds; probabilities are kept a millionth away from 0 and 1."""
    kept = np.clip(probabilities, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(kept / (1 - kept)))


def logistic_line(outcome: Floats, log_odds: Floats, weights: Floats | None = None) -> tuple[float, float]:
    """Slope and intercept of the log odds of what happened over those that were said, by Newton's method.

    1 and 0 for probabilities that hold. Without spread, or where all or none have the outcome: slope NaN.
    """
    weight = np.ones(len(outcome)) if weights is None else weights
    if not len(outcome) or np.ptp(log_odds) == 0 or not 0 < (weight * outcome).sum() < weight.sum():
        return np.nan, np.nan
    centre = float(log_odds.mean())
    design = np.stack([np.ones(len(outcome)), log_odds - centre], axis=1)
    found = np.array([logit(np.array([np.average(outcome, weights=weight)]))[0], 0.0])
    for _ in range(50):
        said = 1 / (1 + np.exp(-np.clip(design @ found, -30, 30)))
        slope = design.T @ (weight * (outcome - said))
        curve = (design * (weight * said * (1 - said))[:, None]).T @ design + 1e-9 * np.eye(2)
        step = np.linalg.solve(curve, slope)
        found = found + step
        if np.abs(step).max() < 1e-10:
            break
    return float(found[1]), float(found[0] - found[1] * centre)


def calibration_line(of: Sample, probabilities: Floats) -> tuple[Floats, Floats]:
    """Slope and intercept of `logistic_line`, by draw.

    Each draw is one step of Newton's method away from the line of the rows themselves: its line to within
    1/rows, for the cost of one product of matrices.
    """
    log_odds = logit(probabilities)
    slope, intercept = logistic_line(of.outcome, log_odds)
    if np.isnan(slope):
        nothing = np.full(len(of.weights), np.nan)
        return nothing, nothing
    centre = float(log_odds.mean())
    away = log_odds - centre
    said = 1 / (1 + np.exp(-np.clip(slope * log_odds + intercept, -30, 30)))
    apart, curve = of.outcome - said, said * (1 - said)
    parts = np.stack([apart, apart * away, curve, curve * away, curve * away**2], axis=1)
    flat, tilt, a, b, d = of.over(lambda weights: np.asarray(weights @ parts)).T
    with np.errstate(invalid="ignore", divide="ignore"):
        whole = a * d - b * b
        at_centre = intercept + slope * centre + (d * flat - b * tilt) / whole
        slopes = slope + (a * tilt - b * flat) / whole
    return slopes, at_centre - slopes * centre


def interval(by_draw: Floats, level: float = 0.95) -> tuple[float, float, float]:
    """(value, low, high): the rows' own, and the limits of the draws."""
    drawn = by_draw[1:][np.isfinite(by_draw[1:])]
    if not len(drawn):
        return float(by_draw[0]), np.nan, np.nan
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(by_draw[0]), float(low), float(high)


def bins(outcome: Floats, probabilities: Floats) -> Sequence[tuple[float, float, int]]:
    """(mean probability, share with the outcome, rows) of ten groups of rows of equal size, lowest first."""
    order = np.argsort(probabilities, kind="stable")
    return [
        (float(probabilities[part].mean()), float(outcome[part].mean()), len(part))
        for part in np.array_split(order, BINS)
        if len(part)
    ]
