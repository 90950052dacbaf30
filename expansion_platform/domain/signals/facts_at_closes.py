"""Facts of customers as each of many closes knew them.

Here: which version of a fact a close saw, for all closes at once, and a text for what it saw. Not here: the
versions (`facts.py`), features made of them (`relationship.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from expansion_platform.domain.catalog.inputs import Inputs
from expansion_platform.domain.core import months
from expansion_platform.domain.core.money import Bools, Ints
from expansion_platform.domain.mrr.month_ends import spread
from expansion_platform.domain.signals.tables.facts import Fact, fact_key

Floats = npt.NDArray[np.float64]


class FactsAtCloses:
    """One element a fact and close that knew it, in the version that it knew.

    Args:
        facts: rows of the table.
        model: the table.
        customers: after aliases; facts of others are left out.
        closes: ascending.
        aliases: customer to the customer it was merged into.
    """

    def __init__(
        self,
        facts: pd.DataFrame,
        model: type[Fact],
        customers: pd.Index[str],
        closes: pd.DatetimeIndex,
        aliases: Mapping[str, str],
    ) -> None:
        named = facts["customer"].map(lambda name: aliases.get(name, name)) if aliases else facts["customer"]
        at = customers.get_indexer(pd.Index(named))
        until = superseded_at(facts, model)
        first = closes.searchsorted(pd.DatetimeIndex(facts["known_at"]), side="left")
        beyond = np.where(
            until.isna(), len(closes), closes.searchsorted(pd.DatetimeIndex(until), side="left")
        )
        unseen = facts["gone"].to_numpy(dtype=bool) | (at < 0)
        row, self._close = spread(first.astype(np.int64), np.where(unseen, 0, beyond).astype(np.int64))
        self._customer: Ints = at.astype(np.int64)[row]
        self._closes, self._shape = closes, (len(customers), len(closes))
        self.rows = facts.iloc[row].reset_index(drop=True)
        self._days = self._day_of(closes)

    def equal(self, column: str, value: str) -> Bools:
        """Where a column has a value."""
        return np.asarray((self.rows[column] == value).fillna(False), dtype=bool)

    def within(self, day: str, months: int | None) -> Bools:
        """Where a day is at most the close's, and later than so many months before it; None for ever."""
        until = self.by(day)
        if months is None:
            return until
        earlier = pd.DatetimeIndex([close - pd.DateOffset(months=months) for close in self._closes])
        return until & ~self._at_most(day, self._day_of(earlier))

    def by(self, day: str) -> Bools:
        """Where a day is at most the close's."""
        return self._at_most(day, self._days)

    def count(self, here: Bools) -> Floats:
        """How many there are: a matrix of customers and closes."""
        found = np.bincount(self._cell[here], minlength=self._shape[0] * self._shape[1])
        return np.asarray(found.reshape(self._shape), dtype=float)

    def newest(self, day: str, here: Bools, value: str) -> npt.NDArray[Any]:
        """The value of the newest by a day: a matrix of customers and closes; None where there is none."""
        rows = self.rows[here].assign(cell=self._cell[here])
        rows = rows.sort_values(["cell", day, "known_at", "version"]).drop_duplicates("cell", keep="last")
        found = np.full(self._shape[0] * self._shape[1], None, dtype=object)
        found[rows["cell"].to_numpy()] = rows[value].astype(object).where(rows[value].notna(), None)
        return found.reshape(self._shape)

    @property
    def _cell(self) -> Ints:
        return self._customer * self._shape[1] + self._close

    @staticmethod
    def _day_of(instants: pd.DatetimeIndex) -> npt.NDArray[Any]:
        return np.array([instant.strftime("%Y-%m-%d") for instant in instants], dtype=object)

    def _at_most(self, day: str, last: npt.NDArray[Any]) -> Bools:
        """Days as texts compare as days; a null one is never."""
        days = self.rows[day].astype(object).fillna("~").to_numpy()
        return np.asarray(days <= last[self._close], dtype=bool)


def superseded_at(facts: pd.DataFrame, model: type[Fact]) -> pd.Series[pd.Timestamp]:
    """By row, since when a newer version of the fact is known; null where none is."""
    ordered = facts.sort_values([*fact_key(model), "known_at", "version"], kind="stable")
    following = ordered["known_at"].shift(-1).where(ordered.duplicated(fact_key(model), keep="last"))
    return following.reindex(facts.index)


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
