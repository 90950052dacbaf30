"""What customers hold at month ends: seats, products, plans, limits (semantics 6.1, 6.6).

Here: counting item states at month ends, as matrices of customers and month ends. Not here: what they are
worth (`domain/mrr`), features made of them (`features.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from expansion_platform.domain.catalog.catalog import Catalog, Entry
from expansion_platform.domain.core.money import Bools, Ints
from expansion_platform.domain.core.months import parse
from expansion_platform.domain.mrr.flags import licensed_seats
from expansion_platform.domain.mrr.month_ends import Timeline, spread
from expansion_platform.domain.mrr.month_snapshot import catalog_entries
from expansion_platform.domain.mrr.valuation import Terms
from expansion_platform.domain.signals.codes import micros

Floats = npt.NDArray[np.float64]
PLANS = 1_000_000
"""More than any family has."""
YEAR = 12


@dataclass(frozen=True)
class Holdings:
    """Counting item states at the month ends of a timeline, one element a state and month end.

    Figures are matrices with a row a customer and a column a month end.
    """

    timeline: Timeline
    entries: Sequence[Entry]
    catalog: Catalog
    timezone: str
    lasts: Mapping[str, int]
    """Months that a repeating coupon lasts."""
    customers: pd.Index[str] | None = None
    earlier: int = 0
    """Month ends before the timeline's first, of which nothing is known."""

    def over(self, customers: pd.Index[str], earlier: int) -> Holdings:
        """The same with the rows of these customers, and so many month ends before the timeline's."""
        return replace(self, customers=customers, earlier=earlier)

    def _laid(self, found: npt.NDArray[Any], nothing: float) -> npt.NDArray[Any]:
        """A figure by cell as the matrix of the customers that were asked for."""
        matrix = found.reshape(len(self.timeline.customers), self.timeline.size)
        if self.customers is None:
            return matrix
        at = self.timeline.customers.get_indexer(self.customers)
        laid = np.full((len(at), self.earlier + self.timeline.size), nothing, dtype=matrix.dtype)
        laid[at >= 0, self.earlier :] = matrix[at[at >= 0]]
        return laid

    @cached_property
    def _states(self) -> tuple[Ints, Ints]:
        """State and month end of each element."""
        timeline = self.timeline
        counting = np.flatnonzero(timeline.counts & (timeline.begins < timeline.beyond))
        row, month_end = spread(timeline.begins[counting], timeline.beyond[counting])
        return counting[row], month_end

    @cached_property
    def _rows(self) -> tuple[Ints, Ints]:
        """Cell (customer and month end) and terms of each element."""
        state, month_end = self._states
        return self.timeline.customer[state] * self.timeline.size + month_end, self.timeline.terms[state]

    @cached_property
    def seats(self) -> Floats:
        """Seats; NaN where the customer holds no item that is sold by the seat."""
        seats = licensed_seats(self.timeline, self.entries)
        return self._sum(np.where(seats, self._quantity, 0), seats)

    @cached_property
    def metered(self) -> Floats:
        """Units used of metered items that are priced by tiers; NaN where there is none."""
        tiered = np.array([terms.metered and not np.isnan(next_edge(terms)) for terms in self.timeline.read])
        return self._sum(self._quantity, tiered.astype(bool))

    @cached_property
    def limited(self) -> tuple[Floats, Floats, Floats]:
        """Of metered items: units used, units that the price includes, the next tier's edge; NaN for none."""
        included = np.array(
            [
                included_units(terms, self.catalog) if terms.metered else np.nan
                for terms in self.timeline.read
            ],
            dtype=float,
        )
        edges = np.array(
            [next_edge(terms) if terms.metered else np.nan for terms in self.timeline.read], dtype=float
        )
        some, tiered = ~np.isnan(included), ~np.isnan(edges)
        return (
            self._sum(np.where(some, self._quantity, 0), some),
            self._sum(np.where(some, included, 0), some),
            self._sum(np.where(tiered, edges, 0), tiered),
        )

    @cached_property
    def products(self) -> Floats:
        """Distinct products held; 0 where none is."""
        cell, terms = self._rows
        names, code = np.unique(self.timeline.distinct["product"].to_numpy(dtype=object), return_inverse=True)
        held = np.unique(cell * (len(names) or 1) + code[terms])
        return self._laid(np.bincount(held // (len(names) or 1), minlength=self._size).astype(float), 0)

    @cached_property
    def interval_months(self) -> Floats:
        """The longest billing period, in months; NaN where nothing is held."""
        return self._laid(self._longest, np.nan)

    @cached_property
    def _longest(self) -> Floats:
        return self._most(np.array([float(terms.period) for terms in self.timeline.read]))

    @cached_property
    def months_to_renewal(self) -> Floats:
        """Months until the item with the longest billing period renews next, 1 in the month before.

        Periods are counted from when the item took its interval, as is known at any time after. NaN where
        nothing is held, or for a period that is no whole number of months.
        """
        cell, terms = self._rows
        state, month_end = self._states
        period = np.array([float(each.period) for each in self.timeline.read])[terms]
        longest = period == self._longest[cell]
        whole = longest & (period >= 1) & (period == np.floor(period))
        elapsed = month_end - self._interval_since()[state]
        left = period - np.mod(elapsed, np.maximum(period, 1))
        found = np.full(self._size, np.inf)
        np.minimum.at(found, cell[whole], left[whole])
        return self._laid(np.where(np.isfinite(found), found, np.nan), np.nan)

    def _interval_since(self) -> Ints:
        """By state: index of the month in which its item took the billing interval that it has."""
        timeline = self.timeline
        order = np.lexsort((timeline.states["valid_from"].to_numpy(), timeline.item))
        intervals = (
            timeline.distinct["interval"].astype("str")
            + " "
            + timeline.distinct["interval_count"].astype("str")
        )
        interval = np.unique(intervals.to_numpy(dtype=object), return_inverse=True)[1][timeline.terms[order]]
        item = timeline.item[order]
        first = np.ones(len(order), dtype=bool)
        first[1:] = (item[1:] != item[:-1]) | (interval[1:] != interval[:-1])
        since = np.empty(len(order), dtype=np.int64)
        since[order] = self._begun[order][np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))]
        return since

    @cached_property
    def _begun(self) -> Ints:
        """By state: place of the month it begins in, from the timeline's first; negative before it."""
        began = self.timeline.states["valid_from"].dt.tz_convert(self.timezone)
        year, month = parse(self.timeline.calendar[0])
        return np.asarray((began.dt.year - year) * 12 + began.dt.month - month, dtype=np.int64)

    @cached_property
    def months_to_discount_end(self) -> Floats:
        """Months until the discount that ends next does, 1 in the month before; NaN where none is to end.

        Only ends that were planned when the discount began are seen, for whether somebody takes one off
        earlier is not known before: a repeating coupon ends after the months that it lasts, one for a billing
        period of a year or more with the period. A coupon is taken to have begun when the subscription first
        had it without a gap. Of one that is deleted in Stripe with its terms, nothing is known.
        """
        state, coupon, lasts = self._ending
        ends = self._discount_since(state, coupon) + lasts
        row, month_end = spread(self.timeline.begins[state], np.minimum(self.timeline.beyond[state], ends))
        cell = self.timeline.customer[state[row]] * self.timeline.size + month_end
        found = np.full(self._size, np.inf)
        np.minimum.at(found, cell, (ends[row] - month_end).astype(float))
        return self._laid(np.where(np.isfinite(found), found, np.nan), np.nan)

    @cached_property
    def _ending(self) -> tuple[Ints, Ints, Ints]:
        """Counting states with each of their coupons that is to end: state, coupon, months it lasts."""
        timeline = self.timeline
        codes: dict[str, int] = {}
        said = [
            [
                (codes.setdefault(coupon, len(codes)), months)
                for coupon, months in ending(text, terms, self.lasts)
            ]
            for text, terms in zip(timeline.distinct["discounts_json"], timeline.read, strict=True)
        ]
        sizes = np.array([len(each) for each in said], dtype=np.int64)
        flat = np.array([pair for each in said for pair in each], dtype=np.int64).reshape(-1, 2)
        starts = np.cumsum(sizes) - sizes
        some = np.flatnonzero(timeline.counts)
        row, place = spread(starts[timeline.terms[some]], (starts + sizes)[timeline.terms[some]])
        return some[row], flat[place, 0], flat[place, 1]

    def _discount_since(self, state: Ints, coupon: Ints) -> Ints:
        """By state and coupon: place of the month since which the subscription has had it without a gap."""
        states = self.timeline.states.iloc[state]
        subscription, _ = pd.factorize(states["subscription"])
        begins, until = micros(states["valid_from"]), micros(states["valid_to"])
        held = subscription * (coupon.max(initial=0) + 1) + coupon
        order = np.lexsort([begins, held])
        held, begins, until = held[order], begins[order], until[order]
        # The latest end of those before it, of the same coupon and subscription.
        latest = pd.Series(until).groupby(held).cummax().to_numpy()
        first = np.ones(len(order), dtype=bool)
        first[1:] = (held[1:] != held[:-1]) | (begins[1:] > latest[:-1])
        since = np.empty(len(order), dtype=np.int64)
        place = np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))
        since[order] = self._begun[state][order][place]
        return since

    @cached_property
    def rank(self) -> Floats:
        """Rank of the highest plan held; NaN where no plan held has a rank."""
        return self._laid(
            self._most(
                np.array([np.nan if entry.tier_rank is None else entry.tier_rank for entry in self.entries])
            ),
            np.nan,
        )

    @cached_property
    def headroom(self) -> Floats:
        """Plans above the highest one held, of its family; NaN where its rank is not known.

        Plans are those whose rank the catalog or metadata says, sold to these customers or not.
        """
        ranks = ladders(self.catalog)
        place = np.full(len(self.entries), np.nan)
        above = np.zeros(len(self.entries))
        for code, entry in enumerate(self.entries):
            if entry.tier_rank is not None:
                above[code] = sum(rank > entry.tier_rank for rank in ranks.get(entry.family, ()))
                place[code] = entry.tier_rank * PLANS + above[code]
        highest = self._most(place)
        return self._laid(np.where(np.isnan(highest), np.nan, np.mod(highest, PLANS)), np.nan)

    @cached_property
    def past_due(self) -> Bools:
        """Whether a subscription of the customer is past due, counting or not."""
        timeline = self.timeline
        late = np.flatnonzero((timeline.states["status"] == "past_due").to_numpy(dtype=bool))
        row, month_end = spread(timeline.begins[late], timeline.beyond[late])
        found = np.zeros(self._size, dtype=bool)
        found[timeline.customer[late[row]] * timeline.size + month_end] = True
        return self._laid(found, False)

    @property
    def _size(self) -> int:
        return len(self.timeline.customers) * self.timeline.size

    @cached_property
    def _quantity(self) -> Floats:
        return np.array([float(terms.quantity) for terms in self.timeline.read])

    def _sum(self, by_terms: Floats, among: Bools) -> Floats:
        cell, terms = self._rows
        here = among[terms]
        sums = np.bincount(cell[here], weights=by_terms[terms[here]], minlength=self._size)
        there = np.bincount(cell[here], minlength=self._size) > 0
        return self._laid(np.where(there, sums, np.nan), np.nan)

    def _most(self, by_terms: Floats) -> Floats:
        """The largest value by cell, NaN where there is none."""
        cell, terms = self._rows
        values = by_terms[terms] if len(by_terms) else np.empty(0)
        known = ~np.isnan(values)
        found = np.full(self._size, -np.inf)
        np.maximum.at(found, cell[known], values[known])
        return np.where(np.isfinite(found), found, np.nan)


