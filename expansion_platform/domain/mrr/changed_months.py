"""The customer-months of many months in which something changed, as one book.

Every pair of month ends is compared at once.

Here: which customer-months those are, and the items of each at both ends. Not here: what a change means
(`matching.py`, `attribution.py`, `movements.py`), which is the same for one month and for many. In 36 months
of 20,000 customers something changes in one customer-month of twelve.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from expansion_platform.domain.catalog.catalog import Entry
from expansion_platform.domain.catalog.plans import Plans
from expansion_platform.domain.core.money import Bools, Ints
from expansion_platform.domain.mrr.month_ends import Amounts, Timeline, spread
from expansion_platform.domain.mrr.month_snapshot import MonthSnapshot, Side, grouped


@dataclass(frozen=True)
class Keys:
    """Customer-months, in the order of month and customer."""

    month: Ints
    """Index into the calendar."""
    customer: Ints
    """Index into the timeline's customers."""
    within: Bools
    """A state of the customer begins or ends in the month, on whatever instant."""


def changed_months(timeline: Timeline, wanted: Bools, also: Sequence[tuple[Ints, Ints]]) -> Keys:
    """The wanted customer-months in which a state begins or ends, and those in `also`.

    `also` gives pairs of (months, customers).
    """
    within = np.zeros((timeline.size + 1, len(timeline.customers)), dtype=bool)
    for at in (timeline.begins, timeline.beyond):
        within[at, timeline.customer] = True
    within = within[:-1]
    within[~wanted] = False
    chosen = within.copy()
    for months, customers in also:
        chosen[months, customers] = True
    month, customer = np.nonzero(chosen)
    return Keys(month, customer, within[month, customer])


def rate_changes(timeline: Timeline, amounts: Amounts, wanted: Bools) -> tuple[Ints, Ints]:
    """Months and customers in which an exchange rate alone changes an amount.

    The amount is what an item that counts at both ends is worth.
    """
    rows = np.flatnonzero(timeline.foreign[timeline.terms] & timeline.counts)
    row, month = spread(timeline.begins[rows] + 1, timeline.beyond[rows])
    here = wanted[month]
    row, month = rows[row[here]], month[here]
    before, after = (amounts.at(timeline.terms[row], at).mrr for at in (month - 1, month))
    moved = before != after
    return month[moved], timeline.customer[row[moved]]


def changed_book(
    timeline: Timeline,
    amounts: Amounts,
    keys: Keys,
    *,
    entries: Sequence[Entry],
    rates: Mapping[str, Mapping[str, str]],
    plans: Sequence[Plans],
    plan: Ints,
) -> MonthSnapshot:
    """The items of customer-months at both ends.

    Args:
        timeline: Item states.
        amounts: Their MRR at both ends of the months.
        keys: The customer-months.
        entries: Catalog entry by terms code.
        rates: Month -> currency -> rate.
        plans: Distinct plans, the first of them none.
        plan: Which of them are those of a month, by index into the calendar.
    """
    size, read = timeline.size, len(timeline.read)
    order = np.lexsort([keys.month, keys.customer])
    ordered = (keys.customer * size + keys.month)[order]
    sides = []
    # A state that covers month end k is counted at the opening of month k + 1 and at the closing of month k.
    for later in (1, 0):
        first = timeline.customer * size + timeline.begins + later
        beyond = timeline.customer * size + np.minimum(timeline.beyond + later, size)
        row, place = spread(np.searchsorted(ordered, first), np.searchsorted(ordered, beyond))
        sides.append((row, order[place]))
    rows, codes = (np.concatenate([side[part] for side in sides]) for part in (0, 1))
    month, terms = keys.month[codes], timeline.terms[rows]
    cell, cells = pd.factorize(terms * size + np.where(timeline.foreign[terms], month, 0))
    terms, month_of_cell = cells // size, cells % size
    item, items = pd.factorize(month * max(1, len(timeline.items)) + timeline.item[rows])
    known_item = items % max(1, len(timeline.items))
    group, groups, family = grouped(entries)
    bounds = (slice(0, len(sides[0][0])), slice(len(sides[0][0]), None))
    opening, closing = (
        Side(rows[part], codes[part], item[part], cell[part], timeline.counts[rows[part]]) for part in bounds
    )
    return MonthSnapshot(
        customers=timeline.customers.take(keys.customer),
        month=keys.month,
        items=timeline.items.take(known_item),
        known_item=known_item,
        opening=opening,
        closing=closing,
        distinct=timeline.distinct.take(terms).reset_index(drop=True),
        terms=[timeline.read[code] for code in terms.tolist()],
        charged=terms,
        entries=[entries[code] for code in terms.tolist()],
        groups=groups,
        group=group[terms] if read else group,
        family=family[terms] if read else family,
        chargeable=timeline.chargeable[terms],
        at_open=amounts.at(terms, month_of_cell - 1),
        at_close=amounts.at(terms, month_of_cell),
        rates_open=[{}, *(rates.get(name, {}) for name in timeline.calendar[:-1])],
        plans=plans,
        plan=plan[keys.month],
    )
