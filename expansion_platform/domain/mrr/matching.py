"""Which opening item became which closing item of a continuing customer (semantics 3.2).

Here: the passes, as array look-ups and ranked joins over all customers at once. Not here: what a pair or a
lone item means (`causes.py`). Item ids are unique at an instant, so the first passes are one look-up; only
what they leave is ranked. "Customer" means customer-month.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from expansion_platform.domain.core.money import Bools, Ints
from expansion_platform.domain.mrr.month_snapshot import MonthSnapshot, Side

PASSES = ["item", "swap", "price", "product", "any", "added", "removed"]


@dataclass(frozen=True)
class Pairs:
    """One element per matched pair or lone item; positions are rows of a side, -1 where that side is empty.

    `match_pass` indexes `PASSES`.
    """

    opening: Ints
    closing: Ints
    match_pass: Ints


def match(book: MonthSnapshot, continuing: Bools) -> Pairs:
    """Pairs the counting items of continuing customers (by customer code) one to one.

    Within match groups, deterministically.

    Swap first (one item id on another product, both base, unless both products are placed in families), then
    same item id, same price, same product, any; inside a pass both sides are ranked by MRR at opening rates,
    highest first, then item id.
    """
    at_open, at_close = (
        np.flatnonzero(side.counts & continuing[side.customer]) for side in (book.opening, book.closing)
    )
    found = [_by_item(book, at_open, at_close)]
    left_open = _left(book, book.opening, np.setdiff1d(at_open, found[0].opening, assume_unique=True))
    left_close = _left(book, book.closing, np.setdiff1d(at_close, found[0].closing, assume_unique=True))
    for name, key in (("price", ["price"]), ("product", ["product"]), ("any", [])):
        by = ["customer", "group", *key, "rank"]
        left_open["rank"], left_close["rank"] = (
            left.groupby(by[:-1]).cumcount() for left in (left_open, left_close)
        )
        joined = left_open.merge(left_close, on=by)
        found.append(_pairs(joined["row_x"].to_numpy(), joined["row_y"].to_numpy(), name))
        left_open = left_open[~left_open["row"].isin(joined["row_x"])]
        left_close = left_close[~left_close["row"].isin(joined["row_y"])]
    added, removed = left_close["row"].to_numpy(), left_open["row"].to_numpy()
    found.append(_pairs(np.full(len(added), -1), added, "added"))
    found.append(_pairs(removed, np.full(len(removed), -1), "removed"))
    return Pairs(
        *(
            np.concatenate([getattr(part, field) for part in found])
            for field in ("opening", "closing", "match_pass")
        )
    )


def _by_item(book: MonthSnapshot, at_open: Ints, at_close: Ints) -> Pairs:
    """The pairs of one item id at both ends: the same match group, or a plan swap across groups."""
    row_of = np.full(len(book.items), -1, dtype=np.int64)
    row_of[book.opening.item[at_open]] = at_open
    opening = row_of[book.closing.item[at_close]]
    here = opening >= 0
    opening, closing = opening[here], at_close[here]
    same_customer = book.opening.customer[opening] == book.closing.customer[closing]
    opening, closing = opening[same_customer], closing[same_customer]
    terms_a, terms_b = book.opening.terms[opening], book.closing.terms[closing]
    same_group = book.group[terms_a] == book.group[terms_b]
    base = np.array([entry.kind == "base" for entry in book.entries], dtype=bool)
    placed = np.array([entry.placed for entry in book.entries], dtype=bool)
    product = pd.factorize(book.distinct["product"])[0]
    swap = (
        ~same_group
        & (product[terms_a] != product[terms_b])
        & base[terms_a]
        & base[terms_b]
        & ~(placed[terms_a] & placed[terms_b])
    )
    kept = same_group | swap
    match_pass = np.where(swap, PASSES.index("swap"), PASSES.index("item"))
    return Pairs(opening[kept], closing[kept], match_pass[kept])


def _left(book: MonthSnapshot, side: Side, rows: Ints) -> pd.DataFrame:
    """Unpaired rows in rank order, with the keys of the later passes."""
    terms = side.terms[rows]
    price, product = (pd.factorize(book.distinct[name])[0] for name in ("price", "product"))
    left = pd.DataFrame(
        {
            "row": rows,
            "customer": side.customer[rows],
            "group": book.group[terms],
            "price": price[terms],
            "product": product[terms],
            "mrr": book.at_open.mrr[terms],
            "item": book.item_ids(side, rows).to_numpy(dtype=object),
        }
    )
    return left.sort_values(["mrr", "item"], ascending=[False, True], kind="stable").drop(
        columns=["mrr", "item"]
    )


def _pairs(opening: Ints, closing: Ints, name: str) -> Pairs:
    return Pairs(opening, closing, np.full(len(opening), PASSES.index(name)))
