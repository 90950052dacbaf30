"""Floor `mrr`: what each customer pays a month, how that moved, and why.

Here: the three monthly tables every metric is summed from. Not here: rates and ratios (`metrics.py`). All money is int64 minor units of the
reporting currency; `opening` is at the opening instant's exchange rates, `closing` at the closing instant's (semantics 1.4).
"""

from __future__ import annotations

import pandas as pd

from expansion_platform.domain.schemas import declared as pa
from expansion_platform.domain.schemas.base import MONTH_PATTERN, Instant, Table

SEGMENTS = ["enterprise", "mid_market", "smb"]
PRICING_MODELS = ["usage", "seat", "flat", "hybrid"]
MOVEMENTS = ["new", "reactivation", "churn", "continuing"]
REASONS = ["canceled", "deleted", "downgrade_to_free", "paused", "trialing", "unpaid"]
RETURNS = ["recovered", "resubscribed", "resumed", "trial_converted", "upgrade_from_free"]
DORMANT_REASONS = ["full_discount", "zero_quantity", "zero_usage"]
LABELS = ["new", "reactivation", "churn", "expansion", "contraction", "repriced", "fx", "flat"]
CAUSES = ["seat", "tier", "usage", "cross_sell", "addon", "price", "discount", "interval", "fx"]
ORGANIC = CAUSES[:5]
FLOWS = ["new", "reactivation", "expansion", "contraction", "price", "discount", "interval", "fx", "churn"]


class Monthly(Table):
    """Columns of every monthly table."""

    month: str = pa.Field(description="Calendar month in the reporting time zone, YYYY-MM", str_matches=MONTH_PATTERN)
    policy_hash: str = pa.Field(description="Content hash of the counting policy behind the row")
    catalog_hash: str = pa.Field(description="Content hash of the catalog behind the row")


class CustomerMonths(Monthly):
    """One row per customer and month in which it paid at the opening or the closing instant: its MRR at both ends."""

    customer: str = pa.Field(description="Stripe customer after aliases")
    opening: int = pa.Field(description="MRR at the opening instant", ge=0)
    closing: int = pa.Field(description="MRR at the closing instant", ge=0)
    flow_fx: int = pa.Field(
        description="What exchange rates alone did to a customer that paid at both ends, also where nothing else moved and mrr/movements has no row"
    )
    opening_arr: int = pa.Field(description="ARR at the opening instant, rounded on its own per item", ge=0)
    closing_arr: int = pa.Field(description="ARR at the closing instant, rounded on its own per item", ge=0)
    opening_list: int = pa.Field(description="MRR at the opening instant before discounts", ge=0)
    closing_list: int = pa.Field(description="MRR at the closing instant before discounts", ge=0)
    items: int = pa.Field(description="Counting items at the closing instant", ge=0)
    segment: str = pa.Field(description="Size at opening (closing for new and reactivated), by ACV", isin=SEGMENTS)
    pricing_model: str = pa.Field(
        description="What at least 60 % of MRR before discounts counts, at opening (closing for new and reactivated), else `hybrid`",
        isin=PRICING_MODELS,
    )
    closing_pricing_model: str = pa.Field(
        description="The same at the closing instant, so at the next opening; of a customer that left, its last", isin=PRICING_MODELS
    )
    first_paid_month: str = pa.Field(description="Cohort: month of the customer's first MRR, YYYY-MM", str_matches=MONTH_PATTERN)
    first_paid_at: Instant = pa.Field(
        description="Beginning of the customer's first state with MRR, from which its tenure runs; before the cohort's month where it paid for less "
        "than a month first"
    )

    @pa.dataframe_check(description="a row pays at one end at least")
    def pays(cls, frame):  # noqa: N805, ANN001, ANN201, D102
        return (frame["opening"] > 0) | (frame["closing"] > 0)

    @pa.dataframe_check(description="exchange rates move continuing customers only")
    def rates(cls, frame):  # noqa: N805, ANN001, ANN201, D102
        return frame["flow_fx"].eq(0) | ((frame["opening"] > 0) & (frame["closing"] > 0))

    class Config(Table.Config):
        name = "mrr/customer_months"
        metadata = {"key": ["month", "customer"], "partitioned_by": "month"}
        unique = ["month", "customer"]


