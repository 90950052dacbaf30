"""The customers that pay at the end of each month, and where their figures stand in matrices.

Here: one row a member and month, the calendar that its features look at, and the inputs laid out over it. Not
here: any feature (`features.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from expansion_platform.domain.catalog.inputs import Inputs
from expansion_platform.domain.core import months
from expansion_platform.domain.core.money import Bools, Ints
from expansion_platform.domain.core.table import to_pandas
from expansion_platform.domain.history import tables as billing
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.mrr.customer_rows import segments
from expansion_platform.domain.mrr.first_paid import included
from expansion_platform.domain.mrr.month_ends import read_timeline
from expansion_platform.domain.signals import tables as analytics
from expansion_platform.domain.signals.codes import places, ranks
from expansion_platform.domain.signals.definition import KINDS
from expansion_platform.domain.signals.holdings import Holdings, holdings
from expansion_platform.domain.signals.usage_levels import UsageLevels
from expansion_platform.domain.stripe import tables as stripe

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

    @property
    def close(self) -> Ints:
        """By row, its close among those of the months."""
        return self.month - BACK

    def at_close(self, matrix: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Values of a matrix of customers and closes of the months, without those before the first."""
        return np.asarray(matrix[self.customer, self.close])

    def pick(self, matrix: npt.NDArray[np.generic], back: int = 0) -> Floats:
        """Values of a matrix of customers and months, `back` months before that of each row."""
        return np.asarray(matrix[self.customer, self.month - back], dtype=float)

    def matrix(self, rows: pd.DataFrame) -> Bools:
        """Whether there is a row of each customer and month; rows of others are left out."""
        month = places(rows["month"], pd.Index(self.calendar, dtype="str"))
        customer = places(rows["customer"], self.customers)
        here = (month >= 0) & (customer >= 0)
        found = np.zeros((len(self.customers), len(self.calendar)), dtype=bool)
        found[customer[here], month[here]] = True
        return found

    def holdings(self, inputs: Inputs) -> Holdings:
        """What the members hold at the month ends of the calendar; nothing before HELD_BACK months."""
        catalog = inputs.catalog
        states = included(inputs.frame(billing.ItemStates), catalog)
        timeline = read_timeline(states, self.calendar[BACK - HELD_BACK :], catalog, self.timezone)
        coupons = inputs.frame(stripe.Coupons).dropna(subset="duration_in_months")
        lasts = dict(zip(coupons["id"], coupons["duration_in_months"].astype(int), strict=True))
        held = holdings(timeline, catalog, self.timezone, lasts)
        return held.over(self.customers, BACK - HELD_BACK)

    def usage(self, inputs: Inputs) -> UsageLevels:
        """Their usage."""
        aliases, definition = inputs.catalog.aliases, inputs.value("signals")
        read = inputs.frame(analytics.UsageMonths)
        read = read[read["complete"]]
        mapped = places(inputs.value("account_map")["customer"], self.customers, aliases)
        key_features = pa.array(sorted(set(definition.key_features)), pa.string())
        features = inputs.arrow(analytics.FeatureUsage)
        features = features.filter(pc.is_in(features["feature"], key_features))
        kinds = definition.events.model_dump()
        return UsageLevels(
            calendar=self.calendar,
            closes=self.closes,
            customers=self.customers,
            accounts=inputs.frame(analytics.AccountUsage),
            features=to_pandas(features),
            complete=self._among(read["month"]),
            mapped=np.bincount(mapped[mapped >= 0], minlength=len(self.customers)) > 0,
            counted={
                **{kind: np.full(len(self.calendar), bool(kinds[kind])) for kind in KINDS},
                "new_users": self._among(read.loc[read["new_users_by"].notna(), "month"]),
            },
            aliases=aliases,
        )

    def _among(self, found: pd.Series[str]) -> Bools:
        """By month of the calendar, whether it is one of some."""
        return np.asarray(pd.Index(self.calendar, dtype="str").isin(list(found)), dtype=bool)


def renamed(customers: pd.Series[str], aliases: Mapping[str, str]) -> pd.Series[str]:
    """Customers, those that were merged into another one by its id."""
    return customers.map(lambda name: aliases.get(name, name)) if aliases else customers


def members_of(wanted: Sequence[str], inputs: Inputs) -> Members:
    """The members of some months, of the customers that a rule sees."""
    rows = inputs.frame(mrr.CustomerMonths)
    rows = rows[rows["month"].isin(list(wanted)) & (rows["closing"] > 0)]
    calendar = months.between(months.shift(min(wanted), -BACK), max(wanted))
    month = places(rows["month"], pd.Index(calendar, dtype="str"))
    customer, customers = ranks(rows["customer"])
    order = np.lexsort([customer, month])
    arr = rows["closing_arr"].to_numpy(dtype=np.int64)
    amounts = dict.fromkeys(("opening", "closing", "opening_arr", "closing_arr"), arr)
    names = pd.Index(calendar, dtype="str").take(month)
    rows = rows.assign(month=names, segment=segments(amounts, inputs.catalog).array)
    return Members(
        frame=rows.rename(columns={"closing": "mrr"}).iloc[order].reset_index(drop=True),
        calendar=calendar,
        customers=pd.Index(customers, dtype="str"),
        month=month[order],
        customer=customer[order],
        exponent=inputs.value("exponent"),
        close_lag_days=inputs.value("close_lag_days"),
        timezone=inputs.timezone,
    )
