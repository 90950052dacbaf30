"""Simulated companies for models of what customers do: known hazards, unobserved differences, gaps, noise.

The hazards of the observable drivers are kept, so that a model can be compared with what could be known at
all. Nothing of the models is used here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from expansion_platform.domain.signals.model.panel import FIGURES, NEVER, UNKNOWN, Panel

Floats = npt.NDArray[np.float64]
HORIZON = 3


@dataclass(frozen=True)
class Company:
    """A panel, and by row the log odds that the observable drivers alone give.

    `happened` are the months and customers of expansions, or of leaving.
    """

    panel: Panel
    known: Floats
    newest: int
    happened: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]


def company(
    seed: int,
    *,
    customers: int = 3000,
    months: int = 30,
    usage: float = 1.0,
    billing: float = 1.0,
    differences: float = 0.7,
    base: float = -3.55,
    churn: bool = False,
) -> Company:
    """A company whose customers expand (or leave) by hazards of a month.

    Args:
        seed: of everything.
        customers: how many there are at first; those that leave are replaced.
        months: of history.
        usage: strength of utilisation, gate hits, integrations and engagement; 0 for none.
        billing: strength of tenure, past expansions and discounts; 0 for none.
        differences: deviation of what differs between customers and nobody observes.
        base: log odds of a month.
        churn: hazards of leaving instead.
    """
    rng = np.random.default_rng(seed)
    size = customers
    hidden = rng.normal(0, differences, size)
    seats = np.round(np.exp(rng.normal(2.3, 0.9, size))) + 1
    fill = rng.normal(0.72, 0.18, size)
    engagement, wish = rng.normal(0, 1, size), rng.normal(0, 1, size)
    tenure = rng.integers(0, 36, size).astype(float)
    discount = np.where(rng.random(size) < 0.25, rng.uniform(0.05, 0.4, size), 0.0)
    yearly = rng.random(size) < 0.35
    mapped = rng.random(size) < 0.93
    history = np.zeros((size, months), dtype=bool)
    signals = {name: np.full((size, months), np.nan) for name in FIGURES}
    odds = np.empty((size, months))
    number = np.arange(size)
    numbers = np.empty((size, months), dtype=np.int64)
    users_before = np.tile(seats * fill, (4, 1))
    for month in range(months):
        fill = np.clip(0.72 + 0.93 * (fill - 0.72) + rng.normal(0, 0.07, size), 0.02, 1.6)
        engagement = 0.9 * engagement + rng.normal(0, 0.45, size)
        users = np.maximum(np.round(seats * fill), 0.0)
        wish = 0.85 * wish + rng.normal(0, 0.6, size)
        gates = rng.poisson(np.exp(-1.8 + 1.1 * wish))
        integrations = rng.poisson(0.25 + 0.15 * (engagement > 1))
        growth = (users - users_before[-3]) / np.maximum(users_before[-3], 1)
        recent = history[:, max(month - 6, 0) : month].sum(axis=1)
        past = history[:, max(month - 12, 0) : month].sum(axis=1)
        drivers = usage * (
            3.2 * np.clip(fill - 0.75, -0.4, 0.5)
            + 0.55 * np.minimum(gates, 3)
            + 0.35 * np.minimum(integrations, 2)
            + 0.35 * engagement
            + 0.8 * np.clip(growth, -0.5, 1)
        ) + billing * (0.45 * np.minimum(recent, 2) - 0.25 * (tenure < 3) - 1.2 * discount + 0.2 * ~yearly)
        if churn:
            drivers = usage * (
                -0.75 * engagement - 1.2 * np.clip(growth, -0.5, 1) - 2.0 * np.clip(fill - 0.6, -0.4, 0.5)
            ) + billing * (0.4 * (tenure < 6) + 1.2 * discount - 0.5 * yearly)
        odds[:, month] = base + drivers
        happens = rng.random(size) < 1 / (1 + np.exp(-(odds[:, month] + hidden)))
        last = (
            np.where(history[:, :month].any(axis=1), month - 1 - _last(history[:, :month]), NEVER)
            if month
            else np.full(size, NEVER)
        )
        shown = {
            "log_mrr": np.log(seats * 20),
            "tenure_months": tenure,
            "seats": seats,
            "months_since_expansion": np.minimum(last, NEVER),
            "expansions_12m": past,
            "discount_share": discount,
            "interval_months": np.where(yearly, 12.0, 1.0),
            "months_to_renewal": np.where(yearly, 12 - month % 12, 1).astype(float),
            "past_due": (rng.random(size) < 0.02).astype(float),
            "products_held": 1.0 + (rng.random(size) < 0.2),
            "seat_utilisation": users / seats,
            "active_users": users,
            "active_users_change_1m": (users - users_before[-1]) / np.maximum(users_before[-1], 1),
            "active_users_change_3m": growth,
            "stickiness": np.clip(0.3 + 0.08 * engagement + rng.normal(0, 0.05, size), 0, 1),
            "engagement_trend": 0.05 * engagement + rng.normal(0, 0.04, size),
            "active_days": np.clip(np.round(18 + 3 * engagement + rng.normal(0, 2, size)), 0, 31),
            "features_used": np.clip(np.round(6 + engagement + rng.normal(0, 1.5, size)), 0, 15),
            "gate_hits": gates.astype(float),
            "integrations": integrations.astype(float),
            "invites": rng.poisson(1.0, size).astype(float),
            "limit_warnings": ((fill > 0.9) & (rng.random(size) < 0.7)).astype(float),
            "logins": np.round(users * np.exp(rng.normal(1.5, 0.4, size))),
            "open_tickets": rng.poisson(0.4, size).astype(float),
            "nps": np.where(rng.random(size) < 0.3, rng.integers(0, 11, size), np.nan),
            "touches_3m": rng.poisson(0.5, size).astype(float),
        }
        for name, values in shown.items():
            known = mapped if name in _USAGE else np.ones(size, dtype=bool)
            signals[name][:, month] = np.where(known, values, np.nan)
        numbers[:, month] = number
        history[:, month] = happens
        users_before = np.vstack([users_before[1:], users])
        tenure = tenure + 1
        if not churn:
            seats = np.where(happens, np.ceil(seats * (1 + rng.uniform(0.05, 0.4, size))), seats)
            fill = np.where(happens, fill * 0.8, fill)
    return _company(history, odds, signals, numbers, months, churn)


def _last(history: npt.NDArray[np.bool_]) -> Floats:
    places = np.where(history, np.arange(history.shape[1]), -1)
    return np.asarray(places.max(axis=1), dtype=float)


_USAGE = {
    *("seat_utilisation", "active_users", "active_users_change_1m", "active_users_change_3m", "stickiness"),
    *("engagement_trend", "active_days", "features_used", "gate_hits", "integrations", "invites"),
    *("limit_warnings", "logins"),
}


def _company(
    history: npt.NDArray[np.bool_],
    odds: Floats,
    signals: dict[str, Floats],
    numbers: npt.NDArray[np.int64],
    months: int,
    churn: bool,
) -> Company:
    size = len(history)
    outcome = np.full((size, months), UNKNOWN)
    for month in range(months - HORIZON):
        outcome[:, month] = history[:, month + 1 : month + 1 + HORIZON].any(axis=1)
    member = np.ones((size, months), dtype=bool)
    if churn:  # who has left is no member any more
        member[:, 1:] = ~np.logical_or.accumulate(history, axis=1)[:, :-1]
        member &= ~history
    month, customer = np.nonzero(member.T)
    take = (customer, month)
    names = tuple(FIGURES)
    figures = np.stack([signals[name][take] for name in names], axis=1)
    limit = signals["seat_utilisation"][take]
    gate = np.nan_to_num(signals["gate_hits"][take]) > 0
    rule = (
        30 * (np.nan_to_num(limit) >= 0.8)
        + 15 * ((np.nan_to_num(limit) >= 0.6) & (np.nan_to_num(limit) < 0.8))
        + 20 * (np.nan_to_num(signals["active_users_change_3m"][take]) >= 0.1)
        + 15 * gate
        + 10 * (np.nan_to_num(signals["engagement_trend"][take]) > 0)
        - 10 * (signals["months_since_expansion"][take] <= 1)
    ).astype(float)
    if churn:
        rule = (
            20 * (np.nan_to_num(signals["active_users_change_3m"][take]) <= -0.25)
            + 30 * (signals["past_due"][take] > 0)
            + 20 * (np.nan_to_num(signals["engagement_trend"][take], nan=0.0) < -0.03)
        ).astype(float)
    panel = Panel(
        month.astype(np.int64),
        numbers[take],
        names,
        figures,
        outcome[take].astype(np.int64),
        np.maximum(rule, 0),
        -signals["months_since_expansion"][take],
        limit,
    )
    who, when = np.nonzero(history & member if not churn else history & ~_left(history))
    return Company(panel, odds[take], months - 1, (when, numbers[who, when]))


def _left(history: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Whether the customer had left before."""
    found = np.zeros_like(history)
    found[:, 1:] = np.logical_or.accumulate(history, axis=1)[:, :-1]
    return found
