"""What runs because something happened.

The watch on Stripe's events, the watch on runs, the delivery of alerts.

Here: sensors. Not here: what they run, when months are refreshed by the calendar (`schedules.py`).
"""

from collections.abc import Callable
from operator import itemgetter
from typing import Any

import dagster as dg

from expansion_platform.alerting.failures import judge
from expansion_platform.alerting.group_alerts import group_alerts
from expansion_platform.alerting.outbox import deliver
from expansion_platform.automation.jobs import REFRESH_JOB, trailing
from expansion_platform.automation.run_outcomes import new_outcomes
from expansion_platform.ingestion.account import CURSOR
from expansion_platform.resources import Platform
from expansion_platform.sources.stripe.events import EVENT_TYPES


def stripe_changes_sensor(job: Any, first_month: Callable[[], str]) -> dg.SensorDefinition:
    """Asks for a refresh when Stripe has events that no run has seen."""

    @dg.sensor(
        job=job,
        minimum_interval_seconds=3600,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Every hour: asks Stripe (or the warehouse) for its newest event (or row); one "
        "since the last pull requests a refresh.",
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
        listed = [
            next(platform.stripe.objects("events", created_lt=before, types=list(types), limit=1), None)
            for types in EVENT_TYPES
        ]
        newest = max(
            (event for event in listed if event is not None), key=itemgetter("created"), default=None
        )
        if newest is None or newest["created"] <= pulled["last_pull_at"]:
            return dg.SkipReason("no Stripe event since the last pull")
        tags = {**trailing(platform.newest_closed_month, first_month()), "trigger": "stripe_changes"}
        return dg.RunRequest(run_key=newest["id"], tags=tags)

    return stripe_changes


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Every minute: reads the runs that finished; a failed step or check becomes one alert, "
    "and its end another.",
)
def watch_runs(context: dg.SensorEvaluationContext, platform: dg.ResourceParam[Platform]) -> dg.SkipReason:
    """Puts failures into the outbox.

    The cursor moves only after the ledger took them, so that a tick that dies is read again.
    """
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
    description="Every minute: posts pending alerts into every channel and marks each when the channel "
    "took it. A red tick is retried at the next.",
)
def deliver_alerts(platform: dg.ResourceParam[Platform]) -> dg.SkipReason:
    """Empties the outbox.

    A plain sensor that raises is tried again, where a run-status sensor would lose the alert.
    """
    pending = platform.ledger.alerts.read("pending")
    if not pending:
        return dg.SkipReason("no pending alerts")
    if not platform.channels:
        missing = "set SLACK_WEBHOOK_URL, SLACK_BOT_TOKEN with SLACK_CHANNEL, or EXPANSION_ALERT_URLS"
        return dg.SkipReason(f"{len(pending)} alerts wait in the ledger: {missing}")
    sent = deliver(platform.ledger, *platform.channels)
    return dg.SkipReason(f"sent {len(sent)} alerts")
