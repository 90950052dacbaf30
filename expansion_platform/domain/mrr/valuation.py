"""What item states are worth a month: distinct terms are read and priced once, then mapped back to rows.

See semantics 1.3, 1.4.

Here: validation of states, whether they count, MRR, list MRR and ARR. Not here: movements between two
instants. A book of a million items holds few distinct combinations of price, quantity and discounts, so exact
fractions cost little.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache, partial

import numpy as np
import pandas as pd

from expansion_platform.domain.core.encoding import encode
from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.core.money import Bools, Exact, Ints, conversion, decimal
from expansion_platform.domain.pricing import discounts, schemes
from expansion_platform.domain.pricing.policy import Policy
from expansion_platform.domain.stripe.vocabulary import PAUSES, STATUSES

TERMS = [
    "product",
    "price",
    "usage_type",
    "currency",
    "interval",
    "interval_count",
    "scheme_json",
    "quantity",
    "discounts_json",
]
STANDING = ["status", "collection_paused", "livemode"]
IDENTITY = ["customer", "subscription", "item"]
STATE = [*IDENTITY, *STANDING, *TERMS]

# Sums of int64 are exact below 9.2e18: room for the yearly amounts of 7,000 items of this size, each a
# trillion dollars a month.
_LARGEST_MRR = 10**14


@dataclass(frozen=True)
class Terms:
    """What an item is charged: everything of a state that decides its amount, parsed."""

    product: str
    price: str
    metered: bool
    currency: str
    interval: str
    interval_count: int
    period: Fraction
    """Months in a billing period."""
    scheme: schemes.Scheme
    quantity: Fraction
    discounts: tuple[discounts.Discount, ...]
    listed: Fraction
    """A month's exact amount before discounts and without tax, minor units of its own currency."""
    net: Fraction
    """The same after discounts."""


@dataclass(frozen=True)
class Valued:
    """Amounts by terms code, int64 minor units of the reporting currency.

    `missing` says why there is none.
    """

    mrr: Ints
    list_mrr: Ints
    arr: Ints
    missing: dict[int, str]


def value_states(
    states: pd.DataFrame, rates: Mapping[str, str], policy: Policy, reporting_currency: str
) -> pd.DataFrame:
    """Values item states at one instant's exchange rates (semantics 1.3, 1.4).

    Args:
        states: Rows with the columns of `billing/item_states` up to `discounts_json`, any index; an item may
            occur many times.
        rates: Reporting currency for one unit of each currency, major for major, decimal text.
        policy: What counts.
        reporting_currency: ISO code, lower case.

    Returns:
        `states` with int64 `mrr_minor`, `list_mrr_minor` (before discounts) and `arr_minor`, zero where the
        state does not count, and bool `counts` and `chargeable` (counts, and its price can charge something).

    Raises:
        DataQualityError: Names the items whose state cannot be priced, counting or not, or whose currency has
            no rate.
    """
    check_present([states])
    codes, distinct = encode([states], TERMS)
    terms = read_terms(distinct, policy, codes, states["item"])
    valued = value_terms(terms, rates, reporting_currency)
    refuse(valued.missing, codes, states["item"])
    counting = count_states(states, codes, terms, policy)
    can_charge = np.array([one.scheme.chargeable for one in terms], dtype=bool)
    return states.assign(
        mrr_minor=np.where(counting, valued.mrr[codes], 0),
        list_mrr_minor=np.where(counting, valued.list_mrr[codes], 0),
        arr_minor=np.where(counting, valued.arr[codes], 0),
        counts=counting,
        chargeable=counting & can_charge[codes],
    )


def check_present(frames: Sequence[pd.DataFrame]) -> None:
    """DataQualityError naming the items of rows in which a required field is null."""
    for frame in frames:
        for column in [name for name in STATE if name != "collection_paused"]:
            absent = frame[column].isna()
            if absent.any():
                raise DataQualityError(
                    f"required field {column} is missing", frame.loc[absent, "item"].astype(str)
                )


def read_terms(distinct: pd.DataFrame, policy: Policy, codes: Ints, items: pd.Series[str]) -> list[Terms]:
    """Parses distinct terms.

    DataQualityError names the items (one a row of `codes`) of those that make no sense.
    """
    terms: list[Terms] = []
    problems: dict[int, str] = {}
    read = _reader(policy)
    for code, row in enumerate(zip(*(distinct[name].tolist() for name in TERMS), strict=True)):
        try:
            terms.append(read(*row))
        except ValueError as error:
            problems[code] = str(error)
    refuse(problems, codes, items)
    return terms


def refuse(problems: Mapping[int, str], codes: Ints, items: pd.Series[str]) -> None:
    """DataQualityError saying each kind of problem once and naming every item that has a problem code."""
    if problems:
        bad = np.isin(codes, list(problems))
        if bad.any():
            present = {problems[int(code)] for code in np.unique(codes[bad])}
            raise DataQualityError("; ".join(sorted(present)[:5]), sorted(set(items.to_numpy()[bad])))


