"""The staged Stripe tables as small records, grouped by subscription, for the rebuilding of history.

Here: reading the frames once, dropping what is no evidence, and refusing what cannot be read. Instants are int microseconds since
the epoch, quantities decimal text. Not here: prices and coupons (`history_terms.py`), and what the records mean (`history_facts.py`,
`history_discounts.py`).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import pandas as pd

from expansion_platform.domain import canonical
from expansion_platform.domain.errors import DataQualityError
from expansion_platform.domain.schemas.billing import STATUSES

SECOND = 1_000_000
NEVER_STARTED = ("incomplete", "incomplete_expired")


class State(NamedTuple):
    """What an item is at an instant: its price and its quantity (decimal text)."""

    price: str
    quantity: str


class Discount(NamedTuple):
    """One application of a coupon, as a list of discounts shows it; `position` is its place in that list."""

    id: str
    coupon: str
    start: int | None
    end: int | None
    subscription: str | None
    level: str
    position: int


class Line(NamedTuple):
    """An invoice line, or a pending invoice item, of a subscription item: a state over a service period."""

    id: str
    invoice: str | None
    created: int
    observed_at: int
    item: str
    state: State
    amount: int
    start: int
    end: int
    proration: bool
    credits: bool
    void: bool
    discounts: tuple[Discount, ...]
    reduced_by: frozenset[str]


class Event(NamedTuple):
    """A subscription event: the state after it, and the changed fields before it."""

    id: str
    at: int
    type: str
    state: dict[str, Any]
    previous: dict[str, Any]


class Item(NamedTuple):
    """An item now on the subscription."""

    id: str
    created: int
    observed_at: int
    state: State
    discounts: tuple[Discount, ...]


@dataclass
class Subscription:
    """One subscription as it is now, with everything that tells of its past."""

    id: str
    customer: str
    status: str
    currency: str
    livemode: bool
    created: int
    observed_at: int
    start_date: int
    trial_start: int | None
    trial_end: int | None
    ended_at: int | None
    paused: str | None
    discounts: tuple[Discount, ...]
    customer_discount: Discount | None
    items: list[Item] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


def subscriptions(
    customer_rows: pd.DataFrame,
    subscription_rows: pd.DataFrame,
    item_rows: pd.DataFrame,
    invoice_rows: pd.DataFrame,
    line_rows: pd.DataFrame,
    pending_rows: pd.DataFrame,
    event_rows: pd.DataFrame,
) -> list[Subscription]:
    """Every subscription that started, in order of id, with its items, lines, pending prorations and events.

    Draft invoices are not evidence. A void one is kept as weak evidence: the plan was held although the bill was taken back
    (reference 2.5.1). Raises DataQualityError for unknown statuses, ended subscriptions without an end, and negative quantities.
    """
    customer_discounts = {
        row["id"]: discounts(f"[{row['discount_json']}]", "customer")[0] for row in rows(customer_rows) if row["discount_json"] is not None
    }
    found: dict[str, Subscription] = {}
    unknown, endless = [], []
    for row in rows(subscription_rows):
        if row["status"] not in STATUSES:
            unknown.append(row["id"])
        elif row["status"] == "canceled" and row["ended_at"] is None:
            endless.append(row["id"])
        elif row["status"] not in NEVER_STARTED:
            found[row["id"]] = Subscription(
                row["id"],
                row["customer"],
                row["status"],
                row["currency"],
                row["livemode"],
                row["created"],
                row["observed_at"],
                row["start_date"],
                row["trial_start"],
                row["trial_end"],
                row["ended_at"],
                row["pause_collection"],
                discounts(row["discounts_json"], "subscription"),
                customer_discounts.get(row["customer"]),
            )
    if unknown:
        raise DataQualityError("subscriptions with an unknown status", sorted(unknown))
    if endless:
        raise DataQualityError("canceled subscriptions without ended_at", sorted(endless))
    _add_items(found, item_rows)
    _add_lines(found, line_rows, {row["id"]: row["status"] for row in rows(invoice_rows)})
    _add_pending(found, pending_rows)
    _add_events(found, event_rows)
    return [found[key] for key in sorted(found)]


def _add_items(found: dict[str, Subscription], frame: pd.DataFrame) -> None:
    for row in rows(frame):
        subscription = found.get(row["subscription"])
        if subscription is not None:
            state = State(row["price"], quantity(row["quantity"], row["id"]))
            subscription.items.append(Item(row["id"], row["created"], row["observed_at"], state, discounts(row["discounts_json"], "line")))


def _add_lines(found: dict[str, Subscription], frame: pd.DataFrame, invoice_status: dict[str, str]) -> None:
    for row in rows(frame):
        status = invoice_status.get(row["invoice"], "draft")
        if status != "draft":
            reduced_by = frozenset(entry["discount"] for entry in parse(row["discount_amounts_json"]) if int(entry["amount"]) > 0)
            _add_line(found, row, row["invoice"], status == "void", discounts(row["discounts_json"], ""), reduced_by)


def _add_pending(found: dict[str, Subscription], frame: pd.DataFrame) -> None:
    for row in rows(frame):
        if row["proration"] and row["invoice"] is None:
            _add_line(found, row | {"credited_lines_json": None}, None, False, (), frozenset())


def _add_line(
    found: dict[str, Subscription], row: dict[str, Any], invoice: str | None, void: bool, listed: tuple[Discount, ...], reduced_by: frozenset[str]
) -> None:
    """Add one line to its subscription; one-off lines and empty periods tell of no item (reference 2.5.2, 2.5.3)."""
    subscription = found.get(row["subscription"])
    if subscription is None or row["subscription_item"] is None or row["price"] is None or row["period_end"] <= row["period_start"]:
        return
    subscription.lines.append(
        Line(
            row["id"],
            invoice,
            row["created"],
            row["observed_at"],
            row["subscription_item"],
            State(row["price"], quantity(row["quantity"], row["id"])),
            row["amount"],
            row["period_start"],
            row["period_end"],
            row["proration"],
            row["amount"] < 0 or row["credited_lines_json"] not in (None, "[]", "null"),
            void,
            listed,
            reduced_by,
        )
    )


def _add_events(found: dict[str, Subscription], frame: pd.DataFrame) -> None:
    for row in rows(frame[frame["type"].str.startswith("customer.subscription.")]):
        subscription = found.get(row["object_id"])
        if subscription is not None:
            subscription.events.append(Event(row["id"], row["created"], row["type"], parse(row["state_json"]), parse(row["previous_json"])))


def discounts(text: str, level: str) -> tuple[Discount, ...]:
    """A discounts list as records; `level` where the list itself does not tell it."""
    return () if text == "[]" else _discounts(text, level)


@lru_cache(maxsize=200_000)
def _discounts(text: str, level: str) -> tuple[Discount, ...]:
    return tuple(discount(entry, level, position) for position, entry in enumerate(json.loads(text)))


def discount(entry: dict[str, Any], level: str, position: int) -> Discount:
    """One entry of a discounts list as a record; starts and ends are epoch seconds there."""
    start, end = entry.get("start"), entry.get("end")
    return Discount(
        str(entry.get("id") or entry["coupon"]),
        str(entry["coupon"]),
        None if start is None else int(start) * SECOND,
        None if end is None else int(end) * SECOND,
        entry.get("subscription"),
        str(entry.get("level") or level),
        position,
    )


def quantity(text: str | int | None, owner: str) -> str:
    """Decimal text of a quantity; none at all reads as empty, which only a metered price may have. Negative: DataQualityError."""
    if text is None:
        return ""
    plain = canonical.decimal_text(text)
    if plain.startswith("-"):
        raise DataQualityError("a negative quantity", [owner])
    return plain


@lru_cache(maxsize=200_000)
def parse(text: str) -> Any:
    """JSON text as values. Shared between callers: never change what it returns."""
    return json.loads(text)


def rows(frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Rows as dicts: instants as int microseconds, every missing value as None."""
    columns: dict[str, list[Any]] = {}
    for name in frame.columns:
        series = frame[name]
        missing = series.isna().to_numpy()
        values = series.dt.as_unit("us").astype("int64").tolist() if isinstance(series.dtype, pd.DatetimeTZDtype) else series.tolist()
        columns[str(name)] = [None if gone else value for gone, value in zip(missing, values, strict=True)] if missing.any() else values
    names = list(columns)
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(names, values, strict=True))


def by_item(lines: list[Line]) -> dict[str, list[Line]]:
    """Lines of each item, in the order given."""
    grouped: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        grouped[line.item].append(line)
    return grouped
