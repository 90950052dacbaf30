"""Item states as numbers over the month ends of a calendar.

They say which month ends each state covers, and what it is worth at each.

Here: `read_timeline`, from a frame of item states to aligned NumPy arrays, and `Amounts`, MRR by distinct
terms and month end. Not here: sums by customer (`customer_levels.py`) and what changed between two month ends
(`changed_months.py`).

Month end k is the closing instant of month k of the calendar, so the opening instant of month k + 1. A state
covers the month ends from `begins` up to but not including `beyond` (semantics 1.1): what begins or ends
inside month k has `begins` or `beyond` equal to k.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.core import months
from expansion_platform.domain.core.encoding import encode, number
from expansion_platform.domain.core.money import Bools, Ints
from expansion_platform.domain.mrr.valuation import (
    TERMS,
    Terms,
    Valued,
    check_present,
    count_states,
    read_terms,
    value_cells,
)


@dataclass(frozen=True)
class Timeline:
    """Item states as arrays with one element a state.

    Customers after aliases and items are codes in the order of their ids.
    """

    calendar: Sequence[str]
    """Months without a gap; month end k closes `calendar[k]`."""
    closings: pd.DatetimeIndex
    states: pd.DataFrame
    customers: pd.Index[str]
    customer: Ints
    items: pd.Index[str]
    item: Ints
    begins: Ints
    """First month end covered, if any; 0 for a state from before the calendar."""
    beyond: Ints
    """First month end no longer covered."""
    terms: Ints
    """Code of the distinct terms."""
    counts: Bools
    distinct: pd.DataFrame
    """The raw columns `TERMS` by terms code."""
    read: list[Terms]
    """The same, parsed."""
    foreign: Bools
    """By terms code: in another currency than the reporting one."""
    chargeable: Bools
    """By terms code: the price can charge something."""

    @property
    def size(self) -> int:
        """Number of month ends."""
        return len(self.calendar)

    def index(self, month: str) -> int:
        """Position of a month in the calendar."""
        return months.distance(self.calendar[0], month)


def read_timeline(states: pd.DataFrame, calendar: Sequence[str], catalog: Catalog, timezone: str) -> Timeline:
    """Reads the item states that begin by the last month end.

    Args:
        states: billing/item_states without excluded customers; text columns may be categoricals.
        calendar: Months, ascending and without a gap.
        catalog: Gives aliases, policy and the reporting currency.
        timezone: Reporting time zone.

    Raises:
        DataQualityError: Names the items whose state cannot be read.
    """
    closings = pd.DatetimeIndex([months.closing(month, timezone) for month in calendar]).as_unit("us")
    begins = month_of(closings, states["valid_from"])
    begun = begins < len(calendar)
    if not begun.all():  # a copy of everything costs memory
        states, begins = states[begun], begins[begun]
    check_present([states])
    code, distinct = encode([states], TERMS)
    read = read_terms(distinct, catalog.policy, code, states["item"])
    customer, customers = _ranked(states, "customer", catalog.aliases)
    item, items = _ranked(states, "item", {})
    return Timeline(
        calendar=calendar,
        closings=closings,
        states=states,
        customers=customers,
        customer=customer,
        items=items,
        item=item,
        begins=begins,
        beyond=month_of(closings, states["valid_to"]),
        terms=code,
        counts=count_states(states, code, read, catalog.policy),
        distinct=distinct,
        read=read,
        foreign=np.array([one.currency != catalog.reporting_currency for one in read], dtype=bool),
        chargeable=np.array([one.scheme.chargeable for one in read], dtype=bool),
    )


def month_of(closings: pd.DatetimeIndex, instants: pd.Series[pd.Timestamp]) -> Ints:
    """Index of the month each instant lies in.

    0 also before the calendar, its length after it or where there is none.
    """
    found = closings.searchsorted(pd.DatetimeIndex(instants).as_unit("us"), side="right").astype(np.int64)
    return np.where(instants.isna().to_numpy(), len(closings), found)


def spread(starts: Ints, stops: Ints) -> tuple[Ints, Ints]:
    """Every whole number from each start up to but not including its stop.

    The row it belongs to, and the number.
    """
    sizes = np.maximum(stops - starts, 0)
    row = np.repeat(np.arange(len(sizes)), sizes)
    within = np.arange(len(row)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return row, starts[row] + within


@dataclass(frozen=True)
class Amounts:
    """MRR of distinct terms at month ends.

    Terms in the reporting currency are valued once; others once a month end at which they are needed.
    """

    size: int
    """Number of month ends."""
    foreign: Bools
    rated: Ints
    """Foreign terms and month ends, `terms * size + month end`, ascending: cell `len(foreign) + position`."""
    valued: Valued
    """By cell."""

    def cell(self, terms: Ints, month_end: Ints) -> Ints:
        """The cell of terms at a month end, -1 where they were not valued there."""
        if not len(self.rated):
            return np.where(self.foreign[terms], -1, terms)
        wanted = terms * self.size + month_end
        at = np.minimum(np.searchsorted(self.rated, wanted), len(self.rated) - 1)
        return np.where(
            self.foreign[terms], np.where(self.rated[at] == wanted, len(self.foreign) + at, -1), terms
        )

    def at(self, terms: Ints, month_end: Ints) -> Valued:
        """The amounts of terms at a month end, by position; zero where they were not valued there."""
        cell = self.cell(terms, month_end)
        mrr, list_mrr, arr = (
            np.where(cell >= 0, amounts[cell], 0)
            for amounts in (self.valued.mrr, self.valued.list_mrr, self.valued.arr)
        )
        lacking = np.flatnonzero(np.isin(cell, list(self.valued.missing)))
        return Valued(
            mrr,
            list_mrr,
            arr,
            {int(position): self.valued.missing[int(cell[position])] for position in lacking.tolist()},
        )


def value_month_ends(
    timeline: Timeline, rates: Mapping[str, Mapping[str, str]], catalog: Catalog, needed: Bools
) -> Amounts:
    """Values every state at the `needed` month ends it covers.

    Also at the month end before it begins, whose rates its opening figures use.
    """
    rows = np.flatnonzero(timeline.foreign[timeline.terms])
    row, month_end = spread(np.maximum(timeline.begins[rows] - 1, 0), timeline.beyond[rows])
    used = needed[month_end]
    wanted = np.zeros(len(timeline.read) * timeline.size, dtype=bool)
    wanted[timeline.terms[rows[row[used]]] * timeline.size + month_end[used]] = True
    rated = np.flatnonzero(wanted)
    terms, month_ends = rated // timeline.size, rated % timeline.size
    size = len(timeline.read)
    known = [{}, *(rates.get(month, {}) for month in timeline.calendar)]
    code, at = (
        np.concatenate([np.arange(size), terms]),
        np.concatenate([np.zeros(size, dtype=np.int64), month_ends + 1]),
    )
    valued = value_cells(timeline.read, code, at, known, catalog.reporting_currency)
    missing = {
        cell: problem
        for cell, problem in valued.missing.items()
        if cell >= size or not timeline.foreign[cell]
    }
    return Amounts(timeline.size, timeline.foreign, rated, replace(valued, missing=missing))


def unpriced(timeline: Timeline, amounts: Amounts) -> Bools:
    """By month end: whether a state there has no amount, counting or not."""
    found = np.zeros(timeline.size, dtype=bool)
    missing = np.array(sorted(amounts.valued.missing), dtype=np.int64)
    if len(missing):
        known = len(timeline.read)
        terms = np.unique(
            np.where(missing < known, missing, amounts.rated[np.maximum(missing - known, 0)] // timeline.size)
        )
        rows = np.flatnonzero(np.isin(timeline.terms, terms))
        row, month_end = spread(timeline.begins[rows], timeline.beyond[rows])
        lacking = np.isin(amounts.cell(timeline.terms[rows[row]], month_end), missing)
        found[month_end[lacking]] = True
    return found


def _ranked(states: pd.DataFrame, column: str, renamed: Mapping[str, str]) -> tuple[Ints, pd.Index[str]]:
    """Codes of a column's values in the order of the values, some of which may be renamed."""
    code, values = number([states], column)
    merged, distinct = pd.factorize(
        values.map(lambda value: renamed.get(value, value)) if renamed else values, sort=True
    )
    return merged[code].astype(np.int64), pd.Index(distinct)
