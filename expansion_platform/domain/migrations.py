"""The vendor's own repricings: those declared in the catalog, and those that look like one (semantics 3.3, case 44).

Here: `price_migrations`, from a month's causes to the rows of `mrr/price_migrations`. Not here: what a declared migration does to a label
(`causes.py`), and the flag on the rows it concerns (`flags.py`). A detected one changes no amount until a person declares it.

Stripe tells of no repricing. `transfer_lookup_key` moves a price's handle to its successor, but the old price then has none and Stripe keeps no
former value, so a transferred key cannot be seen; what customers did can.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from expansion_platform.domain.metrics import ratio_text
from expansion_platform.domain.policy import Catalog
from expansion_platform.domain.states import owners
from expansion_platform.domain.valuation import value_states

SCHEDULE_CAUSES = ["tier", "price", "interval"]
FEWEST_MOVED = 5
LEAST_SHARE = 2  # one in two of the customers on the old price

COLUMNS = [
    *("old_price", "new_price", "basis", "status", "customers_moved", "customers_on_old", "share_text"),
    *("amount", "amount_as_tier", "share_of_expansion_text"),
]


def price_migrations(
    causes: pd.DataFrame, movements: pd.DataFrame, opening: pd.DataFrame, *, catalog: Catalog, rates_open: Mapping[str, str]
) -> pd.DataFrame:
    """Price pairs of one month that are declared migrations, or that so many customers took at once that they may be one.

    Detected: at least 5 customers, and at least half of those on the old price at opening, moved from it to the same new price at unchanged
    quantity. Product and rank are not asked: on one product the change is the cause `price` anyway (D-7), on a "higher" one it is counted as
    `tier` and this is what gives it away (case 44).

    Args:
        causes: The month's mrr/causes.
        movements: The month's mrr/movements.
        opening: Item states at the opening instant.
        catalog: Declared migrations, aliases and what counts.
        rates_open: The opening instant's rates, only to read `opening`.

    Returns:
        `COLUMNS`, sorted by price pair; amounts in minor units of the reporting currency. Only moves that changed MRR are seen.
    """
    both = causes[(causes["from_item"] != "") & (causes["to_item"] != "") & (causes["from_price"] != causes["to_price"])]
    moves = both.rename(columns={"from_price": "old_price", "to_price": "new_price"})
    by = ["old_price", "new_price"]
    moved = moves.groupby(by)["customer"].nunique().rename("customers_moved").reset_index()
    unchanged = moves[moves["from_quantity"] == moves["to_quantity"]].groupby(by)["customer"].nunique().rename("unchanged").reset_index()
    found = moved.merge(unchanged, on=by, how="left").fillna({"unchanged": 0})
    declared = pd.Series([catalog.is_migration(old, new) for old, new in found[by].itertuples(index=False)], index=found.index, dtype=bool)
    found["customers_moved"] = found["customers_moved"].where(declared, found["unchanged"]).astype("int64")
    likely = declared | (found["customers_moved"] >= FEWEST_MOVED)
    found, declared = found[likely], declared[likely]
    on_old = _customers_on(set(found["old_price"]), opening, catalog, rates_open)
    found["customers_on_old"] = found["old_price"].map(on_old).fillna(0).astype("int64")
    chosen = declared | (found["customers_moved"] * LEAST_SHARE >= found["customers_on_old"])
    found, declared = found[chosen], declared[chosen]
    found["basis"] = declared.map({True: "declared", False: "detected"})
    found["status"] = declared.map({True: "declared", False: "to_confirm"})
    expansion = int(movements["flow_expansion"].sum())
    schedule = moves[moves["cause"].isin(SCHEDULE_CAUSES)]
    for name, rows in (("amount", schedule), ("amount_as_tier", schedule[schedule["cause"] == "tier"])):
        sums = rows.groupby(by)["amount"].sum().rename(name).reset_index()
        found = found.merge(sums, on=by, how="left").fillna({name: 0}).astype({name: "int64"})
    found["share_text"] = [ratio_text(*pair) for pair in found[["customers_moved", "customers_on_old"]].itertuples(index=False)]
    found["share_of_expansion_text"] = [ratio_text(amount, expansion) for amount in found["amount_as_tier"]]
    return found[COLUMNS].sort_values(by, ignore_index=True)


def _customers_on(prices: set[str], opening: pd.DataFrame, catalog: Catalog, rates_open: Mapping[str, str]) -> pd.Series:
    """Customers holding a counting item on each of the prices at the opening instant."""
    rows = opening[opening["price"].isin(prices)]
    counting = rows[value_states(rows, rates_open, catalog.policy, catalog.reporting_currency)["counts"]]
    return counting.assign(customer=owners(counting["customer"], catalog)).groupby("price")["customer"].nunique()
