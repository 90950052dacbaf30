"""MRR of every customer at every month end, and the rows of mrr/customer_months between two of them.

Here: sums over the states that cover a month end, as running sums of what begins and ends, one measure at a
time so that one matrix of customers and month ends is in memory. Not here: amounts of one state
(`month_ends.py`), what moved and why (`movements.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from expansion_platform.domain.catalog.catalog import Entry
from expansion_platform.domain.core.money import Bools, Ints
from expansion_platform.domain.mrr.customer_rows import UNITS, dominant_unit, listed_of, unit_counted
from expansion_platform.domain.mrr.month_ends import Amounts, Timeline, spread


@dataclass(frozen=True)
class CustomerMonths:
    """Customer-months in which the customer pays at one end at least, in the order of month and customer."""

    months: Ints
    """The months, as indexes into the calendar."""
    there: Bools
    """Whether a month (row) and customer (column) is one of them."""
    totals: dict[str, npt.NDArray[Any]]
    """What `customer_rows.customer_rows` takes."""

    @property
    def month(self) -> npt.NDArray[np.int16]:
        """Index into the calendar."""
        return np.broadcast_to(self.months.astype(np.int16)[:, None], self.there.shape)[self.there]

    @property
    def customer(self) -> npt.NDArray[np.int32]:
        """Index into the timeline's customers."""
        return np.broadcast_to(np.arange(self.there.shape[1], dtype=np.int32), self.there.shape)[self.there]

    def places(self, month: Ints, customer: Ints) -> Ints:
        """The positions of customer-months that are among them."""
        position = np.cumsum(self.there, dtype=np.int32) - 1
        return np.asarray(
            position[np.searchsorted(self.months, month) * self.there.shape[1] + customer], dtype=np.int64
        )


class _Levels:
    """Sums over counting states by month end, from the month end `first` on, and customer."""

    def __init__(self, timeline: Timeline, amounts: Amounts, needed: Bools) -> None:
        self.first = int(np.flatnonzero(needed)[0])
        self._shape = len(timeline.customers), timeline.size - self.first + 1
        width = self._shape[1]
        foreign = timeline.foreign[timeline.terms]
        counting = timeline.counts & (timeline.begins < timeline.beyond) & (timeline.beyond > self.first)
        own, others = np.flatnonzero(counting & ~foreign), np.flatnonzero(counting & foreign)
        self._terms = timeline.terms[own]
        starts, ends = (
            np.maximum(timeline.begins[own], self.first) - self.first,
            timeline.beyond[own] - self.first,
        )
        self._start, self._end = (timeline.customer[own] * width + at for at in (starts, ends))
        row, month_end = spread(np.maximum(timeline.begins[others], self.first), timeline.beyond[others])
        used = needed[month_end]
        row, month_end = others[row[used]], month_end[used]
        self._cell = amounts.cell(timeline.terms[row], month_end)
        self._place = timeline.customer[row] * width + (month_end - self.first)
        # Used again for every measure: fresh memory costs more than the additions.
        self._change, self._level = (np.zeros(self._shape, dtype=np.int64) for _ in range(2))
        self._turned = np.zeros((width, self._shape[0]), dtype=np.int64)

    def sums(self, by_cell: Ints) -> Ints:
        """Sums of an amount by cell; exact, since all are whole numbers.

        Valid until the next call, and at the needed month ends only.
        """
        change, own = self._change.reshape(-1), by_cell[self._terms]
        change.fill(0)
        np.add.at(change, self._start, own)
        np.subtract.at(change, self._end, own)
        np.cumsum(self._change, axis=1, out=self._level)
        np.add.at(self._level.reshape(-1), self._place, by_cell[self._cell])
        np.copyto(self._turned, self._level.T)
        return self._turned


def customer_months(
    timeline: Timeline, amounts: Amounts, wanted: Sequence[int], entries: Sequence[Entry]
) -> CustomerMonths:
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
    at = months - levels.first
    whole = len(at) == at[-1] - at[0] + 1
    # A slice is not copied.
    closes, opens = (slice(at[0], at[-1] + 1), slice(at[0] - 1, at[-1])) if whole else (at, at - 1)
    mrr = levels.sums(amounts.valued.mrr)
    there = (mrr[opens] > 0) | (mrr[closes] > 0)
    totals = {"opening": mrr[opens][there], "closing": mrr[closes][there]}
    terms = np.concatenate([np.arange(len(timeline.read)), amounts.rated // timeline.size])
    counted = unit_counted(entries)[terms]
    models = dominant_unit([levels.sums(listed_of(unit, counted, amounts.valued)).copy() for unit in UNITS])
    totals |= {"opening_model": models[opens][there], "closing_model": models[closes][there]}
    for name, by_cell in {"arr": amounts.valued.arr, "list": amounts.valued.list_mrr}.items():
        sums = levels.sums(by_cell)
        totals |= {f"opening_{name}": sums[opens][there], f"closing_{name}": sums[closes][there]}
    totals["items"] = levels.sums(np.ones(len(terms), dtype=np.int64))[closes][there]
    return CustomerMonths(months, there, totals)
