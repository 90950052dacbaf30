"""What the people of the simulated company's customers do in its product.

The events an analytics tool would hold.

Every number is a hash of the seed, the account and the month, so a month's events do not change when later
months are added.

Here: events. Not here: who is a customer and has how many seats (`company.py`), and the server that is asked
about them (`simulator/servers/posthog.py`).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow

from expansion_platform.domain.core import months

# Features of a B2B product, and how often each is used. The first is what every active person does at least
# once a month.
FEATURES = {
    "workspace_opened": 0.30,
    "report_created": 0.18,
    "dashboard_viewed": 0.16,
    "api_call": 0.12,
    "comment_added": 0.09,
    "export_downloaded": 0.07,
    "invite_sent": 0.05,
    "integration_connected": 0.03,
}
FEWEST_EVENTS, MOST_EVENTS = 15, 30  # of an account-month, beside one for each active person
LEAST_ACTIVE, MOST_ACTIVE = 0.35, 0.95  # share of an account's seats in use
FEWEST_FEATURES = 3  # an account uses the first three at least

_UINT = np.uint64


def usage_events(seed: int, account_months: pd.DataFrame) -> pyarrow.Table:
    """Events of account-months, in no particular order.

    Columns account, customer, month, seats; one row each, seats at least 0.

    Columns: uuid, event, timestamp (UTC, microseconds), distinct_id, person_id, `$group_0` (the account). An
    account-month without seats has none.
    """
    seated = account_months[account_months["seats"].astype("int64") > 0]
    seats = seated["seats"].to_numpy(dtype="int64")
    account_key = _scrambled(
        _hashed(seated["account"]) ^ _scrambled(np.array([seed], dtype="int64").astype(_UINT))
    )
    month_key = _scrambled(account_key ^ _hashed(seated["month"]))

    # The share of seats in use belongs to the account and wavers a little from month to month.
    share = LEAST_ACTIVE + (MOST_ACTIVE - LEAST_ACTIVE) * np.clip(
        _uniform(account_key, 1) + 0.2 * (_uniform(month_key, 2) - 0.5), 0, 1
    )
    people = np.maximum(1, np.rint(seats * share)).astype("int64")
    beside = FEWEST_EVENTS + np.floor(_uniform(month_key, 3) * (MOST_EVENTS - FEWEST_EVENTS + 1)).astype(
        "int64"
    )
    counts = people + beside

    row = np.repeat(np.arange(len(seated)), counts)
    number = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    key = _scrambled(month_key[row] + number.astype(_UINT))
    first_visit = number < people[row]
    person = np.where(first_visit, number, np.floor(_uniform(key, 4) * people[row]).astype("int64"))
    used = FEWEST_FEATURES + np.floor(
        _uniform(account_key, 5) * (len(FEATURES) - FEWEST_FEATURES + 1)
    ).astype("int64")
    cumulated = np.cumsum(list(FEATURES.values()))
    drawn = np.searchsorted(cumulated, _uniform(key, 6) * cumulated[used - 1][row], side="right")
    feature = np.where(first_visit, 0, np.minimum(drawn, used[row] - 1))

    month_codes, month_names = pd.factorize(seated["month"])
    opening = np.array([months.opening(month).value // 1000 for month in month_names], dtype="int64")
    length = np.array([months.closing(month).value // 1000 for month in month_names], dtype="int64") - opening
    instant = opening[month_codes][row] + np.floor(_uniform(key, 7) * length[month_codes][row]).astype(
        "int64"
    )

    account_codes, account_names = pd.factorize(seated["account"])
    most = int(people.max(initial=0)) + 1
    persons, which = np.unique(account_codes[row] * most + person, return_inverse=True)
    names = [f"{account_names[code // most]}-person-{code % most + 1}" for code in persons.tolist()]
    distinct_id = pyarrow.array(names, pyarrow.string()).take(pyarrow.array(which))
    person_id = pyarrow.array(_uuids(_hashed(pd.Series(names, dtype="str")), seed), pyarrow.string()).take(
        pyarrow.array(which)
    )
    return pyarrow.table(
        {
            "uuid": pyarrow.array(_uuids(key, seed), pyarrow.string()),
            "event": pyarrow.array(list(FEATURES), pyarrow.string()).take(pyarrow.array(feature)),
            "timestamp": pyarrow.array(instant, pyarrow.timestamp("us", tz="UTC")),
            "distinct_id": distinct_id,
            "person_id": person_id,
            "$group_0": pyarrow.array(account_names.astype(object), pyarrow.string()).take(
                pyarrow.array(account_codes[row])
            ),
        }
    )


def _hashed(texts: pd.Series) -> np.ndarray:
    """64-bit hashes of texts, the same in every process."""
    return np.asarray(pd.util.hash_array(texts.to_numpy(dtype=object)), dtype=_UINT)


def _scrambled(keys: np.ndarray) -> np.ndarray:
    """splitmix64's finalizer.

    A bijection of 64-bit integers after which neighbours have nothing in common.
    """
    keys = keys + _UINT(0x9E3779B97F4A7C15)
    keys = (keys ^ (keys >> _UINT(30))) * _UINT(0xBF58476D1CE4E5B9)
    keys = (keys ^ (keys >> _UINT(27))) * _UINT(0x94D049BB133111EB)
    mixed: np.ndarray = keys ^ (keys >> _UINT(31))
    return mixed


def _uniform(keys: np.ndarray, stream: int) -> np.ndarray:
    """Numbers in [0, 1), independent from stream to stream."""
    return (_scrambled(keys + _UINT(stream * 0x632BE59BD9B4E019 % 2**64)) >> _UINT(11)) / float(2**53)


def _uuids(keys: np.ndarray, seed: int) -> list[str]:
    """Version 4 UUIDs of keys."""
    high = _scrambled(keys + _UINT(seed % 2**32)) & _UINT(0xFFFFFFFFFFFF0FFF) | _UINT(0x4000)
    low = _scrambled(high) & _UINT(0x3FFFFFFFFFFFFFFF) | _UINT(0x8000000000000000)
    digits = np.stack([high, low], axis=1).astype(">u8").tobytes().hex()
    parts = ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32))
    return [
        "-".join(digits[at + begin : at + end] for begin, end in parts) for at in range(0, len(digits), 32)
    ]
