"""Floor `signals`: what was known of each customer at a month's close, and what it says of the months after.

Here: the tables (semantics 6.7). Not here: any rule. A null says "not known", never zero; shares and trends
are decimal text with 6 places.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from expansion_platform.domain.core import declared as pa
from expansion_platform.domain.core.table import Monthly, Table

SHARE = r"^-?\d+\.\d{6}$"
LIMITS = ["seats", "unit", "tier"]
BASES = ["probability", "rule score"]
COMPONENTS = ["engagement", "adoption", "utilisation", "support"]


def _share(description: str, **rules: Any) -> Any:
    return pa.Field(description=description, str_matches=SHARE, nullable=True, **rules)


def _count(description: str) -> Any:
    return pa.Field(description=f"{description}; null when not known", ge=0, nullable=True)


class Features(Monthly):
    """One row per customer that pays at the month's end: what was known of it when the month closed.

    Every other table of this floor, and every model, is made of these.
    """

    customer: str = pa.Field(description="Stripe customer after aliases")
    segment: str = pa.Field(description="Segment at the month's end, by ARR then", nullable=True)
    mrr: int = pa.Field(description="MRR at the month's end, minor units of the reporting currency", gt=0)
    log_mrr: str = pa.Field(description="Natural logarithm of it in whole units", str_matches=SHARE)
    tenure_months: int = pa.Field(description="Months since the customer first paid", ge=0)
    seats: pd.Int64Dtype = _count("Seats held, rounded down")
    seats_growth_1m: str = _share("Seats against a month before, as a share of these")
    seats_growth_3m: str = _share("Seats against three months before")
    seats_growth_6m: str = _share("Seats against six months before")
    months_since_expansion: pd.Int64Dtype = pa.Field(
        description="Months since the newest month with headline expansion, 0 for this one; null for none in "
        "24 months",
        ge=0,
        nullable=True,
    )
    expansions_12m: int = pa.Field(description="Months with headline expansion, of the last 12", ge=0, le=12)
    contractions_3m: int = pa.Field(description="Months with contraction, of the last 3", ge=0, le=3)
    contractions_6m: int = pa.Field(description="Months with contraction, of the last 6", ge=0, le=6)
    discount_share: str = _share("Share of list MRR that discounts take away")
    interval_months: pd.Int64Dtype = _count("Longest billing period, in months, rounded down")
    months_to_renewal: pd.Int64Dtype = pa.Field(
        description="Months until the item with that period renews; null when the period is no whole number "
        "of months",
        ge=0,
        nullable=True,
    )
    months_to_discount_end: pd.Int64Dtype = pa.Field(
        description="Months until the discount that ends next does, as it was planned when it began; null "
        "when none is to end",
        ge=0,
        nullable=True,
    )
    past_due: bool = pa.Field(description="Whether a subscription is past due")
    products_held: int = pa.Field(description="Distinct products held", ge=0)
    tier_rank: pd.Int64Dtype = pa.Field(
        description="Rank of the highest plan held; null when the catalog gives none", nullable=True
    )
    tier_headroom: pd.Int64Dtype = _count("Plans of its family above that one")
    seat_utilisation: str = _share("Active users over seats")
    unit_utilisation: str = _share("Metered units used over units included")
    active_users: pd.Int64Dtype = _count("Distinct people active in the month, summed over accounts")
    active_users_change_1m: str = _share("Against a month before, as a share of these")
    active_users_change_3m: str = _share("Against three months before")
    new_users: pd.Int64Dtype = _count("People who began in the month")
    active_days: pd.Int64Dtype = _count("Days with any activity, of the account with the most")
    stickiness: str = _share("Mean daily over monthly active users")
    engagement_trend: str = _share(
        "Slope of mean daily users over three months, a month, as a share of their mean"
    )
    features_used: pd.Int64Dtype = _count("Distinct features used, of the account with the most")
    key_feature_adoption: str = _share("Share of the key features of signals.yaml that were used")
    logins: pd.Int64Dtype = _count(
        "Logins; of these and the following the sum over accounts, of what signals.yaml maps an event to"
    )
    invites: pd.Int64Dtype = _count("Invites sent")
    gate_hits: pd.Int64Dtype = _count("Attempts to use a feature of a higher plan")
    limit_warnings: pd.Int64Dtype = _count("Warnings that a limit is near")
    integrations: pd.Int64Dtype = _count("Integrations connected")
    milestones: pd.Int64Dtype = _count("Milestones reached")
    open_tickets: pd.Int64Dtype = _count("Support tickets open at the close")
    critical_tickets: pd.Int64Dtype = _count("Those of them that are critical")
    higher_tier_requests: pd.Int64Dtype = _count(
        "Tickets of the last 3 months that ask for a feature of a higher plan"
    )
    nps: pd.Int64Dtype = pa.Field(
        description="Newest NPS answer of the last 12 months, 0 to 10; null for none",
        ge=0,
        le=10,
        nullable=True,
    )
    touches_3m: pd.Int64Dtype = _count("Touches of the last 3 months")
    last_touch: str = pa.Field(description="Day of the newest touch; null for none", nullable=True)
    own_json: str = pa.Field(
        description="{signal: newest value} of the user's own signals (crm/customer_signals), sorted; the "
        "values are decimal text"
    )
    missing_json: str = pa.Field(
        description="Features that are not known, sorted; a null that says there is none is not among them"
    )

    class Config(Table.Config):
        name = "signals/features"
        metadata = {"key": ["month", "customer"], "partitioned_by": "month"}
        unique = ["month", "customer"]


class Utilisation(Monthly):
    """One row per customer and limit: how much of it is used, and when it is reached if use grows on."""

    customer: str = pa.Field(description="Stripe customer after aliases")
    limit: str = pa.Field(
        description="`seats`: active users against seats; `unit`: metered units against those the price "
        "includes; `tier`: metered units against the next tier's edge",
        isin=LIMITS,
    )
    used: str = pa.Field(description="Used in the month", str_matches=SHARE)
    available: str = pa.Field(description="The limit", str_matches=SHARE)
    share: str = pa.Field(description="used / available", str_matches=SHARE)
    months_to_limit: str = _share(
        "Months until the limit is reached at the growth of the last three months; 0 where it is; null where "
        "use does not grow or three months are not known"
    )

    class Config(Table.Config):
        name = "signals/utilisation"
        metadata = {"key": ["month", "customer", "limit"], "partitioned_by": "month"}
        unique = ["month", "customer", "limit"]


class Health(Monthly):
    """One row per customer that pays: its health, from 0 to 100, and what it is made of."""

    customer: str = pa.Field(description="Stripe customer after aliases")
    score: pd.Int64Dtype = pa.Field(
        description="Weighted mean of the components that are known; null when fewer than two are",
        ge=0,
        le=100,
        nullable=True,
    )
    components_json: str = pa.Field(
        description="{component: [value 0 to 100, weight]} of those that are known"
    )
    missing_json: str = pa.Field(description="Components that are not known, sorted")

    class Config(Table.Config):
        name = "signals/health"
        metadata = {"key": ["month", "customer"], "partitioned_by": "month"}
        unique = ["month", "customer"]


class Readiness(Monthly):
    """One row per customer that pays: how ready it is to expand, by points (semantics 6.4)."""

    customer: str = pa.Field(description="Stripe customer after aliases")
    score: int = pa.Field(description="Sum of the points, from 0 to 100", ge=0, le=100)
    utilisation: int = pa.Field(description="Points for utilisation")
    team_growth: int = pa.Field(description="Points for active users that grew")
    higher_tier: int = pa.Field(description="Points for attempts at, or requests of, a higher plan's feature")
    adoption: int = pa.Field(description="Points for key features used")
    engagement: int = pa.Field(description="Points for engagement that rises")
    health: int = pa.Field(description="Points for health")
    tenure: int = pa.Field(description="Points for tenure")
    past_due: int = pa.Field(description="Points, negative, for a payment that is past due", le=0)
    contraction: int = pa.Field(description="Points, negative, for a contraction in three months", le=0)
    detractor: int = pa.Field(description="Points, negative, for an NPS answer of 0 to 6", le=0)
    expanded_lately: int = pa.Field(description="Points, negative, for an expansion in 60 days", le=0)
    reasons_json: str = pa.Field(
        description="The contributions that are not zero, [[name, points]], the largest first"
    )

    class Config(Table.Config):
        name = "signals/readiness"
        metadata = {"key": ["month", "customer"], "partitioned_by": "month"}
        unique = ["month", "customer"]


class Candidates(Monthly):
    """One row per customer that pays, ranked by how likely it is to expand: whom to speak to first.

    For people who know the customer, not to set prices by.
    """

    rank: int = pa.Field(description="1 for the first", ge=1)
    customer: str = pa.Field(description="Stripe customer after aliases")
    owner: str = pa.Field(description="Its owner at the close; null for none", nullable=True)
    segment: str = pa.Field(description="Segment at the month's end", nullable=True)
    mrr: int = pa.Field(description="MRR at the month's end", gt=0)
    basis: str = pa.Field(description="What the rank follows", isin=BASES)
    score: int = pa.Field(description="The readiness score", ge=0, le=100)
    probability: str = pa.Field(
        description="Probability that it expands within three months; null where the gate refused the model",
        str_matches=SHARE,
        nullable=True,
    )
    median_expansion: pd.Int64Dtype = pa.Field(
        description="Median headline expansion of a month in which a customer of the segment expanded, of "
        "the last 12 months; null for none",
        ge=0,
        nullable=True,
    )
    expected_value: pd.Int64Dtype = pa.Field(
        description="probability x median_expansion; null without one of them", ge=0, nullable=True
    )
    reasons_json: str = pa.Field(description="The three strongest reasons in words")
    suggested_type: str = pa.Field(
        description="What it would most likely buy: `seat`, `usage`, `tier` or `cross_sell`, by the "
        "strongest signal; null where there is none",
        isin=["seat", "usage", "tier", "cross_sell"],
        nullable=True,
    )
    last_touch: str = pa.Field(description="Day of the newest touch; null for none", nullable=True)
    do_not_push: bool = pa.Field(description="Whether to leave the customer alone for now")
    do_not_push_because: str = pa.Field(description="Why; null where not", nullable=True)
    arm: str = pa.Field(
        description="Its arm in a programme that runs at the close: `control` for one that must not be "
        "spoken to; null in none",
        isin=["treatment", "control"],
        nullable=True,
    )

    class Config(Table.Config):
        name = "signals/candidates"
        metadata = {"key": ["month", "rank"], "partitioned_by": "month"}
        unique = ["month", "rank"]
