"""The vendor's own repricings: those declared in the catalog, and those that look like one (semantics 3.3, case 44).

Here: `price_migrations`, from the causes of months to the rows of `mrr/price_migrations`. Not here: what a declared migration does to a label
(`causes.py`), and the flag on the rows it concerns (`flags.py`). A detected one changes no amount until a person declares it.

Stripe tells of no repricing. `transfer_lookup_key` moves a price's handle to its successor, but the old price then has none and Stripe keeps no
former value, so a transferred key cannot be seen; what customers did can.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd

from expansion_platform.domain.metric_rows import ratio_text
from expansion_platform.domain.month_ends import Timeline
from expansion_platform.domain.policy import Catalog

SCHEDULE_CAUSES = ["tier", "price", "interval"]
FEWEST_MOVED = 5
LEAST_SHARE = 2  # one in two of the customers on the old price

COLUMNS = [
    *("month", "old_price", "new_price", "basis", "status", "customers_moved", "customers_on_old", "share_text"),
    *("amount", "amount_as_tier", "share_of_expansion_text"),
]


OnPrice = Callable[[pd.DataFrame], npt.NDArray[np.int64]]
"""For rows of month and old_price: the number of customers that hold a counting item on the price at the month's opening."""


def price_migrations(causes: pd.DataFrame, movements: pd.DataFrame, on_price: OnPrice, catalog: Catalog) -> pd.DataFrame:
    """Price pairs of each month that are declared migrations, or that so many customers took at once that they may be one.

    Detected: at least 5 customers, and at least half of those on the old price at opening, moved from it to the same new price at unchanged
    quantity. Product and rank are not asked: on one product the change is the cause `price` anyway (D-7), on a "higher" one it is counted as
    `tier` and this is what gives it away (case 44).

    Args:
        causes: mrr/causes of some months.
        movements: mrr/movements of the same months.
        on_price: How many customers are on the old price.
        catalog: Declared migrations.

    Returns:
        `COLUMNS`, sorted by month and price pair; amounts in minor units of the reporting currency. Only moves that changed MRR are seen.
    """
    read = ["month", "customer", "from_price", "to_price", "from_quantity", "to_quantity", "cause", "amount"]
    both = causes.loc[causes["from_price"].notna() & causes["to_price"].notna() & (causes["from_price"] != causes["to_price"]), read]
    moves = both.rename(columns={"from_price": "old_price", "to_price": "new_price"}).astype({"month": "str"})
    by = COLUMNS[:3]
    moved = moves.groupby(by)["customer"].nunique().rename("customers_moved").reset_index()
    unchanged = moves[moves["from_quantity"] == moves["to_quantity"]].groupby(by)["customer"].nunique().rename("unchanged").reset_index()
    found = moved.merge(unchanged, on=by, how="left").fillna({"unchanged": 0})
    declared = pd.Series([catalog.is_migration(old, new) for old, new in found[by[1:]].itertuples(index=False)], index=found.index, dtype=bool)
    found["customers_moved"] = found["customers_moved"].where(declared, found["unchanged"]).astype("int64")
    likely = declared | (found["customers_moved"] >= FEWEST_MOVED)
    found, declared = found[likely], declared[likely]
    found["customers_on_old"] = on_price(found[by[:2]])
    chosen = declared | (found["customers_moved"] * LEAST_SHARE >= found["customers_on_old"])
    found, declared = found[chosen], declared[chosen]
    found["basis"] = declared.map({True: "declared", False: "detected"})
    found["status"] = declared.map({True: "declared", False: "to_confirm"})
    schedule = moves[moves["cause"].isin(SCHEDULE_CAUSES)]
    for name, rows in (("amount", schedule), ("amount_as_tier", schedule[schedule["cause"] == "tier"])):
        sums = rows.groupby(by)["amount"].sum().rename(name).reset_index()
        found = found.merge(sums, on=by, how="left").fillna({name: 0}).astype({name: "int64"})
    expansion = movements.groupby(movements["month"].astype("str"))["flow_expansion"].sum()
    shares = found[["month", "customers_moved", "customers_on_old", "amount_as_tier"]].itertuples(index=False, name=None)
    ratios = [(ratio_text(count, on_old), ratio_text(as_tier, int(expansion.get(month, 0)))) for month, count, on_old, as_tier in shares]
    found["share_text"], found["share_of_expansion_text"] = [one for one, _ in ratios], [other for _, other in ratios]
    return found[COLUMNS].sort_values(by, ignore_index=True)


def customers_on(timeline: Timeline, wanted: pd.DataFrame) -> npt.NDArray[np.int64]:
    """For rows of month and old_price: customers that hold a counting item on the price at the month's opening."""
    price, prices = pd.factorize(timeline.distinct["price"].astype("str"))
    asked = prices.get_indexer(pd.Index(wanted["old_price"].astype("str")))
    rows = np.flatnonzero(timeline.counts & (timeline.begins < timeline.beyond) & np.isin(price[timeline.terms], asked))
    of_row, size = price[timeline.terms[rows]], timeline.size
    order = np.lexsort([timeline.begins[rows], timeline.customer[rows], of_row])
    rows, of_row = rows[order], of_row[order]
    # Months in which a customer holds several items on a price count once: a state begins to count where those before it have ended.
    holding = np.cumsum(np.append(True, (np.diff(of_row) != 0) | (np.diff(timeline.customer[rows]) != 0))[: len(rows)]) * (size + 1)
    furthest = np.append(0, np.maximum.accumulate(timeline.beyond[rows] + holding))[: len(rows)]
    begins = np.maximum(timeline.begins[rows], furthest - holding)
    later = begins < timeline.beyond[rows]
    change = np.zeros((len(prices), size + 1), dtype=np.int64)
    np.add.at(change, (of_row[later], begins[later]), 1)
    np.subtract.at(change, (of_row[later], timeline.beyond[rows][later]), 1)
    opening = np.array([timeline.index(month) - 1 for month in wanted["month"]], dtype=np.int64)
    return np.asarray(np.cumsum(change, axis=1)[asked, opening])
