"""The items of customers at the two ends of their months, as numbers.

Customer-months, items, terms and groups become codes.

Here: the arrays, and reading them from two frames of item states, the ends of one month, with aliases applied
and everything validated. Not here: the customer-months of many months (`changed_months.py`), what moved
(`movements.py`). Equal content has equal codes on both sides, so finding what changed is comparing integers.
The rules after this one know nothing of months: a customer's items are only ever compared within one
customer-month.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from expansion_platform.domain.catalog.catalog import Catalog, Entry
from expansion_platform.domain.catalog.plans import NO_PLANS, Plans
from expansion_platform.domain.core.encoding import encode, number
from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.core.money import Bools, Ints
from expansion_platform.domain.mrr.valuation import (
    TERMS,
    Terms,
    Valued,
    check_present,
    count_states,
    read_terms,
    refuse,
    value_terms,
)


@dataclass(frozen=True)
class Side:
    """One end of every month: arrays with an element per item row."""

    row: Ints
    """Position in the frame of item states that was read."""
    customer: Ints
    """Code of the customer-month."""
    item: Ints
    terms: Ints
    counts: Bools


@dataclass(frozen=True)
class MonthSnapshot:
    """Both ends over shared codes."""

    customers: pd.Index[str]
    """Customer id by customer-month code, after aliases. Codes are in the order of month and customer."""
    month: Ints
    """Index of its month by customer-month code."""
    items: pd.Index[str]
    """Item id by item code. An item in two months has two codes."""
    known_item: Ints
    """Number of the item by item code, the same in every month."""
    opening: Side
    closing: Side
    distinct: pd.DataFrame
    """The raw columns `TERMS` by terms code."""
    terms: list[Terms]
    """Terms in a foreign currency have one code a month, because rates move."""
    charged: Ints
    """Number of the terms by terms code, the same in every month."""
    entries: list[Entry]
    """Catalog entry by terms code."""
    groups: pd.Index[str]
    group: Ints
    """Match group code by terms code."""
    family: Ints
    chargeable: Bools
    """By terms code: the price can charge something."""
    at_open: Valued
    """Every terms code at opening rates."""
    at_close: Valued
    rates_open: Sequence[Mapping[str, str]]
    """Opening rates by index of month."""
    plans: Sequence[Plans]
    """Prices of one product inferred to be plans before a closing instant; the first are none where there are
    several.
    """
    plan: Ints
    """Which of the plans are those of the month, by customer-month code."""

    def item_ids(self, side: Side, rows: Ints) -> pd.Index[str]:
        """Ids of the items at some positions of a side."""
        return self.items.take(side.item[rows])


def read_book(
    opening: pd.DataFrame,
    closing: pd.DataFrame,
    catalog: Catalog,
    rates_open: Mapping[str, str],
    rates_close: Mapping[str, str],
    plans: Plans = NO_PLANS,
) -> MonthSnapshot:
    """Encodes, validates and values both sides.

    Raises:
        DataQualityError: Names the items that are duplicated on a side, cannot be read or priced, or lack a
            rate on their side, counting or not.
    """
    frames = [opening, closing]
    check_present(frames)
    item, item_ids = number(frames, "item")
    bounds = (slice(0, len(opening)), slice(len(opening), None))
    for rows in bounds:
        repeated = np.bincount(item[rows]) > 1
        if repeated.any():
            raise DataQualityError(
                "item occurs twice at one instant", sorted(item_ids[np.flatnonzero(repeated)])
            )
    codes, distinct = encode(frames, TERMS)
    terms = read_terms(
        distinct, catalog.policy, codes, pd.concat([frame["item"] for frame in frames], ignore_index=True)
    )
    at_open, at_close = (
        value_terms(terms, rates, catalog.reporting_currency) for rates in (rates_open, rates_close)
    )
    customer, customers = number(frames, "customer")
    if catalog.aliases:
        merged, customers = pd.factorize(customers.map(catalog.customer))
        customer = merged[customer]
    customer, customers = _in_order(customer, pd.Index(customers))
    sides = []
    for frame, valued, rows in zip(frames, (at_open, at_close), bounds, strict=True):
        refuse(valued.missing, codes[rows], frame["item"])
        counting = count_states(frame, codes[rows], terms, catalog.policy)
        sides.append(Side(np.arange(len(frame)), customer[rows], item[rows], codes[rows], counting))
    entries = catalog_entries(distinct, catalog)
    group, groups, family = grouped(entries)
    return MonthSnapshot(
        customers=customers,
        month=np.zeros(len(customers), dtype=np.int64),
        items=item_ids,
        known_item=np.arange(len(item_ids)),
        opening=sides[0],
        closing=sides[1],
        distinct=distinct,
        terms=terms,
        charged=np.arange(len(terms)),
        entries=entries,
        groups=groups,
        group=group,
        family=family,
        chargeable=np.array([one.scheme.chargeable for one in terms], dtype=bool),
        at_open=at_open,
        at_close=at_close,
        rates_open=[rates_open],
        plans=[plans],
        plan=np.zeros(len(customers), dtype=np.int64),
    )


def _in_order(code: Ints, values: pd.Index[str]) -> tuple[Ints, pd.Index[str]]:
    """The same values, numbered in their order."""
    order = np.asarray(values.argsort())
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank[code], values.take(order)


def grouped(entries: Sequence[Entry]) -> tuple[Ints, pd.Index[str], Ints]:
    """Match group code of each entry, the groups by code, and the code of its family."""
    group, groups = pd.factorize(np.array([entry.group for entry in entries], dtype=object))
    family, _ = pd.factorize(np.array([entry.family for entry in entries], dtype=object))
    return group, pd.Index(groups), family


def by_customer(book: MonthSnapshot, side: Side, amounts: Ints) -> Ints:
    """Exact sums over counting rows of one side, by customer code; `amounts` is by terms code."""
    sums = np.zeros(len(book.customers), dtype=np.int64)
    np.add.at(sums, side.customer[side.counts], amounts[side.terms[side.counts]])
    return sums


def catalog_entries(distinct: pd.DataFrame, catalog: Catalog) -> list[Entry]:
    """What the catalog says of distinct terms; each price is looked up once."""
    known: dict[tuple[str, str, str], Entry] = {}
    keys: Sequence[tuple[str, str, str]] = list(
        zip(distinct["price"], distinct["product"], distinct["usage_type"], strict=True)
    )
    for key in keys:
        if key not in known:
            known[key] = catalog.entry(*key)
    return [known[key] for key in keys]
