"""MRR of every customer at every month end, and the rows of mrr/customer_months between two of them.

Here: sums over the states that cover a month end, as running sums of what begins and ends, one measure at a time so that one matrix of customers and
month ends is in memory. Not here: amounts of one state (`month_ends.py`), what moved and why (`movements.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from expansion_platform.domain.money import Ints
from expansion_platform.domain.month_ends import Amounts, Timeline, spread
from expansion_platform.domain.movements import UNITS, listed_of, unit_counted
from expansion_platform.domain.policy import Entry
from expansion_platform.domain.valuation import Bools


@dataclass(frozen=True)
class CustomerMonths:
    """Customer-months in which the customer pays at one end at least, in the order of month and customer."""

    month: Ints
    """Index into the calendar."""
    customer: Ints
    """Index into the timeline's customers."""
    totals: dict[str, Ints]
    """What `movements.customer_rows` takes."""


class _Levels:
    """Sums by month end and customer over counting states, from the month end `first` on."""

    def __init__(self, timeline: Timeline, amounts: Amounts, needed: Bools) -> None:
        self._first, self._shape = int(np.flatnonzero(needed)[0]), (timeline.size, len(timeline.customers))
        foreign = timeline.foreign[timeline.terms]
        counting = timeline.counts & (timeline.begins < timeline.beyond) & (timeline.beyond > self._first)
        own, others = np.flatnonzero(counting & ~foreign), np.flatnonzero(counting & foreign)
        self._terms = timeline.terms[own]
        starts, ends = np.maximum(timeline.begins[own], self._first) - self._first, timeline.beyond[own] - self._first
        self._start, self._end = (at * self._shape[1] + timeline.customer[own] for at in (starts, ends))
        row, month_end = spread(np.maximum(timeline.begins[others], self._first), timeline.beyond[others])
        used = needed[month_end]
        row, month_end = others[row[used]], month_end[used]
        self._cell = amounts.cell(timeline.terms[row], month_end)
        self._place = (month_end - self._first) * self._shape[1] + timeline.customer[row]

    def sums(self, by_cell: Ints, month_ends: Ints) -> Ints:
        """Sums of an amount by cell at some month ends, one row each; exact, since all are whole numbers."""
        size, customers = self._shape
        shape = size - self._first + 1, customers
        level = np.zeros(shape[0] * customers, dtype=np.int64)
        np.add.at(level, self._start, by_cell[self._terms])
        np.subtract.at(level, self._end, by_cell[self._terms])
        level = np.cumsum(level.reshape(shape), axis=0).reshape(-1)
        np.add.at(level, self._place, by_cell[self._cell])
        return level.reshape(shape)[month_ends - self._first]


def customer_months(timeline: Timeline, amounts: Amounts, wanted: Sequence[int], entries: Sequence[Entry]) -> CustomerMonths:
    """Every customer-month of some months in which the customer pays at one end.

    Args:
        timeline: Item states.
        amounts: Their MRR at the opening and closing month ends of the months.
        wanted: Indexes of the months, ascending.
        entries: Catalog entry by terms code.
    """
    months = np.array(wanted, dtype=np.int64)
    needed = np.zeros(timeline.size, dtype=bool)
    needed[months] = needed[months - 1] = True
    levels = _Levels(timeline, amounts, needed)
    closing, opening = (levels.sums(amounts.valued.mrr, at) for at in (months, months - 1))
    month, customer = np.nonzero((opening > 0) | (closing > 0))
    totals = {"opening": opening[month, customer], "closing": closing[month, customer]}
    del opening, closing
    terms = np.concatenate([np.arange(len(timeline.read)), amounts.rated // timeline.size])
    counted = unit_counted(entries)[terms]
    measures = {"_arr": amounts.valued.arr, "_list": amounts.valued.list_mrr}
    measures |= {f"_{unit}": listed_of(unit, counted, amounts.valued) for unit in UNITS}
    for name, by_cell in measures.items():
        totals[f"opening{name}"] = levels.sums(by_cell, months - 1)[month, customer]
        totals[f"closing{name}"] = levels.sums(by_cell, months)[month, customer]
    totals["items"] = levels.sums(np.ones(len(terms), dtype=np.int64), months)[month, customer]
    return CustomerMonths(months[month], customer, totals)
