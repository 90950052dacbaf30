"""The staged Stripe tables as records, one subscription after another.

Here: reading the frames once, dropping what is no evidence, and refusing what cannot be read. Not here: what
the records are (`records.py`), prices and coupons (`pricing/terms.py`), and what the records mean
(`facts.py`, `discounts.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Set
from dataclasses import replace
from functools import lru_cache
from itertools import repeat
from types import MappingProxyType
from typing import Any

import pandas as pd

from expansion_platform.domain.core.rows import SECOND, Grouped, among, columns, parse, records, rows
from expansion_platform.domain.history.discount_lists import (
    GIVEN,
    REMOVED,
    customers_discounts,
    discount_events,
    discounts,
)
from expansion_platform.domain.history.records import (
    DRAFT_LEFT,
    NO_QUANTITY,
    SUBSCRIPTION_EVENTS,
    TELLING_EVENTS,
    Bill,
    Event,
    Item,
    Line,
    Phase,
    Staged,
    State,
    Subscription,
    quantity,
)
from expansion_platform.domain.history.unreadable import (
    Unread,
    of_own_items,
    owners_of,
    readable,
    readable_bills,
)

NEVER_STARTED = ("incomplete", "incomplete_expired")
_LINE_COLUMNS = [
    *("id", "invoice", "created", "observed_at", "subscription"),
    *("subscription_item", "price", "quantity", "amount"),
    *("period_start", "period_end", "proration", "credited_lines_json"),
    *("discount_amounts_json", "discounts_json", "taxes_json"),
]
_BILL_COLUMNS = [
    *("id", "status", "billing_reason", "created", "observed_at"),
    *("finalized_at", "due_date", "paid_at", "voided_at"),
    *("uncollectible_at", "uncollectible_reason", "attempt_count"),
]
_ITEM_COLUMNS = [
    *("id", "created", "observed_at", "price", "quantity"),
    *("unreadable", "discounts_json", "trial_start", "trial_end", "inclusive_tax"),
]
_EVENT_COLUMNS = ["id", "created", "type", "state_json", "previous_json"]
_NOT_BILLED = {
    "credited_lines_json": None,
    "discount_amounts_json": "[]",
    "discounts_json": "[]",
    "taxes_json": None,
}
_NOTHING: frozenset[str] = frozenset()
_NONE: Mapping[str, int] = MappingProxyType({})


def subscriptions(staged: Staged) -> Iterator[Subscription]:
    """Every subscription that started, in order of id, with its items, lines, pending prorations and events.

    A void invoice is kept as weak evidence: the customer had the plan although the bill was taken back
    (reference 2.5.1); one that was revised is none, since another took its place. Prorations of a draft say
    what happened too, but its regular lines are no evidence until it has been left a draft for days. What
    cannot be read (an unknown status, a negative quantity) stays as it is: the stretch it holds for is put in
    quarantine.
    """
    owners = owners_of(staged.subscription_items, readable(staged.invoice_lines))
    staged = replace(
        staged,
        invoice_lines=of_own_items(staged.invoice_lines, owners),
        invoice_items=of_own_items(staged.invoice_items, owners),
    )
    of_customers = columns(
        staged.customers.loc[staged.customers["discount_json"].notna(), ["id", "discount_json"]]
    )
    customer_discounts = {
        name: discounts(f"[{text}]", "customer")[0] for name, text in zip(*of_customers.values(), strict=True)
    }
    history_events = staged.events[staged.events["type"].str.startswith(TELLING_EVENTS)]
    unread = Unread({**vars(staged), "events": history_events})
    happened = readable(history_events)
    # A draft that stays as it is keeps the instant it was first read at. The newest invoices show whether it
    # was left.
    recent = staged.invoices["created"] >= staged.invoices["observed_at"].max() - DRAFT_LEFT
    fresh = staged.invoices.loc[staged.invoices["status"].eq("draft") & recent, "id"]
    revised = staged.invoices["status"].eq("void") & staged.invoices["revised_by"].notna()
    evident = ~among(staged.invoice_lines["invoice"], fresh) | staged.invoice_lines["proration"]
    evident &= (
        ~among(staged.invoice_lines["invoice"], staged.invoices.loc[revised, "id"])
        & staged.invoice_lines["unreadable"].isna()
    )
    drafts, void = (
        frozenset(staged.invoices.loc[staged.invoices["status"].eq(status), "id"])
        for status in ("draft", "void")
    )
    weak = drafts | void
    discount_changes = discount_events(happened)
    given = {event.discount.id: event.at for event in reversed(discount_changes) if event.type == GIVEN}
    removed = {event.discount.id: (event.at, event.id) for event in discount_changes if event.type == REMOVED}
    billed_to = customers_discounts(staged.invoice_lines, evident & _regular(staged), discount_changes)
    items = Grouped(staged.subscription_items, "subscription", _items)
    of_subscriptions = staged.invoices["subscription"].notna() & ~revised
    invoices = staged.invoices.loc[of_subscriptions, [*_BILL_COLUMNS, "subscription", "unreadable"]]
    bills = Grouped(readable_bills(invoices).sort_values(["created", "id"]), "subscription", _bills)
    evident &= _of_an_item(staged.invoice_lines)
    lines = Grouped(
        staged.invoice_lines,
        "subscription",
        lambda block: _lines(block, drafts, weak),
        _LINE_COLUMNS,
        where=evident,
    )
    unbilled = (
        staged.invoice_items["proration"]
        & staged.invoice_items["invoice"].isna()
        & _of_an_item(staged.invoice_items)
    )
    pending = Grouped(
        readable(staged.invoice_items[unbilled]).assign(**_NOT_BILLED),
        "subscription",
        lambda block: _lines(block, frozenset(), frozenset()),
    )
    planned = readable(staged.subscription_schedules[staged.subscription_schedules["subscription"].notna()])
    schedules = Grouped(planned, "subscription", lambda block: [list(_phases(row)) for row in rows(block)])
    events = Grouped(happened[happened["type"].str.startswith(SUBSCRIPTION_EVENTS)], "object_id", _events)
    for row in rows(
        staged.subscriptions[~staged.subscriptions["status"].isin(NEVER_STARTED)].sort_values("id")
    ):
        name = row["id"]
        billed = lines.of(name)
        start = _start(row, billed)
        yield Subscription(
            name,
            row["customer"],
            row["status"],
            row["currency"],
            row["livemode"],
            row["created"],
            row["observed_at"],
            start,
            row["trial_start"],
            row["trial_end"],
            row["ended_at"],
            row["pause_collection"],
            discounts(row["discounts_json"], "subscription"),
            customer_discounts.get(row["customer"]),
            billed_to.get(row["customer"], []),
            given,
            removed,
            items.of(name),
            billed + pending.of(name),
            bills.of(name),
            events.of(name),
            sorted(
                (phase for each in schedules.of(name) for phase in each),
                key=lambda phase: (phase.start, phase.schedule),
            ),
            unread.of(name, row["customer"], row["unreadable"], start, row["ended_at"], row["observed_at"]),
        )


def _regular(staged: Staged) -> pd.Series:
    """Which invoice lines are a period's of an item, on a bill that stands."""
    lines = staged.invoice_lines
    weak = staged.invoices.loc[staged.invoices["status"].isin(["void", "draft"]), "id"]
    of_items = (
        lines["subscription_item"].notna()
        & lines["price"].notna()
        & (lines["period_start"] < lines["period_end"])
    )
    return of_items & ~lines["proration"] & ~among(lines["invoice"], weak)


