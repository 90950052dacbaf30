"""The vendor's own repricings: those declared in the catalog, and those that look like one.

See semantics 3.3, case 44.

Here: `price_moves`, what some customers show, and `price_migrations`, the rows of `mrr/price_migrations` from
what all of them show. Not here: what a declared migration does to a label (`causes.py`), and the flag on its
rows (`flags.py`). Nobody declared a detected one: it changes no amount.

Stripe records no repricing. `transfer_lookup_key` moves a price's handle to its successor, but the old price
then has none and Stripe keeps no former value, so a transferred key cannot be seen; what customers did can.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.core.ratios import ratio_text
from expansion_platform.domain.mrr.month_ends import Timeline

SCHEDULE_CAUSES = ["tier", "price", "interval"]
FEWEST_MOVED = 5
LEAST_SHARE = 2  # one in two of the customers on the old price

COLUMNS = [
    *("month", "old_price", "new_price", "basis"),
    *("status", "customers_moved", "customers_on_old", "share_text"),
    *("amount", "amount_as_tier", "share_of_expansion_text"),
]


_PAIR = COLUMNS[:3]
_MOVES = ["customers_moved", "unchanged", "amount", "amount_as_tier"]


@dataclass(frozen=True)
class PriceMoves:
    """What some customers show of price pairs, in a form that adds up over customers.

    Args:
        moves: month, old_price, new_price; customers that moved, those of them at unchanged quantity, and
            their amounts, all and as `tier`.
        holding: month, old_price, customers_on_old: those that hold a counting item on it at the month's
            opening.
        expansion: month, flow_expansion.
    """

    moves: pd.DataFrame
    holding: pd.DataFrame
    expansion: pd.DataFrame


def price_moves(causes: pd.DataFrame, movements: pd.DataFrame, holding: pd.DataFrame) -> PriceMoves:
    """What some customers show, from their rows of mrr/causes and mrr/movements.

    Only moves that changed MRR are seen.
    """
    read = ["month", "customer", "from_price", "to_price", "from_quantity", "to_quantity", "cause", "amount"]
    both = causes.loc[
        causes["from_price"].notna()
        & causes["to_price"].notna()
        & (causes["from_price"] != causes["to_price"]),
        read,
    ]
    rows = both.rename(columns={"from_price": "old_price", "to_price": "new_price"}).astype({"month": "str"})
    schedule = rows[rows["cause"].isin(SCHEDULE_CAUSES)]
    found = rows.groupby(_PAIR)["customer"].nunique().rename("customers_moved").reset_index()
    more = [
        rows[rows["from_quantity"] == rows["to_quantity"]]
        .groupby(_PAIR)["customer"]
        .nunique()
        .rename("unchanged"),
        schedule.groupby(_PAIR)["amount"].sum(),
        schedule[schedule["cause"] == "tier"].groupby(_PAIR)["amount"].sum().rename("amount_as_tier"),
    ]
    for sums in more:
        found = found.merge(sums.reset_index(), on=_PAIR, how="left")
    expansion = movements.groupby(movements["month"].astype("str"))["flow_expansion"].sum()
    moves = found.fillna(dict.fromkeys(_MOVES, 0)).astype(dict.fromkeys(_MOVES, "int64"))
    return PriceMoves(moves, holding, expansion.reset_index())


def headline_expansion(parts: Sequence[PriceMoves]) -> dict[str, int]:
    """The expansion of all customers by month."""
    sums = _added([part.expansion for part in parts], ["month"])
    return dict(zip(sums["month"], sums["flow_expansion"].tolist(), strict=True))


def price_migrations(
    parts: Sequence[PriceMoves], expansion: Mapping[str, int], catalog: Catalog
) -> pd.DataFrame:
    """Price pairs of each month that are declared migrations, or that so many took that they may be one.

    Detected: at least 5 customers, and at least half of those on the old price at opening, moved from it to
    the same new price at unchanged quantity. Product and rank are not asked: on one product the change is the
    cause `price` anyway (D-7), on a "higher" one it is counted as `tier` and this is what gives it away (case
    44).

    Args:
        parts: What all customers of a book show, those of each part apart.
        expansion: `headline_expansion` of them.
        catalog: Declared migrations.

    Returns:
        `COLUMNS`, sorted by month and price pair; amounts in minor units of the reporting currency.
    """
    found = _added([part.moves for part in parts], _PAIR)
    declared = pd.Series(
        [catalog.is_migration(old, new) for old, new in found[_PAIR[1:]].itertuples(index=False)],
        index=found.index,
        dtype=bool,
    )
    found["customers_moved"] = found["customers_moved"].where(declared, found["unchanged"])
    found = found.merge(_added([part.holding for part in parts], _PAIR[:2]), on=_PAIR[:2], how="left")
    found["customers_on_old"] = found["customers_on_old"].fillna(0).astype("int64")
    many = (found["customers_moved"] >= FEWEST_MOVED) & (
        found["customers_moved"] * LEAST_SHARE >= found["customers_on_old"]
    )
    chosen = declared.to_numpy() | many.to_numpy()
    found, declared = found[chosen], declared[chosen]
    found["basis"] = np.where(declared, "declared", "detected")
    found["status"] = np.where(declared, "declared", "to_confirm")
    shares = found[["month", "customers_moved", "customers_on_old", "amount_as_tier"]].itertuples(
        index=False, name=None
    )
    ratios = [
        (ratio_text(count, on_old), ratio_text(as_tier, expansion.get(month, 0)))
        for month, count, on_old, as_tier in shares
    ]
    found["share_text"], found["share_of_expansion_text"] = (
        [one for one, _ in ratios],
        [other for _, other in ratios],
    )
    return found[COLUMNS].sort_values(_PAIR, ignore_index=True)


def _added(frames: Sequence[pd.DataFrame], by: list[str]) -> pd.DataFrame:
    return pd.concat(frames, ignore_index=True).groupby(by, as_index=False).sum()


def customers_on_prices(timeline: Timeline, wanted: Sequence[str]) -> pd.DataFrame:
    """month, old_price, customers_on_old.

    Customers that hold a counting item on a price at each month's opening, where there are any.
    """
    price, prices = pd.factorize(timeline.distinct["price"].astype("str"))
    rows = np.flatnonzero(timeline.counts & (timeline.begins < timeline.beyond))
    of_row, size = price[timeline.terms[rows]], timeline.size
    order = np.lexsort([timeline.begins[rows], timeline.customer[rows], of_row])
    rows, of_row = rows[order], of_row[order]
    # Months in which a customer holds several items on a price count once: a state begins to count where
    # those before it have ended.
    holding = np.cumsum(
        np.append(True, (np.diff(of_row) != 0) | (np.diff(timeline.customer[rows]) != 0))[: len(rows)]
    ) * (size + 1)
    furthest = np.append(0, np.maximum.accumulate(timeline.beyond[rows] + holding))[: len(rows)]
    begins = np.maximum(timeline.begins[rows], furthest - holding)
    later = begins < timeline.beyond[rows]
    change = np.zeros((len(prices), size + 1), dtype=np.int64)
    np.add.at(change, (of_row[later], begins[later]), 1)
    np.subtract.at(change, (of_row[later], timeline.beyond[rows][later]), 1)
    opening = np.array([timeline.index(month) - 1 for month in wanted], dtype=np.int64)
    opening_counts = np.cumsum(change, axis=1)[:, opening]
    which, month = np.nonzero(opening_counts)
    names = np.array(wanted, dtype=object)[month]
    return pd.DataFrame(
        {"month": names, "old_price": prices[which], "customers_on_old": opening_counts[which, month]}
    ).astype({"month": "str"})
