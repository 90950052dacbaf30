"""Who paid first when: the part of a customer's month that needs its whole past (semantics 2.1 "paid before", 4.1 cohort).

Here: the first month of MRR per customer, found once per state and not once per month. Not here: a month's movements (`movements.py`).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from expansion_platform.domain import months
from expansion_platform.domain.policy import Catalog
from expansion_platform.domain.valuation import value_states


def first_paid_months(
    item_states: pd.DataFrame, *, catalog: Catalog, rates: Mapping[str, Mapping[str, str]], last: str, timezone: str = "UTC"
) -> pd.Series:
    """First month at whose closing instant each customer's MRR is above zero, among months up to `last`.

    Args:
        item_states: billing/item_states.
        catalog: gives aliases, policy and the reporting currency.
        rates: month -> currency -> rate, for every month a state of a foreign currency closes in.
        last: months after it are not looked at.
        timezone: reporting time zone.

    Returns:
        Series of `YYYY-MM` indexed by customer after aliases; customers that never paid are not in it.

    A state is valued at the first closing instant it covers. Only where rounding leaves nothing there (a fraction of a cent at that month's
    rate) are its later months looked at, because another rate can lift it to a cent.
    """
    if item_states.empty:
        return pd.Series(dtype="str", name="first_paid_month")
    start = months.of(item_states["valid_from"].min(), timezone)
    calendar = months.between(start, last)
    if not calendar:
        return pd.Series(dtype="str", name="first_paid_month")
    closings = pd.DatetimeIndex([months.closing(month, timezone) for month in calendar]).as_unit("us")
    # A state covers the closing instant T when valid_from < T <= valid_to.
    first = closings.searchsorted(item_states["valid_from"], side="right")
    ends = item_states["valid_to"].fillna(closings[-1] + pd.Timedelta(days=1))
    beyond = closings.searchsorted(ends, side="right")
    covers = first < beyond
    states = item_states[covers].assign(_first=first[covers], _beyond=beyond[covers])
    best: dict[str, int] = {}
    while not states.empty:
        leftover = []
        for index, group in states.groupby("_first", sort=True):
            month = calendar[int(index)]
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
    return pd.Series({customer: names[index] for customer, index in sorted(best.items())}, name="first_paid_month", dtype="str")
