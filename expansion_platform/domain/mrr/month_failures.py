"""Months that cannot be computed, and why.

Each is left out by name, and the others are computed (architecture section 4).

Here: finding the months whose states cannot be counted as they are, all months at once, and the error of
each, in the words of the one-month rules. Not here: those rules (`first_paid.py`, `month_snapshot.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.core import months
from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.core.money import Bools, Ints
from expansion_platform.domain.mrr.first_paid import FirstPaid, refuse_unknown_past, refuse_unreadable
from expansion_platform.domain.mrr.month_ends import Amounts, Timeline, month_of, unpriced
from expansion_platform.domain.mrr.month_snapshot import MonthSnapshot, read_book
from expansion_platform.domain.mrr.movements import compared_at_open
from expansion_platform.domain.mrr.states import covers
from expansion_platform.domain.mrr.valuation import refuse

Rates = Mapping[str, Mapping[str, str]]
Failures = dict[str, DataQualityError]


def unreadable_months(
    wanted: Sequence[str],
    timeline: Timeline,
    amounts: Amounts,
    first_paid: FirstPaid,
    quarantine: pd.DataFrame,
    catalog: Catalog,
    rates: Rates,
) -> Failures:
    """The months that lie in quarantine, lack an exchange rate, or hold what cannot be counted.

    Each of it at an end: an item that is there twice, or one that has no price.

    Suspicious months are found over all months at once; only for these are the one-month rules asked, which
    say what is wrong.
    """
    suspicious = _twice(timeline) | unpriced(timeline, amounts)
    suspicious |= _covered(
        month_of(timeline.closings, quarantine["valid_from"]),
        month_of(timeline.closings, quarantine["valid_to"]),
        timeline.size,
    )
    lacking = min(first_paid.missing, default=None)
    found = {}
    for month in wanted:
        at = timeline.index(month)
        if suspicious[at - 1] or suspicious[at] or (lacking is not None and lacking <= month):
            try:
                _refuse_month(month, timeline, first_paid, quarantine, catalog, rates)
            except DataQualityError as error:
                found[month] = error
    return found


def uncompared_months(book: MonthSnapshot, movement: Ints, timeline: Timeline) -> Failures:
    """The months in which an item of a continuing customer has no opening rate to be compared at."""
    if not book.at_open.missing:
        return {}
    rows = compared_at_open(book, movement)
    rows = rows[np.isin(book.closing.terms[rows], list(book.at_open.missing))]
    month = book.month[book.closing.customer[rows]]
    return _errors(timeline, np.unique(month), lambda at: _refuse_items(book, rows[month == at]))


def unknown_pasts(
    new: tuple[Ints, Ints], timeline: Timeline, quarantine: pd.DataFrame, catalog: Catalog
) -> Failures:
    """The months that call a customer new whose past cannot be read; `new` are months and customers."""
    stretches = quarantine["customer"].map(catalog.customer)
    month, customer = new
    asked = np.isin(customer, timeline.customers.get_indexer(pd.Index(stretches.unique())))
    month, customer = month[asked], customer[asked]

    def ask(at: int) -> None:
        customers = timeline.customers.take(customer[month == at])
        refuse_unknown_past(quarantine, set(customers), timeline.closings[at - 1], catalog)

    return _errors(timeline, np.unique(month), ask)


def _errors(timeline: Timeline, asked: Ints, rule: Callable[[int], None]) -> Failures:
    found = {}
    for at in asked.tolist():
        try:
            rule(at)
        except DataQualityError as error:
            found[timeline.calendar[at]] = error
    return found


def _refuse_items(book: MonthSnapshot, rows: Ints) -> None:
    refuse(book.at_open.missing, book.closing.terms[rows], book.item_ids(book.closing, rows).to_series())


def _refuse_month(
    month: str,
    timeline: Timeline,
    first_paid: FirstPaid,
    quarantine: pd.DataFrame,
    catalog: Catalog,
    rates: Rates,
) -> None:
    at = timeline.index(month)
    start, end = timeline.closings[at - 1], timeline.closings[at]
    refuse_unreadable(quarantine, start, end)
    first_paid.before(month)
    opening, closing = (timeline.states[covers(timeline.states, instant)] for instant in (start, end))
    read_book(opening, closing, catalog, rates.get(months.shift(month, -1), {}), rates.get(month, {}))


def _covered(begins: Ints, beyond: Ints, size: int) -> Bools:
    """By month end: whether any of the stretches from `begins` to `beyond` covers it."""
    change = np.zeros(size + 1, dtype=np.int64)
    np.add.at(change, begins, 1)
    np.subtract.at(change, np.maximum(begins, beyond), 1)
    return np.asarray(np.cumsum(change)[:size] > 0, dtype=bool)


def _twice(timeline: Timeline) -> Bools:
    """By month end: whether an item has two states there."""
    rows = np.flatnonzero(timeline.begins < timeline.beyond)
    rows = rows[np.lexsort([timeline.begins[rows], timeline.item[rows]])]
    # A state overlaps one before it where the furthest end so far lies beyond its beginning; ends of one item
    # are compared with no other's.
    offset = timeline.item[rows] * (timeline.size + 1)
    furthest = np.maximum.accumulate(timeline.beyond[rows] + offset)[:-1] - offset[1:]
    begins, beyond = timeline.begins[rows][1:], timeline.beyond[rows][1:]
    return _covered(begins, np.minimum(furthest, beyond), timeline.size)
