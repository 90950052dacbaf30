"""Which prices of one product are plans of one another, because they are sold side by side.

See semantics 3.1 point 5, D-12.

Here: the beginnings of customers on prices, found once for all months, and the plans they show before one
instant. Not here: what the catalog says of a price, which wins (`catalog.py`), and what a plan does to a
label (`mrr/causes.py`).

Exactly what the words of D-12 mean here:
* A customer begins on a price with its first counting item of that match group (a product, or the family it
  is said to be of) and unit, under its id after aliases. Who moves there from another product of the family,
  or takes an item there from any other product, is no new customer.
* Statuses that do not count do not exist (semantics 1.3): a trial begins when it converts, on the price it
  converts to, and one that never converts begins nothing.
* Between prices that can charge something, a first item is the first one that can charge something: a
  customer is new when it first pays (D-9), so that customers who come from a free plan begin on the plan they
  choose. Compared with a free price, the first item of all counts.
* A customer whose first items of the product are of several prices chose none of them: it bought parts of one
  plan. It begins on none.
* One stretch of at least 90 days: from the later of the two first beginnings to the earlier of the two last
  ones, within the 365 days. Where a new price replaced an old one, the old one's beginnings end where those
  of the new one start, so that their stretch is about zero.
* Prices are compared in the currencies both are sold in; a price with several currencies is one price.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.core.canonical import dumps
from expansion_platform.domain.core.encoding import encode, number
from expansion_platform.domain.core.money import Bools
from expansion_platform.domain.pricing.schemes import gross, parse_scheme, period_months

LOOKED_BACK = pd.Timedelta(days=365)
SIDE_BY_SIDE = pd.Timedelta(days=90)
FEWEST_BEGINNINGS = 3
TERMS = ["product", "price", "usage_type", "currency", "interval", "interval_count", "scheme_json"]


class Slot(NamedTuple):
    """Where prices can be plans of one another: one product, unit and billing interval."""

    product: str
    unit: str
    interval: str
    interval_count: int


class Sold(NamedTuple):
    """One price in one currency."""

    slot: Slot
    home: tuple[str, str]
    """Match group and unit, within which a customer is new once, whatever the product and interval."""
    price: str
    currency: str
    amount: Fraction
    """List amount for one unit and month, minor units of the currency."""
    free: bool
    """It can never charge anything."""
    candidate: bool
    """A plan may be inferred: nobody said its rank, and its scheme can be read."""

    @property
    def key(self) -> tuple[Slot, str, str]:
        """What it is known by."""
        return self.slot, self.price, self.currency


@dataclass(frozen=True)
class Plans:
    """The pairs of prices that are plans of one another.

    `steps`: for each pair of ids in order, 1 if the second is the higher plan, -1, or 0.
    """

    steps: Mapping[tuple[str, str], int] = field(default_factory=dict)

    def step(self, before: str, after: str) -> int | None:
        """1 for a move to a higher plan, -1 to a lower one, 0 between equal ones.

        None where the two are not known to be plans.
        """
        if before <= after:
            return self.steps.get((before, after))
        back = self.steps.get((after, before))
        return None if back is None else -back

    def among(self, before: pd.Series[str], after: pd.Series[str]) -> Bools:
        """Which moves between two prices, one a row and null where there is none, are between plans."""
        found = np.zeros(len(before), dtype=bool)
        if not self.steps:
            return found
        moved = np.flatnonzero((before.notna() & after.notna() & (before != after)).to_numpy(dtype=bool))
        found[moved] = [
            self.step(*pair) is not None for pair in zip(before.iloc[moved], after.iloc[moved], strict=True)
        ]
        return found

    @cached_property
    def prices(self) -> frozenset[str]:
        """Every price that is a plan beside another one."""
        return frozenset(price for pair in self.steps for price in pair)

    @property
    def text(self) -> str:
        """The same for the same plans: part of the fingerprint of what depends on them."""
        return dumps(sorted([*pair, step] for pair, step in self.steps.items()))


NO_PLANS = Plans()


class _Selling(NamedTuple):
    """Beginnings on one price in one currency within a window: how many, the first and the last."""

    customers: int
    first: pd.Timestamp
    last: pd.Timestamp


@dataclass(frozen=True)
class Beginnings:
    """Every customer's beginning on a price that may be a plan.

    Index of `sold` and instant, in order of time.

    `any_item` has the first item of each customer, match group and unit, `paid_item` the first one that can
    charge something.
    """

    sold: Sequence[Sold]
    any_item: pd.DataFrame
    paid_item: pd.DataFrame

    def plans(self, closing: pd.Timestamp) -> Plans:
        """The plans that facts before an instant show; what begins at it or later changes nothing."""
        with_any, with_paid = _selling(self.any_item, closing), _selling(self.paid_item, closing)
        slots: dict[Slot, dict[str, dict[str, int]]] = defaultdict(lambda: defaultdict(dict))
        for code in sorted(with_any.keys() | with_paid.keys()):
            slots[self.sold[code].slot][self.sold[code].price][self.sold[code].currency] = code
        steps = {}
        for prices in slots.values():
            for low, high in combinations(sorted(prices), 2):
                shared = sorted(prices[low].keys() & prices[high].keys())
                one, other = ([prices[price][currency] for currency in shared] for price in (low, high))
                free = any(self.sold[code].free for code in [*one, *other])
                if shared and _side_by_side(one, other, with_any if free else with_paid):
                    steps[low, high] = _sign(self.sold[other[0]].amount - self.sold[one[0]].amount)
        return Plans(steps)


def beginnings(states: pd.DataFrame, catalog: Catalog) -> Beginnings:
    """Finds every beginning on a price that can be a plan by inference.

    One of several of a product, unit and interval, whose rank nobody said.

    Args:
        states: billing/item_states without excluded customers; text columns may be categoricals.
        catalog: Gives aliases, what counts, units, and the ranks that win over this inference.

    Returns:
        Beginnings of the whole history; `Beginnings.plans` looks at those before an instant.
    """
    return of_all([beginnings_of_some(states, catalog)])


def of_all(parts: Sequence[Beginnings]) -> Beginnings:
    """The beginnings of all customers from those of some of them each; the parts share no customer."""
    every = [one for part in parts for one in part.sold]
    sold = _with_others(every)
    number_of = {one.key: at for at, one in enumerate(sold)}

    def joined(name: str) -> pd.DataFrame:
        frames = []
        for part in parts:
            known = np.array([number_of.get(one.key, -1) for one in part.sold], dtype=np.int64)
            rows: pd.DataFrame = getattr(part, name)
            code = known[rows["sold"].to_numpy()]
            frames.append(pd.DataFrame({"sold": code, "at": rows["at"].array})[code >= 0])
        found: pd.DataFrame = pd.concat(frames, ignore_index=True).sort_values("at", ignore_index=True)
        return found

    return Beginnings(sold, joined("any_item"), joined("paid_item"))


def beginnings_of_some(states: pd.DataFrame, catalog: Catalog) -> Beginnings:
    """`beginnings` of some customers, on every price whose rank nobody said.

    Other customers may show that another is sold beside it.
    """
    codes, distinct = encode([states], TERMS)
    terms = [_read(catalog, *row) for row in distinct[TERMS].itertuples(index=False, name=None)]
    sold = _candidates(terms)
    number_of = {one.key: at for at, one in enumerate(sold)}
    homes = {home: at for at, home in enumerate(sorted({one.home for one in sold}))}
    home = np.array([homes.get(one.home, -1) for one in terms], dtype=np.int64)
    counting = np.flatnonzero(_counts(states, catalog)) if homes else np.zeros(0, dtype=np.int64)
    item, items = number([states[["item"]].iloc[counting]], "item")
    # Of other products only the items are asked that were on one of these at some time.
    here = np.zeros(len(items), dtype=bool)
    here[item[home[codes[counting]] >= 0]] = True
    chosen, item = counting[here[item]], item[here[item]]
    codes = codes[chosen]
    customer, customers = number([states[["customer"]].iloc[chosen]], "customer")
    if catalog.aliases:
        customer = pd.factorize(customers.map(catalog.customer))[0][customer]
    rows = pd.DataFrame(
        {
            "key": np.where(home[codes] < 0, -1, customer * max(1, len(homes)) + home[codes]),
            "at": states["valid_from"].iloc[chosen].array,
            "item": item,
            "price": pd.factorize(distinct["price"])[0][codes],
            "sold": np.array([number_of.get(one.key, -1) for one in terms], dtype=np.int64)[codes],
        }
    )
    free = np.array([one.free for one in terms], dtype=bool)[codes]
    return Beginnings(sold, _firsts(rows), _firsts(rows[~free]) if free.any() else _firsts(rows))


def _read(
    catalog: Catalog,
    product: str,
    price: str,
    usage_type: str,
    currency: str,
    interval: str,
    interval_count: int,
    scheme_json: str,
) -> Sold:
    entry, policy, metered = (
        catalog.entry(price, product, usage_type),
        catalog.policy,
        usage_type == "metered",
    )
    slot, home = Slot(product, entry.unit, interval, interval_count), (entry.group, entry.unit)
    try:
        scheme = parse_scheme(scheme_json)
        months = period_months(interval, interval_count, metered=metered, week=policy.week, day=policy.day)
        amount = gross(scheme, Fraction(1)) / months
    except ValueError:  # whoever values it says what is wrong
        return Sold(slot, home, price, currency, Fraction(0), free=False, candidate=False)
    return Sold(slot, home, price, currency, amount, not scheme.chargeable, entry.tier_rank is None)


def _candidates(terms: Iterable[Sold]) -> list[Sold]:
    """Those that can be plans, one for each price and currency; the lowest amount where several were seen."""
    found: dict[tuple[Slot, str, str], Sold] = {}
    for one in terms:
        if one.candidate:
            found[one.key] = min(found.get(one.key, one), one, key=lambda each: (each.amount, each.free))
    return [found[key] for key in sorted(found)]


def _with_others(terms: Iterable[Sold]) -> list[Sold]:
    """The candidates that have another price of their slot beside them."""
    candidates, prices = _candidates(terms), defaultdict[Slot, set[str]](set)
    for one in candidates:
        prices[one.slot].add(one.price)
    return [one for one in candidates if len(prices[one.slot]) > 1]


def _counts(states: pd.DataFrame, catalog: Catalog) -> Bools:
    """Which rows count (semantics 1.3). What they say is checked where they are valued."""
    policy, paused = catalog.policy, states["collection_paused"]
    counting = (
        states["status"].isin(policy.statuses)
        & (paused.isna() | paused.isin(policy.paused_counts))
        & states["livemode"].astype(bool)
    )
    if not policy.metered_counts:
        counting &= states["usage_type"] != "metered"
    return counting.to_numpy(dtype=bool)


def _firsts(rows: pd.DataFrame) -> pd.DataFrame:
    """The first row of each key.

    None where it is of several prices at once, of one that cannot be a plan, or of an item that began
    elsewhere.
    """
    began = rows["at"] == rows.groupby("item")["at"].transform("min")
    own = rows.assign(began=began)[rows["key"] >= 0]
    first = own[own["at"] == own.groupby("key")["at"].transform("min")]
    first = first.assign(began=first.groupby("key")["began"].transform("all")).drop_duplicates(
        ["key", "price"]
    )
    alone = first[~first.duplicated("key", keep=False) & first["began"] & (first["sold"] >= 0)]
    return alone[["sold", "at"]].sort_values("at", ignore_index=True)


def _selling(rows: pd.DataFrame, closing: pd.Timestamp) -> dict[int, _Selling]:
    """Beginnings within the 365 days before an instant, by index of what was sold."""
    here = rows[(rows["at"] >= closing - LOOKED_BACK) & (rows["at"] < closing)]
    found = here.groupby("sold")["at"].agg(["size", "min", "max"])
    return {
        int(code): _Selling(int(size), first, last) for code, size, first, last in found.itertuples(name=None)
    }


def _side_by_side(low: Sequence[int], high: Sequence[int], selling: Mapping[int, _Selling]) -> bool:
    """Whether two prices were sold side by side (D-12).

    At least 3 customers began on each, and the stretch in which customers began on both lasts 90 days.
    """
    sides = [[selling[code] for code in codes if code in selling] for codes in (low, high)]
    if any(sum(each.customers for each in side) < FEWEST_BEGINNINGS for side in sides):
        return False
    start, end = (
        max(min(each.first for each in side) for side in sides),
        min(max(each.last for each in side) for side in sides),
    )
    return end - start >= SIDE_BY_SIDE


def _sign(amount: Fraction) -> int:
    return (amount > 0) - (amount < 0)
