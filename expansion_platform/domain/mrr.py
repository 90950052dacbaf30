"""Who paid first when: the part of a customer's month that needs its whole past (semantics 2.1 "paid before", 4.1 cohort).

Here: whose history counts at all, and the first month of MRR per customer, found once per state and not once per month. Not here: a month's
movements (`movements.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from expansion_platform.domain import months
from expansion_platform.domain.errors import DataQualityError
from expansion_platform.domain.policy import Catalog
from expansion_platform.domain.valuation import value_states


@dataclass(frozen=True)
class FirstPaid:
    """Who paid first when: `months` is `YYYY-MM` by customer after aliases, those that paid; `missing` are items that lacked a rate, by month."""

    months: pd.Series
    missing: Mapping[str, list[str]]

    def before(self, month: str) -> set[str]:
        """Customers that paid in an earlier month.

        Raises:
            DataQualityError: naming the items without an exchange rate up to that month, so that nobody can say whether they paid.
        """
        lacking = [item for name, items in sorted(self.missing.items()) if name <= month for item in items]
        if lacking:
            raise DataQualityError("no month-end exchange rate", lacking)
        return set(self.months.index[self.months < month])


def included(item_states: pd.DataFrame, catalog: Catalog) -> pd.DataFrame:
    """The item states, in the whole history, of customers that are not on the catalog's exclusion list (semantics 7, case 30)."""
    if not catalog.excluded_customers:
        return item_states
    excluded = {customer for customer in item_states["customer"].unique() if catalog.excludes(customer)}
    return item_states[~item_states["customer"].isin(excluded)]


def first_paid_months(
    item_states: pd.DataFrame, *, catalog: Catalog, rates: Mapping[str, Mapping[str, str]], last: str, timezone: str = "UTC"
) -> FirstPaid:
    """First month at whose closing instant each customer's MRR is above zero, among months up to `last`.

    Args:
        item_states: billing/item_states.
        catalog: gives aliases, policy and the reporting currency.
        rates: month -> currency -> rate, for every month a state of a foreign currency closes in.
        last: months after it are not looked at.
        timezone: reporting time zone.

    A state is valued at the first closing instant it covers. Only where rounding leaves nothing there (a fraction of a cent at that month's
    rate) are its later months looked at, because another rate can lift it to a cent.
    """
    calendar = [] if item_states.empty else months.between(months.of(item_states["valid_from"].min(), timezone), last)
    if not calendar:
        return FirstPaid(pd.Series(dtype="str"), {})
    closings = pd.DatetimeIndex([months.closing(month, timezone) for month in calendar]).as_unit("us")
    # A state covers the closing instant T when valid_from < T <= valid_to.
    first = closings.searchsorted(item_states["valid_from"], side="right")
    ends = item_states["valid_to"].fillna(closings[-1] + pd.Timedelta(days=1))
    beyond = closings.searchsorted(ends, side="right")
    covers = first < beyond
    states = item_states[covers].assign(_first=first[covers], _beyond=beyond[covers])
    best: dict[str, int] = {}
    missing: dict[str, list[str]] = {}
    while not states.empty:
        leftover = []
        for index in sorted(states["_first"].unique()):
            month, group = calendar[index], states[states["_first"] == index]
            known = {catalog.reporting_currency, *rates.get(month, {})}
            lacking = ~group["currency"].isin(known)
            if lacking.any():
                rows = group[lacking].sort_values(["currency", "item"])
                missing.setdefault(month, []).extend(f"{row.currency} {month} for {row.item}" for row in rows.itertuples())
                group = group[~lacking]
            valued = value_states(group, rates.get(month, {}), catalog.policy, catalog.reporting_currency)
            paying = valued["mrr_minor"].to_numpy() > 0
            for customer in valued["customer"][paying].unique():
                owner = catalog.aliases.get(customer, customer)
                best[owner] = min(best.get(owner, len(calendar)), int(index))
            rounded_away = ~paying & valued["chargeable"].to_numpy() & (group["_first"].to_numpy() + 1 < group["_beyond"].to_numpy())
            foreign = (group["currency"] != catalog.reporting_currency).to_numpy()
            leftover.append(group[rounded_away & foreign])
        states = pd.concat(leftover) if leftover else states.iloc[:0]
        states = states.assign(_first=states["_first"] + 1)
    names = np.array(calendar, dtype=object)
    return FirstPaid(pd.Series({customer: names[index] for customer, index in sorted(best.items())}, dtype="str"), missing)
