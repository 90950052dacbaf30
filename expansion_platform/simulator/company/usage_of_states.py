"""The product events of a company with signals, as its customers' states make them.

Every number is a hash of the seed, the account, the month and the person (`keys.py`).

Here: who logs in when and does what, and what these events mean (signals.yaml). Not here: the states
(`hidden.py`, `hindsight.py`), the servers that are asked about the events.

A person's `distinct_id` is an e-mail address at CANARY, so that whoever keeps a person is found out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow

from expansion_platform.domain.core import months
from expansion_platform.simulator.company.keys import (
    Floats,
    Ints,
    Keys,
    hashed,
    scrambled,
    seeded,
    uniform,
    uuids,
)
from expansion_platform.simulator.company.usage import FEATURES

CANARY = "canary.example"
"""Host of every person's e-mail address."""
OWN_ACCOUNT = "own_company"
"""Of the company's own people, who are nobody's usage."""
LOGIN, SIGN_UP, PREVIEW = "signed_in", "signed_up", "advanced_report_previewed"
COUNTED = {
    "invites": "teammate_invited",
    "gate_hits": "paywall_seen",
    "limit_warnings": "limit_warning_shown",
    "integrations": "integration_added",
    "milestones": "milestone_reached",
}
"""Column of states -> the event that it is a number of."""
EVENTS = [LOGIN, SIGN_UP, PREVIEW, *COUNTED.values(), *FEATURES]
USED_A_DAY = 0.4
"""Share of a person's days on which a feature is used beside the login."""
PREVIEWED = 0.5
"""Of gate hits, with a look at what the higher plan has."""
LATE, LATEST_DAYS = 0.01, 12
"""Share of events that arrive days later, and how many at most."""
MOST_DAYS = 25
_PERSON_BITS = 2**20

DEFINITION: dict[str, Any] = {
    "events": {
        "logins": [LOGIN],
        **{kind: [event] for kind, event in COUNTED.items()},
        "sign_ups": [SIGN_UP],
    },
    "features": [*FEATURES, PREVIEW],
    "key_features": list(FEATURES)[:5],
    "higher_tier_features": {PREVIEW: 3},
    "internal_accounts": [OWN_ACCOUNT],
}
"""What the events mean: the content of signals.yaml."""


@dataclass(frozen=True)
class _Rows:
    """Account-months: when they begin, how long they are (microseconds), and a hash of each."""

    begins: Ints
    lasts: Ints
    keys: Keys


@dataclass(frozen=True)
class _Events:
    """Events of account-months: which row, which person of the account, what, when, and a hash."""

    row: Ints
    person: Ints
    name: Ints
    at: Ints
    keys: Keys


def usage_of_states(
    seed: int, states: pd.DataFrame, days_per_person: float, as_of: datetime, *, properties: bool = False
) -> pyarrow.Table:
    """Events of account-months, in no particular order.

    Args:
        seed: of the hashes.
        states: account, month, people (active, at least 1), left (people who left before), engagement (1 is
            usual), features (so many of FEATURES are used) and COUNTED; a row per account and month.
        days_per_person: on which a person of engagement 1 is active in a month.
        as_of: until when the company's own people have events, one a day.
        properties: whether events have a column `properties`, JSON with the person's e-mail address.

    Returns:
        uuid, event, timestamp, created_at (both UTC, microseconds), distinct_id, person_id, `$group_0` (the
        account).
    """
    states = states.sort_values(["account", "month"], ignore_index=True)
    rows = _rows(seed, states)
    parts = [_activity(rows, states, days_per_person), _sign_ups(rows, states), *_counted(rows, states)]
    row, person, name, at, keys = (
        np.concatenate([getattr(part, field) for part in parts])
        for field in ("row", "person", "name", "at", "keys")
    )
    accounts, account_names = pd.factorize(states["account"])
    people, which = np.unique(accounts[row] * _PERSON_BITS + person, return_inverse=True)
    addresses = [
        f"person-{code % _PERSON_BITS + 1}.{account_names[code // _PERSON_BITS]}@{CANARY}"
        for code in people.tolist()
    ]
    made = _table(seed, (keys, name, at), (addresses, which), (account_names.astype(object), accounts[row]))
    table = pyarrow.concat_tables([made, _own(seed, rows, as_of)])
    if properties:
        told = [f'{{"email":"{address}","name":"{address}"}}' for address in table["distinct_id"].to_pylist()]
        table = table.append_column("properties", pyarrow.array(told, pyarrow.string()))
    return table


