"""Rebuilding the history of every subscription item from what Stripe still tells (reference 2.5, semantics 1.2).

Tables: `billing/item_states`, and `billing/quarantine` for what of it cannot be read.

Here: `rebuild`, and the assembly of one subscription's rows from its timelines. Not here, each in its own
`history_*.py`: reading the frames (reading, listed, records, terms, tiers), the order of events (events), what each fact says of an item (facts),
statuses and pauses (status, bills), discounts (discounts), trials of single items (trials), usage of metered items (usage), what is wrong with what
cannot be read (quarantine).

Stripe keeps no history of items. Invoice lines and pending prorations tell of the whole past, events of the last 30 days exactly, today's
subscription of now. They are folded into timelines ("from here on it is this"); a row is a stretch in which nothing changed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple, cast

import pandas as pd

from expansion_platform.domain import canonical
from expansion_platform.domain.history_bills import known_until
from expansion_platform.domain.history_discounts import in_force, resolve, windows
from expansion_platform.domain.history_events import in_order
from expansion_platform.domain.history_facts import ItemMark, Mark, item_marks
from expansion_platform.domain.history_quarantine import Stretch, Terms, joined, problems_at, record
from expansion_platform.domain.history_records import Line, Staged, State, Subscription, by_item, subscriptions, unreadable
from expansion_platform.domain.history_status import pause_marks, status_marks
from expansion_platform.domain.history_terms import Coupon, Price, coupons, prices
from expansion_platform.domain.history_tiers import whole_lines
from expansion_platform.domain.history_trials import item_trials, status_of, trial_marks
from expansion_platform.domain.history_usage import Metered, by_bills, by_meter, is_usage, metered, months_of
from expansion_platform.domain.schemas.base import Table, arrow_schema, key
from expansion_platform.domain.schemas.billing import ItemStates, Quarantine

__all__ = ["History", "Staged", "rebuild"]


class Piece(NamedTuple):
    """What an item is over a stretch of time; neighbouring equal pieces are one row."""

    status: str
    paused: str | None
    state: State
    discounts: str


class Row(NamedTuple):
    """A piece of one item with its bounds and how it is known; a metered item's pieces end with the month, and `used` is the month's usage."""

    item: str
    start: int
    end: int | None
    piece: Piece
    source: str
    confidence: str
    evidence: set[str]
    used: str | None = None


Record = tuple[Any, ...]
"""A finished row, its values in the order of billing/item_states' columns: plain text and ints, which the garbage collector leaves alone."""


class History(NamedTuple):
    """billing/item_states and billing/quarantine, each sorted by its key; together they cover every subscription's life once."""

    states: pd.DataFrame
    quarantine: pd.DataFrame


def rebuild(staged: Staged, timezone: str = "UTC") -> History:
    """One row per subscription item and interval in which nothing about it changed, and one per stretch that cannot be read.

    Pure: the same tables give the same rows. Subscriptions that never started have none. States of metered items are cut where months begin in
    `timezone`, and their quantity is the month's usage (semantics 1.5). Unknown statuses, missing prices, currencies that disagree, negative
    quantities and unknown coupons put the stretch they hold for in quarantine, never more and never less.
    """
    readable, problems = prices(staged.prices)
    terms, coupon_terms = Terms(readable, problems), coupons(staged.coupons)
    meters = metered(staged.meter_usage)
    stretches: list[Stretch] = []
    records: list[Record] = []
    for subscription in subscriptions(staged):
        subscription.events = in_order(subscription.events)
        subscription.lines, usage = _apart(whole_lines(subscription.lines, readable), readable)
        marks = item_marks(subscription, subscription.events)
        rows, unread = _subscription_rows(subscription, marks, terms, coupon_terms)
        rows = _with_usage(rows, usage, meters, subscription, readable, timezone)
        records += [_record(row, subscription, readable[row.piece.state.price]) for row in rows]
        stretches += unread
    return History(_frame(ItemStates, records), _frame(Quarantine, [record(one) for one in stretches]))


def _apart(lines: list[Line], price_terms: Mapping[str, Price]) -> tuple[list[Line], list[Line]]:
    """Lines that say what was held, in which metered items have no quantity, and those that say what was used."""
    metered = {
        line.id
        for line in lines
        if line.state.price in price_terms and price_terms[line.state.price].usage_type == "metered" and not unreadable(line.state.quantity)
    }
    held = [line._replace(state=State(line.state.price, ""), metered=True) if line.id in metered else line for line in lines]
    return held, [line for line in lines if line.id in metered and is_usage(line)]


