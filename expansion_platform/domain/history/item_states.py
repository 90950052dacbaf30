"""Rebuilding the history of every subscription item from the data that Stripe still has.

See reference 2.5, semantics 1.2.

Tables: `billing/item_states`, and `billing/quarantine` for what of it cannot be read.

Here: `states_of`: the rows that follow from what holds of `billing/item_changes`. Not here:
what the facts show (`changes.py`, and each in its own module), the log of it (`log.py`,
`log_rows.py`), and what is wrong with what cannot be read (`quarantine.py`).

Stripe keeps no history of items. Invoice lines and pending prorations show the whole past, events the last
30 days exactly, today's subscription the present. They are folded into changes ("from here on it is this"); a
row is a stretch in which nothing changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain, pairwise
from typing import Any, NamedTuple, cast

import pandas as pd
import pyarrow as pa

from expansion_platform.domain.core import canonical
from expansion_platform.domain.core.rows import uncollected
from expansion_platform.domain.core.table import Table, arrow_schema, key, to_pandas
from expansion_platform.domain.history.discounts_in_force import UNDISCOUNTED, Resolved, in_force, resolve
from expansion_platform.domain.history.log_rows import read
from expansion_platform.domain.history.quarantine import Stretch, Terms, joined, problem_at, record
from expansion_platform.domain.history.records import State
from expansion_platform.domain.history.tables import CONFIDENCES, SOURCES, ItemStates, Quarantine
from expansion_platform.domain.history.taxes import NO_TAX
from expansion_platform.domain.history.timelines import ItemMark, Mark, MonthUsed, Timelines
from expansion_platform.domain.history.trials import status_of, trial_marks
from expansion_platform.domain.pricing.terms import Price, coupons, in_currency, prices


class Piece(NamedTuple):
    """What an item is over a stretch of time; neighbouring equal pieces are one row.

    `tax` is the percentage inside its price, None: unknown.
    """

    status: str
    paused: str | None
    state: State
    discounts: Resolved
    tax: str | None = NO_TAX


@dataclass(slots=True)
class Row:
    """A piece of one item with its bounds and how it is known.

    A metered item's pieces end with the month, and `used` is the month's usage.
    """

    item: str
    start: int
    end: int | None
    piece: Piece
    source: str
    confidence: str
    evidence: set[str]
    used: str | None = None


Record = tuple[Any, ...]
"""A finished row, its values in the order of billing/item_states' columns: plain text and ints, which the
garbage collector leaves alone.
"""


class History(NamedTuple):
    """billing/item_states and billing/quarantine, each sorted by its key.

    Together they cover every subscription's life once.
    """

    states: pd.DataFrame
    quarantine: pd.DataFrame


@uncollected()
def states_of(changes: pd.DataFrame, price_frame: pd.DataFrame, coupon_frame: pd.DataFrame) -> History:
    """The rows of item states and quarantine that a history makes.

    One per subscription item and interval in which nothing about it changed, and one per stretch that cannot
    be read.

    Pure: the same changes (`changes.changes`, `log.holding`) and terms (stripe/prices,
    stripe/coupons) give the same rows. States of metered items are cut by month, and their quantity is the
    month's usage (semantics 1.5). Unknown statuses, missing prices, prices and coupons without an amount in
    the subscription's currency, negative quantities and unknown coupons put the stretch they hold for in
    quarantine, never more and never less.
    """
    price_terms, problems = prices(price_frame)
    terms_in = cache(lambda currency: Terms(in_currency(price_terms, currency), problems))
    stretches: list[Stretch] = []
    records: list[Record] = []
    for subscription in read(changes, coupons(coupon_frame)):
        terms = terms_in(subscription.currency)
        if subscription.billed:
            terms = Terms({**subscription.billed, **terms.priced_in(subscription.currency)}, terms.problems)
        rows, unread = _rows(subscription, terms)
        records += [
            _record(row, subscription, terms.prices[row.piece.state.price])
            for row in _with_usage(rows, subscription.usage, terms.prices)
        ]
        stretches += unread
    return History(_frame(ItemStates, records), _frame(Quarantine, [record(one) for one in stretches]))


def together(parts: Sequence[History]) -> History:
    """The histories of shards of customers as one."""
    states, quarantine = (pd.concat(frames, ignore_index=True) for frames in zip(*parts, strict=True))
    return History(
        states.sort_values(key(ItemStates), ignore_index=True),
        quarantine.sort_values(key(Quarantine), ignore_index=True),
    )


def _with_usage(
    rows: list[Row], usage: Mapping[str, list[MonthUsed]], price_terms: Mapping[str, Price]
) -> list[Row]:
    """The rows, with those of metered items cut by month.

    Up to the month of the newest fact, whose row stays open.
    """
    if not usage:
        return rows
    done = []
    for row in rows:
        price = price_terms[row.piece.state.price]
        if price.usage_type != "metered":
            done.append(row)
            continue
        for month in usage[row.item]:
            used = month.quantity
            if (
                month.price != price.id
                or month.end <= row.start
                or (row.end is not None and used.at >= row.end)
            ):
                continue
            start, end = max(row.start, used.at), month.end if row.end is None else min(month.end, row.end)
            source = "meter" if used.source == "meter" else row.source
            evidence = row.evidence | {name for name, _, _ in used.evidence}
            done.append(Row(row.item, start, end, row.piece, source, used.confidence, evidence, used.value))
        if row.end is None:
            done[-1] = replace(done[-1], end=None)
    return done


class _Beginnings:
    """By which mark a row begins, where the item's own is not of that instant."""

    def __init__(
        self, one: Timelines, bounds: list[Mark[None]], siblings: list[ItemMark], others: list[Mark[Any]]
    ) -> None:
        self._siblings: dict[int, Mark[Any]] = {mark.at: mark for mark in reversed(siblings)}
        # The later is asked first.
        every = chain(siblings[::-1], others[::-1], bounds[::-1], one.pauses, one.statuses)
        self._every: dict[int, Mark[Any]] = {mark.at: mark for mark in every}

    def at(self, at: int, own: ItemMark, *, again: bool) -> Mark[Any]:
        """The first mark of an instant.

        `again`: only the shares of the same discounts are others, so that a sibling's comes first.
        """
        return (self._siblings.get(at) if again else None) or self._every.get(at, own)


