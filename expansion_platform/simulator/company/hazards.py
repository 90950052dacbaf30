"""The chances that a simulated customer expands or leaves within a month, given its states.

Here: the formulas alone, exact and known, so that tests can ask whether what is estimated comes near. Not
here: how states arise and what is drawn (`hidden.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log

from expansion_platform.simulator.company.signals import Signals

USUAL_UTILISATION, UTILISATION_STEP = 0.7, 0.2
MOST_GATE_HITS, MOST_INTEGRATIONS = 4, 4
USUAL_SEATS = 30
LATELY = 2
"""Months after an expansion in which it is one lately."""
LARGEST_EXPANSION, LARGEST_CHURN = 0.6, 0.4


@dataclass(frozen=True)
class State:
    """Of a customer at the close of a month.

    Attributes:
        seats: it has, at least 1.
        utilisation: active people over seats, 0 to 1.
        gate_hits: of the month.
        integrations: connected so far.
        fall: by which the logarithm of engagement fell in three months, at least 0.
        trouble: with the product.
        since_expansion: months since the last one; None for never.
        frailty: what nothing shows, of mean 0 and variance 1.
        higher_plan: there is one.
    """

    seats: int
    utilisation: float
    gate_hits: int
    integrations: int
    fall: float
    trouble: bool
    since_expansion: int | None
    frailty: float
    higher_plan: bool


@dataclass(frozen=True)
class Hazards:
    """Chances within the next month. At most one of the three expansions happens."""

    seats: float
    upgrade: float
    addon: float
    churn: float

    @property
    def expansion(self) -> float:
        """Of any expansion."""
        return self.seats + self.upgrade + self.addon


def hazards(state: State, signals: Signals, multiplier: float = 1.0) -> Hazards:
    """The hazards of the month after a state; `multiplier` is a programme's, of each expansion."""
    effects, rates, strength = signals.effects, signals.rates, signals.strength
    full = (state.utilisation - USUAL_UTILISATION) / UTILISATION_STEP
    gates = min(state.gate_hits, MOST_GATE_HITS) - 1
    connected = min(state.integrations, MOST_INTEGRATIONS) - 1
    fall = min(state.fall, 1.0)
    lately = state.since_expansion is not None and state.since_expansion <= LATELY
    either = log(multiplier) if multiplier > 0 else -1000.0
    either += signals.unobserved * state.frailty + strength * effects.falling * fall
    either += signals.billing * (effects.size * log(state.seats / USUAL_SEATS) + effects.lately * lately)
    integrated = strength * effects.integrations * connected
    # Without a higher plan, who would upgrade takes seats: a plan's name predicts nothing by itself.
    rate = rates.seats + (0.0 if state.higher_plan else rates.upgrade)
    seats = rate * exp(either + integrated + strength * effects.utilisation * full)
    upgrade = rates.upgrade * exp(either + strength * effects.gate_hits * gates) * state.higher_plan
    addon = rates.addon * exp(either + integrated)
    shrunk = min(1.0, LARGEST_EXPANSION / max(seats + upgrade + addon, 1e-12))
    leaving = strength * (effects.churn_falling * fall - effects.churn_unused * full)
    leaving += signals.relationship * effects.trouble * state.trouble - signals.unobserved * state.frailty / 2
    return Hazards(
        seats * shrunk, upgrade * shrunk, addon * shrunk, min(rates.churn * exp(leaving), LARGEST_CHURN)
    )
