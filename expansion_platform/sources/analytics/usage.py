"""What every source of product usage is asked for, and what it answers.

Here: a month's question and answer, the same for every provider. Not here: any one provider; which customer
an account is (`accounts.py`); keeping what was known before (`product_usage.py`).

A month is read whole and answered twice where it matters: as it was known when it closed, which is what may
predict the months after it, and as it is known now. Each row says when it was known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import pandas as pd

from expansion_platform.domain.core import months

ACCOUNT_COUNTS = (
    "active_users",
    "active_days",
    "features_used",
    "new_users",
    "logins",
    "invites",
    "gate_hits",
    "limit_warnings",
    "integrations",
    "milestones",
)
"""Whole numbers of an account-month. All int64 but new_users, which is Int64: null where the source cannot
know."""
ACCOUNT_COLUMNS = ("account", "known_at", *ACCOUNT_COUNTS, "mean_daily_users")
FEATURE_COLUMNS = ("account", "feature", "known_at", "active_users", "events")


@dataclass(frozen=True)
class Asked:
    """One calendar month, YYYY-MM, of a reporting time zone.

    `closes` is when its figures are first reported; `now` when it is asked.
    """

    month: str
    timezone: str
    closes: pd.Timestamp
    now: pd.Timestamp

    @property
    def begins(self) -> pd.Timestamp:
        """The first instant of the month, UTC."""
        return months.opening(self.month, self.timezone)

    @property
    def ends(self) -> pd.Timestamp:
        """The first instant after it, UTC."""
        return months.closing(self.month, self.timezone)


@dataclass(frozen=True)
class MonthUsage:
    """What a source says of a month.

    Args:
        accounts: ACCOUNT_COLUMNS, a row per account and version: as known at the close (events that had
            arrived before it, `known_at` the newest arrival among them), and, where it is other than that, as
            known now. `mean_daily_users` is decimal text with 6 places. Sorted by account, known_at.
        features: FEATURE_COLUMNS, in the same way. Sorted by account, feature, known_at.
        events: events of the month that count as activity.
        events_without_account: those of them that name no account.
        new_users_by: how new users are known, such as "first seen by the source"; None where they are not.
        incomplete: why the month could not be read to its end; None where it was. What was read of it is not
            published.
    """

    accounts: pd.DataFrame
    features: pd.DataFrame
    events: int
    events_without_account: int
    new_users_by: str | None = None
    incomplete: str | None = None


class UsageSource(Protocol):
    """A provider of product usage."""

    name: str

    def month(self, asked: Asked) -> MonthUsage:
        """The usage of one month.

        Raises:
            ConfigurationError: the key, the project or the mapping is wrong.
            ExpansionError: the provider stayed unreachable, or answered something else.
        """
        ...

    def close(self) -> None:
        """Closes connections."""
        ...
