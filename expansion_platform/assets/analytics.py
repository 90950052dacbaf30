"""Floor `analytics`: product usage per account, month and feature.

Here: wiring of `sources/analytics/`. Not here: what usage says about expansion.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import dagster as dg
import pandas as pd

from expansion_platform import checks
from expansion_platform.assets.build import Frames, build_months, fingerprint
from expansion_platform.assets.metadata import asset_spec
from expansion_platform.domain import months
from expansion_platform.domain.schemas import Table, analytics
from expansion_platform.domain.schemas.base import empty
from expansion_platform.resources import Platform
from expansion_platform.sources.analytics.accounts import map_accounts, read_account_map

LATE = timedelta(days=3)  # a month is asked for again until its late events have had three days to arrive


def build(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The one table of this floor."""

    @dg.multi_asset(
        specs=[asset_spec(analytics.FeatureUsage, deps=[], kinds={"posthog", "pandera", "deltalake"}, skippable=True)],
        check_specs=[checks.schema_spec(analytics.FeatureUsage)],
        name="analytics_feature_usage",
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def feature_usage(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[Any]:
        """Usage aggregated by PostHog itself; without PostHog settings the table is empty and says so."""
        mapping = account_map(platform)
        host = urlsplit(platform.settings.posthog_host or "").hostname  # without the port: a loopback server's changes with every run

        def inputs(month: str) -> str:
            settled = platform.as_of >= months.closing(month, platform.timezone) + LATE
            asked = "settled" if settled else platform.as_of.isoformat()
            return fingerprint(str(host), str(platform.settings.posthog_project_id), mapping.to_csv(index=False), asked)

        def prepare(due: list[str]) -> Callable[[str], Frames]:
            usage = empty(analytics.FeatureUsage).drop(columns="customer")
            if platform.posthog is None:
                context.log.info("no product analytics: POSTHOG_HOST is not set")
            else:
                context.log.info(f"asking PostHog for {due[0]} to {due[-1]}")
                usage = platform.posthog.feature_usage(due[0], due[-1], platform.timezone)
            mapped = map_accounts(usage, mapping)
            return lambda month: {analytics.FeatureUsage: mapped[mapped["month"] == month]}

        yield from build_months(
            context, platform, models=[analytics.FeatureUsage], inputs=inputs, prepare=prepare, describe=lambda wanted: _describe(platform, wanted)
        )

    return feature_usage


def account_map(platform: Platform) -> pd.DataFrame:
    """Account to customer, as the user mapped them; empty when there is no file."""
    path = platform.settings.expansion_account_map
    return pd.DataFrame({"account": pd.Series(dtype="str"), "customer": pd.Series(dtype="str")}) if path is None else read_account_map(path)


def _describe(platform: Platform, wanted: list[str]) -> dict[type[Table], dict[str, dict[str, Any]]]:
    """How much of the usage belongs to no known customer."""
    accounts = platform.lake.read(analytics.FeatureUsage, wanted).drop_duplicates(["month", "account"])
    described = {}
    for month, rows in accounts.groupby("month"):
        unmapped = int(rows["customer"].isna().sum())
        described[str(month)] = {"accounts": len(rows), "accounts_unmapped": unmapped, "unmapped_percent": round(100 * unmapped / len(rows), 2)}
    return {analytics.FeatureUsage: described}
