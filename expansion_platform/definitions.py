"""The Dagster code location: every asset, check, job, schedule, sensor and resource, listed by name.

Here: the list. Not here: anything listed. `build_defs` makes the same list for other settings (tests, the
command line).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg

from expansion_platform.automation.jobs import refresh_job
from expansion_platform.automation.schedules import refresh_schedule
from expansion_platform.automation.sensors import deliver_alerts, stripe_changes_sensor, watch_runs
from expansion_platform.domain.core import months
from expansion_platform.domain.core.errors import ConfigurationError, ExpansionError
from expansion_platform.engine.assets import monthly_assets
from expansion_platform.engine.monthly import build
from expansion_platform.resources import Platform, as_of
from expansion_platform.settings import Settings
from expansion_platform.tables import alerts, crm, digest, fx_rates, history, pace, stripe
from expansion_platform.tables.declarations import DECLARATIONS
from expansion_platform.tables.first_reported import FIRST_REPORTED, close_months

STEPS = {FIRST_REPORTED.name: close_months}
"""Declarations whose step is another than the engine's."""


def partitions(settings: Settings, first_month: str | None = None) -> dg.MonthlyPartitionsDefinition:
    """Closed months of the reporting time zone, `YYYY-MM`, from `Platform.first_month` on.

    Up to EXPANSION_AS_OF when it is set.
    """
    first = first_month or Platform(settings).first_month
    end = (
        None if settings.expansion_as_of is None else months.of(as_of(settings), settings.expansion_timezone)
    )
    return dg.MonthlyPartitionsDefinition(
        start_date=first, end_date=end, fmt="%Y-%m", timezone=settings.expansion_timezone
    )


def build_defs(
    platform: Platform | None = None, loggers: Mapping[str, dg.LoggerDefinition] | None = None
) -> dg.Definitions:
    """The code location for the given platform, or for the environment's settings (read again by every run).

    Its first month is the one known as it is loaded. A run loads it anew, so that what a run may compute is
    up to date; the UI, the schedule and the sensor ask for the months known when the location was loaded,
    until it is loaded again.
    """
    known = platform or Platform()
    shown, loaded = known.settings, _first_month(known)
    closed_months = partitions(shown, loaded)
    whole = [
        *(stripe.stripe_tables, history.item_changes, history.history, fx_rates.fx_rates),
        *crm.CRM,
        pace.pace_table,
    ]
    job = refresh_job([spec.key for assets in whole for spec in assets.check_specs])

    def first_month() -> str:
        return max(loaded, _first_month(known))

    with warnings.catch_warnings():
        # The parameter is marked beta although BackfillPolicy itself is not; single-run backfills are what
        # makes a range of months one run.
        warnings.filterwarnings("ignore", message="Parameter `backfill_policy`", category=dg.BetaWarning)
        warnings.filterwarnings(
            "ignore", message="Specifying a partitions_def on an AssetCheckSpec", category=dg.PreviewWarning
        )
        schedule = refresh_schedule(
            job, first_month, shown.expansion_timezone, shown.expansion_close_lag_days
        )
        return _definitions(closed_months, job, schedule, first_month, platform or Platform(), loggers)


def _first_month(platform: Platform) -> str:
    """The first month; the newest closed one where the tables cannot be read.

    The UI has to start, and its runs say what is wrong.
    """
    try:
        return platform.first_month
    except ConfigurationError:
        raise
    except ExpansionError:
        return platform.newest_closed_month


def _definitions(
    closed_months: dg.PartitionsDefinition,
    job: Any,
    schedule: dg.ScheduleDefinition,
    first_month: Callable[[], str],
    platform: Platform,
    loggers: Mapping[str, dg.LoggerDefinition] | None,
) -> dg.Definitions:
    return dg.Definitions(
        assets=[
            *(stripe.stripe_tables, history.item_changes, history.history, fx_rates.fx_rates),
            *(
                monthly_assets(declaration, closed_months, STEPS.get(declaration.name, build))
                for declaration in DECLARATIONS
            ),
            *crm.CRM,
            *(pace.pace_table, alerts.expansion_alerts, pace.pace_notice, digest.candidates_digest),
        ],
        jobs=[job],
        schedules=[schedule],
        sensors=[stripe_changes_sensor(job, first_month), watch_runs, deliver_alerts],
        resources={"platform": platform},
        executor=dg.in_process_executor,
        loggers=loggers,
    )


defs = build_defs()
