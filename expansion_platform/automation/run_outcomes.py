"""How Dagster's runs ended: their steps, their checks, and the run itself.

Here: reading finished runs out of Dagster's history. Not here: which failures are reported, and how
(`alerting/failures.py`), the sensor that asks (`automation/`).

A plain sensor reads them, not a run-failure sensor: Dagster moves the cursor of the latter on even when its
body fails, and the alert would be lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import dagster as dg

from expansion_platform.alerting.failures import Extent, Kind, Outcome
from expansion_platform.domain.core.table import partitioned_by
from expansion_platform.domain.tables import TABLES

RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"
PARTITION = "dagster/partition"
FIRST_LOOK = 50  # finished runs looked at when there is no cursor yet: what they left broken is broken now
BATCH = 100
MONTHLY = {name for name, model in TABLES.items() if partitioned_by(model) == "month"}
"""Assets of which a run makes its months; the others it makes whole, whatever months it is for. Dagster's
events do not distinguish them.
"""
_FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
_READ = {
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.STEP_SUCCESS,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    dg.DagsterEventType.RUN_FAILURE,
}


def new_outcomes(instance: dg.DagsterInstance, cursor: str | None) -> tuple[list[Outcome], str | None]:
    """How everything ended in the runs that finished since the cursor, oldest first, and the next cursor."""
    if cursor is None:
        records = instance.get_run_records(dg.RunsFilter(statuses=_FINISHED), limit=FIRST_LOOK)
        records = sorted(records, key=lambda record: record.update_timestamp)
    else:
        since = dg.RunsFilter(statuses=_FINISHED, updated_after=datetime.fromisoformat(cursor))
        records = list(
            instance.get_run_records(since, limit=BATCH, order_by="update_timestamp", ascending=True)
        )
    if records:
        cursor = records[-1].update_timestamp.isoformat()
    return [outcome for record in records for outcome in outcomes(instance, record)], cursor


def outcomes(instance: dg.DagsterInstance, record: dg.RunRecord) -> list[Outcome]:
    """How the steps and checks of a finished run ended, and the run itself.

    The run itself is left out where a failed step says why it failed.

    A check that failed in a failed step is among that step's reasons: it stopped the step, or was stopped
    with it.
    """
    run = record.dagster_run
    events = [
        entry.dagster_event
        for entry in instance.all_logs(run.run_id, of_type=_READ)
        if entry.dagster_event is not None
    ]
    planned: dict[str | None, set[str]] = {}
    for event in events:
        if (
            event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
            and event.asset_key is not None
        ):
            planned.setdefault(event.step_key, set()).add(event.asset_key.to_user_string())
    months = (
        run.tags.get(RANGE_START, run.tags.get(PARTITION, "")),
        run.tags.get(RANGE_END, run.tags.get(PARTITION, "")),
    )
    at = record.end_time or record.update_timestamp.timestamp()

    def ended(kind: Kind, name: str, assets: set[str], problem: str = "") -> Outcome:
        extent = Extent(tuple(sorted(assets)), *(months if assets & MONTHLY else ()))
        return Outcome(kind, name, run.run_id, run.job_name, at, extent, problem)

    failed = {event.step_key: event for event in events if event.is_step_failure}
    found = [
        ended("step", str(step), planned.get(step, set()), _reason(event, events))
        for step, event in failed.items()
    ]
    checked: dict[tuple[str, str], str] = {}
    for event in events:
        if event.step_key in failed:
            continue
        if event.is_step_success:
            found.append(ended("step", str(event.step_key), planned.get(event.step_key, set())))
        elif event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            check = event.asset_check_evaluation_data
            broken = not check.passed and check.severity == dg.AssetCheckSeverity.ERROR
            named = check.asset_key.to_user_string(), check.check_name
            checked[named] = checked.get(named) or (
                (check.description or "it does not hold") if broken else ""
            )
    found += [
        ended("check", f"{asset}: {check}", {asset}, problem) for (asset, check), problem in checked.items()
    ]
    if not failed:
        everything = {name for names in planned.values() for name in names}
        found.append(ended("run", run.job_name, everything, "" if run.is_success else _last_words(events)))
    return found


def failure_text(failure: Any) -> str:
    """The text for people in a step's failure data.

    The Failure's own, else the exception under Dagster's wrapping.
    """
    if failure.user_failure_data and failure.user_failure_data.description:
        return str(failure.user_failure_data.description)
    return str(
        failure.error.cause.message if failure.error and failure.error.cause else failure.error_display_string
    )


def _reason(failure: dg.DagsterEvent, events: Sequence[dg.DagsterEvent]) -> str:
    evaluated = [
        event
        for event in events
        if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION
        and event.step_key == failure.step_key
    ]
    checks = [event.asset_check_evaluation_data for event in evaluated]
    broken = sorted(
        {f"{check.asset_key.to_user_string()} {check.check_name}" for check in checks if not check.passed}
    )
    reason = failure_text(failure.step_failure_data).strip()
    return f"{reason}\nFailed checks: {', '.join(broken)}" if broken else reason


def _last_words(events: Sequence[dg.DagsterEvent]) -> str:
    """Of a run that failed without a failed step: its process died, or never began."""
    said = [
        event.message
        for event in events
        if event.event_type == dg.DagsterEventType.RUN_FAILURE and event.message
    ]
    return str(said[-1]) if said else "it ended without a word"
