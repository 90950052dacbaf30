"""Why a customer stopped paying or came back, where Stripe's state says it (semantics 2.1, section 7).

Here: `reasons`, from the states of churned and reactivated customers at both ends. Not here: how much they paid (`movements.py`), and why
MRR of continuing customers changed (`causes.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd

from expansion_platform.domain.policy import Catalog
from expansion_platform.domain.states import of_customers
from expansion_platform.domain.valuation import value_states

# (churn, reactivation) by what the item is at the end at which the customer does not pay; section 7's case beside it.
GONE = ("canceled", "resubscribed")  # 14, 16
FREE = ("downgrade_to_free", "upgrade_from_free")  # 8, 7
PAUSED = ("paused", "resumed")  # 9
BY_STATUS = {
    "trialing": ("trialing", "trial_converted"),  # 6, 5
    "paused": PAUSED,  # 10
    "unpaid": ("unpaid", "recovered"),  # 12
    "incomplete": ("unpaid", "recovered"),
    "incomplete_expired": ("unpaid", "recovered"),
    "canceled": GONE,
}
DELETED = "deleted"  # 53


def reasons(
    movements: pd.DataFrame,
    opening: pd.DataFrame,
    closing: pd.DataFrame,
    *,
    catalog: Catalog,
    rates_open: Mapping[str, str],
    rates_close: Mapping[str, str],
    deleted: Collection[str],
) -> pd.DataFrame:
    """`reason` and `dormant_reason` of each row of `movements`, null where nothing names one.

    Args:
        movements: The month's movements: customer, movement, dormant.
        opening: Item states at the opening instant.
        closing: The same at the closing instant.
        catalog: What counts, and aliases.
        rates_open: The opening instant's rates.
        rates_close: The closing instant's rates.
        deleted: Customers deleted within the month, after aliases.
    """
    found = pd.DataFrame(None, index=movements.index, columns=["reason", "dormant_reason"], dtype=object)
    ends = {"opening": (opening, rates_open), "closing": (closing, rates_close)}
    for side, (movement, paying_end, other_end) in enumerate((("churn", "opening", "closing"), ("reactivation", "closing", "opening"))):
        for dormant in (False, True):
            at = (movements["movement"] == movement) & (movements["dormant"] == dormant)
            customers = movements.loc[at, "customer"]
            if customers.empty:
                continue
            paying, other = (
                value_states(of_customers(states, set(customers.to_numpy(dtype=object)), catalog), rates, catalog.policy, catalog.reporting_currency)
                for states, rates in (ends[paying_end], ends[other_end])
            )
            if dormant:
                found.loc[at, "dormant_reason"] = customers.map(dormant_reason(other))
            else:
                found.loc[at, "reason"] = customers.map(membership_reason(paying, other, side, deleted if movement == "churn" else ()))
    return found.astype("str")


def membership_reason(paying: pd.DataFrame, other: pd.DataFrame, side: int, deleted: Collection[str]) -> pd.Series:
    """Reason by customer: what the item that pays most (ties: smallest id) is at the other end (section 7, cases 5 to 16, 53).

    `paying` and `other` are valued states of the same customers; `side` is 0 for churn, 1 for reactivation.
    """
    most = paying[paying["mrr_minor"] > 0].sort_values(["mrr_minor", "item"], ascending=[False, True]).drop_duplicates("customer")
    there = other.set_index("item")[["status", "collection_paused", "counts"]].reindex(most["item"])
    status, absent = there["status"], there["status"].isna().to_numpy()
    reason = status.map({name: pair[side] for name, pair in BY_STATUS.items()}).to_numpy(dtype=object)
    collection_paused = there["collection_paused"].notna().to_numpy() & (there["counts"] != True).to_numpy()  # noqa: E712  null where absent
    reason[collection_paused & status.isin(["active", "past_due"]).to_numpy()] = PAUSED[side]
    reason[absent] = GONE[side]
    free = most["customer"].isin(set(other.loc[other["counts"] & ~other["chargeable"], "customer"])).to_numpy()
    reason[free] = FREE[side]
    reason[most["customer"].isin(set(deleted)).to_numpy()] = DELETED
    return pd.Series(reason, index=most["customer"].to_numpy(), dtype="str")


def dormant_reason(other: pd.DataFrame) -> pd.Series:
    """Why nothing is paid for chargeable items, by customer (semantics 2.1): a discount, else no usage, else nothing held that costs."""
    items = other[other["chargeable"]]
    discounted, metered = items["list_mrr_minor"] > 0, items["usage_type"] == "metered"
    rank = pd.Series(np.select([discounted, metered], [0, 1], 2), index=items["customer"].to_numpy(), dtype="int64")
    return rank.groupby(level=0).min().map({0: "full_discount", 1: "zero_usage", 2: "zero_quantity"}).astype("str")
