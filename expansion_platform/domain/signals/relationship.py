"""Features of the relationship with each customer, as known at each close (semantics 6.1, 6.6).

Here: tickets, requests, NPS and touches of the months before a close, signals of the user's own; the owner
then. Not here: which version of a fact a close saw (`facts_at_closes.py`), reading (`sources/crm/`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from expansion_platform.domain.catalog import tables as given
from expansion_platform.domain.catalog.inputs import Inputs
from expansion_platform.domain.core import months
from expansion_platform.domain.core.canonical import dumps
from expansion_platform.domain.core.table import table_name
from expansion_platform.domain.signals.facts_at_closes import INSTANT, FactsAtCloses, facts_digest
from expansion_platform.domain.signals.members import BACK, Members
from expansion_platform.domain.signals.tables.facts import (
    Activity,
    Fact,
    NpsAnswers,
    OwnerPeriods,
    SignalValues,
    SupportTickets,
)

QUARTER, YEAR = 3, 12
CRITICAL = "critical"


def relationship(members: Members, inputs: Inputs) -> dict[str, Any]:
    """Features of tickets, NPS, touches and signals of the user's own, by member.

    NaN in those of a table that the user does not give.
    """
    higher = inputs.value("signals").higher_tier_features
    tickets, answers, activity = (
        _of(members, inputs, model) for model in (SupportTickets, NpsAnswers, Activity)
    )
    asks = (tickets.rows["tier"].notna() | tickets.rows["feature"].isin(list(higher))).to_numpy(dtype=bool)
    still_open = tickets.by("opened") & tickets.before("closed")
    touched = activity.equal("kind", given.TOUCH)
    found = {
        SupportTickets: {
            "open_tickets": tickets.count(still_open),
            "critical_tickets": tickets.count(still_open, tickets.equal("severity", CRITICAL)),
            "higher_tier_requests": tickets.count(tickets.within("opened", QUARTER), asks),
        },
        NpsAnswers: {"nps": answers.newest("date", answers.within("date", YEAR), "score").astype(float)},
        Activity: {"touches_3m": activity.count(activity.within("date", QUARTER), touched)},
    }
    nothing = np.full(len(members.frame), np.nan)
    given_tables = inputs.value("facts_given")
    features: dict[str, Any] = {
        name: np.asarray(members.at_close(matrix), dtype=float)
        if table_name(model) in given_tables
        else nothing
        for model, matrices in found.items()
        for name, matrix in matrices.items()
    }
    last = activity.newest_day("date", activity.by("date"), touched)
    own = own_signals(members, _of(members, inputs, SignalValues))
    return {**features, "last_touch": members.at_close(last), "own_json": own}


def own_signals(members: Members, known: FactsAtCloses) -> pd.Series[str]:
    """By member {signal: newest value} of the user's own signals, sorted, as JSON."""
    newest = known.newest_of_each("date", known.by("date"), "signal")
    rows = newest[members.customer, :, members.close]
    there = rows >= 0
    pairs = known.rows["signal"].astype(str) + "\n" + known.rows["value"].astype(str)
    code, distinct = pd.factorize(pairs)
    texts = [dumps(dict([pair.split("\n")]))[1:-1] for pair in distinct]
    said = pa.array(texts, pa.string()).take(pa.array(code[rows[there]]))
    bounds = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
    joined = pc.binary_join(pa.ListArray.from_arrays(pa.array(bounds, pa.int32()), said), ",")
    return pd.Series(pc.binary_join_element_wise("{", joined, "}", "").to_pandas(), dtype="str")


def owners_at(rows: pd.DataFrame, inputs: Inputs) -> pd.Series[str]:
    """The owner of each row's customer as known at the close of its month; null for none.

    Args:
        rows: columns month and customer.
        inputs: crm/owners, catalog, timezone, close_lag_days.
    """
    calendar, customers = sorted(set(rows["month"])), pd.Index(rows["customer"].unique(), dtype="str")
    timezone, lag = inputs.timezone, inputs.value("close_lag_days")
    ends = [months.closes(month, timezone, lag) for month in calendar]
    closes = pd.DatetimeIndex(ends, dtype="datetime64[us, UTC]")
    facts = inputs.frame(OwnerPeriods)
    # Where the source only knows today's owner, it is since the version was first known: the day that ended
    # then, of a version that became known at midnight.
    known_on = (facts["known_at"] - INSTANT).dt.tz_convert(timezone).dt.strftime("%Y-%m-%d")
    since = facts["valid_from"].where(facts["valid_from"].notna(), known_on).astype("str")
    known = FactsAtCloses(
        facts.assign(since=since), OwnerPeriods, customers, closes, inputs.catalog.aliases, timezone
    )
    owners = known.newest("since", known.by("since"), "owner")
    found = owners[
        customers.get_indexer(pd.Index(rows["customer"])), pd.Index(calendar).get_indexer(rows["month"])
    ]
    return pd.Series(found, index=rows.index, dtype="str")


def _of(members: Members, inputs: Inputs, model: type[Fact]) -> FactsAtCloses:
    return FactsAtCloses(
        inputs.frame(model),
        model,
        members.customers,
        members.closes[BACK:],
        inputs.catalog.aliases,
        members.timezone,
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


def signals_digest(wanted: Sequence[str], inputs: Inputs) -> dict[str, str]:
    """What each close knew of signals of the user's own, as a text that changes with it."""
    return facts_digest(SignalValues, wanted, inputs)