class CustomerSlices(Monthly):
    """One row per customer and month: its value in each dimension of metrics/expansion_by_dimension, fixed at the month's opening."""

    customer: str = pa.Field(description="Stripe customer after aliases")
    slices_json: str = pa.Field(description="{dimension: value}, at the opening (at the closing of a new or returned customer)")
    next_slices_json: str = pa.Field(description="{dimension: value} at the next opening")

    class Config(Table.Config):
        name = "mrr/customer_slices"
        metadata = {"key": ["month", "customer"], "partitioned_by": "month"}
        unique = ["month", "customer"]


class Movements(Monthly):
    """One row per customer and month in which anything but exchange rates moved: nine flows that sum to the change.

    All flows are zero where what moved cancels out. What exchange rates did to every customer is `flow_fx` of mrr/customer_months.
    """

    customer: str = pa.Field(description="Stripe customer after aliases")
    movement: str = pa.Field(description="Membership (semantics 2.1)", isin=MOVEMENTS)
    label: str = pa.Field(description="The one label of the customer's month (semantics 2.5)", isin=LABELS)
    segment: str = pa.Field(description="Size at opening (closing for new and reactivated), by ACV", isin=SEGMENTS)
    dormant: bool = pa.Field(description="Churn or reactivation of a customer who held a chargeable item all along")
    dormant_reason: str = pa.Field(description="Why nothing was paid for it", isin=DORMANT_REASONS, nullable=True)
    reason: str = pa.Field(
        description="Why the customer stopped paying or came back, by the item that pays most; null when dormant, or nothing says (semantics 7)",
        isin=[*REASONS, *RETURNS],
        nullable=True,
    )
    flags_json: str = pa.Field(
        description="Sorted list of `brief_lapse`, `concentrated`, `contracted_ramp`, `history_truncated`, `inferred`, `intramonth_reversal`, "
        "`possible_price_migration`, `price_migration`, `review`, `seat_surge`, `tax_unknown` (semantics 3.5, 7); no flag changes an amount"
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
    contraction_seat: int = pa.Field(description="Part of the contraction from seats, as a positive amount", ge=0)
    contraction_tier: int = pa.Field(description="Part of the contraction from lower plans, as a positive amount", ge=0)
    contraction_usage: int = pa.Field(description="Part of the contraction from usage, as a positive amount", ge=0)
    contraction_cross_sell: int = pa.Field(description="Part of the contraction from dropped products, as a positive amount", ge=0)
    contraction_addon: int = pa.Field(description="Part of the contraction from dropped add-ons, as a positive amount", ge=0)
    expansion_gross: int = pa.Field(description="Sum of positive organic amounts per match group and cause", ge=0)
    contraction_gross: int = pa.Field(description="Sum of negative organic amounts per match group and cause, as a positive amount", ge=0)
    expansion_unadjusted: int = pa.Field(description="max(0, closing - opening) of a continuing customer: what tools that count any rise say", ge=0)

    @pa.dataframe_check(description="opening + flows = closing, and delta is their difference")
    def flows_close(cls, frame):  # noqa: N805, ANN001, ANN201, D102
        flows = frame[[f"flow_{name}" for name in FLOWS]].sum(axis=1)
        return (frame["opening"] + flows == frame["closing"]) & (frame["closing"] - frame["opening"] == frame["delta"])

    @pa.dataframe_check(description="types sum to expansion and to contraction")
    def types_sum(cls, frame):  # noqa: N805, ANN001, ANN201, D102
        up = frame[[f"expansion_{name}" for name in ORGANIC]].sum(axis=1)
        down = frame[[f"contraction_{name}" for name in ORGANIC]].sum(axis=1)
        return (up == frame["flow_expansion"]) & (-down == frame["flow_contraction"])

    @pa.dataframe_check(description="who pays at which end decides the movement; new, returned and churned customers have that one flow and no other")
    def membership(cls, frame):  # noqa: N805, ANN001, ANN201, D102
        before, after, movement = frame["opening"] > 0, frame["closing"] > 0, frame["movement"]
        held = movement.isin(["churn", "continuing"]) == before
        kept = movement.isin(["new", "reactivation", "continuing"]) == after
        whole = {"new": frame["closing"], "reactivation": frame["closing"], "churn": -frame["opening"]}
        flows = [frame[f"flow_{name}"] == amount.where(movement == name, 0) for name, amount in whole.items()]
        inside = frame[[f"flow_{name}" for name in FLOWS if name not in whole]].ne(0).any(axis=1)
        return held & kept & flows[0] & flows[1] & flows[2] & ~(inside & (movement != "continuing"))

    @pa.dataframe_check(description="a dormant customer churned or came back, and only of one it is said why")
    def dormancy(cls, frame):  # noqa: N805, ANN001, ANN201, D102
        moved = frame["movement"].isin(["churn", "reactivation"])
        return (~frame["dormant"] | moved) & (frame["dormant"] | frame["dormant_reason"].isna())

    @pa.dataframe_check(description="expansion or contraction, never both; contraction = min(0, G), expansion <= max(0, G), of the gross amounts")
    def one_direction(cls, frame):  # noqa: N805, ANN001, ANN201, D102
        organic = frame["expansion_gross"] - frame["contraction_gross"]
        down = frame["flow_contraction"] == organic.clip(upper=0)
        return down & (frame["flow_expansion"] <= organic.clip(lower=0))

    @pa.dataframe_check(description="unadjusted = max(0, closing - opening) of continuing customers")
    def unadjusted(cls, frame):  # noqa: N805, ANN001, ANN201, D102
        return frame["expansion_unadjusted"] == frame["delta"].clip(lower=0).where(frame["movement"] == "continuing", 0)

    @pa.dataframe_check(description="the label is the first that fits: expansion, contraction, repriced, fx, flat")
    def labelled(cls, frame):  # noqa: N805, ANN001, ANN201, D102
        repriced = frame[["flow_price", "flow_discount", "flow_interval"]].ne(0).any(axis=1)
        fitting = pd.Series("flat", index=frame.index).mask(frame["flow_fx"] != 0, "fx").mask(repriced, "repriced")
        fitting = fitting.mask(frame["flow_contraction"] < 0, "contraction").mask(frame["flow_expansion"] > 0, "expansion")
        return frame["label"] == fitting.where(frame["movement"] == "continuing", frame["movement"])

    class Config(Table.Config):
        name = "mrr/movements"
        metadata = {"key": ["month", "customer"], "partitioned_by": "month"}
        unique = ["month", "customer"]


class FirstReported(Monthly):
    """One row per customer and month as it was when the month closed (semantics 1.8): written once, never again; the other tables are restated.

    Of every customer that held anything at either end, paying or not, with what its figures were made of, so that a later difference has a reason.
    Columns that are null in all rows of a month were not kept by the version that closed it: they are unknown, not zero.
    """

    customer: str = pa.Field(description="Stripe customer after the aliases of then")
    reported_at: Instant = pa.Field(description="When Stripe had last been read as the month closed")
    segment: str = pa.Field(
        description="Size at opening (closing for new and reactivated); null when it paid at neither end", isin=SEGMENTS, nullable=True
    )
    first_paid_month: str = pa.Field(description="Month of its first MRR; null when it paid at neither end", str_matches=MONTH_PATTERN, nullable=True)
    opening: int = pa.Field(description="MRR at the opening instant", ge=0)
    closing: int = pa.Field(description="MRR at the closing instant", ge=0)
    flow_new: int = pa.Field(description="MRR of a customer that never paid before", ge=0)
    flow_reactivation: int = pa.Field(description="MRR of a customer that paid before and returned", ge=0)
    flow_expansion: int = pa.Field(description="Headline expansion", ge=0)
    flow_contraction: int = pa.Field(description="Organic loss of a continuing customer", le=0)
    flow_price: int = pa.Field(description="Vendor repricing")
    flow_discount: int = pa.Field(description="Discounts given and ended")
    flow_interval: int = pa.Field(description="Annual against monthly")
    flow_fx: int = pa.Field(description="Exchange rates")
    flow_churn: int = pa.Field(description="MRR of a customer that stopped paying", le=0)
    expansion_seat: int = pa.Field(description="Part of the headline from seats", ge=0)
    expansion_tier: int = pa.Field(description="Part of the headline from higher plans", ge=0)
    expansion_usage: int = pa.Field(description="Part of the headline from metered usage", ge=0)
    expansion_cross_sell: int = pa.Field(description="Part of the headline from further products", ge=0)
    expansion_addon: int = pa.Field(description="Part of the headline from add-ons", ge=0)
    contraction_seat: pd.Int64Dtype = pa.Field(description="Part of the contraction from seats, as a positive amount", ge=0, nullable=True)
    contraction_tier: pd.Int64Dtype = pa.Field(description="Part of the contraction from lower plans, as a positive amount", ge=0, nullable=True)
    contraction_usage: pd.Int64Dtype = pa.Field(description="Part of the contraction from usage, as a positive amount", ge=0, nullable=True)
    contraction_cross_sell: pd.Int64Dtype = pa.Field(description="Part of the contraction from dropped products", ge=0, nullable=True)
    contraction_addon: pd.Int64Dtype = pa.Field(description="Part of the contraction from dropped add-ons", ge=0, nullable=True)
    expansion_gross: pd.Int64Dtype = pa.Field(description="Sum of positive organic amounts per match group and cause", ge=0, nullable=True)
    contraction_gross: pd.Int64Dtype = pa.Field(description="Sum of negative organic amounts, as a positive amount", ge=0, nullable=True)
    expansion_unadjusted: pd.Int64Dtype = pa.Field(description="Any rise of a continuing customer", ge=0, nullable=True)
    dormant_churn: pd.Int64Dtype = pa.Field(description="flow_churn of a customer that still held something", le=0, nullable=True)
    dormant_churn_full_discount: pd.Int64Dtype = pa.Field(description="The same for this reason", le=0, nullable=True)
    dormant_churn_zero_quantity: pd.Int64Dtype = pa.Field(description="The same for this reason", le=0, nullable=True)
    dormant_churn_zero_usage: pd.Int64Dtype = pa.Field(description="The same for this reason", le=0, nullable=True)
    dormant_reactivation: pd.Int64Dtype = pa.Field(description="flow_reactivation of a customer that held something before", ge=0, nullable=True)
    closing_arr: pd.Int64Dtype = pa.Field(description="ARR at the closing instant", ge=0, nullable=True)
    next_segment: str = pa.Field(description="Segment at the next opening, by the thresholds of then", isin=SEGMENTS, nullable=True)
    slices_json: str = pa.Field(description="{dimension: value} of then, as in mrr/customer_slices", nullable=True)
    next_slices_json: str = pa.Field(description="The same at the next opening", nullable=True)
    origins_json: str = pa.Field(description="Its headline expansion by origin: {origin: minor units}", nullable=True)
    states_hash: str = pa.Field(description="Hash of what it held at both ends, metered quantities left out")
    usage_hash: str = pa.Field(description="Hash of its metered quantities at both ends")
    rates_json: str = pa.Field(description="Exchange rates of its currencies: {currency: [opening, closing]}")
    timezone: str = pa.Field(description="Reporting time zone of then")
    rules_hash: str = pa.Field(description="Content hash of the package's rules behind the row")

    @pa.dataframe_check(description="opening + flows = closing")
    def flows_close(cls, frame):  # noqa: N805, ANN001, ANN201, D102
        return frame["opening"] + frame[[f"flow_{name}" for name in FLOWS]].sum(axis=1) == frame["closing"]

    @pa.dataframe_check(description="types sum to expansion")
    def types_sum(cls, frame):  # noqa: N805, ANN001, ANN201, D102
        return frame[[f"expansion_{name}" for name in ORGANIC]].sum(axis=1) == frame["flow_expansion"]

    class Config(Table.Config):
        name = "mrr/first_reported"
        metadata = {
            "key": ["month", "customer"],
            "partitioned_by": "month",
            "added": [
                *(f"contraction_{name}" for name in ORGANIC),
                *("expansion_gross", "contraction_gross", "expansion_unadjusted", "closing_arr"),
                *("dormant_churn", *(f"dormant_churn_{reason}" for reason in DORMANT_REASONS), "dormant_reactivation"),
                *("next_segment", "slices_json", "next_slices_json", "origins_json"),
            ],
        }
        unique = ["month", "customer"]


class Causes(Monthly):
    """One row per continuing customer, month, matched pair of items and cause: how much of the change it explains, with its evidence.

    A customer in whom nothing but exchange rates moved has none, as it has no row in mrr/movements.
    """

    customer: str = pa.Field(description="Stripe customer after aliases")
    group: str = pa.Field(description="Match group the items were compared in: family, add-on product or meter")
    cause: str = pa.Field(description="Why (semantics 3.3)", isin=CAUSES)
    amount: int = pa.Field(description="Minor units of the reporting currency; never zero", ne=0)
    from_item: str = pa.Field(description="Item at opening, empty when the item was added")
    to_item: str = pa.Field(description="Item at closing, empty when the item was removed")
    from_price: str = pa.Field(description="Its price at opening", nullable=True)
    to_price: str = pa.Field(description="Its price at closing", nullable=True)
    from_quantity: str = pa.Field(description="Its quantity at opening", nullable=True)
    to_quantity: str = pa.Field(description="Its quantity at closing", nullable=True)
    from_discounts_json: str = pa.Field(description="Its discounts at opening", nullable=True)
    to_discounts_json: str = pa.Field(description="Its discounts at closing", nullable=True)
    from_mrr: int = pa.Field(description="Its MRR at opening", ge=0)
    to_mrr: int = pa.Field(description="Its MRR at closing, valued at opening exchange rates", ge=0)
    match_pass: str = pa.Field(
        description="How the pair was found: `item`, `swap`, `price`, `product`, `any`, or `added`, `removed` when unmatched",
        isin=["item", "swap", "price", "product", "any", "added", "removed"],
    )
    corners_json: str = pa.Field(description="MRR of each hybrid state the amount was averaged over, by switched factors (semantics 3.4)")
    inferred: bool = pa.Field(description="The catalog was silent and its entry was inferred")
    flags_json: str = pa.Field(
        description="Sorted list of `contracted_ramp`, `downgrade`, `possible_price_migration`, `price_migration`, `upgrade`, "
        "`usage_tier_period_mismatch` (semantics 3.5, 7); no flag changes an amount"
    )

    @pa.dataframe_check(description="an added item has no opening side, a removed one no closing side, every other pair has both")
    def sides(cls, frame):  # noqa: N805, ANN001, ANN201, D102
        how = frame["match_pass"]
        return (how.eq("added") == frame["from_item"].eq("")) & (how.eq("removed") == frame["to_item"].eq(""))

    class Config(Table.Config):
        name = "mrr/causes"
        metadata = {"key": ["month", "customer", "group", "cause", "from_item", "to_item"], "partitioned_by": "month"}
        unique = ["month", "customer", "group", "cause", "from_item", "to_item"]


class PriceMigrations(Monthly):
    """One row per month and price pair customers were moved over, declared or detected; a detected pair changes no amount until it is declared."""

    old_price: str = pa.Field(description="Price left")
    new_price: str = pa.Field(description="Price taken")
    basis: str = pa.Field(
        description="`declared` in the catalog; `detected`: at least 5 customers and half of those on the old price took the new one at "
        "unchanged quantity (semantics 3.3)",
        isin=["declared", "detected"],
    )
    status: str = pa.Field(description="`to_confirm` until the pair stands under `migrations` in the catalog", isin=["declared", "to_confirm"])
    customers_moved: int = pa.Field(description="Customers that moved, at unchanged quantity when detected", ge=1)
    customers_on_old: int = pa.Field(description="Customers that held the old price at opening", ge=1)
    share_text: str = pa.Field(description="customers_moved / customers_on_old, decimal text")
    amount: int = pa.Field(description="MRR change of the moves by plan, price and interval")
    amount_as_tier: int = pa.Field(description="Part of it counted as a change of plan, so in expansion or contraction")
    share_of_expansion_text: str = pa.Field(description="amount_as_tier over the month's headline expansion; null when there is none", nullable=True)

    class Config(Table.Config):
        name = "mrr/price_migrations"
        metadata = {"key": ["month", "old_price", "new_price"], "partitioned_by": "month"}
        unique = ["month", "old_price", "new_price"]
