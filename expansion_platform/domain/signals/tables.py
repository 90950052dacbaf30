"""Floor `analytics`: product usage per account, and which Stripe customer an account is.

Here: what `sources/analytics/` yields, aggregated on the provider's side. Not here: health, utilisation or
any score made from it.
"""

from __future__ import annotations

from expansion_platform.domain.core import declared as pa
from expansion_platform.domain.core.table import MONTH_PATTERN, Table


class FeatureUsage(Table):
    """One row per account, month and feature: how many people used it and how often."""

    month: str = pa.Field(
        description="Calendar month in the reporting time zone, YYYY-MM", str_matches=MONTH_PATTERN
    )
    account: str = pa.Field(description="Account (group) in the analytics tool")
    feature: str = pa.Field(description="Event or feature name")
    active_users: int = pa.Field(description="Distinct people who used it", ge=0)
    events: int = pa.Field(description="Times it was used", ge=0)
    customer: str = pa.Field(
        description="Stripe customer the account is mapped to, null when unmapped", nullable=True
    )

    class Config(Table.Config):
        name = "analytics/feature_usage"
        metadata = {"key": ["month", "account", "feature"], "partitioned_by": "month"}
        unique = ["month", "account", "feature"]
