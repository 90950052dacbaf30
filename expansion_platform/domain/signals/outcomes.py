"""Which customers expanded in the three months after a close (semantics 6.2).

Here: the outcome that indicators, features of the product and practices are compared by. Not here: the
comparisons.

Only headline expansion counts, of at least 10.00 or 1 % of MRR: neither a price rise nor the end of a
discount makes one. A customer that leaves without has not expanded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from expansion_platform.domain.core import months
from expansion_platform.domain.core.money import Bools, Ints

HORIZON = 3
LEAST_UNITS, LEAST_SHARE = 10, 100
"""An expansion is at least so many whole units of the currency, and MRR divided by the other."""


@dataclass(frozen=True)
class Outcomes:
    """By row of customers and months: in which of the months after it the customer first expanded.

    Args:
        month: by row, index into the calendar.
        customer: by row, index into the customers.
        ahead: by row, months until the first expansion, 1 to HORIZON; 0 for none.
        calendar: months without a gap.
        customers: each once, sorted.
    """

    month: Ints
    customer: Ints
    ahead: Ints
    calendar: list[str]
    customers: pd.Index[str]

    @property
    def expanded(self) -> Bools:
        """By row, whether the customer expanded."""
        return np.asarray(self.ahead > 0, dtype=bool)

    def within(self, first: str, last: str) -> Bools:
        """Rows of these months."""
        positions = {month: place for place, month in enumerate(self.calendar)}
        low, high = positions.get(first, 0), positions.get(last, -1)
        return np.asarray((self.month >= low) & (self.month <= high), dtype=bool)


def outcomes_of(
    rows: pd.DataFrame, movements: pd.DataFrame, last: str, exponent: int, least: int | None = None
) -> Outcomes:
    """Outcomes of customers at closes.

    Args:
        rows: month, customer, mrr; the months HORIZON before the last have their outcome in full.
        movements: month, customer, flow_expansion.
        last: the newest closed month.
        exponent: decimal places of the currency.
        least: the least amount that counts; without, LEAST_UNITS or a share of MRR.
    """
    first = min([*rows["month"], last])
    calendar = months.between(first, last)
    customer, customers = pd.factorize(rows["customer"], sort=True)
    month = pd.Index(calendar).get_indexer(pd.Index(rows["month"])).astype(np.int64)
    grown = np.zeros((len(customers), len(calendar) + HORIZON), dtype=np.int64)
    at = pd.Index(customers).get_indexer(pd.Index(movements["customer"]))
    when = pd.Index(calendar).get_indexer(pd.Index(movements["month"]))
    here = (at >= 0) & (when >= 0)
    np.add.at(grown, (at[here], when[here]), movements["flow_expansion"].to_numpy(dtype=np.int64)[here])
    mrr = rows["mrr"].to_numpy(dtype=np.int64)
    counts = np.maximum(LEAST_UNITS * 10**exponent, -(-mrr // LEAST_SHARE)) if least is None else least
    ahead = np.zeros(len(rows), dtype=np.int64)
    for step in range(HORIZON, 0, -1):
        ahead = np.where(grown[customer, month + step] >= counts, step, ahead)
    return Outcomes(month, customer.astype(np.int64), ahead, calendar, pd.Index(customers, dtype="str"))
