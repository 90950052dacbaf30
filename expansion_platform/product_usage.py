"""Product usage as the settings say.

What the analytics tool counted, beside the customers that the user's mapping names.

Here: asking for a range of months, and when a month has to be asked for again. Not here: the tool
(`sources/analytics/`), the table (`tables/analytics.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from urllib.parse import urlsplit

import pandas as pd

from expansion_platform.domain.core import months
from expansion_platform.domain.core.canonical import content_hash
from expansion_platform.domain.core.table import empty
from expansion_platform.domain.signals import tables as analytics
from expansion_platform.resources import Platform
from expansion_platform.sources.analytics.accounts import map_accounts, read_account_map

LATE = timedelta(days=3)  # a month is asked for again until its late events have had three days to arrive
NOT_SET_UP = "no product analytics: POSTHOG_HOST is not set"


def feature_usage(platform: Platform, wanted: Sequence[str]) -> pd.DataFrame:
    """analytics/feature_usage of the first to the last of some months.

    No rows where no analytics tool is configured.

    Raises:
        ConfigurationError: the tool, or the mapping of its accounts, is not configured as it has to be.
    """
    usage = empty(analytics.FeatureUsage).drop(columns="customer")
    if platform.posthog is not None:
        usage = platform.posthog.feature_usage(min(wanted), max(wanted), platform.timezone)
    return map_accounts(usage, account_map(platform))


def asked(platform: Platform, wanted: Sequence[str]) -> Mapping[str, str]:
    """What the usage of each month depends on.

    Project, mapping, and the instant of the question while late events may come.
    """
    # The host without its port: a loopback server's changes with every run.
    host = urlsplit(platform.settings.posthog_host or "").hostname
    basis = content_hash(
        [str(host), str(platform.settings.posthog_project_id), account_map(platform).to_csv(index=False)]
    )

    def when(month: str) -> str:
        settled = platform.as_of >= months.closing(month, platform.timezone) + LATE
        return "settled" if settled else platform.as_of.isoformat()

    return {month: f"{basis} {when(month)}" for month in wanted}


def account_map(platform: Platform) -> pd.DataFrame:
    """Account to customer, as the user mapped them; no rows where there is no file."""
    path = platform.settings.expansion_account_map
    return (
        pd.DataFrame({"account": pd.Series(dtype="str"), "customer": pd.Series(dtype="str")})
        if path is None
        else read_account_map(path)
    )
