"""Usage of customers as it was known at each close (semantics 6.1, 6.6).

Here: what a customer's accounts make together, of a month and of those before it, in the versions that the
close knew. Not here: the versions (`product_usage.py`), features made of them (`features.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from expansion_platform.domain.core.money import Bools, Ints
from expansion_platform.domain.core.ratios import SIGNAL_PLACES
from expansion_platform.domain.signals.codes import micros, places
from expansion_platform.domain.signals.texts import number

Floats = npt.NDArray[np.float64]
COUNTS = (
    "active_users",
    "active_days",
    "features_used",
    "new_users",
    "logins",
    "invites",
    "gate_hits",
    "limit_warnings",
    "integrations",
    "milestones",
)
MEAN = "mean_daily_users"
DISTINCT = ("active_days", "features_used")
"""Two accounts may share days and features, so that their sum says nothing: the larger counts."""
MILLION = 10**SIGNAL_PLACES
LATER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class UsageLevels:
    """Usage of customers by close.

    Args:
        calendar: months without a gap.
        closes: when each closes.
        customers: after aliases.
        accounts: analytics/account_usage of the months.
        features: analytics/feature_usage of them.
        complete: by month of the calendar, whether it was read to its end.
        mapped: by customer, whether an account is mapped to it. Of the others nothing is known.
        counted: by figure, and month of the calendar, whether it is counted; those left out are in all.
        aliases: customer to the customer it was merged into.
    """

    calendar: Sequence[str]
    closes: pd.DatetimeIndex
    customers: pd.Index[str]
    accounts: pd.DataFrame
    features: pd.DataFrame
    complete: Bools
    mapped: Bools
    counted: Mapping[str, Bools] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)

    def level(self, name: str, back: int = 0) -> Floats:
        """A figure, `back` months before each month, as known at that month's close.

        A matrix of customers and months: the sum over a customer's accounts, or the largest of DISTINCT. NaN
        where nothing is known: of customers without account, of months that were not read to their end, and
        of figures that are not counted. Without any event it is 0.
        """
        row, cell = self._known(back)
        values = self._figures[name][row]
        if name in DISTINCT:
            found: Floats = np.zeros(self._size)
            np.maximum.at(found, cell, values)
        else:
            found = np.bincount(cell, weights=values, minlength=self._size).astype(float)
        known = self.complete & self.counted.get(name, self.complete)
        return self._shown(found / MILLION if name == MEAN else found, known, back)

    def adopted(self, wanted: Sequence[str]) -> Floats:
        """How many of some features each customer used in each month, as known at its close."""
        feature = places(self.features["feature"], pd.Index(list(wanted), dtype="str"))
        versions = _versions(self, self.features, feature, len(wanted))
        row, cell = versions.known(self._closes, 0, len(self.calendar))
        used = self.features["events"].to_numpy()[row] > 0
        found = np.zeros((self._size, len(wanted)), dtype=bool)
        found[cell[used], feature[row[used]]] = True
        return self._shown(found.sum(axis=1).astype(float), self.complete, 0)

    @property
    def _size(self) -> int:
        return len(self.customers) * len(self.calendar)

    def _shown(self, found: Floats, known_of: Bools, back: int) -> Floats:
        known = np.zeros(len(self.calendar), dtype=bool)
        known[back:] = known_of[: len(self.calendar) - back]
        matrix = found.reshape(len(self.customers), len(self.calendar))
        return np.where(self.mapped[:, None] & known[None, :], matrix, np.nan)

    @cached_property
    def _closes(self) -> Ints:
        return np.asarray(self.closes.as_unit("us").asi8)

    @cached_property
    def _of_accounts(self) -> Versions:
        return _versions(self, self.accounts, np.zeros(len(self.accounts), dtype=np.int64), 1)

    @cached_property
    def _by_back(self) -> dict[int, tuple[Ints, Ints]]:
        return {}

    def _known(self, back: int) -> tuple[Ints, Ints]:
        """Rows of accounts known at the close `back` months after their month, with its cell."""
        if back not in self._by_back:
            self._by_back[back] = self._of_accounts.known(self._closes, back, len(self.calendar))
        return self._by_back[back]

    @cached_property
    def _figures(self) -> dict[str, Floats]:
        """By figure its numbers by row; means in millionths, whole numbers whose sums are exact."""
        counts = {name: self.accounts[name].astype("float64").to_numpy() for name in COUNTS}
        return {**counts, MEAN: np.rint(number(self.accounts[MEAN]) * MILLION)}


@dataclass(frozen=True)
class Versions:
    """Versions of usage of some customers: what each is of, and when it is known.

    Args:
        row: in the table.
        month: place in the calendar.
        customer: place among the customers.
        known_at: microseconds.
        until: when the next version of the same is known.
    """

    row: Ints
    month: Ints
    customer: Ints
    known_at: Ints
    until: Ints

    def known(self, closes: Ints, back: int, months: int) -> tuple[Ints, Ints]:
        """Rows known at the close `back` months after their month, and its cell of customers and months."""
        at = self.month + back
        close = closes[np.minimum(at, months - 1)]
        here = np.flatnonzero((at < months) & (self.known_at <= close) & (self.until > close))
        return self.row[here], self.customer[here] * months + at[here]


def _versions(levels: UsageLevels, usage: pd.DataFrame, other: Ints, others: int) -> Versions:
    """The versions of usage by account and something other, by row one of so many; -1 leaves a row out."""
    month = places(usage["month"], pd.Index(list(levels.calendar), dtype="str"))
    customer = places(usage["customer"], levels.customers, levels.aliases)
    row = np.flatnonzero((month >= 0) & (customer >= 0) & (other >= 0))
    account, _ = pd.factorize(usage["account"].iloc[row])
    known_at = micros(usage["known_at"].iloc[row])
    of = (account * len(levels.calendar) + month[row]) * others + other[row]
    order = np.lexsort([known_at, of])
    until = np.full(len(row), LATER)
    same = of[order][1:] == of[order][:-1]
    until[order[:-1][same]] = known_at[order[1:][same]]
    return Versions(row, month[row], customer[row], known_at, until)
