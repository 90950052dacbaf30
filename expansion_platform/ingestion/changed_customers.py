"""Which customers a new reading of Stripe affects, so that only their history is read again.

Here: from the rows that are not as they were, and from what time alone changes. Not here: what the rows say
(`domain/history_*.py`).

A customer's history depends on its own rows, on the prices and coupons they name, and on until when Stripe
was read: a bill becomes due, a draft is left, a trial ends, and a month of usage begins without a row that
says so. So does a day that its meter does not report.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import or_

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset

from expansion_platform.domain.core import months
from expansion_platform.domain.core.table import Table
from expansion_platform.domain.history.records import DRAFT_LEFT, TELLING_EVENTS
from expansion_platform.domain.stripe import tables as stripe
from expansion_platform.storage.lake import Lake, Point
from expansion_platform.storage.rows import among

NAMED_IN: dict[type[Table], Mapping[type[Table], Sequence[str]]] = {
    stripe.Prices: {
        stripe.SubscriptionItems: ["price"],
        stripe.InvoiceLines: ["price"],
        stripe.InvoiceItems: ["price"],
        stripe.SubscriptionSchedules: ["phases_json"],
        stripe.Events: ["state_json", "previous_json"],
    },
    stripe.Coupons: {
        stripe.Customers: ["discount_json"],
        stripe.Subscriptions: ["discounts_json"],
        stripe.SubscriptionItems: ["discounts_json"],
        stripe.InvoiceLines: ["discounts_json"],
        stripe.Events: ["state_json", "previous_json"],
    },
    stripe.TaxRates: {stripe.InvoiceLines: ["taxes_json"]},
}
"""Where rows name a price, a coupon or a tax rate."""
OWNER: dict[type[Table], str] = {stripe.Customers: "id", stripe.SubscriptionItems: "subscription"}
"""The column that says whose a row is, where it is not `customer`."""
MANY = 100
"""More changed prices and coupons than this are a new catalogue: all history is read again."""


def changed_customers(
    lake: Lake,
    points: Mapping[type[Table], Point | None],
    last: pd.Timestamp,
    now: pd.Timestamp,
    timezone: str,
) -> set[str] | None:
    """Customers whose history may have changed since the tables were at `points`.

    Stripe had been read until `last` then; None: all of them.

    Args:
        lake: the tables as they are now.
        points: each table that history depends on, as it was.
        last: until when Stripe had been read then.
        now: until when it has been read now.
        timezone: that of the months.
    """
    changed = {model: lake.since(model, point) for model, point in points.items()}
    if any(rows is None for rows in changed.values()):
        return None
    found: set[str] = set()
    for model, rows in changed.items():
        if rows is None or not rows.num_rows:
            continue
        if model in NAMED_IN:
            if rows.num_rows > MANY:
                return None
            found |= _naming(lake, model, sorted(set(rows["id"].to_pylist())))
        else:
            found |= _customers(
                lake, model, rows.filter(relevant_events()) if model is stripe.Events else rows
            )
    return found | _by_time(lake, last, now, timezone)


def relevant_events() -> pyarrow.dataset.Expression:
    """The events that history depends on."""
    return reduce(or_, (pc.starts_with(pc.field("type"), kind) for kind in TELLING_EVENTS))


def _customers(lake: Lake, model: type[Table], rows: pa.Table) -> set[str]:
    """Whose rows they are."""
    owners = rows[OWNER.get(model, "customer")].drop_null()
    return _of_subscriptions(lake, owners) if model is stripe.SubscriptionItems else set(owners.to_pylist())


def _of_subscriptions(lake: Lake, names: pa.ChunkedArray) -> set[str]:
    table = lake.dataset(stripe.Subscriptions).to_table(
        columns=["customer"], filter=among("id", names.to_pylist())
    )
    return set(table["customer"].to_pylist())


def _naming(lake: Lake, model: type[Table], names: list[str]) -> set[str]:
    """Customers any of whose rows name one of some prices or coupons."""
    found: set[str] = set()
    quoted = "|".join(re.escape(f'"{name}"') for name in names)
    for where, columns in NAMED_IN[model].items():
        for column in columns:
            naming = (
                pc.match_substring_regex(pc.field(column), quoted)
                if column.endswith("_json")
                else among(column, names)
            )
            rows = lake.dataset(where).to_table(columns=[OWNER.get(where, "customer")], filter=naming)
            found |= _customers(lake, where, rows) if rows.num_rows else set()
    return found


def _by_time(lake: Lake, last: pd.Timestamp, now: pd.Timestamp, timezone: str) -> set[str]:
    """Customers of whom something was to come between two instants, or of whom a draft was fresh."""

    def between(column: str) -> pyarrow.dataset.Expression:
        return (pc.field(column) > pa.scalar(last)) & (pc.field(column) <= pa.scalar(now))

    fresh = (pc.field("status") == "draft") & (pc.field("created") >= pa.scalar(last - DRAFT_LEFT))
    due = among("status", ["open", "uncollectible"]) & between("due_date")
    bills = lake.dataset(stripe.Invoices).to_table(columns=["customer"], filter=fresh | due)
    free = lake.dataset(stripe.InvoiceLines).to_table(
        columns=["customer"], filter=(pc.field("amount") == 0) & between("period_end")
    )
    tried = lake.dataset(stripe.SubscriptionItems).to_table(
        columns=["subscription"], filter=between("trial_end")
    )
    found = {
        *bills["customer"].to_pylist(),
        *free["customer"].to_pylist(),
        *_of_subscriptions(lake, tried["subscription"]),
    }
    if last.floor("D") != now.floor("D"):
        found |= set(
            pc.unique(lake.dataset(stripe.MeterUsage).to_table(columns=["customer"])["customer"]).to_pylist()
        )
    if months.of(last, timezone) != months.of(now, timezone):
        metered = lake.dataset(stripe.Prices).to_table(
            columns=["id"], filter=pc.field("usage_type") == "metered"
        )
        items = lake.dataset(stripe.SubscriptionItems).to_table(
            columns=["subscription"], filter=among("price", metered["id"].to_pylist())
        )
        found |= _of_subscriptions(lake, items["subscription"])
    return found