def _rows(one: Timelines, terms: Terms) -> tuple[list[Row], list[Stretch]]:
    """Rows of all items of one subscription.

    Cut at every change of any of them, since a shared amount off moves with its siblings.

    Second, the stretches that cannot be read, which have no rows.
    """
    bounds = _discount_bounds(one)
    siblings = [mark for own in one.items.values() for mark in own]
    # The first holds for the time before it, too.
    taxed = [mark for own in one.taxes.values() for mark in own[1:]]
    others: list[Mark[Any]] = [*trial_marks(one.trials), *taxed]
    cuts = _cuts(one, chain(one.statuses, one.pauses, bounds, others, siblings))
    statuses: list[Any] = _along(one.statuses, cuts)
    pauses: list[Any] = _along(one.pauses, cuts)
    marks = {item: _along(own, cuts) for item, own in one.items.items()}
    taxes = {item: _along(own, cuts) for item, own in one.taxes.items()}
    windows = [each.window for each in sorted(one.discounts, key=lambda each: each.place)]
    beginnings = _Beginnings(one, bounds, siblings, others)
    rows: dict[str, Row] = {}
    done: list[Row] = []
    unread: list[Stretch] = []
    for place, (at, until) in enumerate(pairwise([*cuts, one.end])):
        holding = {
            item: mark
            for item, own in marks.items()
            if (mark := own[place]) is not None and mark.value is not None
        }
        status, pause = statuses[place], pauses[place]
        now = in_force(windows, at) if windows else windows
        problem = problem_at(one, at, status, pause, holding, now, terms)
        if problem is not None:
            unread.append(Stretch(one.customer, one.id, at, until, *problem))
            continue
        item_states = {item: cast(State, mark.value) for item, mark in holding.items()}
        own_status = {item: status_of(status.value, one.trials.get(item, ()), at) for item in item_states}
        # What is taken off is taken off those that are charged: nothing is of an item on trial beside others
        # that pay.
        charged = (
            {item: state for item, state in item_states.items() if own_status[item] == status.value}
            if now
            else {}
        )
        shown = resolve(charged, now, terms.prices) if now else {}
        unsure = [f'"{window.coupon.id}"' for window in now if window.coupon.embedded]
        for item, mark in holding.items():
            state = item_states[item]
            tax = (
                _tax(one.taxes[item][0], taxes[item][place])
                if item in taxes
                else (None if terms.prices[state.price].inclusive else NO_TAX)
            )
            piece = Piece(own_status[item], pause.value, state, shown.get(item, UNDISCOUNTED), tax)
            evidence = {
                name for name, start, to in mark.evidence if (until is None or start < until) and to > at
            }
            last = rows.get(item)
            if last is not None and last.end == at and last.piece == piece:
                last.end = until
                last.evidence |= evidence
                continue
            if last is not None:
                done.append(last)
            by: Mark[Any] = mark
            if mark.at != at and at != one.begin:
                by = beginnings.at(
                    at, mark, again=last is not None and last.end == at and _shared_anew(last.piece, piece)
                )
                evidence |= {name for name, start, to in by.evidence if start <= at < to}
            confidence = (
                "snapshot"
                if unsure and any(name in piece.discounts.text for name in unsure)
                else by.confidence
            )
            rows[item] = Row(item, at, until, piece, by.source, confidence, evidence or {one.id})
    return done + list(rows.values()), joined(unread)


