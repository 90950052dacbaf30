"""The items of all customers at a month's two ends, as numbers: customers, items, terms and groups become codes.

Here: reading two frames of item states into aligned NumPy arrays, with aliases applied and everything validated. Not here: what moved.
Equal content has equal codes on both sides, so finding what changed is comparing integers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from expansion_platform.domain.encoding import encode, number
from expansion_platform.domain.errors import DataQualityError
from expansion_platform.domain.money import Ints
from expansion_platform.domain.plans import NO_PLANS, Plans
from expansion_platform.domain.policy import Catalog, Entry
from expansion_platform.domain.valuation import TERMS, Bools, Terms, Valued, check_present, count_states, read_terms, refuse, value_terms


@dataclass(frozen=True)
class Side:
    """One instant: arrays with an element per item row, in the input's order."""

    item_ids: pd.Series[str]
    customer: Ints
    item: Ints
    terms: Ints
    counts: Bools


@dataclass(frozen=True)
class Book:
    """Both instants over shared codes."""

    customers: pd.Index[str]
    """Customer id by customer code, after aliases."""
    items: int
    """Number of item codes."""
    opening: Side
    closing: Side
    distinct: pd.DataFrame
    """The raw columns `TERMS` by terms code."""
    terms: list[Terms]
    entries: list[Entry]
    """Catalog entry by terms code."""
    groups: pd.Index[str]
    group: Ints
    """Match group code by terms code."""
    family: Ints
    at_open: Valued
    """Every terms code at opening rates."""
    at_close: Valued
    plans: Plans
    """Prices of one product inferred to be plans, before the closing instant."""


def read_book(
    opening: pd.DataFrame,
    closing: pd.DataFrame,
    catalog: Catalog,
    rates_open: Mapping[str, str],
    rates_close: Mapping[str, str],
    plans: Plans = NO_PLANS,
) -> Book:
    """Encodes, validates and values both sides.

    Raises:
        DataQualityError: Names the items that are duplicated on a side, cannot be read or priced, or lack a rate on their side, counting or not.
    """
    frames = [opening, closing]
    check_present(frames)
    item, item_ids = number(frames, "item")
    bounds = (slice(0, len(opening)), slice(len(opening), None))
    for rows in bounds:
        repeated = np.bincount(item[rows]) > 1
        if repeated.any():
            raise DataQualityError("item occurs twice at one instant", sorted(item_ids[np.flatnonzero(repeated)]))
    codes, distinct = encode(frames, TERMS)
    terms = read_terms(distinct, catalog.policy, codes, pd.concat([frame["item"] for frame in frames], ignore_index=True))
    at_open, at_close = (value_terms(terms, rates, catalog.reporting_currency) for rates in (rates_open, rates_close))
    customer, customers = number(frames, "customer")
    if catalog.aliases:
        merged, customers = pd.factorize(customers.map(catalog.customer))
        customer = merged[customer]
    sides = []
    for frame, valued, rows in zip(frames, (at_open, at_close), bounds, strict=True):
        refuse(valued.missing, codes[rows], frame["item"])
        counting = count_states(frame, codes[rows], terms, catalog.policy)
        sides.append(Side(frame["item"].reset_index(drop=True), customer[rows], item[rows], codes[rows], counting))
    entries = _entries(distinct, catalog)
    group, groups = pd.factorize(np.array([entry.group for entry in entries], dtype=object))
    family, _ = pd.factorize(np.array([entry.family for entry in entries], dtype=object))
    return Book(
        pd.Index(customers), len(item_ids), sides[0], sides[1], distinct, terms, entries, pd.Index(groups), group, family, at_open, at_close, plans
    )


def by_customer(book: Book, side: Side, amounts: Ints) -> Ints:
    """Exact sums over counting rows of one side, by customer code; `amounts` is by terms code."""
    sums = np.zeros(len(book.customers), dtype=np.int64)
    np.add.at(sums, side.customer[side.counts], amounts[side.terms[side.counts]])
    return sums


def _entries(distinct: pd.DataFrame, catalog: Catalog) -> list[Entry]:
    known: dict[tuple[str, str, str], Entry] = {}
    keys: Sequence[tuple[str, str, str]] = list(zip(distinct["price"], distinct["product"], distinct["usage_type"], strict=True))
    for key in keys:
        if key not in known:
            known[key] = catalog.entry(*key)
    return [known[key] for key in keys]
