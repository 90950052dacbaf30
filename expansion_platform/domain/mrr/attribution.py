"""The causes of every change in a book.

Each distinct pair of terms is explained once and mapped back to customers (semantics 3.2-3.4).

Here: `explain` over all matched pairs, lone items, and the rate part of fx. Not here: the rule for one pair
(`causes.py`) and the flows made of these causes (`movements.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.core.money import Ints, conversion
from expansion_platform.domain.mrr.causes import DISCOUNT, QUANTITY, SCHEDULE, End, explain, lone_factor
from expansion_platform.domain.mrr.matching import PASSES, Pairs
from expansion_platform.domain.mrr.month_snapshot import MonthSnapshot, Side
from expansion_platform.domain.mrr.vocabulary import CAUSES

Objects = npt.NDArray[np.object_]
FX = CAUSES.index("fx")
_FACTORS = [DISCOUNT, QUANTITY, SCHEDULE]


@dataclass(frozen=True)
class CauseRows:
    """One element per pair (or lone item) and cause with an amount that is not zero."""

    pair: Ints
    """Index into the pairs."""
    cause: Ints
    """Index into `CAUSES`."""
    amount: Ints
    corners: Objects
    """Evidence, JSON text. Hybrid states by switched factors; `item` for a lone item present, `rate` for
    closing rates.
    """

    def take(self, at: Ints) -> CauseRows:
        """The rows at some positions."""
        return CauseRows(self.pair[at], self.cause[at], self.amount[at], self.corners[at])


def attribute(book: MonthSnapshot, pairs: Pairs, catalog: Catalog) -> CauseRows:
    """Causes of all pairs. fx comes last.

    First everything at opening rates, then each closing item from opening to closing rates.
    """
    parts = [_of_pairs(book, pairs, catalog), _of_lone_items(book, pairs)]
    rate_part = _rate_part(book, pairs)
    parts = [_with_rate_part(book, pairs, part, rate_part) for part in parts]
    rest = np.flatnonzero(rate_part)
    parts.append(
        CauseRows(
            rest,
            np.full(len(rest), FX),
            rate_part[rest],
            _rate_corners(book, book.closing.terms[pairs.closing[rest]]),
        )
    )
    every = _joined(parts)
    return every.take(np.flatnonzero(every.amount))


def group_of(book: MonthSnapshot, pairs: Pairs) -> Ints:
    """Match group code of each pair.

    A plan swap across groups belongs to the group the customer is in now.
    """
    return np.where(
        pairs.closing >= 0,
        book.group[book.closing.terms[pairs.closing]],
        book.group[book.opening.terms[pairs.opening]],
    )


def customer_of(book: MonthSnapshot, pairs: Pairs) -> Ints:
    """Customer code of each pair."""
    return np.where(
        pairs.closing >= 0, book.closing.customer[pairs.closing], book.opening.customer[pairs.opening]
    )


def in_key_order(book: MonthSnapshot, pairs: Pairs, rows: CauseRows) -> CauseRows:
    """The rows in the order of the key of mrr/causes.

    Month, customer, match group, cause, from_item, to_item.
    """
    group_rank = _rank(book.groups)[group_of(book, pairs)[rows.pair]]
    items = [
        _item_rank(book, side, at[rows.pair])
        for side, at in ((book.closing, pairs.closing), (book.opening, pairs.opening))
    ]
    order = np.lexsort(
        [*items, _rank(pd.Index(CAUSES))[rows.cause], group_rank, customer_of(book, pairs)[rows.pair]]
    )
    return rows.take(order)


def cause_frame(book: MonthSnapshot, pairs: Pairs, rows: CauseRows) -> pd.DataFrame:
    """The columns of `mrr/causes` except month, flags and hashes.

    A row for each of `rows`, which are in the order of their key.
    """
    ends = {"from": (book.opening, pairs.opening[rows.pair]), "to": (book.closing, pairs.closing[rows.pair])}
    inferred = np.array([entry.inferred for entry in book.entries], dtype=bool)
    columns: dict[str, Any] = {
        "customer": _texts(book.customers, customer_of(book, pairs)[rows.pair]),
        "group": _texts(book.groups, group_of(book, pairs)[rows.pair]),
        "cause": _texts(pd.Index(CAUSES), rows.cause),
        "amount": rows.amount,
    }
    for name, (side, at) in ends.items():
        columns[f"{name}_item"] = _texts(
            book.items, np.where(at >= 0, side.item[at], -1) if len(side.item) else at
        ).fillna("")
    for column in ("price", "quantity", "discounts_json"):
        for name, (side, at) in ends.items():
            columns[f"{name}_{column}"] = _texts(pd.Index(book.distinct[column]), _terms_at(side, at))
    for name, (side, at) in ends.items():
        columns[f"{name}_mrr"] = np.where(at >= 0, book.at_open.mrr[_terms_at(side, at)], 0)
    columns["match_pass"] = _texts(pd.Index(PASSES), pairs.match_pass[rows.pair])
    columns["corners_json"] = pd.Series(rows.corners, dtype="str")
    columns["inferred"] = np.zeros(len(rows.pair), dtype=bool)
    for side, at in ends.values():
        columns["inferred"] |= (at >= 0) & inferred[_terms_at(side, at)]
    columns["inferred"] |= _between_plans(book, pairs, rows)
    return pd.DataFrame(columns, copy=False)


def _between_plans(book: MonthSnapshot, pairs: Pairs, rows: CauseRows) -> npt.NDArray[np.bool_]:
    """By row: the item moved between two prices that are inferred to be plans of one another.

    Each combination is looked up once.
    """
    found = np.zeros(len(rows.pair), dtype=bool)
    if not any(plans.steps for plans in book.plans):
        return found
    price, prices = pd.factorize(book.distinct["price"])
    both = np.flatnonzero((pairs.opening[rows.pair] >= 0) & (pairs.closing[rows.pair] >= 0))
    pair = rows.pair[both]
    before, after = (
        price[side.terms[at[pair]]]
        for side, at in ((book.opening, pairs.opening), (book.closing, pairs.closing))
    )
    moved = before != after
    both, before, after, plan = (
        both[moved],
        before[moved],
        after[moved],
        book.plan[customer_of(book, pairs)[pair[moved]]],
    )
    cells, which = np.unique((plan * len(prices) + before) * len(prices) + after, return_inverse=True)
    codes = (cells // len(prices) // len(prices), cells // len(prices) % len(prices), cells % len(prices))
    known = [
        book.plans[of].step(prices[a], prices[b]) is not None
        for of, a, b in zip(*(code.tolist() for code in codes), strict=True)
    ]
    found[both] = np.array(known, dtype=bool)[which]
    return found


def _of_pairs(book: MonthSnapshot, pairs: Pairs, catalog: Catalog) -> CauseRows:
    """Pairs whose terms changed.

    Most changed by one factor, which explains them without any arithmetic; the others are explained one by
    one.
    """
    both = np.flatnonzero((pairs.opening >= 0) & (pairs.closing >= 0))
    terms_a, terms_b = book.opening.terms[pairs.opening[both]], book.closing.terms[pairs.closing[both]]
    changed = terms_a != terms_b
    both, terms_a, terms_b = both[changed], terms_a[changed], terms_b[changed]
    customer = customer_of(book, pairs)[both]
    plan = _plan_that_matters(book, customer, terms_a, terms_b)
    factor, cause = _lone_factors(book, terms_a, terms_b, plan, catalog)
    before, after = book.at_open.mrr[terms_a], book.at_open.mrr[terms_b]
    lone = np.flatnonzero((factor >= 0) & (before != after))
    ends = zip(
        before[lone].tolist(),
        np.array(_FACTORS, dtype=object)[factor[lone]].tolist(),
        after[lone].tolist(),
        strict=True,
    )
    corners = np.array([f'{{"":{a},"{letter}":{b}}}' for a, letter, b in ends], dtype=object)
    several = np.flatnonzero(factor < 0)
    rows = CauseRows(both[lone], cause[lone], (after - before)[lone], corners)
    others = _of_several_factors(
        book,
        both[several],
        terms_a[several],
        terms_b[several],
        plan[several],
        book.month[customer[several]],
        catalog,
    )
    return _joined([rows, others])


def _lone_factors(
    book: MonthSnapshot, terms_a: Ints, terms_b: Ints, plan: Ints, catalog: Catalog
) -> tuple[Ints, Ints]:
    """By pair: index into `_FACTORS` of the one factor that changed, -1 where several did, and its cause.

    Equal pairs are looked at once.
    """
    a, b = book.charged[terms_a], book.charged[terms_b]
    width = book.charged.max(initial=0) + 1
    which, distinct = pd.factorize((a * width + b) * len(book.plans) + plan)
    first = np.zeros(len(distinct), dtype=np.int64)
    first[which[::-1]] = np.arange(len(which))[::-1]
    known: list[tuple[int, int]] = []
    for one, other, of in zip(
        terms_a[first].tolist(), terms_b[first].tolist(), plan[first].tolist(), strict=True
    ):
        before, after = (End(book.terms[code], book.entries[code], 0) for code in (one, other))
        found = lone_factor(before, after, catalog, book.plans[of])
        known.append((-1, -1) if found is None else (_FACTORS.index(found[0]), CAUSES.index(found[1])))
    table = np.array(known, dtype=np.int64).reshape(-1, 2)[which]
    return table[:, 0], table[:, 1]


def _of_several_factors(
    book: MonthSnapshot, pair: Ints, terms_a: Ints, terms_b: Ints, plan: Ints, month: Ints, catalog: Catalog
) -> CauseRows:
    _, first, which = np.unique(
        (terms_a * len(book.terms) + terms_b) * len(book.plans) + plan, return_index=True, return_inverse=True
    )
    rates = cache(
        lambda month, currency: conversion(
            currency, catalog.reporting_currency, book.rates_open[month].get(currency)
        )
    )
    explained = []
    for a, b, known, at in zip(
        *(codes[first].tolist() for codes in (terms_a, terms_b, plan, month)), strict=True
    ):
        factors = {
            currency: rates(at, currency) for currency in (book.terms[a].currency, book.terms[b].currency)
        }
        before, after = (
            End(book.terms[code], book.entries[code], int(book.at_open.mrr[code])) for code in (a, b)
        )
        explained.append(explain(before, after, factors, catalog, book.plans[known]))
    sizes = np.array([len(one.causes) for one in explained], dtype=np.int64)
    starts = np.cumsum(sizes) - sizes
    cause = np.array([CAUSES.index(name) for one in explained for name, _ in one.causes], dtype=np.int64)
    amount = np.array([amount for one in explained for _, amount in one.causes], dtype=np.int64)
    repeats = sizes[which]
    within = np.arange(repeats.sum()) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    at_row = np.repeat(starts[which], repeats) + within
    corners = np.array([one.corners_json for one in explained], dtype=object)
    return CauseRows(
        np.repeat(pair, repeats), cause[at_row], amount[at_row], corners[np.repeat(which, repeats)]
    )


def _joined(parts: Sequence[CauseRows]) -> CauseRows:
    return CauseRows(
        *(
            np.concatenate([getattr(part, field) for part in parts])
            for field in ("pair", "cause", "amount", "corners")
        )
    )


def _plan_that_matters(book: MonthSnapshot, customer: Ints, terms_a: Ints, terms_b: Ints) -> Ints:
    """Which plans say something of a pair.

    Those of its month, or the first, which are none, where its prices are plans in no month.
    """
    if len(book.plans) == 1:
        return np.zeros(len(customer), dtype=np.int64)
    prices = frozenset[str]().union(*(plans.prices for plans in book.plans))
    known = np.array([terms.price in prices for terms in book.terms], dtype=bool)
    return np.where(known[terms_a] & known[terms_b], book.plan[customer], 0)


def _of_lone_items(book: MonthSnapshot, pairs: Pairs) -> CauseRows:
    """Items added or removed, whole, at opening rates.

    Add-on, volume of a group that is also at the other end, usage of a family that is, else cross-sell.
    """
    parts = []
    for side, other, at, sign in (
        (book.closing, book.opening, pairs.closing, 1),
        (book.opening, book.closing, pairs.opening, -1),
    ):
        lone = np.flatnonzero((at >= 0) & ((pairs.opening < 0) | (pairs.closing < 0)))
        terms, customer = side.terms[at[lone]], side.customer[at[lone]]
        other_rows = np.flatnonzero(other.counts & np.isin(other.customer, customer))
        same_group = _holds(
            customer, book.group[terms], other.customer[other_rows], book.group[other.terms[other_rows]]
        )
        same_family = _holds(
            customer, book.family[terms], other.customer[other_rows], book.family[other.terms[other_rows]]
        )
        kind = np.array([entry.kind for entry in book.entries], dtype=object)[terms]
        metered = np.array([one.metered for one in book.terms], dtype=bool)[terms]
        cause = np.select(
            [kind == "addon", same_group & metered, same_group, (kind == "usage") & same_family],
            [CAUSES.index(name) for name in ("addon", "usage", "seat", "usage")],
            CAUSES.index("cross_sell"),
        )
        mrr = book.at_open.mrr[terms]
        evidence = [
            f'{{"":0,"item":{amount}}}' if sign > 0 else f'{{"":{amount},"item":0}}'
            for amount in mrr.tolist()
        ]
        corners = np.array(evidence, dtype=object)
        parts.append(CauseRows(lone, cause, sign * mrr, corners))
    return _joined(parts)


def _holds(customer: Ints, code: Ints, other_customer: Ints, other_code: Ints) -> npt.NDArray[np.bool_]:
    """Whether (customer, code) is among those of the other end."""
    width = max(code.max(initial=0), other_code.max(initial=0)) + 1
    return np.isin(customer * width + code, other_customer * width + other_code)


def _rate_part(book: MonthSnapshot, pairs: Pairs) -> Ints:
    """By pair: what exchange rates alone did to the closing item; zero for a removed one."""
    terms = _terms_at(book.closing, pairs.closing)
    return np.where(pairs.closing >= 0, book.at_close.mrr[terms] - book.at_open.mrr[terms], 0)


def _with_rate_part(book: MonthSnapshot, pairs: Pairs, rows: CauseRows, rate_part: Ints) -> CauseRows:
    """Adds the rate part to a pair's fx row where it has one (a currency switch).

    It is taken out of `rate_part`, which is changed in place.
    """
    amount, corners = rows.amount.copy(), rows.corners.copy()
    for row in np.flatnonzero((rows.cause == FX) & (rate_part[rows.pair] != 0)):
        pair = rows.pair[row]
        closing_mrr = int(book.at_close.mrr[book.closing.terms[pairs.closing[pair]]])
        amount[row] += rate_part[pair]
        corners[row] = f'{corners[row][:-1]},"rate":{closing_mrr}}}'
        rate_part[pair] = 0
    return CauseRows(rows.pair, rows.cause, amount, corners)


def _rate_corners(book: MonthSnapshot, terms: Ints) -> Objects:
    which, distinct = pd.factorize(terms)
    ends = zip(book.at_open.mrr[distinct].tolist(), book.at_close.mrr[distinct].tolist(), strict=True)
    return np.array([f'{{"":{before},"rate":{after}}}' for before, after in ends], dtype=object)[which]


def _terms_at(side: Side, at: Ints) -> Ints:
    """Terms code by position, -1 where the position is empty."""
    return np.where(at >= 0, side.terms[at], -1) if len(side.terms) else np.full(len(at), -1)


def _texts(values: pd.Index[str], at: Ints) -> pd.Series[str]:
    """Values by position, null where it is -1."""
    if not len(values):
        return pd.Series([None] * len(at), dtype="str")
    return pd.Series(values.astype("str").take(at, allow_fill=True, fill_value=np.nan), dtype="str")


def _rank(values: pd.Index[str]) -> Ints:
    """Place of each value in their order."""
    rank = np.empty(len(values), dtype=np.int64)
    rank[np.asarray(values.argsort())] = np.arange(len(values))
    return rank


def _item_rank(book: MonthSnapshot, side: Side, at: Ints) -> Ints:
    """Place of the item at each position of a side among those asked for, -1 where there is none.

    Only their ids are compared.
    """
    there = at >= 0
    used, which = np.unique(side.item[at[there]], return_inverse=True)
    rank = np.full(len(at), -1, dtype=np.int64)
    rank[there] = _rank(book.items.take(used))[which]
    return rank
