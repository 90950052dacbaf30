"""Simulated companies for models of what customers do: known hazards, unobserved differences, gaps, noise.

Customers come and go. Each month a customer expands or leaves by a hazard of what can be observed of it and
of something that cannot. The hazards of the observable drivers are kept, so that a model can be compared with
what could be known at all; and those of everything, hidden differences included, which no honest model can
reach. Nothing of the models is used here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from expansion_platform.domain.core.table import arrow_schema
from expansion_platform.domain.signals.churn_rule import churn_points, churn_score
from expansion_platform.domain.signals.definition import ReadinessPoints
from expansion_platform.domain.signals.readiness import points
from expansion_platform.domain.signals.tables import Features
from expansion_platform.domain.signals.texts import fixed
from expansion_platform_tests.domain.signals.model.population import (
    BEFORE,
    Customers,
    Flags,
    Floats,
    Strengths,
)

AHEAD = 3
NOTHING = Strengths(usage=0, billing=0, hidden=0, level=-3.3, leaving=-4.2)
DIFFERENT = Strengths(usage=0, billing=1.3, hidden=0.6, level=-3.8, leaving=-4.4)
"""Usage is irrelevant, and billing is not."""


@dataclass(frozen=True)
class Company:
    """Customers at closes, by month and customer, and what is known to be true of each.

    Args:
        features: month, customer, columns of signals/features as numbers.
        expanded: by row 1 or 0, -1 where the three months are not over.
        left: the same of leaving.
        hazard: by row, log odds of expanding in the next month by what is observed.
        risk: of leaving.
        best: (expanding, leaving), the same with what nobody observes.
        events: month, customer, kind (`expansion`, `churn`).
    """

    features: pd.DataFrame
    expanded: npt.NDArray[np.int64]
    left: npt.NDArray[np.int64]
    hazard: Floats
    risk: Floats
    best: tuple[Floats, Floats]
    events: pd.DataFrame

    def outcomes(self, churn: bool = False) -> pd.DataFrame:
        """month, customer, outcome of the labelled rows."""
        outcome = self.left if churn else self.expanded
        found = self.features[["month", "customer"]].assign(outcome=outcome)
        return found[outcome >= 0]

    def scored(self, churn: bool = False) -> pd.DataFrame:
        """The features with the rule score."""
        rows = stored(self.features)
        if churn:
            parts = [churn_score(churn_points(each)) for _, each in rows.groupby("month")]
            return self.features.assign(rule=np.concatenate(parts))
        given = points(rows, pd.Series(pd.NA, index=rows.index, dtype="Int64"), ReadinessPoints())
        return self.features.assign(rule=np.clip(np.sum(list(given.values()), axis=0), 0, 100))


def stored(features: pd.DataFrame) -> pd.DataFrame:
    """Figures typed as the lake has them."""
    kinds = {field.name: str(field.type) for field in arrow_schema(Features)}
    typed: dict[str, object] = {}
    for name, values in features.items():
        kind = kinds[str(name)]
        if kind == "bool":
            typed[str(name)] = values > 0
        elif "int" in kind:
            typed[str(name)] = pd.array(np.round(values), dtype="Int64")
        else:
            typed[str(name)] = values if values.dtype.kind not in "f" else fixed(values.to_numpy())
    none = pd.Series(None, index=features.index, dtype="str")
    return pd.DataFrame({"unit_utilisation": none, **typed})


def company(
    seed: int, strengths: Strengths | None = None, *, customers: int = 3000, months: int = 30
) -> Company:
    """A company with so many customers at a time, seen for so many months."""
    rng = np.random.default_rng([20_26, seed])
    who = Customers(rng, customers, strengths or Strengths())
    calendar = pd.period_range("2023-01", periods=months, freq="M").astype(str)
    frames, events = [], []
    grew, left = (np.zeros((months, customers), dtype=bool) for _ in range(2))
    odds, risks, chance, danger = (np.zeros((months, customers)) for _ in range(4))
    hazard = risk = np.full(customers, -9.0)
    for month in range(-BEFORE, months):
        names = who.names
        grows, leaves = who.decide(hazard + who.states["hidden_growth"], risk + who.states["hidden_risk"])
        who.live()
        said = who.figures(month)
        hazard, risk = who.hazards(month, said)
        if month < 0:
            continue
        grew[month], left[month], odds[month], risks[month] = grows, leaves, hazard, risk
        chance[month] = hazard + who.states["hidden_growth"]
        danger[month] = risk + who.states["hidden_risk"]
        ids = np.array([f"cus_{number:06d}" for number in who.names], dtype=object)
        frames.append(pd.DataFrame({"month": calendar[month], "customer": ids, **said}))
        for kind, here in (("expansion", grows), ("churn", leaves)):
            gone = [f"cus_{number:06d}" for number in names[here]]
            events.append(pd.DataFrame({"month": calendar[month], "customer": gone, "kind": kind}))
    expanded, away = _outcomes(grew, left)
    order = np.concatenate(
        [np.lexsort([frame["customer"]]) + place * customers for place, frame in enumerate(frames)]
    )
    rows = pd.concat(frames, ignore_index=True).iloc[order].reset_index(drop=True)
    return Company(
        rows,
        expanded.reshape(-1)[order],
        away.reshape(-1)[order],
        odds.reshape(-1)[order],
        risks.reshape(-1)[order],
        (chance.reshape(-1)[order], danger.reshape(-1)[order]),
        pd.concat(events, ignore_index=True),
    )


def _outcomes(grew: Flags, left: Flags) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """By month and place, whether who pays there expands, and leaves, within three months; -1 not known."""
    months = len(grew)
    expanded, away = (np.full(grew.shape, -1, dtype=np.int64) for _ in range(2))
    for month in range(months - AHEAD):
        alive = np.ones(grew.shape[1], dtype=bool)
        some = np.zeros(grew.shape[1], dtype=bool)
        for ahead in range(month + 1, month + 1 + AHEAD):
            alive &= ~left[ahead]
            some |= grew[ahead] & alive
        expanded[month], away[month] = some, ~alive
    return expanded, away
