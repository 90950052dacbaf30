"""Rebuilding the history of every subscription item from what Stripe still tells (reference 2.5, semantics 1.2).

Tables: `billing/item_states`, and `billing/quarantine` for what of it cannot be read.

Here: `rebuild`, and `states_of`: the rows that follow from what holds of `billing/item_changes`. Not here: what the facts tell
(`history_changes.py`, and each in its own `history_*.py`), the log of it (`history_log.py`), and what is wrong with what cannot be read
(`history_quarantine.py`).

Stripe keeps no history of items. Invoice lines and pending prorations tell of the whole past, events of the last 30 days exactly, today's
subscription of now. They are folded into changes ("from here on it is this"); a row is a stretch in which nothing changed.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple, cast

import pandas as pd

from expansion_platform.domain import canonical
from expansion_platform.domain.history_changes import Change, changes, read
from expansion_platform.domain.history_discounts import Window, in_force, resolve
from expansion_platform.domain.history_facts import ItemMark, Mark
from expansion_platform.domain.history_quarantine import Stretch, Terms, joined, problems_at, record
from expansion_platform.domain.history_records import Staged, State
from expansion_platform.domain.history_taxes import NO_TAX
from expansion_platform.domain.history_terms import Coupon, Price, coupons, in_currency, price_of, prices, unreadable_coupon
from expansion_platform.domain.history_trials import Trial, status_of, trial_marks
from expansion_platform.domain.history_unreadable import Unreadable, covering
from expansion_platform.domain.schemas.base import Table, arrow_schema, key
from expansion_platform.domain.schemas.billing import CONFIDENCES, SOURCES, ItemStates, Quarantine

__all__ = ["History", "Staged", "rebuild", "states_of"]

OF_ITEMS = frozenset({"held", "gone", "usage", "tax", "trial"})
"""Kinds of changes that are of one item."""


class Piece(NamedTuple):
    """What an item is over a stretch of time; neighbouring equal pieces are one row. `tax` is the percentage inside its price, None: unknown."""

    status: str
    paused: str | None
    state: State
    discounts: str
    tax: str | None = NO_TAX


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


@dataclass
class Timelines:
    """What holds of one subscription: its life, and when what of it changed to what. `billed` are prices whose terms only its bills tell."""

    customer: str
    id: str
    currency: str
    livemode: bool
    begin: int
    end: int | None
    statuses: list[Mark[str]] = field(default_factory=list)
    pauses: list[Mark[str | None]] = field(default_factory=list)
    windows: list[tuple[int, Window]] = field(default_factory=list)
    bounds: list[Mark[None]] = field(default_factory=list)
    trials: dict[str, list[Trial]] = field(default_factory=lambda: defaultdict(list))
    items: dict[str, list[ItemMark]] = field(default_factory=lambda: defaultdict(list))
    taxes: dict[str, list[Mark[str]]] = field(default_factory=lambda: defaultdict(list))
    usage: dict[str, list[Change]] = field(default_factory=lambda: defaultdict(list))
    unread: list[Unreadable] = field(default_factory=list)
    billed: dict[str, Price] = field(default_factory=dict)


Record = tuple[Any, ...]
"""A finished row, its values in the order of billing/item_states' columns: plain text and ints, which the garbage collector leaves alone."""


class History(NamedTuple):
    """billing/item_states and billing/quarantine, each sorted by its key; together they cover every subscription's life once."""

    states: pd.DataFrame
    quarantine: pd.DataFrame


def rebuild(staged: Staged, timezone: str = "UTC") -> History:
    """The history that the staged tables tell, all of it at once."""
    return states_of(changes(staged, timezone), staged.prices, staged.coupons)


def states_of(held: pd.DataFrame, price_frame: pd.DataFrame, coupon_frame: pd.DataFrame) -> History:
    """One row per subscription item and interval in which nothing about it changed, and one per stretch that cannot be read.

    Pure: the same changes (`history_changes.changes`, `history_log.holding`) and terms (stripe/prices, stripe/coupons) give the same rows. States
    of metered items are cut by month, and their quantity is the month's usage (semantics 1.5). Unknown statuses, missing prices, prices and
    coupons without an amount in the subscription's currency, negative quantities and unknown coupons put the stretch they hold for in quarantine,
    never more and never less.
    """
    price_terms, problems = prices(price_frame)
    terms_in = cache(lambda currency: Terms(in_currency(price_terms, currency), problems))
    coupon_terms = coupons(coupon_frame)
    stretches: list[Stretch] = []
    records: list[Record] = []
    for group in read(held):
        subscription = _timelines(group, coupon_terms)
        terms = terms_in(subscription.currency)
        if subscription.billed:
            terms = Terms({**subscription.billed, **terms.priced_in(subscription.currency)}, terms.problems)
        rows, unread = _rows(subscription, terms)
        records += [_record(row, subscription, terms.prices[row.piece.state.price]) for row in _with_usage(rows, subscription.usage, terms.prices)]
        stretches += unread
    return History(_frame(ItemStates, records), _frame(Quarantine, [record(one) for one in stretches]))


