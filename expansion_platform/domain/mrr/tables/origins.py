"""Who began an expansion (semantics 4.3): the attribution of each positive organic amount.

Here: columns and invariants. Not here: the rule (`domain/mrr/origins.py`), the split of the headline made of
it (`domain/metrics/tables/rates.py`).
"""

from __future__ import annotations

from expansion_platform.domain.core import declared as pa
from expansion_platform.domain.core.table import Instant, Monthly, Table
from expansion_platform.domain.mrr.vocabulary import ORGANIC, ORIGINS

RULES = [
    "initiated_by",
    "opportunity",
    "portal",
    "checkout",
    "usage",
    "schedule",
    "automatic",
    "touch",
    "none",
]


class Origins(Monthly):
    """One row per customer, month, match group and cause with a positive organic amount.

    Where it came from, by the first rule that says.

    This is attribution, not causation.
    """

    customer: str = pa.Field(description="Stripe customer after aliases")
    group: str = pa.Field(description="Match group, as in mrr/causes")
    cause: str = pa.Field(description="Why, as in mrr/causes", isin=ORGANIC)
    origin: str = pa.Field(
        description="`sales`, `csm`, `self_serve`, `product`, `api`; `touched`: somebody spoke with the "
        "customer, which credits nobody; `unknown`",
        isin=ORIGINS,
    )
    rule: str = pa.Field(
        description="What says so, the first of: `initiated_by` metadata; an `opportunity` won from 30 "
        "days before to 14 after; the customer's own `portal` session or `checkout`; Stripe by itself: "
        "`usage`, `schedule`, `automatic`; a `touch` in the 30 days before; `none`",
        isin=RULES,
    )
    amount: int = pa.Field(description="Sum of the organic amounts of the group and cause, minor units", ge=1)
    expansion: int = pa.Field(description="Part of the customer's headline expansion of this cause", ge=0)
    changed_at: Instant = pa.Field(
        description="The last change behind it; null where nothing was changed, as with usage", nullable=True
    )
    evidence_json: str = pa.Field(
        description="Ids of the events, bills, subscriptions, items or CRM records that say so, sorted"
    )

    @pa.dataframe_check(description="the headline's part is within the amount")
    def within(cls, frame):  # noqa: N805, ANN001, ANN201, D102
        return frame["expansion"] <= frame["amount"]

    class Config(Table.Config):
        name = "mrr/origins"
        metadata = {"key": ["month", "customer", "group", "cause"], "partitioned_by": "month"}
        unique = ["month", "customer", "group", "cause"]
