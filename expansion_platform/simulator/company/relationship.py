"""What a company with signals knows of the relationship with its customers: the user's tables of facts.

Here: owners, support tickets, NPS answers, touches, opportunities and a signal of its own, made of states.
Not here: the states (`hidden.py`, `hindsight.py`), writing the tables to files (`signalled.py`).

While a customer is in trouble it has more and graver tickets, answers lower and is spoken to more often. Rows
are versions with the time they were known; what was not known yet at `as_of` is not there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from expansion_platform.domain.catalog.tables import (
    CHANNELS,
    LOST,
    OPEN,
    OPPORTUNITY,
    SEVERITIES,
    TOUCH,
    WON,
    CrmActivity,
    CustomerSignals,
    Nps,
    Owners,
    Tickets,
)
from expansion_platform.domain.core import months
from expansion_platform.domain.core.table import Table, columns
from expansion_platform.simulator.company.keys import (
    Floats,
    Ints,
    Keys,
    hashed,
    normal,
    poisson,
    seeded,
    uniform,
)
from expansion_platform.simulator.company.keys import scrambled as mixed
from expansion_platform.simulator.company.usage_of_states import PREVIEW

OWNERS = 6
CALM_TICKETS, TROUBLED_TICKETS = 0.25, 1.5
"""Tickets a month."""
CALM_SEVERITIES, TROUBLED_SEVERITIES = (0.45, 0.85, 0.98), (0.15, 0.45, 0.80)
"""Shares of tickets up to low, normal and high; the rest are critical."""
ANSWERS = 0.12
"""Of customers, to the question how likely they recommend, in a month."""
CALM_SCORE, TROUBLED_SCORE = 8.4, 4.6
TOUCHED, TOUCHED_IN_TROUBLE = 0.15, 0.40
LONGEST_DEAL = 75
"""Days in which an opportunity is decided."""
LOST_SHARE = 0.7
"""Of opportunities that do not become an expansion, within the same days; the others stay open."""
_DAY = 86_400
_Frame = pd.DataFrame


@dataclass(frozen=True)
class Relationship:
    """The user's tables, values as text; empty texts where nothing is known."""

    owners: _Frame
    tickets: _Frame
    nps: _Frame
    crm_activity: _Frame
    customer_signals: _Frame


def relationship(seed: int, states: pd.DataFrame, expansions: pd.DataFrame, as_of: datetime) -> Relationship:
    """The facts.

    Args:
        seed: of the hashes.
        states: of account-months (`hidden.py`).
        expansions: customer, at (epoch seconds): expansions that an opportunity may have come before.
        as_of: what was known later is left out.
    """
    rows = states.sort_values(["account", "month"], ignore_index=True)
    keys = mixed(seeded(seed, rows["account"]) ^ hashed(rows["month"] + ":relationship"))
    opening = {month: int(months.opening(month).timestamp()) for month in rows["month"].unique()}
    facts = _Facts(rows, keys, rows["month"].map(opening).to_numpy("int64"), int(as_of.timestamp()))
    owners = _owners(seed, facts)
    activity = [_touches(facts), _opportunities(facts, expansions, owners)]
    return Relationship(
        _given(Owners, owners),
        _given(Tickets, _tickets(facts)),
        _given(Nps, _nps(facts)),
        _given(CrmActivity, pd.concat(activity, ignore_index=True)),
        _given(CustomerSignals, _satisfaction(facts)),
    )


@dataclass(frozen=True)
class _Facts:
    """Account-months in order, a hash of each, when its month begins, and when all is read (seconds)."""

    rows: pd.DataFrame
    keys: Keys
    begins: Ints
    as_of: int

    @property
    def trouble(self) -> Any:
        return self.rows["trouble"].to_numpy("bool")

    def instants(self, at: Sequence[int] | Ints, stream: int) -> Ints:
        """Instants of the months of the rows at these positions."""
        chosen = np.asarray(at, dtype="int64")
        found: Ints = self.begins[chosen] + (uniform(self.keys[chosen], stream) * 27 * _DAY).astype("int64")
        return found