def _timelines(group: list[Change], coupon_terms: Mapping[str, Coupon]) -> Timelines:
    began = next(change for change in group if change.kind == "began")
    found = Timelines(began.customer, began.subscription, **json.loads(str(began.value)), begin=began.effective_at, end=began.until)
    for change in group:
        if change.kind in OF_ITEMS:
            _note_of_item(found, change)
        else:
            _note_of_subscription(found, change, coupon_terms)
    # Where one discount ends as another begins, the row that begins there is known as surely as the surer of the two.
    found.bounds.sort(key=lambda mark: (mark.at, CONFIDENCES.index(mark.confidence), SOURCES.index(mark.source), mark.evidence))
    return found


def _note_of_item(found: Timelines, change: Change) -> None:
    item = str(change.item)
    if change.kind == "held":
        found.items[item].append(_mark(change, State(str(change.price), change.quantity or "")))
        if change.value is not None:
            found.billed[str(change.price)] = price_of(str(change.price), change.value)
    elif change.kind == "gone":
        found.items[item].append(_mark(change, None))
    elif change.kind == "usage":
        found.usage[item].append(change)
    elif change.kind == "tax":
        found.taxes[item].append(_mark(change, str(change.value)))
    elif change.kind == "trial":
        found.trials[item].append(Trial(change.effective_at, change.until, change.evidence[0][0], change.source))


def _note_of_subscription(found: Timelines, change: Change, coupon_terms: Mapping[str, Coupon]) -> None:
    """What is told of the subscription as a whole, and its discounts, of which some are on one item."""
    if change.kind == "status":
        found.statuses.append(_mark(change, str(change.value)))
    elif change.kind == "collection":
        found.pauses.append(_mark(change, change.value))
    elif change.kind == "discount":
        found.bounds.append(_mark(change, None))
        found.windows.append(_placed_window(change, found.currency, coupon_terms))
    elif change.kind == "discount_end":
        found.bounds.append(_mark(change, None))
    elif change.kind == "unreadable":
        found.unread.append(Unreadable(change.effective_at, change.until, str(change.value), change.evidence[0][0]))


def _placed_window(change: Change, currency: str, coupon_terms: Mapping[str, Coupon]) -> tuple[int, Window]:
    """A discount in force, with its place among those that apply."""
    said = json.loads(str(change.value))
    coupon = coupon_terms.get(str(change.coupon)) or unreadable_coupon(str(change.coupon))
    coupon = coupon.taken_off_in(currency)
    if "products" in said:  # bills tell what the coupon does not
        products = None if said["products"] is None else frozenset(said["products"])
        coupon = coupon._replace(products=products, value=said["value"], currency=coupon.currency and currency, embedded=False)
    return said["place"], Window(said["discount"], coupon, said["level"], change.item, change.effective_at, change.until)


def _mark(change: Change, value: Any) -> Mark[Any]:
    return Mark(change.effective_at, value, change.source, change.confidence, [(start, end, name) for name, start, end in change.evidence])


def _with_usage(rows: list[Row], usage: Mapping[str, list[Change]], price_terms: Mapping[str, Price]) -> list[Row]:
    """The rows with those of metered items cut by month, up to the month of the newest fact, whose row stays open."""
    done = []
    for row in rows:
        price = price_terms[row.piece.state.price]
        if price.usage_type != "metered":
            done.append(row)
            continue
        for month in usage[row.item]:
            closing = cast(int, month.until)
            if month.price != price.id or closing <= row.start or (row.end is not None and month.effective_at >= row.end):
                continue
            start, end = max(row.start, month.effective_at), closing if row.end is None else min(closing, row.end)
            source = "meter" if month.source == "meter" else row.source
            evidence = row.evidence | {name for name, _, _ in month.evidence}
            done.append(Row(row.item, start, end, row.piece, source, month.confidence, evidence, month.quantity))
        if row.end is None:
            done[-1] = done[-1]._replace(end=None)
    return done


