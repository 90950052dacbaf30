"""Floor `analytics`: product usage per account and month, and which Stripe customer an account is.

Here: what `sources/analytics/` yields, never by person. Not here: health, utilisation or any score made from
it.

Figures of a month change when events arrive late, and a month may only be predicted from what was known at
its close. So a row is a version: the figures from `known_at` on, until the next version of the same account.
"""

from __future__ import annotations

import pandas as pd

from expansion_platform.domain.core import declared as pa
from expansion_platform.domain.core.table import MONTH_PATTERN, Instant, Table

_MEAN = r"^\d+\.\d{6}$"


class _Usage(Table):
    """Columns of both tables."""

    month: str = pa.Field(
        description="Calendar month in the reporting time zone, YYYY-MM", str_matches=MONTH_PATTERN
    )
    account: str = pa.Field(description="Account (group) in the analytics tool")
    known_at: Instant = pa.Field(
        description="Since when the figures are known: the newest arrival at the analytics tool among the "
        "events counted, or the read that first found them other"
    )
    customer: str = pa.Field(
        description="Stripe customer the account is mapped to, null when unmapped", nullable=True
    )


class AccountUsage(_Usage):
    """One row per account, month and version: how many people were active, and what they did."""

    active_users: int = pa.Field(description="Distinct people with any activity", ge=0)
    active_days: int = pa.Field(description="Days with any activity", ge=0)
    mean_daily_users: str = pa.Field(
        description="Distinct people a day, mean over the days of the month, decimal text with 6 places",
        str_matches=_MEAN,
    )
    features_used: int = pa.Field(description="Distinct features used", ge=0)
    new_users: pd.Int64Dtype = pa.Field(
        description="People who began in the month, as far as the source knows (usage_months.new_users_by); "
        "null where it does not",
        ge=0,
        nullable=True,
    )
    logins: int = pa.Field(description="Events mapped to logins", ge=0)
    invites: int = pa.Field(description="Events mapped to invites", ge=0)
    gate_hits: int = pa.Field(description="Attempts to use a feature of a higher plan", ge=0)
    limit_warnings: int = pa.Field(description="Warnings that a limit is near", ge=0)
    integrations: int = pa.Field(description="Integrations connected", ge=0)
    milestones: int = pa.Field(description="Milestones reached", ge=0)

    class Config(Table.Config):
        name = "analytics/account_usage"
        metadata = {"key": ["month", "account", "known_at"], "partitioned_by": "month"}
        unique = ["month", "account", "known_at"]


class FeatureUsage(_Usage):
    """One row per account, month, feature and version: how many people used it and how often."""

    feature: str = pa.Field(description="Event or feature name")
    active_users: int = pa.Field(description="Distinct people who used it", ge=0)
    events: int = pa.Field(description="Times it was used", ge=0)

    class Config(Table.Config):
        name = "analytics/feature_usage"
        metadata = {"key": ["month", "account", "feature", "known_at"], "partitioned_by": "month"}
        unique = ["month", "account", "feature", "known_at"]


class UsageMonths(Table):
    """One row per month: how the analytics tool was read, and how much of the usage names no account."""

    month: str = pa.Field(
        description="Calendar month in the reporting time zone, YYYY-MM", str_matches=MONTH_PATTERN
    )
    source: str = pa.Field(description="The analytics tool")
    read_at: Instant = pa.Field(description="When the month was read")
    complete: bool = pa.Field(
        description="Whether it was read to its end; of a month that was not, nothing is known"
    )
    incomplete_because: str = pa.Field(description="Why it was not read to its end", nullable=True)
    events: int = pa.Field(description="Events of the month that are activity", ge=0)
    events_without_account: int = pa.Field(description="Those of them that name no account", ge=0)
    accounts: int = pa.Field(description="Accounts with activity", ge=0)
    accounts_unmapped: int = pa.Field(description="Those of them that are mapped to no customer", ge=0)
    new_users_by: str = pa.Field(
        description="How new users are known; null where they are not", nullable=True
    )
    counted_by: str = pa.Field(description="Hash of what the usage was counted by (signals.yaml, project)")

    class Config(Table.Config):
        name = "analytics/usage_months"
        metadata = {"key": ["month"], "partitioned_by": "month"}
        unique = ["month"]
