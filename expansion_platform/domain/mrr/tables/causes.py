"""Why a continuing customer's MRR moved, and the vendor's own repricings.

Here: columns and invariants (semantics 3). Not here: the rules (`domain/mrr/causes.py`,
`domain/mrr/migrations.py`).
"""

from __future__ import annotations

from expansion_platform.domain.core import declared as pa
from expansion_platform.domain.core.table import Monthly, Table
from expansion_platform.domain.mrr.vocabulary import CAUSES


class Causes(Monthly):
    """One row per continuing customer, month, matched pair of items and cause.

    How much of the change it explains, with its evidence.

    A customer in whom nothing but exchange rates moved has none, as it has no row in mrr/movements.
    """

    customer: str = pa.Field(description="Stripe customer after aliases")
    group: str = pa.Field(
        description="Match group the items were compared in: family, add-on product or meter"
    )
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
        description="How the pair was found: `item`, `swap`, `price`, `product`, `any`, or `added`, "
        "`removed` when unmatched",
        isin=["item", "swap", "price", "product", "any", "added", "removed"],
    )
    corners_json: str = pa.Field(
        description="MRR of each hybrid state the amount was "
        "averaged over, by switched factors (semantics 3.4)"
    )
    inferred: bool = pa.Field(description="The catalog was silent and its entry was inferred")
    flags_json: str = pa.Field(
        description="Sorted list of `contracted_ramp`, `downgrade`, `possible_price_migration`, "
        "`price_migration`, `upgrade`, `usage_tier_period_mismatch` (semantics 3.5, 7); no flag changes "
        "an amount"
    )

    @pa.dataframe_check(
        description="an added item has no opening side, a removed "
        "one no closing side, every other pair has both"
    )
    def sides(cls, frame):  # noqa: N805, ANN001, ANN201, D102
        how = frame["match_pass"]
        return (how.eq("added") == frame["from_item"].eq("")) & (how.eq("removed") == frame["to_item"].eq(""))

    class Config(Table.Config):
        name = "mrr/causes"
        metadata = {
            "key": ["month", "customer", "group", "cause", "from_item", "to_item"],
            "partitioned_by": "month",
        }
        unique = ["month", "customer", "group", "cause", "from_item", "to_item"]


class PriceMigrations(Monthly):
    """One row per month and price pair customers were moved over, declared or detected.

    A detected pair changes no amount until it is declared.
    """

    old_price: str = pa.Field(description="Price left")
    new_price: str = pa.Field(description="Price taken")
    basis: str = pa.Field(
        description="`declared` in the catalog; `detected`: at least 5 customers and half of those on "
        "the old price took the new one at unchanged quantity (semantics 3.3)",
        isin=["declared", "detected"],
    )
    status: str = pa.Field(
        description="`to_confirm` until the pair stands under `migrations` in the catalog",
        isin=["declared", "to_confirm"],
    )
    customers_moved: int = pa.Field(
        description="Customers that moved, at unchanged quantity when detected", ge=1
    )
    customers_on_old: int = pa.Field(description="Customers with the old price at opening", ge=1)
    share_text: str = pa.Field(description="customers_moved / customers_on_old, decimal text")
    amount: int = pa.Field(description="MRR change of the moves by plan, price and interval")
    amount_as_tier: int = pa.Field(
        description="Part of it counted as a change of plan, so in expansion or contraction"
    )
    share_of_expansion_text: str = pa.Field(
        description="amount_as_tier over the month's headline expansion; null when there is none",
        nullable=True,
    )

    class Config(Table.Config):
        name = "mrr/price_migrations"
        metadata = {"key": ["month", "old_price", "new_price"], "partitioned_by": "month"}
        unique = ["month", "old_price", "new_price"]