def _owners(seed: int, facts: _Facts) -> pd.DataFrame:
    """An owner a customer from its first month on; every fifth has another one later."""
    first = facts.rows.drop_duplicates("customer")
    changed = facts.rows[facts.rows.groupby("customer").cumcount() == 5]
    keys = seeded(seed, changed["customer"])
    changed = changed[uniform(keys, 21) < 0.2]
    found = pd.concat([first, changed], ignore_index=True)
    number = (uniform(seeded(seed, found["customer"] + found["month"]), 22) * OWNERS).astype("int64")
    day = found["month"] + "-01"
    return pd.DataFrame(
        {
            "customer": found["customer"],
            "owner": [f"csm_{each + 1}" for each in number],
            "valid_from": day,
            "known_at": day + "T08:00:00Z",
        }
    )


def _tickets(facts: _Facts) -> pd.DataFrame:
    """Each ticket as it was opened, and as it was closed."""
    counts = poisson(facts.keys, 31, np.where(facts.trouble, TROUBLED_TICKETS, CALM_TICKETS))
    at = np.repeat(np.arange(len(counts)), counts)
    number = np.arange(len(at)) - np.repeat(np.cumsum(counts) - counts, counts)
    keys = mixed(facts.keys[at] + number.astype(np.uint64))
    opened = facts.begins[at] + (uniform(keys, 32) * 27 * _DAY).astype("int64")
    troubled = facts.trouble[at]
    limits = np.where(troubled[:, None], TROUBLED_SEVERITIES, CALM_SEVERITIES)
    severity = np.asarray(SEVERITIES)[(uniform(keys, 33)[:, None] >= limits).sum(axis=1)]
    closed = opened + (_DAY * (0.2 + uniform(keys, 34) * np.where(troubled, 30, 8))).astype("int64")
    asks = facts.rows["gate_hits"].to_numpy("int64")[at] > 0
    asks &= uniform(keys, 35) < 0.5
    table = pd.DataFrame(
        {
            "customer": facts.rows["customer"].to_numpy()[at],
            "id": _names("T", keys),
            "opened": _days(opened),
            "closed": "",
            "severity": severity,
            "feature": np.where(asks, PREVIEW, ""),
            "tier": np.where(asks, "enterprise", ""),
        }
    )
    return _known(
        facts,
        [(table, opened), (table.assign(closed=_days(closed)), closed)],
    )


def _nps(facts: _Facts) -> pd.DataFrame:
    at = np.flatnonzero(uniform(facts.keys, 41) < ANSWERS)
    keys, answered = facts.keys[at], facts.instants(at, 42)
    usual = np.where(facts.trouble[at], TROUBLED_SCORE, CALM_SCORE)
    falling = facts.rows["fall"].to_numpy("float64")[at]
    score = np.clip(np.rint(usual - 1.5 * falling + 1.4 * normal(keys, 43)), 0, 10).astype("int64")
    table = pd.DataFrame(
        {
            "customer": facts.rows["customer"].to_numpy()[at],
            "date": _days(answered),
            "id": _names("N", keys),
            "score": score.astype(str),
        }
    )
    return _known(facts, [(table, answered)])


def _satisfaction(facts: _Facts) -> pd.DataFrame:
    """A signal of the company's own, `csat`: of half of the customers, on the 20th of each month."""
    at = np.flatnonzero(uniform(mixed(hashed(facts.rows["customer"])), 51) < 0.5)
    day = facts.begins[at] + 19 * _DAY
    value = 4.3 - 0.9 * facts.trouble[at] + 0.3 * normal(facts.keys[at], 52)
    table = pd.DataFrame(
        {
            "customer": facts.rows["customer"].to_numpy()[at],
            "date": _days(day),
            "signal": "csat",
            "value": [f"{min(5.0, max(1.0, each)):.2f}" for each in value],
        }
    )
    return _known(facts, [(table, day)])


def _touches(facts: _Facts) -> pd.DataFrame:
    chance = np.where(facts.trouble, TOUCHED_IN_TROUBLE, TOUCHED)
    at = np.flatnonzero(uniform(facts.keys, 61) < chance)
    touched = facts.instants(at, 62)
    table = pd.DataFrame(
        {
            "customer": facts.rows["customer"].to_numpy()[at],
            "date": _days(touched),
            "kind": TOUCH,
            "id": _names("A", facts.keys[at]),
            "channel": _channels(facts.keys[at], 63),
        }
    )
    return _known(facts, [(table, touched)])


