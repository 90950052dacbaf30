"""The rebuilt history beside Stripe's subscriptions of now.

Here: the comparison, item by item. Not here: what the history is rebuilt from (`records.py`).
"""

from __future__ import annotations

import pandas as pd

from expansion_platform.domain.core.errors import DataQualityError

COUNTED_STATUSES = ["active", "past_due", "trialing", "unpaid", "paused"]


def history_matches_stripe(
    item_states: pd.DataFrame,
    quarantine: pd.DataFrame,
    subscriptions: pd.DataFrame,
    subscription_items: pd.DataFrame,
) -> int:
    """The rebuilt current state of every item equals what Stripe shows now (price and quantity).

    Returns how many were compared.

    Items of subscriptions whose present is in quarantine are left out: it says what is wrong with them.

    Raises:
        DataQualityError: naming the items that differ, are missing or should not be there.
    """
    unread = quarantine.loc[quarantine["valid_to"].isna(), "subscription"]
    live = subscriptions.loc[
        subscriptions["status"].isin(COUNTED_STATUSES) & ~subscriptions["id"].isin(unread), "id"
    ]
    shown = subscription_items[subscription_items["subscription"].isin(live)].rename(columns={"id": "item"})
    rebuilt = item_states[item_states["valid_to"].isna()]
    rows = shown[["item", "price", "quantity"]].merge(
        rebuilt[["item", "price", "quantity", "usage_type"]],
        on="item",
        how="outer",
        suffixes=("", "_rebuilt"),
        indicator=True,
    )
    licensed = rows["usage_type"] != "metered"  # a metered item has no quantity in Stripe
    differs = (rows["_merge"] != "both") | (rows["price"] != rows["price_rebuilt"])
    differs |= licensed & (rows["quantity"] != rows["quantity_rebuilt"])
    if differs.any():
        raise DataQualityError(
            "the rebuilt history does not end in Stripe's current items", rows.loc[differs, "item"]
        )
    return len(rows)
