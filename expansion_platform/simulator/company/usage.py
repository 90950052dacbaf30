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
from expansion_platform.simulator.company.keys import hashed, scrambled, seeded, uniform, uuids

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


def usage_events(seed: int, account_months: pd.DataFrame) -> pyarrow.Table:
    """Events of account-months, in no particular order.

    Columns account, customer, month, seats; one row each, seats at least 0.

    Columns: uuid, event, timestamp (UTC, microseconds), distinct_id, person_id, `$group_0` (the account). An
    account-month without seats has none.
    """
    seated = account_months[account_months["seats"].astype("int64") > 0]
    seats = seated["seats"].to_numpy(dtype="int64")
    account_key = seeded(seed, seated["account"])
    month_key = scrambled(account_key ^ hashed(seated["month"]))

    # The share of seats in use belongs to the account and wavers a little from month to month.
    share = LEAST_ACTIVE + (MOST_ACTIVE - LEAST_ACTIVE) * np.clip(
        uniform(account_key, 1) + 0.2 * (uniform(month_key, 2) - 0.5), 0, 1
    )
    people = np.maximum(1, np.rint(seats * share)).astype("int64")
    beside = FEWEST_EVENTS + np.floor(uniform(month_key, 3) * (MOST_EVENTS - FEWEST_EVENTS + 1)).astype(
        "int64"
    )
    counts = people + beside

    row = np.repeat(np.arange(len(seated)), counts)
    number = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    key = scrambled(month_key[row] + number.astype(np.uint64))
    first_visit = number < people[row]
    person = np.where(first_visit, number, np.floor(uniform(key, 4) * people[row]).astype("int64"))
    used = FEWEST_FEATURES + np.floor(uniform(account_key, 5) * (len(FEATURES) - FEWEST_FEATURES + 1)).astype(
        "int64"
    )
    cumulated = np.cumsum(list(FEATURES.values()))
    drawn = np.searchsorted(cumulated, uniform(key, 6) * cumulated[used - 1][row], side="right")
    feature = np.where(first_visit, 0, np.minimum(drawn, used[row] - 1))

    month_codes, month_names = pd.factorize(seated["month"])
    opening = np.array([months.opening(month).value // 1000 for month in month_names], dtype="int64")
    length = np.array([months.closing(month).value // 1000 for month in month_names], dtype="int64") - opening
    instant = opening[month_codes][row] + np.floor(uniform(key, 7) * length[month_codes][row]).astype("int64")

    account_codes, account_names = pd.factorize(seated["account"])
    most = int(people.max(initial=0)) + 1
    persons, which = np.unique(account_codes[row] * most + person, return_inverse=True)
    names = [f"{account_names[code // most]}-person-{code % most + 1}" for code in persons.tolist()]
    distinct_id = pyarrow.array(names, pyarrow.string()).take(pyarrow.array(which))
    person_id = uuids(hashed(pd.Series(names, dtype="str")), seed).take(pyarrow.array(which))
    return pyarrow.table(
        {
            "uuid": uuids(key, seed),
            "event": pyarrow.array(list(FEATURES), pyarrow.string()).take(pyarrow.array(feature)),
            "timestamp": pyarrow.array(instant, pyarrow.timestamp("us", tz="UTC")),
            "distinct_id": distinct_id,
            "person_id": person_id,
            "$group_0": pyarrow.array(account_names.astype(object), pyarrow.string()).take(
                pyarrow.array(account_codes[row])
            ),
        }
    )
