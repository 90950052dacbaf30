"""Item states at the closing instants of some months, each valued once.

Instants at which that cannot be done are named.

Here: `value_closings`. Not here: the values themselves (`month_ends.py`), sums of them
(`metrics/coverage.py`, `customer_profiles.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.core import months
from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.core.money import Bools, Ints
from expansion_platform.domain.mrr.month_ends import (
    Amounts,
    Timeline,
    month_of,
    read_timeline,
    spread,
    unpriced,
    value_month_ends,
)
from expansion_platform.domain.mrr.states import closing_states


@dataclass(frozen=True)
class Stretches:
    """Month ends over which counting states are worth the same, one element a stretch.

    Right at the needed month ends only.
    """

    row: Ints
    """The state."""
    begins: Ints
    """First month end."""
    beyond: Ints
    """The one after the last."""
    mrr: Ints


@dataclass(frozen=True)
class Closings:
    """What holds at the closing instants of some months."""

    timeline: Timeline
    """The states that hold at one of the instants. Its calendar has the months between them, too."""
    amounts: Amounts
    needed: Bools
    """By month end: asked for, and every state there can be valued."""
    failures: Mapping[str, DataQualityError]
    """Why the states at the closing instants of other months cannot be valued, naming the items."""

    def stretches(self) -> Stretches:
        """The counting states, each once.

        Those in another currency once a needed month end, since they are worth something else at each.
        """
        timeline = self.timeline
        counting = timeline.counts & (timeline.begins < timeline.beyond)
        foreign = timeline.foreign[timeline.terms]
        own, others = np.flatnonzero(counting & ~foreign), np.flatnonzero(counting & foreign)
        row, month_end = spread(timeline.begins[others], timeline.beyond[others])
        used = self.needed[month_end]
        row, month_end = others[row[used]], month_end[used]
        cell = np.concatenate([timeline.terms[own], self.amounts.cell(timeline.terms[row], month_end)])
        begins, beyond = (
            np.concatenate([timeline.begins[own], month_end]),
            np.concatenate([timeline.beyond[own], month_end + 1]),
        )
        return Stretches(np.concatenate([own, row]), begins, beyond, self.amounts.valued.mrr[cell])


def value_closings(
    asked: Collection[str],
    states: pd.DataFrame,
    rates: Mapping[str, Mapping[str, str]],
    catalog: Catalog,
    timezone: str,
) -> Closings:
    """Values the item states that hold at the closing instants of some months.

    Args:
        asked: one month at least.
        states: billing/item_states without excluded customers; text columns may be categoricals.
        rates: month -> currency -> rate.
        catalog: aliases, policy and reporting currency.
        timezone: reporting time zone.

    All instants are looked at together. Only where something cannot be read or valued is the one-instant rule
    asked, which says what.
    """
    calendar = months.between(min(asked), max(asked))
    needed = np.isin(calendar, list(asked))
    failures: dict[str, DataQualityError] = {}
    try:
        timeline = read_timeline(_holding(states, calendar, timezone, needed), calendar, catalog, timezone)
    except DataQualityError:
        for month in np.array(calendar)[needed].tolist():
            _ask(month, states, rates, catalog, timezone, failures)
        needed &= ~np.isin(calendar, list(failures))
        timeline = read_timeline(_holding(states, calendar, timezone, needed), calendar, catalog, timezone)
    amounts = value_month_ends(timeline, rates, catalog, needed)
    for month in np.array(calendar)[needed & unpriced(timeline, amounts)].tolist():
        _ask(month, states, rates, catalog, timezone, failures)
    return Closings(timeline, amounts, needed & ~np.isin(calendar, list(failures)), failures)


def _holding(states: pd.DataFrame, calendar: list[str], timezone: str, needed: Bools) -> pd.DataFrame:
    """The states that hold at one of the needed month ends; others may say anything."""
    closings = pd.DatetimeIndex([months.closing(month, timezone) for month in calendar]).as_unit("us")
    begins, beyond = month_of(closings, states["valid_from"]), month_of(closings, states["valid_to"])
    before = np.concatenate([[0], np.cumsum(needed)])
    here = before[np.maximum(begins, beyond)] > before[begins]
    return states if here.all() else states[here]


def _ask(
    month: str,
    states: pd.DataFrame,
    rates: Mapping[str, Mapping[str, str]],
    catalog: Catalog,
    timezone: str,
    failures: dict[str, DataQualityError],
) -> None:
    try:
        closing_states(states, month, timezone, rates.get(month, {}), catalog)
    except DataQualityError as error:
        failures[month] = error
