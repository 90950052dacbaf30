"""How each customer's month moved: nine flows that sum to the change.

Here: columns and invariants (semantics 2). Not here: the rule (`domain/mrr/movements.py`).
"""

from __future__ import annotations

import pandas as pd

from expansion_platform.domain.core import declared as pa
from expansion_platform.domain.core.table import Monthly, Table
from expansion_platform.domain.mrr.vocabulary import (
    DORMANT_REASONS,
    FLOWS,
    LABELS,
    MOVEMENTS,
    ORGANIC,
    REASONS,
    RETURNS,
    SEGMENTS,
)


class Movements(Monthly):
    """One row per customer and month in which anything but exchange rates moved.

    Nine flows that sum to the change.

    All flows are zero where what moved cancels out. What exchange rates did to every customer is `flow_fx` of
    mrr/customer_months.
    """

    customer: str = pa.Field(description="Stripe customer after aliases")
    movement: str = pa.Field(description="Membership (semantics 2.1)", isin=MOVEMENTS)
    label: str = pa.Field(description="The one label of the customer's month (semantics 2.5)", isin=LABELS)
    segment: str = pa.Field(
        description="Size at opening (closing for new and reactivated), by ACV", isin=SEGMENTS
    )
    dormant: bool = pa.Field(
        description="Churn or reactivation of a customer that had a chargeable item all the time"
    )
    dormant_reason: str = pa.Field(
        description="Why nothing was paid for it", isin=DORMANT_REASONS, nullable=True
    )
    reason: str = pa.Field(
        description="Why the customer stopped paying or came back, by the item that pays most; null "
        "when dormant, or nothing says (semantics 7)",
        isin=[*REASONS, *RETURNS],
        nullable=True,
    )
    flags_json: str = pa.Field(
        description="Sorted list of `brief_lapse`, `concentrated`, `contracted_ramp`, "
        "`history_truncated`, `inferred`, `intramonth_reversal`, `possible_price_migration`, "
        "`price_migration`, `review`, `seat_surge`, `tax_unknown` (semantics 3.5, 7); no flag changes "
        "an amount"
    )
    opening: int = pa.Field(description="MRR at the opening instant", ge=0)
    closing: int = pa.Field(description="MRR at the closing instant", ge=0)
    delta: int = pa.Field(description="closing - opening")
    flow_new: int = pa.Field(description="MRR of a customer that never paid before", ge=0)
    flow_reactivation: int = pa.Field(description="MRR of a customer that paid before and returned", ge=0)
    flow_expansion: int = pa.Field(description="Headline expansion (semantics 2.2)", ge=0)
    flow_contraction: int = pa.Field(description="Organic loss of a continuing customer", le=0)
    flow_price: int = pa.Field(description="Vendor repricing: never expansion")
    flow_discount: int = pa.Field(description="Discounts given and ended: never expansion")
    flow_interval: int = pa.Field(description="Annual against monthly: never expansion")
    flow_fx: int = pa.Field(description="Exchange rates: never expansion")
    flow_churn: int = pa.Field(description="MRR of a customer that stopped paying", le=0)
    expansion_seat: int = pa.Field(description="Part of the headline from seats", ge=0)
    expansion_tier: int = pa.Field(description="Part of the headline from higher plans", ge=0)
    expansion_usage: int = pa.Field(description="Part of the headline from metered usage", ge=0)
    expansion_cross_sell: int = pa.Field(description="Part of the headline from further products", ge=0)
    expansion_addon: int = pa.Field(description="Part of the headline from add-ons", ge=0)
    contraction_seat: int = pa.Field(
        description="Part of the contraction from seats, as a positive amount", ge=0
    )
    contraction_tier: int = pa.Field(
        description="Part of the contraction from lower plans, as a positive amount", ge=0
    )
    contraction_usage: int = pa.Field(
        description="Part of the contraction from usage, as a positive amount", ge=0
    )
    contraction_cross_sell: int = pa.Field(
        description="Part of the contraction from dropped products, as a positive amount", ge=0
    )
    contraction_addon: int = pa.Field(
        description="Part of the contraction from dropped add-ons, as a positive amount", ge=0
    )
    expansion_gross: int = pa.Field(
        description="Sum of positive organic amounts per match group and cause", ge=0
    )
    contraction_gross: int = pa.Field(
        description="Sum of negative organic amounts per match group and cause, as a positive amount", ge=0
    )
    expansion_unadjusted: int = pa.Field(
        description="max(0, closing - opening) of a continuing customer: what tools that count any rise say",
        ge=0,
    )

    @pa.dataframe_check(description="opening + flows = closing, and delta is their difference")
    def flows_close(cls, frame):  # noqa: N805, ANN001, ANN201, D102
        flows = frame[[f"flow_{name}" for name in FLOWS]].sum(axis=1)
        return (frame["opening"] + flows == frame["closing"]) & (
            frame["closing"] - frame["opening"] == frame["delta"]
        )

    @pa.dataframe_check(description="types sum to expansion and to contraction")
    def types_sum(cls, frame):  # noqa: N805, ANN001, ANN201, D102
        up = frame[[f"expansion_{name}" for name in ORGANIC]].sum(axis=1)
        down = frame[[f"contraction_{name}" for name in ORGANIC]].sum(axis=1)
        return (up == frame["flow_expansion"]) & (-down == frame["flow_contraction"])

    @pa.dataframe_check(
        description="who pays at which end decides the movement; new, returned and churned customers "
        "have that one flow and no other"
    )
    def membership(cls, frame):  # noqa: N805, ANN001, ANN201, D102
        before, after, movement = frame["opening"] > 0, frame["closing"] > 0, frame["movement"]
        opening_matches = movement.isin(["churn", "continuing"]) == before
        kept = movement.isin(["new", "reactivation", "continuing"]) == after
        whole = {"new": frame["closing"], "reactivation": frame["closing"], "churn": -frame["opening"]}
        flows = [frame[f"flow_{name}"] == amount.where(movement == name, 0) for name, amount in whole.items()]
        inside = frame[[f"flow_{name}" for name in FLOWS if name not in whole]].ne(0).any(axis=1)
        return (
            opening_matches & kept & flows[0] & flows[1] & flows[2] & ~(inside & (movement != "continuing"))
        )

    @pa.dataframe_check(description="a dormant customer churned or came back, and only of one it is said why")
    def dormancy(cls, frame):  # noqa: N805, ANN001, ANN201, D102
        moved = frame["movement"].isin(["churn", "reactivation"])
        return (~frame["dormant"] | moved) & (frame["dormant"] | frame["dormant_reason"].isna())

    @pa.dataframe_check(
        description="expansion or contraction, never both; contraction = min(0, G), expansion <= max(0, "
        "G), of the gross amounts"
    )
    def one_direction(cls, frame):  # noqa: N805, ANN001, ANN201, D102
        organic = frame["expansion_gross"] - frame["contraction_gross"]
        down = frame["flow_contraction"] == organic.clip(upper=0)
        return down & (frame["flow_expansion"] <= organic.clip(lower=0))

    @pa.dataframe_check(description="unadjusted = max(0, closing - opening) of continuing customers")
    def unadjusted(cls, frame):  # noqa: N805, ANN001, ANN201, D102
        return frame["expansion_unadjusted"] == frame["delta"].clip(lower=0).where(
            frame["movement"] == "continuing", 0
        )

    @pa.dataframe_check(
        description="the label is the first that fits: expansion, contraction, repriced, fx, flat"
    )
    def labelled(cls, frame):  # noqa: N805, ANN001, ANN201, D102
        repriced = frame[["flow_price", "flow_discount", "flow_interval"]].ne(0).any(axis=1)
        fitting = (
            pd.Series("flat", index=frame.index).mask(frame["flow_fx"] != 0, "fx").mask(repriced, "repriced")
        )
        fitting = fitting.mask(frame["flow_contraction"] < 0, "contraction").mask(
            frame["flow_expansion"] > 0, "expansion"
        )
        return frame["label"] == fitting.where(frame["movement"] == "continuing", frame["movement"])

    class Config(Table.Config):
        name = "mrr/movements"
        metadata = {"key": ["month", "customer"], "partitioned_by": "month"}
        unique = ["month", "customer"]