def _opportunities(facts: _Facts, expansions: pd.DataFrame, owners: pd.DataFrame) -> pd.DataFrame:
    """Opened where use is high or a gate was met; won where an expansion follows, else lost or left open."""
    rows = facts.rows
    likely = 0.02 + 0.18 * (rows["utilisation"] > 0.85) + 0.12 * (rows["gate_hits"] > 1)
    at = np.flatnonzero(uniform(facts.keys, 71) < likely.to_numpy("float64"))
    keys, opened = facts.keys[at], facts.instants(at, 72)
    customer = rows["customer"].to_numpy()[at]
    amount = np.rint(rows["seats"].to_numpy("int64")[at] * (2 + 8 * uniform(keys, 73)) * 12).astype("int64")
    latest = owners.drop_duplicates("customer", keep="first").set_index("customer")["owner"]
    table = pd.DataFrame(
        {
            "customer": customer,
            "date": _days(opened),
            "kind": OPPORTUNITY,
            "id": _names("O", keys),
            "stage": OPEN,
            "stage_name": "Proposal",
            "channel": _channels(keys, 74),
            "amount": [f"{each}.00" for each in amount],
            "currency": "usd",
            "owner": latest.reindex(customer).fillna("").to_numpy(),
        }
    )
    expanded = _first_after(customer, opened, expansions)
    won = expanded - opened <= LONGEST_DEAL * _DAY
    decided = opened + ((5 + uniform(keys, 75) * (LONGEST_DEAL - 5)) * _DAY).astype("int64")
    lost = ~won & (uniform(keys, 76) < LOST_SHARE)
    signed = np.where(won, expanded, 0)
    return _known(
        facts,
        [
            (table, opened),
            (table.assign(stage=WON, stage_name="Signed", date=_days(signed))[won], signed[won]),
            (table.assign(stage=LOST, stage_name="Declined", date=_days(decided))[lost], decided[lost]),
        ],
    )


def _first_after(customer: Any, at: Ints, expansions: pd.DataFrame) -> Ints:
    """The first expansion of the customer after each instant, in seconds; far away where there is none."""
    asked = pd.DataFrame({"customer": pd.Series(customer, dtype="str"), "at": at, "row": np.arange(len(at))})
    grown = (
        expansions[["customer", "at"]].astype({"at": "int64"}).assign(then=expansions["at"].astype("int64"))
    )
    found = pd.merge_asof(
        asked.sort_values(["at", "row"]),
        grown.sort_values(["at", "customer"]),
        on="at",
        by="customer",
        direction="forward",
    )
    then = found.sort_values("row")["then"]
    return np.asarray(then.fillna(2**40).astype("int64"))


def _known(facts: _Facts, versions: Sequence[tuple[pd.DataFrame, Ints]]) -> pd.DataFrame:
    """Versions of rows with the instants they were known at, without those after all is read."""
    known = [
        table.assign(known_at=_instants(np.asarray(at)))[np.asarray(at) <= facts.as_of]
        for table, at in versions
    ]
    return pd.concat(known, ignore_index=True)


def _given(model: type[Table], table: pd.DataFrame) -> pd.DataFrame:
    """All columns of a table, as text, rows in order."""
    names = list(columns(model))
    full = table.reindex(columns=names).astype("str").fillna("")
    return full.sort_values(names, ignore_index=True)


def _days(at: Ints) -> Any:
    return np.asarray(pd.to_datetime(at, unit="s").strftime("%Y-%m-%d"), dtype=object)


def _instants(at: Ints) -> Any:
    return np.asarray(pd.to_datetime(at, unit="s").strftime("%Y-%m-%dT%H:%M:%SZ"), dtype=object)


def _names(letter: str, keys: Keys) -> list[str]:
    return [f"{letter}{each:016x}" for each in keys.tolist()]


def _channels(keys: Keys, stream: int) -> Any:
    drawn: Floats = uniform(keys, stream) * (len(CHANNELS) - 1)
    return np.asarray(CHANNELS, dtype=object)[drawn.astype("int64")]