def _discount_bounds(one: Timelines) -> list[Mark[None]]:
    """How bounds of discounts are known.

    Where one ends as another begins, the row that begins there is known as surely as the surer of the two.
    """
    bounds = [each.mark for each in one.discounts] + [each.mark for each in one.discount_ends]
    if len(bounds) > 1:
        bounds.sort(
            key=lambda mark: (
                mark.at,
                CONFIDENCES.index(mark.confidence),
                SOURCES.index(mark.source),
                _by_time(mark),
            )
        )
    return bounds


def _by_time(mark: Mark[None]) -> list[tuple[int, int, str]]:
    return [(start, end, name) for name, start, end in mark.evidence]


def _cuts(one: Timelines, every: Iterable[Mark[Any]]) -> list[Any]:
    """The instants of its life at which anything of a subscription changes."""
    turns = {mark.at for mark in every} | {
        at for each in one.unread for at in (each.start, each.end) if at is not None
    }
    return sorted(at for at in {max(one.begin, turn) for turn in turns} if one.end is None or at < one.end)


def _along(marks: Sequence[Mark[Any]], cuts: list[int]) -> list[Mark[Any] | None]:
    """The mark that holds from each cut on; None before the first."""
    following, found = 0, []
    holds: Mark[Any] | None = None
    for at in cuts:
        while following < len(marks) and marks[following].at <= at:
            holds = marks[following]
            following += 1
        found.append(holds)
    return found


def _shared_anew(before: Piece, now: Piece) -> bool:
    """Whether only the shares of the same discounts are others.

    A sibling changed, and moved a shared amount off.
    """
    return (
        before.discounts.coupons == now.discounts.coupons and before._replace(discounts=now.discounts) == now
    )


def _tax(first: Mark[str], mark: Mark[str] | None) -> str:
    """The percentage of tax inside a price: the first that is known holds for the time before it, too."""
    return (mark or first).value


def _record(row: Row, subscription: Timelines, price: Price) -> Record:
    piece = row.piece
    when = (subscription.customer, subscription.id, row.item, row.start, row.end)
    what = (
        piece.status,
        piece.paused,
        subscription.livemode,
        price.currency,
        price.product,
        price.id,
        price.usage_type,
    )
    scheme = price.scheme_json if piece.tax == NO_TAX else price.taxed(piece.tax)
    terms = (
        price.interval,
        price.interval_count,
        scheme,
        row.used or piece.state.quantity,
        piece.discounts.text,
    )
    return (
        *when,
        *what,
        *terms,
        row.source,
        row.confidence,
        f"[{','.join(map(canonical.text, sorted(row.evidence)))}]",
    )


def _frame(model: type[Table], records: list[Record]) -> pd.DataFrame:
    schema = arrow_schema(model)
    by_column = zip(*records, strict=True) if records else [()] * len(schema)
    table = pa.table(
        [pa.array(values, field.type) for values, field in zip(by_column, schema, strict=True)], schema=schema
    )
    return to_pandas(table.sort_by([(name, "ascending") for name in key(model)]))
