"""Who is in which arm of a programme, since when, and what was known of them before (semantics 6.9).

Here: the user's rows as one row a programme and customer, and whom they leave out. Not here: drawing arms
(`holdout.py`), what became of them (`outcomes.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.catalog.inputs import Inputs
from expansion_platform.domain.catalog.instants import instants
from expansion_platform.domain.catalog.tables import CONTROL, TREATMENT
from expansion_platform.domain.core import canonical, months
from expansion_platform.domain.stripe import tables as stripe

HORIZON = 3
"""Months of expansion that count for a customer."""
IN_BOTH, UNKNOWN, EXCLUDED = "in both arms", "not in Stripe", "excluded by the catalog"
_DAY = 10
"""Letters of YYYY-MM-DD."""


@dataclass(frozen=True)
class Units:
    """Customers of programmes.

    Args:
        rows: one a programme and customer, by both: programme, customer, treated, randomised, assigned_at
            (the first, where there are several), first_month of those that count, before (the newest month
            that had closed).
        left_out: programme, customer, because.
    """

    rows: pd.DataFrame
    left_out: pd.DataFrame


def assigned_at(given: pd.DataFrame, timezone: str) -> pd.Series[pd.Timestamp]:
    """When each row was assigned: a day counts from its beginning, which is the end of the day before."""
    day_before = {
        text: (date.fromisoformat(text) - timedelta(days=1)).isoformat()
        for text in given["assigned_at"].unique()
        if len(text) == _DAY
    }
    return instants(given["assigned_at"].map(lambda text: day_before.get(text, text)), timezone)


def assignments_by_month(
    wanted: Sequence[str], given: pd.DataFrame, timezone: str, lag_days: int
) -> dict[str, str]:
    """What each month depends on of assignments: a text by month, whatever the order of rows."""
    rows = given.assign(at=assigned_at(given, timezone)).sort_values(list(given.columns))
    found = {}
    for month in wanted:
        known = rows.loc[rows["at"] <= months.closes(month, timezone, lag_days), list(given.columns)]
        found[month] = canonical.content_hash(known.to_numpy().tolist())
    return found


def units_of(
    given: pd.DataFrame,
    close: pd.Timestamp,
    known: frozenset[str],
    catalog: Catalog,
    timezone: str,
    lag_days: int,
) -> Units:
    """The customers of each programme that were assigned by a close.

    Args:
        given: the user's rows (`catalog/tables.py`, Assignments).
        close: rows assigned later are not seen.
        known: customers of Stripe.
        catalog: aliases, and whom it excludes.
        timezone: reporting time zone.
        lag_days: days after a month's end at which it closes.

    Returns:
        A customer counts once, from its first assignment. One that is in both arms of a programme, after
        aliases too, one that Stripe does not have and one that the catalog excludes are left out, and named.
    """
    rows = given.assign(at=assigned_at(given, timezone))
    rows = rows[rows["at"] <= close].sort_values(["programme", "at", "customer", "arm"])
    named = rows["customer"].map(catalog.customer).astype("str")
    rows = rows.assign(customer=named, there=rows["customer"].isin(known) | named.isin(known))
    by = ["programme", "customer"]
    both = rows.groupby(by)["arm"].transform("nunique") > 1 if len(rows) else rows["there"]
    internal = rows["customer"].map(catalog.excludes).astype(bool)
    because = np.select([internal, ~rows["there"], both], [EXCLUDED, UNKNOWN, IN_BOTH], default="")
    out = rows.assign(because=because)[because != ""].drop_duplicates(by)
    kept = rows[because == ""]
    chance = kept.groupby(by)["randomised"].transform("min") == "true" if len(kept) else kept["there"]
    kept = kept.assign(chance=chance).drop_duplicates(by).sort_values(by, ignore_index=True)
    first, before = _months(kept["at"], timezone, lag_days)
    found = pd.DataFrame(
        {
            "programme": kept["programme"],
            "customer": kept["customer"],
            "treated": (kept["arm"] == TREATMENT).astype(bool),
            "randomised": kept["chance"].astype(bool),
            "assigned_at": kept["at"],
            "first_month": first,
            "before": before,
        }
    )
    return Units(found, out[[*by, "because"]].sort_values(by, ignore_index=True))


def _months(
    at: pd.Series[pd.Timestamp], timezone: str, lag_days: int
) -> tuple[pd.Series[str], pd.Series[str]]:
    """The first whole month since each instant's day, and the newest month closed by the instant."""
    local = at.dt.tz_convert(timezone)
    own = local.dt.strftime("%Y-%m").astype("str")
    first = own.where(local.dt.day == 1, _shifted(own, 1))
    closes = {
        month: months.closes(months.shift(month, -1), timezone, lag_days).timestamp()
        for month in own.unique()
    }
    closed = np.array([each.timestamp() for each in at]) >= np.array([closes[month] for month in own])
    return first.astype("str"), _shifted(own, -1).where(closed, _shifted(own, -2)).astype("str")


def _shifted(own: pd.Series[str], by: int) -> pd.Series[str]:
    return own.map({month: months.shift(month, by) for month in own.unique()}).astype("str")


def known_customers(_: Sequence[str], inputs: Inputs) -> frozenset[str]:
    """Customers that Stripe has."""
    return frozenset(inputs.frame(stripe.Customers)["id"])


def customers_digest(wanted: Sequence[str], inputs: Inputs) -> dict[str, str]:
    """What each month depends on of Stripe's customers: those assigned by its close that it has."""
    given, timezone = inputs.value("assignments"), inputs.timezone
    at, known, catalog = assigned_at(given, timezone), known_customers(wanted, inputs), inputs.catalog
    found = {}
    for month in wanted:
        close = months.closes(month, timezone, inputs.value("close_lag_days"))
        named = set(given.loc[at <= close, "customer"])
        asked = named | {catalog.customer(each) for each in named}
        found[month] = canonical.content_hash(sorted(asked & known))
    return found


def arms_at(rows: pd.DataFrame, inputs: Inputs) -> pd.Series[str]:
    """The arm of each row's customer at the close of its month, of programmes whose horizon is not over.

    `control` where any of them leaves the customer alone, else `treatment`; null for no programme.

    Args:
        rows: columns month and customer, after aliases.
        inputs: assignments, catalog, timezone, close_lag_days.
    """
    given, catalog, timezone = inputs.value("assignments"), inputs.catalog, inputs.timezone
    found = pd.Series(index=rows.index, dtype="str")
    if given.empty:
        return found
    lag = inputs.value("close_lag_days")
    at = assigned_at(given, timezone)
    named = given["customer"].map(catalog.customer)
    last = _months(at, timezone, lag)[0].map(lambda month: months.shift(month, HORIZON - 1))
    for month in sorted(set(rows["month"])):
        here = (at <= months.closes(month, timezone, lag)) & (last >= month)
        held, treated = (set(named[here & (given["arm"] == each)]) for each in (CONTROL, TREATMENT))
        own = rows["month"] == month
        customers = rows.loc[own, "customer"]
        found[customers[customers.isin(treated)].index] = TREATMENT
        found[customers[customers.isin(held)].index] = CONTROL
    return found.astype("str")
