"""Log odds of a model as probabilities that hold (semantics 6.3).

Here: the line that a later slice gives. Not here: fitting, judging.

A sigmoid has two numbers to find; isotonic steps have as many as there are rows, and were worse in each of
ten simulated companies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from expansion_platform.domain.signals.model.measures import logistic_line, logit

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sigmoid:
    """Probability from log odds: 1 / (1 + exp(-(slope x log odds + intercept)))."""

    slope: float
    intercept: float

    def probability(self, log_odds: Floats) -> Floats:
        """By row, between 0 and 1."""
        return np.asarray(1 / (1 + np.exp(-np.clip(self.slope * log_odds + self.intercept, -30, 30))))


def sigmoid(outcome: Floats, log_odds: Floats) -> Sigmoid:
    """The line of a slice that the model was not trained on.

    A model that ranks no better than chance there, or the wrong way round, says the base rate to everybody.
    """
    slope, intercept = logistic_line(outcome, log_odds)
    if not slope > 0:
        rate = np.array([(outcome.sum() + 1) / (len(outcome) + 2)])
        return Sigmoid(0.0, float(logit(rate)[0]))
    return Sigmoid(slope, intercept)
