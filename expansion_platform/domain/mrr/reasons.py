"""Why a customer stopped paying or came back, where Stripe's state says it (semantics 2.1, section 7).

Here: `reasons`, from the states of churned and reactivated customers at both ends of their months. Not here:
how much they paid (`movements.py`), and why MRR of continuing customers changed (`causes.py`).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from expansion_platform.domain.core.money import Bools, Ints
from expansion_platform.domain.mrr.month_snapshot import MonthSnapshot, Side
from expansion_platform.domain.mrr.movements import CHURN, REACTIVATION, Changes, dormant_months
from expansion_platform.domain.mrr.valuation import Valued

# (churn, reactivation) by what the item is at the end at which the customer does not pay; section 7's case
# beside it.
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
    changes: Changes, shown: Ints, ends: tuple[pd.DataFrame, pd.DataFrame], deleted: Bools
) -> pd.DataFrame:
    """`reason` and `dormant_reason` of some customer-months, null where nothing names one.

    Args:
        changes: What moved.
        shown: Codes of the customer-months, one a row of the result.
        ends: The item states that the rows of the opening and of the closing side are of.
        deleted: By code of the customer-month: the customer was deleted in the month.
    """
    found = pd.DataFrame(
        None, index=range(len(changes.movement)), columns=["reason", "dormant_reason"], dtype=object
    )
    dormant = dormant_months(changes)
    book = changes.book
    sides = [(book.opening, book.at_open, ends[0]), (book.closing, book.at_close, ends[1])]
    for side, movement in enumerate((CHURN, REACTIVATION)):
        paying, other = sides[side], sides[1 - side]
        moved = changes.movement == movement
        found.update(
            membership_reason(
                _items_at(book, *paying, moved & ~dormant),
                _items_at(book, *other, moved & ~dormant),
                side,
                deleted,
            ).to_frame("reason")
        )
        found.update(dormant_reason(_items_at(book, *other, moved & dormant)).to_frame("dormant_reason"))
    return found.take(shown).reset_index(drop=True).astype("str")


def _items_at(
    book: MonthSnapshot, side: Side, valued: Valued, states: pd.DataFrame, chosen: Bools
) -> pd.DataFrame:
    """The items of the chosen customer-months at one end, valued; `customer` and `item` are codes."""
    at = np.flatnonzero(chosen[side.customer])
    terms, counts = side.terms[at], side.counts[at]
    columns = {
        "customer": side.customer[at],
        "item": side.item[at],
        "id": book.item_ids(side, at),
        "mrr_minor": np.where(counts, valued.mrr[terms], 0),
        "list_mrr_minor": np.where(counts, valued.list_mrr[terms], 0),
        "counts": counts,
        "chargeable": counts & book.chargeable[terms],
        **{
            name: states[name].iloc[side.row[at]].astype("str").to_numpy()
            for name in ("status", "collection_paused", "usage_type")
        },
    }
    return pd.DataFrame(columns)


def membership_reason(paying: pd.DataFrame, other: pd.DataFrame, side: int, deleted: Bools) -> pd.Series:
    """Reason by customer-month: what the item that pays most (ties: smallest id) is at the other end.

    See section 7, cases 5 to 16, 53.

    `paying` and `other` are valued states of the same customer-months; `side` is 0 for churn, 1 for
    reactivation; `deleted` is by customer-month.
    """
    most = (
        paying[paying["mrr_minor"] > 0]
        .sort_values(["mrr_minor", "id"], ascending=[False, True])
        .drop_duplicates("customer")
    )
    there = other.set_index("item")[["status", "collection_paused", "counts"]].reindex(most["item"])
    status, absent = there["status"], there["status"].isna().to_numpy()
    reason = status.map({name: pair[side] for name, pair in BY_STATUS.items()}).to_numpy(dtype=object)
    collection_paused = there["collection_paused"].notna().to_numpy() & (there["counts"] != True).to_numpy()  # noqa: E712  null where absent
    reason[collection_paused & status.isin(["active", "past_due"]).to_numpy()] = PAUSED[side]
    reason[absent] = GONE[side]
    free = (
        most["customer"].isin(set(other.loc[other["counts"] & ~other["chargeable"], "customer"])).to_numpy()
    )
    reason[free] = FREE[side]
    if side == 0:
        reason[deleted[most["customer"].to_numpy()]] = DELETED
    return pd.Series(reason, index=most["customer"].to_numpy(), dtype="str")


def dormant_reason(other: pd.DataFrame) -> pd.Series:
    """Why nothing is paid for chargeable items, by customer (semantics 2.1).

    A discount, else no usage, else no item that costs anything.
    """
    items = other[other["chargeable"]]
    discounted, metered = items["list_mrr_minor"] > 0, items["usage_type"] == "metered"
    rank = pd.Series(
        np.select([discounted, metered], [0, 1], 2), index=items["customer"].to_numpy(), dtype="int64"
    )
    return (
        rank.groupby(level=0)
        .min()
        .map({0: "full_discount", 1: "zero_usage", 2: "zero_quantity"})
        .astype("str")
    )