def _rows(seed: int, states: pd.DataFrame) -> _Rows:
    codes, names = pd.factorize(states["month"])
    begins = np.array([months.opening(month).value // 1000 for month in names], dtype="int64")
    ends = np.array([months.closing(month).value // 1000 for month in names], dtype="int64")
    keys = scrambled(seeded(seed, states["account"]) ^ hashed(states["month"]))
    return _Rows(begins[codes], (ends - begins)[codes], keys)


def _each(counts: Ints) -> tuple[Ints, Ints]:
    """For each of several things of each row: its row, and its number within the row."""
    row = np.repeat(np.arange(len(counts)), counts)
    return row, np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)


def _activity(rows: _Rows, states: pd.DataFrame, days_per_person: float) -> _Events:
    """Logins of each active person, and the features used after them."""
    of, number = _each(states["people"].to_numpy("int64"))
    keys = scrambled(rows.keys[of] + number.astype(np.uint64))
    usual: Floats = days_per_person * states["engagement"].to_numpy("float64")
    days = np.clip(np.rint(usual[of] * (0.4 + 1.2 * uniform(keys, 1))), 1, MOST_DAYS).astype("int64")
    visit, again = _each(days)
    visit_keys = scrambled(keys[visit] + (again + 1).astype(np.uint64))
    row = of[visit]
    person = states["left"].to_numpy("int64")[row] + number[visit]
    # A few minutes before the month ends at the latest, so that what follows is in it too.
    at = rows.begins[row] + (uniform(visit_keys, 2) * (rows.lasts[row] - 10**9)).astype("int64")
    used = np.flatnonzero(uniform(visit_keys, 3) < USED_A_DAY)
    cumulated = np.cumsum(list(FEATURES.values()))
    known = np.clip(states["features"].to_numpy("int64"), 1, len(FEATURES))[row[used]]
    drawn = np.searchsorted(cumulated, uniform(visit_keys[used], 4) * cumulated[known - 1], side="right")
    codes = np.array([EVENTS.index(feature) for feature in FEATURES])
    feature = codes[np.minimum(drawn, known - 1)]
    return _Events(
        np.concatenate([row, row[used]]),
        np.concatenate([person, person[used]]),
        np.concatenate([np.full(len(row), EVENTS.index(LOGIN)), feature]),
        np.concatenate([at, at[used] + 120_000_000]),
        np.concatenate([visit_keys, scrambled(visit_keys[used])]),
    )


def _sign_ups(rows: _Rows, states: pd.DataFrame) -> _Events:
    """People who were not there in an earlier month."""
    left, people = (states[name].to_numpy("int64") for name in ("left", "people"))
    reached = pd.Series(left + people).groupby(states["account"], sort=False)
    before = reached.cummax().groupby(states["account"], sort=False).shift(fill_value=0).to_numpy("int64")
    first = np.maximum(before, left)
    row, number = _each(np.maximum(left + people - first, 0))
    return _some(rows, row, first[row] + number, number, SIGN_UP)


def _counted(rows: _Rows, states: pd.DataFrame) -> list[_Events]:
    """What states are numbers of, by one of the active people each."""
    left, people = (states[name].to_numpy("int64") for name in ("left", "people"))
    made = []
    for kind, event in COUNTED.items():
        row, number = _each(states[kind].to_numpy("int64"))
        stream = 10 + EVENTS.index(event)
        chosen = uniform(scrambled(rows.keys[row] + number.astype(np.uint64)), stream)
        person = left[row] + (chosen * people[row]).astype("int64")
        made.append(_some(rows, row, person, number, event))
        if kind == "gate_hits":
            seen = uniform(made[-1].keys, 5) < PREVIEWED
            made.append(_some(rows, row[seen], person[seen], number[seen], PREVIEW))
    return made


def _some(rows: _Rows, row: Ints, person: Ints, number: Ints, event: str) -> _Events:
    code = EVENTS.index(event)
    keys = scrambled(rows.keys[row] + np.uint64((code + 1) * 2**40) + number.astype(np.uint64))
    at = rows.begins[row] + (uniform(keys, 6) * rows.lasts[row]).astype("int64")
    return _Events(row, person, np.full(len(row), code), at, keys)


def _own(seed: int, rows: _Rows, as_of: datetime) -> pyarrow.Table:
    """A login a day of one of the company's own people, to the day before `as_of`: it says that data came."""
    first = int(rows.begins.min(initial=int(as_of.timestamp() * 1_000_000)))
    day = timedelta(days=1) // timedelta(microseconds=1)
    at = np.arange(first + day // 2, int(as_of.timestamp() * 1_000_000) - day // 4, day, dtype="int64")
    keys = scrambled(scrambled(at.astype(np.uint64)))
    zeros = np.zeros(len(at), dtype="int64")
    events = keys, np.full(len(at), EVENTS.index(LOGIN)), at
    return _table(seed, events, ([f"colleague@{CANARY}"], zeros), (np.array([OWN_ACCOUNT], object), zeros))


def _table(
    seed: int, events: tuple[Keys, Ints, Ints], people: tuple[list[str], Ints], accounts: tuple[Any, Ints]
) -> pyarrow.Table:
    """The columns. People and accounts are given as names and positions among them."""
    keys, name, at = events
    addresses, person = people
    late = np.where(uniform(keys, 7) < LATE, uniform(keys, 8) * LATEST_DAYS * 86_400, 1.0)
    arrived = at + (late * 1_000_000).astype("int64")
    text, instant = pyarrow.string(), pyarrow.timestamp("us", tz="UTC")
    identities = uuids(hashed(pd.Series(addresses, dtype="str")), seed)
    return pyarrow.table(
        {
            "uuid": uuids(keys, seed),
            "event": pyarrow.array(EVENTS, text).take(pyarrow.array(name)),
            "timestamp": pyarrow.array(at, instant),
            "created_at": pyarrow.array(arrived, instant),
            "distinct_id": pyarrow.array(addresses, text).take(pyarrow.array(person)),
            "person_id": identities.take(pyarrow.array(person)),
            "$group_0": pyarrow.array(accounts[0], text).take(pyarrow.array(accounts[1])),
        }
    )
