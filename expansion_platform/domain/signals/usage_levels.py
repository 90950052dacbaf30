"""Usage of customers as it was known at each close (semantics 6.1, 6.6).

Here: sums over a customer's accounts, of a month and of those before it, in the versions that the close knew.
Not here: the versions (`product_usage.py`), features made of the sums (`features.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from expansion_platform.domain.core.money import Bools, Ints

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


@dataclass(frozen=True)
class UsageLevels:
    """Usage of customers by close.

    Args:
        calendar: months without a gap.
        closes: when each closes.
        customers: after aliases.
        accounts: analytics/account_usage of the months, `customer` after aliases.
        features: analytics/feature_usage of them, in the same way.
        complete: by month of the calendar, whether it was read to its end.
        mapped: by customer, whether an account is mapped to it. Of the others nothing is known.
    """

    calendar: Sequence[str]
    closes: pd.DatetimeIndex
    customers: pd.Index[str]
    accounts: pd.DataFrame
    features: pd.DataFrame
    complete: Bools
    mapped: Bools

    def level(self, name: str, back: int = 0) -> Floats:
        """A figure, `back` months before each month, as known at that month's close.

        A matrix of customers and months. NaN where nothing is known: of customers without account, and of
        months that were not read to their end. Without any event it is 0.
        """
        rows, cell = self._known(self.accounts, ("account",), back)
        values = rows[name].astype("float64").to_numpy() if len(rows) else np.empty(0)
        return self._shown(np.bincount(cell, weights=values, minlength=self._size), back)

    def adopted(self, wanted: Sequence[str]) -> Floats:
        """How many of some features each customer used in each month, as known at its close."""
        rows, cell = self._known(
            self.features[self.features["feature"].isin(list(wanted))], ("account", "feature"), 0
        )
        code = pd.Index(list(wanted)).get_indexer(pd.Index(rows["feature"]))
        used = (rows["events"] > 0).to_numpy(dtype=bool)
        each = np.unique(cell[used] * (len(wanted) or 1) + code[used])
        return self._shown(np.bincount(each // (len(wanted) or 1), minlength=self._size).astype(float), 0)

    @property
    def _size(self) -> int:
        return len(self.customers) * len(self.calendar)

    def _shown(self, sums: npt.NDArray[np.generic], back: int) -> Floats:
        known = np.zeros(len(self.calendar), dtype=bool)
        known[back:] = self.complete[: len(self.calendar) - back]
        matrix = sums.reshape(len(self.customers), len(self.calendar)).astype(float)
        return np.where(self.mapped[:, None] & known[None, :], matrix, np.nan)

    def _known(self, usage: pd.DataFrame, grain: tuple[str, ...], back: int) -> tuple[pd.DataFrame, Ints]:
        """The versions known at the close `back` months after their month, with the cell of that close."""
        rows = usage.sort_values(["month", *grain, "known_at"])
        keys = ["month", *grain]
        following = rows["known_at"].shift(-1).where(rows.duplicated(keys, keep="last"))
        at = self._months.get_indexer(pd.Index(rows["month"])) + back
        customer = self.customers.get_indexer(pd.Index(rows["customer"]))
        inside = (at >= back) & (at < len(self.calendar)) & (customer >= 0)
        close = self.closes[np.where(inside, at, 0)]
        newest = following.isna().to_numpy() | (pd.DatetimeIndex(following) > close)
        here = inside & (pd.DatetimeIndex(rows["known_at"]) <= close) & newest
        return rows[here], customer[here] * len(self.calendar) + at[here]

    @cached_property
    def _months(self) -> pd.Index[str]:
        return pd.Index(list(self.calendar))
