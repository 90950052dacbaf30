"""Who paid first when: the part of a customer's month that needs its whole past.

See semantics 2.1 "paid before", 4.1 cohort.

Here: whose history counts at all, what of it must be readable for a month, and the first month of MRR per
customer, found once per state and not once per month. Not here: a month's movements (`movements.py`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pandas as pd

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.core import months
from expansion_platform.domain.core.encoding import encode, number
from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.core.money import Exact, Ints
from expansion_platform.domain.mrr.states import among, covers, owners
from expansion_platform.domain.mrr.valuation import (
    TERMS,
    Terms,
    check_present,
    count_states,
    factor_of,
    read_terms,
)

LACKING, NOTHING, PAYS = -1, 0, 1


@dataclass(frozen=True)
class FirstPaid:
    """Who paid first when, by customer after aliases.

    `months` is `YYYY-MM` of the first closing instant with MRR, of those that have one. `instants` are the
    beginnings of the first states with MRR (semantics 4.1, tenure), also of those that paid between two
    closing instants only. `missing` are items that lacked a rate, by month.
    """

    months: pd.Series
    instants: pd.Series
    missing: Mapping[str, list[str]]

    def before(self, month: str) -> pd.Index[str]:
        """Customers that paid in an earlier month.

        A million of them are 60 MB as an index and 130 MB as a set of texts.

        Raises:
            DataQualityError: naming the items without an exchange rate up to that month, so that nobody can
                say whether they paid.
        """
        lacking = [item for name, items in sorted(self.missing.items()) if name <= month for item in items]
        if lacking:
            raise DataQualityError("no month-end exchange rate", lacking)
        return self.months.index[(self.months < month).to_numpy(dtype=bool)]

    def columns(self, customers: pd.Series[str]) -> dict[str, pd.Series]:
        """What mrr/customer_months says of these customers, each of which pays at some closing instant."""
        # `Series.map` of an empty one tries to make instants numbers.
        found = {"first_paid_month": self.months, "first_paid_at": self.instants}
        return {name: known.reindex(customers).set_axis(customers.index) for name, known in found.items()}


def included(item_states: pd.DataFrame, catalog: Catalog) -> pd.DataFrame:
    """The item states, in the whole history, of customers that are not on the catalog's exclusion list.

    See semantics 7, case 30.
    """
    if not catalog.excluded_customers:
        return item_states
    excluded = {customer for customer in item_states["customer"].unique() if catalog.excludes(customer)}
    return item_states[~item_states["customer"].isin(excluded)]


def rates_by_month(rates: pd.DataFrame) -> dict[str, dict[str, str]]:
    """billing/fx_rates as month -> currency -> rate."""
    return {
        str(month): dict(zip(rows["currency"], rows["rate"], strict=True))
        for month, rows in rates.groupby("month")
    }


def touching(quarantine: pd.DataFrame, instants: Sequence[pd.Timestamp]) -> pd.DataFrame:
    """Rows of billing/quarantine that cover one of the instants."""
    return quarantine[np.logical_or.reduce([covers(quarantine, instant) for instant in instants])]


def refuse_unreadable(quarantine: pd.DataFrame, opening: pd.Timestamp, closing: pd.Timestamp) -> None:
    """Raises DataQualityError when an end of the month cannot be read.

    It names the objects whose stretch the opening or closing lies within.
    """
    _refuse(touching(quarantine, [opening, closing]))


def refuse_unknown_past(
    quarantine: pd.DataFrame, new: Collection[str], opening: pd.Timestamp, catalog: Catalog
) -> None:
    """Raises DataQualityError when a customer is new only as far as can be read.

    It may have paid in an earlier stretch that cannot be.

    Args:
        quarantine: billing/quarantine.
        new: customers, after aliases, that the month calls new.
        opening: the month's.
        catalog: gives aliases.
    """
    earlier = quarantine[(quarantine["valid_from"] < opening).to_numpy(dtype=bool)]
    _refuse(earlier[among(owners(earlier["customer"], catalog), new)])


def _refuse(stretches: pd.DataFrame) -> None:
    if len(stretches):
        objects = [name for text in stretches["objects_json"] for name in json.loads(text)]
        raise DataQualityError("; ".join(sorted(set(stretches["problem"]))), dict.fromkeys(objects))


def first_paid_months(
    item_states: pd.DataFrame,
    *,
    catalog: Catalog,
    rates: Mapping[str, Mapping[str, str]],
    last: str,
    timezone: str = "UTC",
) -> FirstPaid:
    """Each customer's first month with MRR, up to month `last`.

    The month at whose closing instant it is above zero, and the beginning of its first state with MRR.

    Args:
        item_states: billing/item_states.
        catalog: gives aliases, policy and the reporting currency.
        rates: month -> currency -> rate, for every month a state of a foreign currency closes in.
        last: months after it are not looked at.
        timezone: reporting time zone.

    A state is valued at the rates of the month it begins in. Only where rounding leaves nothing there (a
    fraction of a cent at that month's rate) are its later months looked at, because another rate can lift it
    to a cent; then it pays from that month's opening on.
    """
    calendar = (
        []
        if item_states.empty
        else months.between(months.of(item_states["valid_from"].min(), timezone), last)
    )
    if not calendar:
        return FirstPaid(pd.Series(dtype="str"), pd.Series(dtype="datetime64[us, UTC]"), {})
    closings = pd.DatetimeIndex([months.closing(month, timezone) for month in calendar]).as_unit("us")
    # A state covers the closing instant T when valid_from < T <= valid_to.
    first = closings.searchsorted(item_states["valid_from"], side="right")
    ends = item_states["valid_to"].fillna(closings[-1] + pd.Timedelta(days=1))
    beyond = closings.searchsorted(ends, side="right")
    begun = first < len(calendar)
    states, at, until = item_states if begun.all() else item_states[begun], first[begun], beyond[begun]
    covers = at < until
    check_present([states])
    code, distinct = encode([states], TERMS)
    terms = read_terms(distinct, catalog.policy, code, states["item"])
    counting = count_states(states, code, terms, catalog.policy)
    can_rise = np.array(
        [one.scheme.chargeable and one.currency != catalog.reporting_currency for one in terms], dtype=bool
    )
    customer, customers = number([states], "customer")
    paid = np.full(len(customers), len(calendar))
    since = np.full(len(customers), _NEVER)
    openings = _microseconds(pd.DatetimeIndex([months.opening(calendar[0], timezone), *closings[:-1]]))
    begins = _microseconds(pd.DatetimeIndex(states["valid_from"]))
    missing: dict[str, list[str]] = {}
    pays = _paying(terms, [rates.get(month, {}) for month in calendar], catalog)
    rows = np.arange(len(states))
    while len(rows):
        outcome = pays(code[rows], at)
        lacking = outcome == LACKING
        for index in np.unique(at[lacking]).tolist():
            which_rows = states.iloc[rows[lacking & (at == index)]]
            pairs = sorted(zip(which_rows["currency"], which_rows["item"], strict=True))
            missing.setdefault(calendar[index], []).extend(
                f"{currency} {calendar[index]} for {item}" for currency, item in pairs
            )
        paying = (outcome == PAYS) & counting[rows]
        np.minimum.at(since, customer[rows[paying]], np.maximum(begins[rows[paying]], openings[at[paying]]))
        paying &= covers[rows]
        np.minimum.at(paid, customer[rows[paying]], at[paying])
        again = (outcome == NOTHING) & counting[rows] & can_rise[code[rows]] & (at + 1 < until)
        rows, at, until = rows[again], at[again] + 1, until[again]
    owners = customers.map(catalog.customer) if catalog.aliases else customers
    earliest = pd.Series(paid, index=owners)[paid < len(calendar)].groupby(level=0).min()
    instants = (
        pd.Series(since, index=owners)[since < _NEVER]
        .groupby(level=0)
        .min()
        .astype("datetime64[us]")
        .dt.tz_localize("UTC")
    )
    return FirstPaid(
        pd.Series(np.array(calendar, dtype=object)[earliest.to_numpy()], index=earliest.index, dtype="str"),
        instants,
        missing,
    )


_NEVER = np.iinfo(np.int64).max


def _microseconds(instants: pd.DatetimeIndex) -> npt.NDArray[np.int64]:
    return np.asarray(instants.as_unit("us").asi8)


def _paying(
    terms: Sequence[Terms], rates: Sequence[Mapping[str, str]], catalog: Catalog
) -> Callable[[Ints, Ints], Ints]:
    """Whether terms are worth anything at a month's rates, by code and month.

    `LACKING`, `NOTHING` or `PAYS`.
    """
    names, currency = np.unique([one.currency for one in terms], return_inverse=True)
    known = [factor_of(str(name), catalog.reporting_currency, of) for of in rates for name in names]
    lacking = np.array([isinstance(one, str) for one in known], dtype=bool)
    factors = Exact.of([Fraction(0) if isinstance(one, str) else one for one in known])
    net = Exact.of([one.net for one in terms])

    def pays(code: Ints, month: Ints) -> Ints:
        factor = month * len(names) + currency[code]
        return np.where(
            lacking[factor], LACKING, np.where(net.rounded(code, factors, factor) > 0, PAYS, NOTHING)
        )

    return pays


def deletions(events: pd.DataFrame) -> pd.DataFrame:
    """Customers deleted in Stripe and when, as far as its events still said when they were pulled.

    Customer, created.
    """
    chosen = events.loc[events["type"] == "customer.deleted", ["object_id", "created"]]
    return chosen.rename(columns={"object_id": "customer"}).sort_values(
        ["customer", "created"], ignore_index=True
    )
