"""The customers that pay at the end of each month, and where their figures stand in matrices.

Here: one row a member and month, the calendar that its features look at, and the inputs laid out over it. Not
here: any feature (`features.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from expansion_platform.domain.catalog.inputs import Inputs
from expansion_platform.domain.core import months
from expansion_platform.domain.core.money import Bools, Ints
from expansion_platform.domain.history import tables as billing
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.mrr.first_paid import included
from expansion_platform.domain.mrr.month_ends import read_timeline
from expansion_platform.domain.signals import tables as analytics
from expansion_platform.domain.signals.holdings import Holdings, holdings
from expansion_platform.domain.signals.usage_levels import UsageLevels

Floats = npt.NDArray[np.float64]
BACK = 24
"""Months before a close that any feature looks at."""
HELD_BACK = 6
"""Months before it whose holdings are looked at; before these nothing is valued."""


@dataclass(frozen=True)
class Members:
    """One row a customer that pays at the end of a month, by month and customer.

    Args:
        frame: month, customer, segment, mrr, closing_list, first_paid_month.
        calendar: the months, and BACK before the first of them.
        customers: each once, sorted.
        month: by row, index into the calendar.
        customer: by row, index into the customers.
        exponent: decimal places of the reporting currency.
        close_lag_days: days after a month's end at which it closes.
        timezone: reporting time zone.
    """

    frame: pd.DataFrame
    calendar: list[str]
    customers: pd.Index[str]
    month: Ints
    customer: Ints
    exponent: int
    close_lag_days: int
    timezone: str

    @property
    def tenure(self) -> Floats:
        """Months since the customer first paid."""
        codes, firsts = pd.factorize(self.frame["first_paid_month"])
        first = np.array([months.distance(self.calendar[0], each) for each in firsts], dtype=float)
        return np.asarray(self.month - first[codes], dtype=float)

    @property
    def closes(self) -> pd.DatetimeIndex:
        """When each month of the calendar closes."""
        return pd.DatetimeIndex(
            [months.closes(month, self.timezone, self.close_lag_days) for month in self.calendar]
        ).as_unit("us")

    def pick(self, matrix: npt.NDArray[np.generic], back: int = 0) -> Floats:
        """Values of a matrix of customers and months, `back` months before that of each row."""
        return np.asarray(matrix[self.customer, self.month - back], dtype=float)

    def matrix(self, rows: pd.DataFrame) -> Bools:
        """Whether there is a row of each customer and month; rows of others are left out."""
        month = pd.Index(self.calendar).get_indexer(pd.Index(rows["month"]))
        customer = self.customers.get_indexer(pd.Index(rows["customer"]))
        here = (month >= 0) & (customer >= 0)
        found = np.zeros((len(self.customers), len(self.calendar)), dtype=bool)
        found[customer[here], month[here]] = True
        return found

    def holdings(self, inputs: Inputs) -> Holdings:
        """What the members hold at the month ends of the calendar; nothing before HELD_BACK months."""
        catalog = inputs.catalog
        states = included(inputs.frame(billing.ItemStates), catalog)
        timeline = read_timeline(states, self.calendar[BACK - HELD_BACK :], catalog, self.timezone)
        return holdings(timeline, catalog).over(self.customers, BACK - HELD_BACK)

    def usage(self, inputs: Inputs) -> UsageLevels:
        """Their usage."""
        read = inputs.frame(analytics.UsageMonths)
        complete = set(read.loc[read["complete"], "month"])
        mapped = renamed(pd.Series(inputs.value("account_map")["customer"]), inputs.catalog.aliases)
        return UsageLevels(
            calendar=self.calendar,
            closes=self.closes,
            customers=self.customers,
            accounts=self._mapped(inputs.frame(analytics.AccountUsage), inputs),
            features=self._mapped(inputs.frame(analytics.FeatureUsage), inputs),
            complete=np.array([month in complete for month in self.calendar], dtype=bool),
            mapped=np.asarray(self.customers.isin(set(mapped.dropna())), dtype=bool),
        )

    def _mapped(self, usage: pd.DataFrame, inputs: Inputs) -> pd.DataFrame:
        return usage.assign(customer=renamed(usage["customer"], inputs.catalog.aliases))


def renamed(customers: pd.Series[str], aliases: Mapping[str, str]) -> pd.Series[str]:
    """Customers, those that were merged into another one by its id."""
    return customers.map(lambda name: aliases.get(name, name)) if aliases else customers


def members_of(wanted: Sequence[str], inputs: Inputs) -> Members:
    """The members of some months, of the customers that a rule sees."""
    rows = inputs.frame(mrr.CustomerMonths)
    rows = rows[rows["month"].isin(list(wanted)) & (rows["closing"] > 0)]
    rows = rows.rename(columns={"closing": "mrr"}).sort_values(["month", "customer"], ignore_index=True)
    first = months.shift(min(wanted), -BACK)
    calendar = months.between(first, max(wanted))
    customer, customers = pd.factorize(rows["customer"], sort=True)
    return Members(
        frame=rows,
        calendar=calendar,
        customers=pd.Index(customers, dtype="str"),
        month=pd.Index(calendar).get_indexer(pd.Index(rows["month"])).astype(np.int64),
        customer=customer.astype(np.int64),
        exponent=inputs.value("exponent"),
        close_lag_days=inputs.value("close_lag_days"),
        timezone=inputs.timezone,
    )