def _with_usage(
    rows: list[Row],
    usage: list[Line],
    meters: Mapping[tuple[str, str], Metered],
    subscription: Subscription,
    price_terms: Mapping[str, Price],
    timezone: str,
) -> list[Row]:
    """The rows with those of metered items cut by month, up to the month of the newest fact, whose row stays open.

    A month its meter does not cover is told by bills.
    """
    done = []
    lines = by_item(usage)
    began, ends = {row.item: row.start for row in reversed(rows)}, {row.item: row.end for row in rows}
    for row in rows:
        price = price_terms[row.piece.state.price]
        if price.usage_type != "metered":
            done.append(row)
            continue
        days = meters.get((subscription.customer, price.meter or ""))
        known = max(row.start, known_until(subscription), 0 if days is None else days.end)
        for month in months_of(row.start, row.end or known + 1, timezone):
            counted = by_meter(days, month, began[row.item], ends[row.item], known)
            found = counted or by_bills(lines.get(row.item, []), month, ends[row.item])
            start, end = max(row.start, month.start), month.end if row.end is None else min(row.end, month.end)
            confidence = "snapshot" if not found.whole else "renewal" if counted is None else "exact"
            source = row.source if counted is None else "meter"
            cut = row._replace(start=start, end=end, source=source, confidence=confidence)
            done.append(cut._replace(evidence=row.evidence | found.evidence, used=found.quantity))
        if row.end is None:
            done[-1] = done[-1]._replace(end=None)
    return done


def _subscription_rows(
    subscription: Subscription, marks: Mapping[str, list[ItemMark]], terms: Terms, coupon_terms: Mapping[str, Coupon]
) -> tuple[list[Row], list[Stretch]]:
    """Rows of all items of one subscription: cut at every change of any of them, since a shared amount off moves with its siblings.

    Second, the stretches that cannot be read, which have no rows.
    """
    statuses = status_marks(subscription, subscription.events)
    pauses = pause_marks(subscription, subscription.events, statuses)
    found, bounds = windows(subscription, subscription.events, coupon_terms)
    trials = item_trials(subscription, terms.prices)
    begin, end = subscription.start_date, subscription.ended_at
    every: list[Mark[Any]] = [*statuses, *pauses, *bounds, *trial_marks(trials), *(mark for own in marks.values() for mark in own)]
    cuts: list[Any] = sorted(at for at in {max(begin, mark.at) for mark in every} if end is None or at < end)
    rows: dict[str, Row] = {}
    done: list[Row] = []
    unread: list[Stretch] = []
    for at, until in pairwise([*cuts, end]):
        holding = {item: mark for item, own in marks.items() if (mark := _at(own, at)) is not None and mark.value is not None}
        status, pause = cast(Mark[str], _at(statuses, at)), cast(Mark[str | None], _at(pauses, at))
        now = in_force(found, at) if found else found
        if problems := list(problems_at(subscription, status.value, holding, now, terms)):
            unread += [Stretch(subscription.customer, subscription.id, at, until, problem, objects) for problem, objects in problems[:1]]
            continue
        held = {item: mark.value for item, mark in holding.items() if mark.value is not None}
        own_status = {item: status_of(status.value, trials.get(item, []), at) for item in held}
        # What is taken off is taken off those that are charged: nothing is of an item on trial beside others that pay.
        charged = {item: state for item, state in held.items() if own_status[item] == status.value}
        shown: Mapping[str, str] = resolve(charged, now, terms.prices) if now else {}
        for item, mark in holding.items():
            piece = Piece(own_status[item], pause.value, held[item], shown.get(item, "[]"))
            evidence = {name for start, to, name in mark.evidence if (until is None or start < until) and to > at}
            last = rows.get(item)
            if last is not None and last.end == at and last.piece == piece:
                rows[item] = last._replace(end=until, evidence=last.evidence | evidence)
                continue
            if last is not None:
                done.append(last)
            by = _beginning(at, begin, mark, [status, pause, *bounds], every)
            evidence |= {name for start, to, name in by.evidence if start <= at < to}
            rows[item] = Row(item, at, until, piece, by.source, by.confidence, evidence or {subscription.id})
    return done + list(rows.values()), joined(unread)


def _beginning(at: int, begin: int, own: ItemMark, shared: list[Mark[Any]], every: list[Mark[Any]]) -> Mark[Any]:
    """The mark that begins a row at `at`: the item's own, else its subscription's, else the sibling's that moved a shared amount off."""
    if own.at == at or at == begin:
        return own
    return next((mark for mark in [*shared, *every] if mark.at == at), own)


def _at(marks: list[Any], at: int) -> Any:
    """The last mark at or before an instant, None when there is none yet."""
    place = bisect_right(marks, at, key=lambda mark: mark.at)
    return marks[place - 1] if place else None


def _record(row: Row, subscription: Subscription, price: Price) -> Record:
    when = (subscription.customer, subscription.id, row.item, row.start, row.end)
    what = (row.piece.status, row.piece.paused, subscription.livemode, price.currency, price.product, price.id, price.usage_type)
    terms = (price.interval, price.interval_count, price.scheme_json, row.used or row.piece.state.quantity, row.piece.discounts)
    return (*when, *what, *terms, row.source, row.confidence, canonical.dumps(sorted(row.evidence)))


def _frame(model: type[Table], records: list[Record]) -> pd.DataFrame:
    frame = pd.DataFrame(records, columns=arrow_schema(model).names, dtype="object")
    for bound in ("valid_from", "valid_to"):
        frame[bound] = _instants(frame[bound])
    checked = cast(pd.DataFrame, model.validate(frame))
    return checked.sort_values(key(model), ignore_index=True)


def _instants(values: pd.Series) -> pd.Series:
    return pd.to_datetime(values.astype("Int64"), unit="us", utc=True).astype("datetime64[us, UTC]")
