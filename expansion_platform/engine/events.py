"""What a step over a range of months reports to Dagster.

Materializations and check results by month, of the months it wrote.

Here: every place that has to know how Dagster takes them. Not here: which months those are (`monthly.py`),
their metadata (`describe.py`).

An output stands for the whole range of a run: Dagster stores a materialization for each of its months, and
skips what is downstream of an output that is missing. A run over 24 months in which nothing had changed
stored 716 of them and took 53 s of CPU. So outputs come without events, and the step logs one event for each
month that it has something to say about.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.core.table import Table
from expansion_platform.engine import checks
from expansion_platform.engine.event_log import one_transaction

# Dagster's own mark on outputs whose events were logged before
# (`_log_materialization_or_observation_events_for_asset` in its execute_step.py).
_EVENTS_ARE_LOGGED = {"__source_asset_observation__": True}


def materialized(
    context: dg.AssetExecutionContext, model: type[Table], metadata: Mapping[str, Mapping[str, Any]]
) -> None:
    """Reports that some months of a table are as they should be, with what is shown of each."""
    with one_transaction(context.instance.event_log_storage, context.run.run_id):
        for month, shown in metadata.items():
            context.log_event(
                dg.AssetMaterialization(checks.asset_key(model), partition=month, metadata=dict(shown))
            )


def unknown(
    context: dg.AssetExecutionContext, model: type[Table], months: Sequence[str], *, written: Collection[str]
) -> list[str]:
    """Those of some months that this Dagster instance has to hear of.

    What was written, and what is older than its history.
    """
    known = context.instance.get_materialized_partitions(checks.asset_key(model))
    return [month for month in months if month in written or month not in known]


def checked(context: dg.AssetExecutionContext, result: dg.AssetCheckResult, months: Sequence[str]) -> None:
    """Reports a check result for each of some months."""
    asset_key = result.asset_key
    if asset_key is None:
        raise TypeError("a check result without a table")
    if not months:
        return
    with one_transaction(context.instance.event_log_storage, context.run.run_id):
        for month in months:
            context.log_event(
                dg.AssetCheckEvaluation(
                    asset_key=asset_key,
                    check_name=str(result.check_name),
                    passed=result.passed,
                    metadata=result.metadata,
                    severity=result.severity,
                    description=result.description,
                    partition=month,
                )
            )


def checked_by_month(
    context: dg.AssetExecutionContext,
    model: type[Table],
    check: str,
    months: Sequence[str],
    broken: Mapping[str, DataQualityError],
    note: str,
    *,
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
    **numbers: int,
) -> None:
    """Reports a check of some months: failed for those that are broken, passed for the others."""
    checked(
        context,
        checks.passed(model, check, note, **numbers),
        [month for month in months if month not in broken],
    )
    for month in [month for month in months if month in broken]:
        checked(context, checks.failed(model, check, broken[month], severity), [month])


def asked_for(context: dg.AssetExecutionContext, model: type[Table], check: str) -> bool:
    """Whether the run announced the check.

    Dagster then shows it as skipped for every month it hears nothing about.
    """
    return dg.AssetCheckKey(checks.asset_key(model), check) in context.selected_asset_check_keys


def check_outputs(context: dg.AssetExecutionContext) -> Iterator[dg.Output[None]]:
    """The outputs that stand for the checks of the run, after their results were logged."""
    for name, spec in context.assets_def.check_specs_by_output_name.items():
        if spec.key in context.selected_asset_check_keys:
            yield dg.Output(None, output_name=name)


def outputs(context: dg.AssetExecutionContext, models: Sequence[type[Table]]) -> Iterator[dg.Output[None]]:
    """The outputs that stand for tables, after their materializations were logged.

    What is downstream runs.
    """
    for model in models:
        name = context.assets_def.get_output_name_for_asset_key(checks.asset_key(model))
        yield dg.Output(None, output_name=name, metadata=_EVENTS_ARE_LOGGED)
