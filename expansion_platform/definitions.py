"""The Dagster code location: every asset, check, job, schedule, sensor and resource, listed by name.

Here: the list. Not here: anything listed. `build_defs` makes the same list for other settings (tests, the command line).
"""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg

from expansion_platform.assets import alerts, analytics, billing, metrics, mrr, stripe
from expansion_platform.automation import deliver_alerts, refresh_job, refresh_schedule, stripe_changes_sensor
from expansion_platform.domain import months
from expansion_platform.resources import Platform, as_of
from expansion_platform.settings import Settings

DEFAULT_FIRST_MONTH = "2022-01"  # where the tables begin unless EXPANSION_FIRST_MONTH says otherwise; history before it still counts


def partitions(settings: Settings) -> dg.MonthlyPartitionsDefinition:
    """Closed months of the reporting time zone, `YYYY-MM`; up to EXPANSION_AS_OF when it is set."""
    first = settings.expansion_first_month or DEFAULT_FIRST_MONTH
    end = None if settings.expansion_as_of is None else months.of(as_of(settings), settings.expansion_timezone)
    return dg.MonthlyPartitionsDefinition(start_date=first, end_date=end, fmt="%Y-%m", timezone=settings.expansion_timezone)


def build_defs(settings: Settings | None = None, loggers: Mapping[str, dg.LoggerDefinition] | None = None) -> dg.Definitions:
    """The code location for the given settings, or for those of the environment (read again by every run)."""
    shown = Settings() if settings is None else settings
    first_month = shown.expansion_first_month or DEFAULT_FIRST_MONTH
    closed_months = partitions(shown)
    job = refresh_job()
    return dg.Definitions(
        assets=[
            stripe.stripe_tables,
            analytics.build(closed_months),
            billing.item_states,
            billing.fx_rates,
            mrr.build(closed_months),
            metrics.build(closed_months),
            alerts.expansion_drop,
        ],
        jobs=[job],
        schedules=[refresh_schedule(job, first_month, shown.expansion_timezone)],
        sensors=[stripe_changes_sensor(job, first_month), deliver_alerts],
        resources={"platform": Platform(Settings if settings is None else settings)},
        executor=dg.in_process_executor,
        loggers=loggers,
    )


defs = build_defs()