def _rows(subscription: Timelines, terms: Terms) -> tuple[list[Row], list[Stretch]]:
    """Rows of all items of one subscription: cut at every change of any of them, since a shared amount off moves with its siblings.

    Second, the stretches that cannot be read, which have no rows.
    """
    statuses, pauses, bounds, marks, trials = subscription.statuses, subscription.pauses, subscription.bounds, subscription.items, subscription.trials
    begin, end = subscription.begin, subscription.end
    found = [window for _, window in sorted(subscription.windows, key=lambda placed: placed[0])]
    siblings = [mark for own in marks.values() for mark in own]
    taxed = [mark for own in subscription.taxes.values() for mark in own[1:]]  # the first holds for the time before it, too
    every: list[Mark[Any]] = [*statuses, *pauses, *bounds, *trial_marks(trials), *taxed, *siblings]
    turns = {mark.at for mark in every} | {at for one in subscription.unread for at in (one.start, one.end) if at is not None}
    cuts: list[Any] = sorted(at for at in {max(begin, turn) for turn in turns} if end is None or at < end)
    rows: dict[str, Row] = {}
    done: list[Row] = []
    unread: list[Stretch] = []
    for at, until in pairwise([*cuts, end]):
        holding = {item: mark for item, own in marks.items() if (mark := _at(own, at)) is not None and mark.value is not None}
        status, pause = cast(Mark[str], _at(statuses, at)), cast(Mark[str | None], _at(pauses, at))
        now = in_force(found, at) if found else found
        problems = list(covering(subscription.unread, at))
        problems += problems_at(subscription.id, subscription.currency, status, pause, holding, now, terms)
        if problems:
            unread += [Stretch(subscription.customer, subscription.id, at, until, problem, objects) for problem, objects in problems[:1]]
            continue
        held = {item: mark.value for item, mark in holding.items() if mark.value is not None}
        own_status = {item: status_of(status.value, trials.get(item, []), at) for item in held}
        # What is taken off is taken off those that are charged: nothing is of an item on trial beside others that pay.
        charged = {item: state for item, state in held.items() if own_status[item] == status.value}
        shown: Mapping[str, str] = resolve(charged, now, terms.prices) if now else {}
        unsure = [f'"{window.coupon.id}"' for window in now if window.coupon.embedded]
        for item, mark in holding.items():
            tax = _tax(subscription.taxes.get(item, []), at, terms.prices[held[item].price])
            piece = Piece(own_status[item], pause.value, held[item], shown.get(item, "[]"), tax)
            evidence = {name for start, to, name in mark.evidence if (until is None or start < until) and to > at}
            last = rows.get(item)
            if last is not None and last.end == at and last.piece == piece:
                rows[item] = last._replace(end=until, evidence=last.evidence | evidence)
                continue
            if last is not None:
                done.append(last)
            again = last is not None and last.end == at and _shared_anew(last.piece, piece)
            by = _beginning(at, begin, mark, [*siblings, *every] if again else [status, pause, *bounds, *every])
            evidence |= {name for start, to, name in by.evidence if start <= at < to}
            confidence = "snapshot" if any(name in piece.discounts for name in unsure) else by.confidence
            rows[item] = Row(item, at, until, piece, by.source, confidence, evidence or {subscription.id})
    return done + list(rows.values()), joined(unread)


def _beginning(at: int, begin: int, own: ItemMark, others: list[Mark[Any]]) -> Mark[Any]:
    """The mark that begins a row at `at`: the item's own, else the first of others."""
    if own.at == at or at == begin:
        return own
    return next((mark for mark in others if mark.at == at), own)


def _shared_anew(before: Piece, now: Piece) -> bool:
    """Whether only the shares of the same discounts are others: a sibling changed, and moved a shared amount off."""
    coupons = [[entry["coupon"] for entry in json.loads(piece.discounts)] for piece in (before, now)]
    return before._replace(discounts="") == now._replace(discounts="") and coupons[0] == coupons[1]


def _tax(marks: list[Mark[str]], at: int, price: Price) -> str | None:
    """The percentage of tax inside a price at an instant; None where there is some and nothing says how much."""
    if not marks:
        return None if price.inclusive else NO_TAX
    return cast(Mark[str], _at(marks, at) or marks[0]).value


def _at(marks: list[Any], at: int) -> Any:
    """The last mark at or before an instant, None when there is none yet."""
    place = bisect_right(marks, at, key=lambda mark: mark.at)
    return marks[place - 1] if place else None


def _record(row: Row, subscription: Timelines, price: Price) -> Record:
    when = (subscription.customer, subscription.id, row.item, row.start, row.end)
    what = (row.piece.status, row.piece.paused, subscription.livemode, price.currency, price.product, price.id, price.usage_type)
    scheme = price.scheme_json if row.piece.tax == NO_TAX else price.taxed(row.piece.tax)
    terms = (price.interval, price.interval_count, scheme, row.used or row.piece.state.quantity, row.piece.discounts)
    return (*when, *what, *terms, row.source, row.confidence, canonical.dumps(sorted(row.evidence)))


def _frame(model: type[Table], records: list[Record]) -> pd.DataFrame:
    frame = pd.DataFrame(records, columns=arrow_schema(model).names, dtype="object")
    for bound in ("valid_from", "valid_to"):
        frame[bound] = _instants(frame[bound])
    checked = cast(pd.DataFrame, model.validate(frame))
    return checked.sort_values(key(model), ignore_index=True)


def _instants(values: pd.Series) -> pd.Series:
    return pd.to_datetime(values.astype("Int64"), unit="us", utc=True).astype("datetime64[us, UTC]")