def value_terms(terms: Sequence[Terms], rates: Mapping[str, str], reporting_currency: str) -> Valued:
    """MRR, list MRR and ARR of distinct terms at one set of rates, each rounded once.

    A rate scales everything, so it is applied last.
    """
    number = np.arange(len(terms))
    return value_cells(terms, number, np.zeros(len(terms), dtype=np.int64), [rates], reporting_currency)


def value_cells(
    terms: Sequence[Terms], code: Ints, at: Ints, rates: Sequence[Mapping[str, str]], reporting_currency: str
) -> Valued:
    """The same for terms at several sets of rates: cell by cell, terms `code` at the rates `at`."""
    names, currency = np.unique([one.currency for one in terms], return_inverse=True)
    known = [factor_of(str(name), reporting_currency, of) for of in rates for name in names]
    factors = Exact.of([Fraction(0) if isinstance(one, str) else one for one in known])
    factor = at * len(names) + currency[code] if len(names) else code
    net, listed = (Exact.of([getattr(one, name) for one in terms]) for name in ("net", "listed"))
    lists = listed.rounded(code, factors, factor)
    lacking = np.array([isinstance(one, str) for one in known], dtype=bool)[factor]
    above = lists > _LARGEST_MRR
    missing = {cell: str(known[factor[cell]]) for cell in np.flatnonzero(lacking).tolist()}
    missing |= dict.fromkeys(np.flatnonzero(above).tolist(), "monthly amount above 10^14 minor units")
    counted = ~(lacking | above)
    mrr, list_mrr, arr = (
        np.where(counted, values, 0)
        for values in (net.rounded(code, factors, factor), lists, net.rounded(code, factors, factor, 12))
    )
    return Valued(mrr, list_mrr, arr, dict(sorted(missing.items())))


def count_states(states: pd.DataFrame, codes: Ints, terms: Sequence[Terms], policy: Policy) -> Bools:
    """Which rows count (semantics 1.3).

    Live, in a counting status, collection not paused away, and metered only by policy.
    """
    standing_codes, standing = encode([states], STANDING)
    problems: dict[int, str] = {}
    counting = np.zeros(len(standing), dtype=bool)
    for code, (status, paused, livemode) in enumerate(
        zip(*(standing[name].tolist() for name in STANDING), strict=True)
    ):
        pause = None if pd.isna(paused) else paused
        if status not in STATUSES:
            problems[code] = f"unknown subscription status {status!r}"
        elif pause is not None and pause not in PAUSES:
            problems[code] = f"unknown pause_collection behaviour {pause!r}"
        elif not isinstance(livemode, bool | np.bool_):
            problems[code] = f"livemode is not true or false: {livemode!r}"
        counting[code] = (
            bool(livemode) and status in policy.statuses and (pause is None or pause in policy.paused_counts)
        )
    refuse(problems, standing_codes, states["item"])
    metered = np.array([one.metered for one in terms], dtype=bool)
    return counting[standing_codes] & (policy.metered_counts | ~metered[codes])


@lru_cache(maxsize=4)
def _reader(policy: Policy) -> Callable[..., Terms]:
    """`_terms` under a policy, remembered.

    A month's terms are mostly those of the month before, and each is read for its amount and its flags.
    """
    return lru_cache(maxsize=1 << 16, typed=True)(partial(_terms, policy))


def _terms(
    policy: Policy,
    product: str,
    price: str,
    usage_type: str,
    currency: str,
    interval: str,
    interval_count: int,
    scheme_json: str,
    quantity: str,
    discounts_json: str,
) -> Terms:
    if usage_type not in ("licensed", "metered"):
        raise ValueError(f"unknown usage type {usage_type!r}")
    try:
        units = decimal(quantity)
    except (ValueError, TypeError):
        raise ValueError(f"quantity is negative or malformed: {quantity!r}") from None
    metered = usage_type == "metered"
    period = schemes.period_months(
        interval, interval_count, metered=metered, week=policy.week, day=policy.day
    )
    scheme = schemes.parse_scheme(scheme_json)
    parsed = discounts.parse_discounts(discounts_json)
    listed = schemes.gross(scheme, units)
    if period != 1:
        listed /= period
    if scheme.without_tax != 1:
        listed *= scheme.without_tax
    # An amount off is taken off the price with its tax, and so lowers what is left without it by its own
    # share.
    net = (
        discounts.apply(
            listed, discounts.reductions(parsed, period, scheme.without_tax, metered=metered, policy=policy)
        )
        if parsed
        else listed
    )
    return Terms(
        product,
        price,
        metered,
        currency,
        interval,
        interval_count,
        period,
        scheme,
        units,
        parsed,
        listed,
        net,
    )


def factor_of(currency: str, reporting_currency: str, rates: Mapping[str, str]) -> Fraction | str:
    """Reporting minor units for one minor unit of a currency, or why that is not known."""
    try:
        return conversion(currency, reporting_currency, rates.get(currency))
    except (ValueError, TypeError) as error:
        return str(error)