def _start(row: dict[str, Any], billed: list[Line]) -> int:
    """When a subscription began; if it cannot be read, the first instant anything speaks of."""
    if row["unreadable"] is None:
        return int(row["start_date"])
    return min(
        [
            int(row["created"]),
            *(line.start for line in billed),
            *(at for at in (int(row["start_date"]),) if at > 0),
        ]
    )


def _of_an_item(lines: pd.DataFrame) -> pd.Series:
    """Lines that show an item: one-off lines and empty periods show none (reference 2.5.2, 2.5.3)."""
    return (
        lines["subscription_item"].notna()
        & lines["price"].notna()
        & (lines["period_start"] < lines["period_end"])
    )


def _items(frame: pd.DataFrame) -> list[Item]:
    return [_item(*values) for values in zip(*columns(frame[_ITEM_COLUMNS]).values(), strict=True)]


def _item(
    name: str,
    created: int,
    observed_at: int,
    price: str,
    units: str | None,
    wrong: str | None,
    discounts_json: str,
    trial_start: int | None,
    trial_end: int | None,
    tax: str | None,
) -> Item:
    state = _state(price, units) if wrong is None else State(price, f"{NO_QUANTITY}{wrong}")
    return Item(
        name, created, observed_at, state, discounts(discounts_json, "line"), trial_start, trial_end, tax
    )


def _phases(row: dict[str, Any]) -> Iterator[Phase]:
    """The phases that had begun when the schedule stopped, if it did."""
    for number, phase in enumerate(parse(row["phases_json"])):
        start = int(phase["start"]) * SECOND
        if row["stopped_at"] is None or start < row["stopped_at"]:
            states = tuple(State(each["price"], quantity(each["quantity"])) for each in phase["items"])
            yield Phase(row["id"], start, states, number == 0)


def _bills(frame: pd.DataFrame) -> list[Bill]:
    return records(Bill, *columns(frame[_BILL_COLUMNS]).values())


def _events(frame: pd.DataFrame) -> list[Event]:
    by_column = columns(frame[_EVENT_COLUMNS])
    return records(
        Event,
        by_column["id"],
        by_column["created"],
        by_column["type"],
        map(parse, by_column["state_json"]),
        map(parse, by_column["previous_json"]),
    )


def _lines(frame: pd.DataFrame, drafts: Set[str], weak: Set[str]) -> list[Line]:
    """Rows of bills' lines as records.

    `drafts` are the bills that are none yet, `weak` those and the void ones.
    """
    by_column = columns(frame[_LINE_COLUMNS])
    credited = by_column["credited_lines_json"]
    return records(
        Line,
        by_column["id"],
        by_column["invoice"],
        by_column["created"],
        by_column["observed_at"],
        by_column["subscription_item"],
        map(_state, by_column["price"], by_column["quantity"]),
        by_column["amount"],
        by_column["period_start"],
        by_column["period_end"],
        by_column["proration"],
        [
            amount < 0 or text not in (None, "[]")
            for amount, text in zip(by_column["amount"], credited, strict=True)
        ],
        [invoice in weak for invoice in by_column["invoice"]],
        map(discounts, by_column["discounts_json"], repeat("", len(frame))),
        map(_taken, by_column["discount_amounts_json"]),
        [invoice in drafts for invoice in by_column["invoice"]],
        by_column["taxes_json"],
        [_NOTHING if text is None else frozenset(parse(text)) for text in credited],
        repeat(False, len(frame)),
    )


@lru_cache(maxsize=1 << 16)
def _state(price: str, units: str | int | None) -> State:
    return State(price, quantity(units))


@lru_cache(maxsize=1 << 16)
def _taken(text: str) -> Mapping[str, int]:
    """What each discount took off, of those that took something.

    Shared between lines: never change what it returns.
    """
    return (
        _NONE
        if text == "[]"
        else {
            entry["discount"]: int(entry["amount"]) for entry in json.loads(text) if int(entry["amount"]) > 0
        }
    )
