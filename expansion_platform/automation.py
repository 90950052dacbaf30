"""What runs by itself: the monthly refresh, the watch on Stripe's events, the watch on runs, the delivery of alerts.

Here: jobs, schedules, sensors. Not here: what they run.
"""

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

import dagster as dg

from expansion_platform.account import CURSOR
from expansion_platform.delivery.failures import judge
from expansion_platform.delivery.group_alerts import group_alerts
from expansion_platform.delivery.outbox import deliver
from expansion_platform.domain import months
from expansion_platform.resources import Platform
from expansion_platform.run_outcomes import RANGE_END, RANGE_START, new_outcomes
from expansion_platform.sources.stripe.events import EVENT_TYPES

REFRESH_JOB = "monthly_refresh"
TRAILING_MONTHS = 3  # closed months a refresh looks at again, since late invoices and backdated changes restate them
REFRESH_DAY = 2  # at 06:00: the newest month has ended a day ago; it is refreshed again when it closes


def month_range(first: str, last: str) -> dict[str, str]:
    """Run tags that make one run cover a range of months."""
    return {RANGE_START: first, RANGE_END: last}


def trailing(newest: str, first_partition: str) -> dict[str, str]:
    """Tags of the trailing window that ends with the newest closed month."""
    return month_range(max(first_partition, months.shift(newest, 1 - TRAILING_MONTHS)), newest)


def refresh_job(checks: Sequence[dg.AssetCheckKey] = ()) -> Any:
    """Pull, rebuild, compute, alert: everything, for a range of months, in one run.

    Args:
        checks: those of tables that are computed whole. A run that announces a check of a monthly table has to report it of each of its months, or
            the UI shows it as skipped; without it a step reports the months that it wrote.
    """
    every = dg.AssetSelection.groups("stripe", "analytics", "billing", "mrr", "metrics", "alerts")
    return dg.define_asset_job(
        REFRESH_JOB,
        selection=every.without_checks() | dg.AssetSelection.checks(*checks),
        description="Pulls what changed, rebuilds history, recomputes the months of the run, evaluates the newest closed month.",
    )


def refresh_schedule(job: Any, first_month: Callable[[], str], timezone: str, close_lag_days: int) -> dg.ScheduleDefinition:
    """The monthly refresh, and the one at the close. Months come from the scheduled time, so a late tick asks for the same months.

    `first_month` gives the first month of the tables as it is at the tick: before the first pull it is the newest closed one, and moves on.
    """
    days = sorted({REFRESH_DAY, max(REFRESH_DAY, 1 + close_lag_days)})

    @dg.schedule(
        job=job,
        cron_schedule=f"0 6 {','.join(map(str, days))} * *",
        execution_timezone=timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="On the 2nd of each month, and on the day the month closes: the last three months as one run, so that late facts restate them.",
    )
    def monthly_refresh_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        at = context.scheduled_execution_time
        newest, first = months.newest_closed(at, timezone), first_month()
        if newest < first:
            return dg.SkipReason(f"the tables begin with {first}")
        return dg.RunRequest(run_key=f"{newest} {at:%Y-%m-%d}", tags={**trailing(newest, first), "month": newest, "trigger": "schedule"})

    return monthly_refresh_schedule


def stripe_changes_sensor(job: Any, first_month: Callable[[], str]) -> dg.SensorDefinition:
    """Asks for a refresh when Stripe has events that no run has seen."""

    @dg.sensor(
        job=job,
        minimum_interval_seconds=3600,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Every hour: asks Stripe (or the warehouse) for its newest event (or row); one since the last pull requests a refresh.",
    )
    def stripe_changes(platform: dg.ResourceParam[Platform]) -> dg.RunRequest | dg.SkipReason:
        if not platform.from_warehouse and platform.settings.stripe_api_key is None:
            return dg.SkipReason("STRIPE_API_KEY is not set")
        pulled = platform.ledger.pulls.cursor(CURSOR)
        if pulled is None:
            return dg.SkipReason(f"nothing has been pulled yet: run {REFRESH_JOB} first")
        if platform.from_warehouse:
            synced = platform.warehouse.newest()
            if synced is None or synced.isoformat() == pulled["synced"]:
                return dg.SkipReason("no row was written to the warehouse since the last import")
            tags = {**trailing(platform.newest_closed_month, first_month()), "trigger": "stripe_changes"}
            return dg.RunRequest(run_key=synced.isoformat(), tags=tags)
        before = int(platform.as_of.timestamp()) + 1
        # Only of the types a pull reads: an account in use has others (payments, payouts) every hour.
        listed = [next(platform.stripe.objects("events", created_lt=before, types=list(types), limit=1), None) for types in EVENT_TYPES]
        newest = max((event for event in listed if event is not None), key=itemgetter("created"), default=None)
        if newest is None or newest["created"] <= pulled["last_pull_at"]:
            return dg.SkipReason("no Stripe event since the last pull")
        tags = {**trailing(platform.newest_closed_month, first_month()), "trigger": "stripe_changes"}
        return dg.RunRequest(run_key=newest["id"], tags=tags)

    return stripe_changes


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Every minute: reads the runs that finished; a failed step or check becomes one alert, and its end another.",
)
def watch_runs(context: dg.SensorEvaluationContext, platform: dg.ResourceParam[Platform]) -> dg.SkipReason:
    """Puts failures into the outbox. The cursor moves only after the ledger took them, so that a tick that dies is read again."""
    ledger = platform.ledger
    found, cursor = new_outcomes(context.instance, context.cursor)
    states = ledger.alerts.states()
    open_entries = {state.entry for state in states.values() if state.state == "firing" and state.entry}
    entries = {alert.key: alert for alert in map(ledger.alerts.get, open_entries) if alert is not None}
    judged, alerts = judge(found, states, entries, platform.settings.dagster_webserver_url)
    added = ledger.alerts.record(judged, group_alerts(alerts))
    if cursor is not None:
        context.update_cursor(cursor)
    return dg.SkipReason(f"{len({outcome.run for outcome in found})} runs finished, {added} new alerts")


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Every minute: posts pending alerts into every channel and marks each when the channel took it. A red tick is retried at the next.",
)
def deliver_alerts(platform: dg.ResourceParam[Platform]) -> dg.SkipReason:
    """Empties the outbox. A plain sensor that raises is tried again, where a run-status sensor would lose the alert."""
    pending = platform.ledger.alerts.read("pending")
    if not pending:
        return dg.SkipReason("no pending alerts")
    if not platform.channels:
        missing = "set SLACK_WEBHOOK_URL, SLACK_BOT_TOKEN with SLACK_CHANNEL, or EXPANSION_ALERT_URLS"
        return dg.SkipReason(f"{len(pending)} alerts wait in the ledger: {missing}")
    sent = deliver(platform.ledger, *platform.channels)
    return dg.SkipReason(f"sent {len(sent)} alerts")
