"""Features of the relationship with each customer, as known at each close (semantics 6.1, 6.6).

Here: tickets, requests, NPS and touches of the months before a close; the owner then. Not here: which version
of a fact a close saw (`facts_at_closes.py`), reading (`sources/crm/`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from expansion_platform.domain.catalog import tables as given
from expansion_platform.domain.catalog.inputs import Inputs
from expansion_platform.domain.core import months
from expansion_platform.domain.core.table import table_name
from expansion_platform.domain.signals.facts_at_closes import FactsAtCloses, facts_digest
from expansion_platform.domain.signals.members import Members
from expansion_platform.domain.signals.tables.facts import (
    Activity,
    Fact,
    NpsAnswers,
    OwnerPeriods,
    SupportTickets,
)

QUARTER, YEAR = 3, 12
CRITICAL = "critical"


def relationship(members: Members, inputs: Inputs) -> dict[str, Any]:
    """Features of tickets, NPS and touches by member; NaN in those of a table that the user does not give."""
    higher = inputs.value("signals").higher_tier_features
    tickets = _of(members, inputs, SupportTickets)
    asks = (tickets.rows["tier"].notna() | tickets.rows["feature"].isin(list(higher))).to_numpy(dtype=bool)
    still_open = tickets.by("opened") & ~tickets.by("closed")
    answers = _of(members, inputs, NpsAnswers)
    activity = _of(members, inputs, Activity)
    touched = activity.equal("kind", given.TOUCH)
    found = {
        SupportTickets: {
            "open_tickets": tickets.count(still_open),
            "critical_tickets": tickets.count(still_open & tickets.equal("severity", CRITICAL)),
            "higher_tier_requests": tickets.count(asks & tickets.within("opened", QUARTER)),
        },
        NpsAnswers: {"nps": answers.newest("date", answers.within("date", YEAR), "score").astype(float)},
        Activity: {"touches_3m": activity.count(touched & activity.within("date", QUARTER))},
    }
    nothing = np.full(len(members.frame), np.nan)
    given_tables = inputs.value("facts_given")
    features: dict[str, Any] = {
        name: members.pick(matrix) if table_name(model) in given_tables else nothing
        for model, matrices in found.items()
        for name, matrix in matrices.items()
    }
    last = activity.newest("date", touched & activity.by("date"), "date")
    return {**features, "last_touch": last[members.customer, members.month]}


def owners_at(rows: pd.DataFrame, inputs: Inputs) -> pd.Series[str]:
    """The owner of each row's customer as known at the close of its month; null for none.

    Args:
        rows: columns month and customer.
        inputs: crm/owners, catalog, timezone, close_lag_days.
    """
    calendar, customers = sorted(set(rows["month"])), pd.Index(rows["customer"].unique())
    timezone, lag = inputs.timezone, inputs.value("close_lag_days")
    ends = [months.closes(month, timezone, lag) for month in calendar]
    closes = pd.DatetimeIndex(ends, dtype="datetime64[us, UTC]")
    facts = inputs.frame(OwnerPeriods)
    # Where the source only knows today's owner, it is since the version was first known.
    since = facts["valid_from"].where(
        facts["valid_from"].notna(), facts["known_at"].dt.tz_convert(timezone).dt.strftime("%Y-%m-%d")
    )
    known = FactsAtCloses(
        facts.assign(valid_from=since.astype("str")),
        OwnerPeriods,
        customers,
        closes,
        inputs.catalog.aliases,
    )
    owners = known.newest("valid_from", known.by("valid_from"), "owner")
    found = owners[
        customers.get_indexer(pd.Index(rows["customer"])), pd.Index(calendar).get_indexer(rows["month"])
    ]
    return pd.Series(found, index=rows.index, dtype="str")


def _of(members: Members, inputs: Inputs, model: type[Fact]) -> FactsAtCloses:
    return FactsAtCloses(
        inputs.frame(model), model, members.customers, members.closes, inputs.catalog.aliases
    )


def tickets_digest(wanted: Sequence[str], inputs: Inputs) -> dict[str, str]:
    """What each close knew of tickets, as a text that changes with it."""
    return facts_digest(SupportTickets, wanted, inputs)


def answers_digest(wanted: Sequence[str], inputs: Inputs) -> dict[str, str]:
    """What each close knew of answers, as a text that changes with it."""
    return facts_digest(NpsAnswers, wanted, inputs)


def activity_digest(wanted: Sequence[str], inputs: Inputs) -> dict[str, str]:
    """What each close knew of activity, as a text that changes with it."""
    return facts_digest(Activity, wanted, inputs)


def owners_digest(wanted: Sequence[str], inputs: Inputs) -> dict[str, str]:
    """What each close knew of owners, as a text that changes with it."""
    return facts_digest(OwnerPeriods, wanted, inputs)
