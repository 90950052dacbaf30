"""The customers of a simulated company: what they do from month to month, and what can be observed of it.

Here: one population, its figures and its hazards. Not here: months seen, outcomes (`companies.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
BEFORE = 14
"""Months that are lived through before the first that is seen, so that customers have a past."""
UNMAPPED, GAPS = 0.15, 0.03
TYPICAL = {
    "seat_utilisation": 0.66,
    "active_users_change_3m": 0.0,
    "engagement_trend": 0.0,
    "active_days": 19.0,
    "gate_hits": 0.35,
    "integrations": 0.2,
}
"""What the hazards take where usage is not observed."""


@dataclass(frozen=True)
class Strengths:
    """How a company's customers behave.

    Args:
        usage: strength of utilisation, team growth, gate hits, integrations, engagement; 0 for none.
        billing: of tenure, past expansions, discounts, renewals, past due payments, NPS; 0 for none.
        hidden: deviation of what differs between customers and nobody observes, in log odds.
        level: log odds of an expansion in a month.
        leaving: log odds of leaving in a month.
    """

    usage: float = 1.3
    billing: float = 0.7
    hidden: float = 0.5
    level: float = -4.6
    leaving: float = -4.9


class Customers:
    """Everybody at a moment, one place a paying customer; who leaves is replaced by somebody new."""

    def __init__(self, rng: np.random.Generator, size: int, strengths: Strengths) -> None:
        self.rng, self.size, self.of = rng, size, strengths
        length = BEFORE
        self.grown, self.shrunk = np.zeros((size, length), bool), np.zeros((size, length), bool)
        self.past = {name: np.full((size, 7), np.nan) for name in ("seats", "active", "daily")}
        self.states: dict[str, npt.NDArray[np.generic]] = self._new(size)
        self.states["tenure"] = rng.integers(0, 40, size).astype(float)
        self.names = np.arange(size)

    def _new(self, count: int) -> dict[str, npt.NDArray[np.generic]]:
        rng, hidden = self.rng, self.of.hidden
        return {
            "seats": np.ceil(np.exp(rng.normal(2.5, 1.0, count)) + 1),
            "engaged": rng.normal(0, 1, count),
            "wishes": rng.normal(0, 1, count),
            "fill": np.clip(rng.beta(5, 3, count), 0.05, 1.2),
            "tenure": np.zeros(count),
            "discount": np.where(rng.random(count) < 0.3, rng.uniform(0.05, 0.45, count), 0.0),
            "discount_left": rng.integers(1, 13, count).astype(float),
            "yearly": rng.random(count) < 0.35,
            "phase": rng.integers(0, 12, count),
            "due": np.zeros(count, dtype=bool),
            "tier": rng.choice([1.0, 2.0, 3.0], count, p=[0.5, 0.35, 0.15]),
            "products": 1.0 + rng.binomial(2, 0.15, count),
            "nps": np.full(count, np.nan),
            "mapped": rng.random(count) > UNMAPPED,
            "price": np.exp(rng.normal(3, 0.4, count)),
            "hidden_growth": rng.normal(0, hidden, count),
            "hidden_risk": rng.normal(0, hidden, count),
        }

    def decide(self, growth: Floats, risk: Floats) -> tuple[Flags, Flags]:
        """A month passes: who expands and who leaves, by log odds; the chances are of everything."""
        rng, at = self.rng, self.states
        leaves = rng.random(self.size) < share(risk)
        grows = (rng.random(self.size) < share(growth)) & ~leaves
        shrinks = ~grows & (rng.random(self.size) < 0.012)
        upgrades = grows & (rng.random(self.size) < 0.2) & (at["tier"] < 3)
        more = np.where(grows & ~upgrades, rng.uniform(0.08, 0.45, self.size), 0.0)
        at["tier"] = at["tier"] + upgrades
        at["seats"] = np.where(shrinks, np.maximum(np.floor(at["seats"] * 0.85), 1), at["seats"])
        at["seats"] = np.where(more > 0, np.ceil(at["seats"] * (1 + more)), at["seats"])
        at["fill"] = at["fill"] / (1 + 0.8 * more)
        at["tenure"], at["discount_left"] = at["tenure"] + 1, at["discount_left"] - 1
        at["discount"] = np.where(at["discount_left"] < 0, 0.0, at["discount"])
        self.grown, self.shrunk = _push(self.grown, grows), _push(self.shrunk, shrinks)
        somebody = self._new(int(leaves.sum()))
        for name, values in somebody.items():
            at[name][leaves] = values
        for matrix in (self.grown, self.shrunk, *self.past.values()):
            matrix[leaves] = False if matrix.dtype == bool else np.nan
        self.names = self.names.copy()
        self.names[leaves] = self.names.max() + 1 + np.arange(leaves.sum())
        return grows, leaves

    def live(self) -> None:
        """What they do in a month: engagement, wishes and use drift, payments and answers come in."""
        rng, at, size = self.rng, self.states, self.size
        at["engaged"] = 0.88 * at["engaged"] + rng.normal(0, 0.47, size)
        at["wishes"] = 0.8 * at["wishes"] + rng.normal(0, 0.6, size)
        drifted = 0.66 + 0.94 * (at["fill"] - 0.66) + 0.015 * at["engaged"] + rng.normal(0, 0.06, size)
        at["fill"] = np.clip(drifted, 0.03, 1.35)
        active = rng.poisson(at["seats"] * at["fill"]).astype(float)
        daily = active * np.clip(0.28 + 0.07 * at["engaged"] + rng.normal(0, 0.04, size), 0.02, 0.95)
        at["due"] = rng.random(size) < np.where(at["due"], 0.4, 0.015)
        score = np.clip(np.round(7.5 + 1.1 * at["engaged"] + rng.normal(0, 2, size)), 0, 10)
        at["nps"] = np.where(rng.random(size) < 0.06, score, at["nps"])
        for name, values in (("seats", at["seats"]), ("active", active), ("daily", daily)):
            self.past[name] = _push(self.past[name], values)

    def figures(self, month: int) -> dict[str, Floats]:
        """What signals/features would say at a close."""
        seen = self.states["mapped"] & (self.rng.random(self.size) > GAPS)
        usage = {name: np.where(seen, values, np.nan) for name, values in self._usage().items()}
        return {**self._billing(month), **usage, **self._relationship()}

    def _billing(self, month: int) -> dict[str, Floats]:
        at, seats = self.states, self.past["seats"]
        places = np.where(self.grown, np.arange(BEFORE), -BEFORE).max(axis=1)
        return {
            "log_mrr": np.log(at["seats"] * at["price"] * at["tier"]),
            "tenure_months": at["tenure"].copy(),
            "seats": at["seats"].copy(),
            **{f"seats_growth_{back}m": _change(seats, back) for back in (1, 3, 6)},
            "months_since_expansion": np.where(places >= 0, BEFORE - 1.0 - places, np.nan),
            "expansions_12m": self.grown[:, -12:].sum(axis=1).astype(float),
            "contractions_3m": self.shrunk[:, -3:].sum(axis=1).astype(float),
            "contractions_6m": self.shrunk[:, -6:].sum(axis=1).astype(float),
            "discount_share": at["discount"].copy(),
            "interval_months": np.where(at["yearly"], 12.0, 1.0),
            "months_to_renewal": np.where(at["yearly"], (at["phase"] - month) % 12, 1.0),
            "months_to_discount_end": np.where(at["discount"] > 0, at["discount_left"], np.nan),
            "past_due": at["due"].astype(float),
            "products_held": at["products"].copy(),
            "tier_rank": at["tier"].copy(),
            "tier_headroom": 3.0 - at["tier"],
        }

    def _usage(self) -> dict[str, Floats]:
        rng, at, size = self.rng, self.states, self.size
        active, daily, engaged = self.past["active"][:, -1], self.past["daily"], at["engaged"]
        fill = active / at["seats"]
        with np.errstate(invalid="ignore", divide="ignore"):
            trend = (daily[:, -1] - daily[:, -3]) / 2 / daily[:, -3:].mean(axis=1)
        adopted = np.round((0.5 + 0.13 * engaged + rng.normal(0, 0.15, size)) * 5) / 5
        return {
            "seat_utilisation": fill,
            "active_users": active,
            **{f"active_users_change_{back}m": _change(self.past["active"], back) for back in (1, 3)},
            "new_users": rng.poisson(0.08 * active + 0.1).astype(float),
            "active_days": np.clip(np.round(19 + 3.2 * engaged + rng.normal(0, 2.5, size)), 0, 30),
            "stickiness": daily[:, -1] / np.maximum(active, 1),
            "engagement_trend": np.where(np.isfinite(trend), trend, np.nan),
            "features_used": np.clip(np.round(7 + 1.2 * engaged + rng.normal(0, 1.8, size)), 0, 20),
            "key_feature_adoption": np.clip(adopted, 0, 1),
            "logins": np.round(active * np.exp(rng.normal(2, 0.6, size))),
            "invites": _counts(rng, np.exp(-0.5 + 0.3 * engaged)),
            "gate_hits": _counts(rng, np.exp(-1.6 + at["wishes"])),
            "limit_warnings": ((fill > 0.92) & (rng.random(size) < 0.6)).astype(float),
            "integrations": rng.poisson(0.15 + 0.1 * np.clip(engaged, 0, 3)).astype(float),
            "milestones": rng.poisson(0.2, size).astype(float),
        }

    def _relationship(self) -> dict[str, Floats]:
        rng, at, size = self.rng, self.states, self.size
        return {
            "open_tickets": rng.poisson(0.35, size).astype(float),
            "critical_tickets": (rng.random(size) < 0.02).astype(float),
            "higher_tier_requests": rng.poisson(0.04 + 0.05 * (at["wishes"] > 1)).astype(float),
            "nps": at["nps"].copy(),
            "touches_3m": rng.poisson(0.6, size).astype(float),
        }

    def hazards(self, month: int, said: dict[str, Floats]) -> tuple[Floats, Floats]:
        """Log odds of expanding and of leaving in the next month by what is observed."""
        of = self.of
        use = {name: np.where(np.isnan(said[name]), usual, said[name]) for name, usual in TYPICAL.items()}
        fill, grown, trend = (use[name] for name in list(TYPICAL)[:3])
        season = 0.15 * np.cos(2 * np.pi * month / 12)
        growth = of.usage * (
            2.6 * np.clip(fill - 0.7, -0.35, 0.35)
            + 0.55 * np.log1p(use["gate_hits"]) * np.where(said["tier_headroom"] > 0, 1.3, 0.7)
            + 0.3 * np.minimum(use["integrations"], 2)
            + 0.7 * np.clip(grown, -0.5, 0.8)
            + 0.09 * (use["active_days"] - 19)
            + np.clip(trend, -0.3, 0.3)
            + 0.8 * ((fill > 0.85) & (grown > 0.05))
        ) + of.billing * (
            0.5 * np.log1p(said["expansions_12m"])
            + 0.35 * ((said["tenure_months"] >= 3) & (said["tenure_months"] <= 18))
            - 1.6 * said["discount_share"]
            - 0.5 * said["past_due"]
            - 0.7 * (said["months_since_expansion"] <= 1)
            + 0.5 * ((said["interval_months"] > 1) & (said["months_to_renewal"] <= 2))
            + 0.22 * (np.log(said["seats"]) - 2.5)
            + 0.3 * said["higher_tier_requests"]
        )
        risk = of.usage * (
            -0.12 * (use["active_days"] - 19)
            - 1.2 * np.clip(grown, -0.6, 0.5)
            - 1.5 * np.clip(trend, -0.3, 0.3)
            - 1.4 * np.clip(fill - 0.66, -0.5, 0.35)
        ) + of.billing * (
            1.3 * said["past_due"]
            + 0.6 * (said["tenure_months"] < 6)
            + 0.9 * (said["months_to_discount_end"] <= 2)
            + 0.6 * (said["contractions_3m"] > 0)
            + 0.9 * ((said["interval_months"] > 1) & (said["months_to_renewal"] <= 1))
            - 0.2 * (np.log(said["seats"]) - 2.5)
            + 0.12 * np.nan_to_num(7.5 - said["nps"])
            + 0.6 * said["critical_tickets"]
        )
        return of.level + season + growth, of.leaving + risk


def share(log_odds: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-log_odds)))


def _push(matrix: npt.NDArray[np.generic], newest: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    return np.hstack([matrix[:, 1:], newest[:, None]])


def _change(past: Floats, back: int) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        found = past[:, -1] / past[:, -1 - back] - 1
    return np.where(np.isfinite(found), found, np.nan)


def _counts(rng: np.random.Generator, mean: Floats) -> Floats:
    """Counts with more zeros and longer tails than Poisson's."""
    return rng.negative_binomial(0.8, 0.8 / (0.8 + mean)).astype(float)
