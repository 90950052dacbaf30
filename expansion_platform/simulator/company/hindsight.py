"""States of a company whose life did not follow them: what usage would have been, in hindsight.

Utilisation rises before seats grow, gates are met before an upgrade, engagement falls before a customer
leaves. Neither is always so: some rise and fall for nothing.

Here: states as `hidden.py` has them, from the subscriptions. Not here: events and records made of them. It
serves the demo, whose amounts are to stay as they are. Nothing estimated from it is worth anything.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from expansion_platform.domain.core import months
from expansion_platform.simulator.company.catalog import PLANS
from expansion_platform.simulator.company.keys import (
    Ints,
    hashed,
    normal,
    poisson,
    scrambled,
    seeded,
    uniform,
)
from expansion_platform.simulator.company.usage import FEATURES

FAR = 99
"""Months to what does not come."""
RISES = {1: 0.30, 2: 0.20, 3: 0.10}
"""Months before seats grow -> by how much utilisation is higher."""
FALSE_RISE, FALSE_FALL = 0.08, 0.05
FALLS = 4
"""Months before it leaves in which a customer's engagement falls."""
FALL = 0.28
"""Of the logarithm of engagement, each of these months."""

Bools = npt.NDArray[np.bool_]


def states_in_hindsight(seed: int, account_months: pd.DataFrame, items: pd.DataFrame) -> pd.DataFrame:
    """States, one row per account and month that has seats.

    Args:
        seed: of the company.
        account_months: account, customer, month, seats at its close.
        items: true item states (`truth/items.py`).
    """
    rows = account_months[account_months["seats"].astype("int64") > 0]
    rows = rows.sort_values(["account", "month"], ignore_index=True)[
        ["account", "customer", "month", "seats"]
    ]
    rows["seats"] = rows["seats"].astype("int64")
    rank = _ranks(rows, items)
    number = rows["month"].map({month: index for index, month in enumerate(sorted(set(rows["month"])))})
    broken = (rows["account"] != rows["account"].shift()) | (number != number.shift() + 1)
    run: Ints = np.cumsum(broken.to_numpy("bool"), dtype="int64")
    within = ~broken.to_numpy("bool")
    seats = rows["seats"].to_numpy("int64")
    grew, upgraded = within & (np.diff(seats, prepend=0) > 0), within & (np.diff(rank, prepend=0) > 0)
    ends = np.append(run[1:] != run[:-1], True) & (number < number.max()).to_numpy("bool")
    to_seats, to_upgrade = _until(grew, run), _until(upgraded, run)
    to_leave = np.where(ends, 1, _until(ends, run) + 1)

    account = seeded(seed, rows["account"])
    month = scrambled(account ^ hashed(rows["month"]))
    rising = sum(
        (np.where(to_seats == ahead, more, 0.0) for ahead, more in RISES.items()), np.zeros(len(rows))
    )
    rising = np.maximum(rising, 0.25 * (uniform(month, 1) < FALSE_RISE))
    share = 0.42 + 0.33 * uniform(account, 2) + 0.04 * normal(month, 3) + rising
    falling = np.clip(FALLS + 1 - to_leave, 0, FALLS) * FALL
    falling = np.maximum(falling, 2 * FALL * (uniform(month, 4) < FALSE_FALL))
    people = np.clip(np.rint(seats * np.clip(share - 0.1 * falling, 0.1, 1.0)), 1, seats).astype("int64")
    left = pd.Series((people * 0.06 * uniform(month, 5)).astype("int64")).groupby(rows["account"]).cumsum()
    connected = poisson(month, 6, 0.12)
    return rows.assign(
        people=people,
        left=left,
        engagement=np.exp(0.25 * normal(account, 7) + 0.08 * normal(month, 8) - falling),
        features=np.clip(
            3 + np.floor(uniform(account, 9) * (len(FEATURES) - 2)) - np.rint(1.5 * falling), 1, len(FEATURES)
        ).astype("int64"),
        gate_hits=poisson(month, 10, np.where(to_upgrade <= 2, 2.75, 0.25)) * (rank < PLANS[-1].tier_rank),
        limit_warnings=poisson(month, 11, np.asarray(12 * np.maximum(people / seats - 0.8, 0), "float64")),
        invites=poisson(month, 12, 0.4 + 0.02 * people, 30),
        integrations=connected,
        milestones=poisson(month, 13, 0.4),
        trouble=uniform(month, 14) < 0.05 + 0.40 * (to_leave <= 3),
        fall=falling,
        utilisation=people / seats,
        connected=pd.Series(connected).groupby(rows["account"]).cumsum(),
        higher_plan=rank < PLANS[-1].tier_rank,
    )


def _ranks(rows: pd.DataFrame, items: pd.DataFrame) -> Ints:
    """The highest plan's rank at each row's close, 0 for none."""
    ranks = {plan.id: plan.tier_rank for plan in PLANS}
    plans = items[items["product"].isin(ranks)]
    plans = plans.assign(rank=plans["product"].map(ranks).astype("int64"))
    found = []
    for month in sorted(set(rows["month"])):
        closing = months.closing(month)
        held = plans[(plans["valid_from"] < closing) & ~(plans["valid_to"] < closing)]
        found.append(held.groupby("customer", as_index=False)["rank"].max().assign(month=month))
    all_ranks = pd.concat(found, ignore_index=True) if found else plans[["customer", "rank"]].assign(month="")
    keyed = rows[["customer", "month"]].merge(all_ranks, how="left", on=["customer", "month"])
    return np.asarray(keyed["rank"].fillna(0).astype("int64"))


def _until(happens: Bools, run: Ints) -> Ints:
    """Rows to the next one after this, in its run, in which something happens; FAR where none does."""
    size = len(happens)
    here = np.where(happens, np.arange(size), size)
    coming = np.append(np.minimum.accumulate(here[::-1])[::-1][1:], size) if size else here
    inside = (coming < size) & (run[np.minimum(coming, size - 1)] == run) if size else happens
    return np.where(inside, coming - np.arange(size), FAR)
