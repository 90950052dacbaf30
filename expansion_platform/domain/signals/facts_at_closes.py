"""Facts of customers as each of many closes knew them.

Here: which version of a fact a close saw, for all closes at once, and a text for what it saw. Not here: the
versions (`facts.py`), features made of them (`relationship.py`).

A version is seen by closes that follow each other, and so is every condition on its days: both are spans of
closes. So nothing is made for each version and close but the newest values that were asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from expansion_platform.domain.catalog.inputs import Inputs
from expansion_platform.domain.core import months
from expansion_platform.domain.core.money import Bools, Ints
from expansion_platform.domain.mrr.month_ends import spread
from expansion_platform.domain.signals.codes import micros, places, ranks
from expansion_platform.domain.signals.tables.facts import Fact, fact_key

Floats = npt.NDArray[np.float64]
INSTANT = pd.Timedelta(1, unit="us")


@dataclass(frozen=True)
class Span:
    """By version of a fact: the close from which something holds, and the one from which no longer.

    Nothing holds of one whose end is not after its beginning.
    """

    begins: Ints
    ends: Ints

    def __and__(self, other: Span) -> Span:
        """Where both hold."""
        return Span(np.maximum(self.begins, other.begins), np.minimum(self.ends, other.ends))


class FactsAtCloses:
    """Versions of facts, and which closes saw them.

    Args:
        facts: rows of the table; of a fact that was of another customer before, these versions too.
        model: the table.
        customers: each once, after aliases; facts of others are left out.
        closes: ascending.
        aliases: customer to the customer it was merged into.
        timezone: reporting time zone, in which days end.
    """

    def __init__(
        self,
        facts: pd.DataFrame,
        model: type[Fact],
        customers: pd.Index[str],
        closes: pd.DatetimeIndex,
        aliases: Mapping[str, str],
        timezone: str,
    ) -> None:
        at = places(facts["customer"], customers, aliases)
        facts, at = _concerned(facts, model, at)
        until = superseded_at(facts, model)
        first = closes.searchsorted(pd.DatetimeIndex(facts["known_at"]), side="left")
        beyond = np.where(
            until.isna(), len(closes), closes.searchsorted(pd.DatetimeIndex(until), side="left")
        )
        seen = ~facts["gone"].to_numpy(dtype=bool) & (at >= 0)
        self.rows, self._model, self._customer = facts, model, at
        self._known = Span(first.astype(np.int64), np.where(seen, beyond, 0).astype(np.int64))
        self._size, self._customers = len(closes), len(customers)
        # A close at midnight is the end of the day before.
        self._days = (closes - INSTANT).tz_convert(timezone).tz_localize(None).normalize()

    def equal(self, column: str, value: str) -> Bools:
        """Where a column has a value."""
        return np.asarray((self.rows[column] == value).fillna(False), dtype=bool)

    def by(self, day: str) -> Span:
        """Closes on or after a day; none where it is null."""
        return Span(self._reached(day, self._days), self._all)

    def before(self, day: str) -> Span:
        """Closes before a day; all where it is null."""
        return Span(np.zeros(len(self.rows), dtype=np.int64), self._reached(day, self._days))

    def within(self, day: str, months: int) -> Span:
        """Closes on or after a day and less than so many months after it."""
        earlier = pd.DatetimeIndex([each - pd.DateOffset(months=months) for each in self._days])
        return self.by(day) & Span(np.zeros(len(self.rows), dtype=np.int64), self._reached(day, earlier))

    def count(self, span: Span, among: Bools | None = None) -> Floats:
        """How many there are: a matrix of customers and closes."""
        span, here = self._seen(span, among)
        changes = np.zeros((self._customers, self._size + 1), dtype=np.int64)
        np.add.at(changes, (self._customer[here], span.begins[here]), 1)
        np.add.at(changes, (self._customer[here], span.ends[here]), -1)
        return np.cumsum(changes[:, :-1], axis=1).astype(float)

    def newest_day(self, day: str, span: Span, among: Bools | None = None) -> npt.NDArray[Any]:
        """The newest of some days: a matrix of customers and closes; None where there is none."""
        code, days = ranks(self.rows[day])
        found = self._highest(code, span, among, self._customer, self._customers)
        return _taken(days, found)

    def newest(self, day: str, span: Span, value: str) -> npt.NDArray[Any]:
        """The value of the newest by a day: a matrix of customers and closes; None where there is none."""
        place, found = self._newest(day, span, self._customer, self._customers)
        rows = np.append(place, -1)[found]
        return _taken(self.rows[value], rows)

    def newest_of_each(self, day: str, span: Span, kind: str) -> npt.NDArray[np.int64]:
        """The row of the newest by a day, of each kind that there is.

        Returns:
            An array of customers, kinds in their order, and closes; -1 where there is none.
        """
        code, kinds = ranks(self.rows[kind])
        size = max(len(kinds), 1)
        place, found = self._newest(day, span, self._customer * size + code, self._customers * size)
        return np.append(place, -1)[found].reshape(self._customers, size, self._size)

    def _newest(self, day: str, span: Span, slot: Ints, slots: int) -> tuple[Ints, Ints]:
        """Rows in the order of a day and of what became known; which of these is the newest, -1 for none."""
        names = [day, "known_at", "version", *fact_key(self._model)]
        place = np.lexsort([ranks(self.rows[name])[0] for name in reversed(names)])
        rank = np.empty(len(place), dtype=np.int64)
        rank[place] = np.arange(len(place))
        return place, self._highest(rank, span, None, slot, slots)

    def _highest(self, rank: Ints, span: Span, among: Bools | None, slot: Ints, slots: int) -> Ints:
        """The highest rank by slot and close; -1 for none."""
        span, here = self._seen(span, among)
        found = np.full((slots, self._size), -1, dtype=np.int64)
        # What holds until the last close is written once, where it begins; the rest at each of its closes.
        lasting = here[span.ends[here] == self._size]
        np.maximum.at(found, (slot[lasting], span.begins[lasting]), rank[lasting])
        np.maximum.accumulate(found, axis=1, out=found)
        passing = here[span.ends[here] < self._size]
        row, close = spread(span.begins[passing], span.ends[passing])
        np.maximum.at(found, (slot[passing[row]], close), rank[passing[row]])
        return found

    def _seen(self, span: Span, among: Bools | None) -> tuple[Span, Ints]:
        """Where versions are known and something holds of them, and which ever do."""
        both = span & self._known
        holds = both.ends > both.begins
        return both, np.flatnonzero(holds if among is None else holds & among)

    def _reached(self, day: str, days: pd.DatetimeIndex) -> Ints:
        """By row the first close whose day, one of `days`, is that of the row or later."""
        code, distinct = pd.factorize(self.rows[day])
        at = days.searchsorted(pd.DatetimeIndex(pd.to_datetime(distinct)), side="left").astype(np.int64)
        return np.append(at, self._size)[code]

    @property
    def _all(self) -> Ints:
        return np.full(len(self.rows), self._size, dtype=np.int64)


def _taken(values: pd.Series[Any] | pd.Index[Any], at: Ints) -> npt.NDArray[Any]:
    """Values at some places, None at -1 and where they are null."""
    known = np.empty(len(values) + 1, dtype=object)
    known[:-1] = values.astype(object)
    known[:-1][np.asarray(values.isna(), dtype=bool)] = None
    found: npt.NDArray[Any] = known[at]
    return found


def _concerned(facts: pd.DataFrame, model: type[Fact], at: Ints) -> tuple[pd.DataFrame, Ints]:
    """The facts of these customers, with their versions of the time when they were of another one."""
    here = at >= 0
    if not here.all():
        if "customer" not in fact_key(model):
            code, ids = pd.factorize(facts[fact_key(model)[-1]])
            concerned = np.zeros(len(ids), dtype=bool)
            concerned[code[here]] = True
            here = concerned[code]
        facts, at = facts[here], at[here]
    return facts.reset_index(drop=True), at


def superseded_at(facts: pd.DataFrame, model: type[Fact]) -> pd.Series[pd.Timestamp]:
    """By row, since when a newer version of the fact is known; null where none is."""
    names = fact_key(model)
    fact = np.zeros(len(facts), dtype=np.int64)
    for name in names:
        code, _ = pd.factorize(facts[name], use_na_sentinel=False)
        fact, _ = pd.factorize(fact * (code.max(initial=0) + 1) + code)
    order = np.lexsort([facts["version"].to_numpy(), micros(facts["known_at"]), fact])
    same = fact[order][1:] == fact[order][:-1]
    until = pd.Series(pd.NaT, index=facts.index, dtype="datetime64[us, UTC]")
    until.iloc[order[:-1][same]] = facts["known_at"].iloc[order[1:][same]].array
    return until


def facts_digest(model: type[Fact], wanted: Sequence[str], inputs: Inputs) -> dict[str, str]:
    """By month, a text that changes when what its close knew of a table does, whatever the order of rows.

    Args:
        model: the table.
        wanted: months.
        inputs: the table, timezone, close_lag_days.
    """
    facts = inputs.frame(model).sort_values("known_at")
    hashes = pd.util.hash_pandas_object(facts.astype(object).astype(str), index=False).to_numpy()
    sums = np.concatenate([np.zeros(1, dtype=np.uint64), np.cumsum(hashes, dtype=np.uint64)])
    lag = inputs.value("close_lag_days")
    closes = pd.DatetimeIndex([months.closes(month, inputs.timezone, lag) for month in wanted])
    known = pd.DatetimeIndex(facts["known_at"]).searchsorted(closes.as_unit("us"), side="right")
    return {month: f"{at} {sums[at]}" for month, at in zip(wanted, known.tolist(), strict=True)}