def holdings(timeline: Timeline, catalog: Catalog, timezone: str, lasts: Mapping[str, int]) -> Holdings:
    """What customers hold at the month ends of a timeline; `lasts` has the months of repeating coupons."""
    return Holdings(timeline, catalog_entries(timeline.distinct, catalog), catalog, timezone, lasts)


def ladders(catalog: Catalog) -> dict[str, set[int]]:
    """Ranks by family, of prices and products of which both are said."""
    found: dict[str, set[int]] = {}
    for identity in sorted({*catalog.products, *catalog.metadata}):
        entry = catalog.entry(identity, identity, "licensed")
        if entry.tier_rank is not None:
            found.setdefault(entry.family, set()).add(entry.tier_rank)
    return found


def ending(discounts_json: str, terms: Terms, lasts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Coupons of an item that are to end, and for how many months each is given."""
    found = []
    for discount in json.loads(discounts_json):
        coupon = discount.get("coupon", "")
        if discount["duration"] == "repeating" and coupon in lasts:
            found.append((coupon, lasts[coupon]))
        elif discount["duration"] == "once" and terms.period >= YEAR and not terms.metered:
            found.append((coupon, ceil(terms.period)))
    return found


def included_units(terms: Terms, catalog: Catalog) -> float:
    """Units that a price includes: the catalog's word, else the edge of its free tiers; NaN for none."""
    for identity in (terms.price, terms.product):
        entry = catalog.products.get(identity)
        if entry is not None and entry.included is not None:
            return float(entry.included)
    free = np.nan
    for tier in terms.scheme.tiers:
        if tier.unit > 0 or tier.up_to is None:
            break
        free = float(tier.up_to)
    return free


def next_edge(terms: Terms) -> float:
    """Units at which the next tier begins: the edge of the one the quantity is in; NaN for none."""
    for tier in terms.scheme.tiers:
        if tier.up_to is not None and terms.quantity <= tier.up_to:
            return float(tier.up_to)
        if tier.up_to is None:
            return np.nan
    return np.nan
