"""The one shape of every computed table: is it current, compute, audit, commit, record, describe.

Here: `monthly_table` and `build_months` for monthly tables, `build_tables` for whole ones. Not here: a table's rule (`domain/`), wiring (its floor).

A table is current when the rules, the catalog and the stored state of its inputs are those it was last built from and nobody touched its
files since; then nothing is computed. A month that fails is named, shown as a failed check and not written; the other months of the run are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd

from expansion_platform import checks, domain
from expansion_platform.assets.inputs import Inputs
from expansion_platform.assets.metadata import asset_spec, preview_metadata, table_metadata
from expansion_platform.domain.errors import DataQualityError
from expansion_platform.domain.schemas import Table, table_name
from expansion_platform.domain.schemas.base import columns, empty
from expansion_platform.resources import Platform
from expansion_platform.storage.lake import ABSENT, Commit

WHOLE = "all"
QUALITY = "quality"
CURRENT = "current: nothing was written since the last check"
Frames = Mapping[type[Table], pd.DataFrame]
Audit = Callable[[Frames], None]
"""Raises DataQualityError when frames that are about to be published contradict each other."""
Describe = Callable[[list[str]], Mapping[type[Table], Mapping[str, dict[str, Any]]]]


@dataclass(frozen=True)
class Reconciled:
    """A cross-table identity checked before publishing, shown as a check on `model`."""

    model: type[Table]
    rule: str
    audit: Audit


@cache
def rules_hash() -> str:
    """Content hash of the package's rules (`domain/`), so that a changed rule is a changed input."""
    root = Path(domain.__file__).parent
    digest = hashlib.sha256()
    for path in sorted([*root.rglob("*.py"), *root.rglob("*.sql")]):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def fingerprint(*parts: str) -> str:
    """One hash over everything a build depends on."""
    return hashlib.sha256("\n".join([rules_hash(), *parts]).encode()).hexdigest()[:16]


def states_over(window: Sequence[str], *tables: Mapping[str, str]) -> list[str]:
    """What is stored of a window of months, table by table (`Lake.states`): part of the fingerprint of a month that looks at others."""
    return [states.get(month, ABSENT) for states in tables for month in window]


def monthly_table(
    partitions: dg.PartitionsDefinition, model: type[Table], *, deps: Iterable[type[Table]], kinds: set[str], rule: str | None = None
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Decorator of the computation of one table by month, a range of months in one run; `rule` says in words what it is reconciled with."""
    return dg.multi_asset(
        specs=[asset_spec(model, deps=deps, kinds=kinds, skippable=True)],
        check_specs=[checks.schema_spec(model), *([] if rule is None else [checks.reconciled_spec(model, rule)])],
        name=table_name(model).split("/")[1],
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )


def build_months(
    context: dg.AssetExecutionContext,
    platform: Platform,
    *,
    models: Sequence[type[Table]],
    inputs: Callable[[str], str],
    prepare: Callable[[list[str]], Callable[[str], Frames]],
    reconciled: Sequence[Reconciled] = (),
    describe: Describe = lambda _months: {},
    looks_back_to: Callable[[str], str] = lambda month: month,
) -> Iterator[Any]:
    """Builds the run's months of tables that are computed together.

    Args:
        context: the step, with its partition keys (months) and selected assets.
        platform: lake, ledger, catalog.
        models: the tables computed together; only the selected ones are written.
        inputs: month -> fingerprint of everything its rows depend on.
        prepare: months -> a function computing one month's frames; it may raise DataQualityError for that month. The quality of a month's figures
            is `provisional` until it closes (semantics 4), which is seen to here.
        reconciled: identities between the frames, checked over all months computed.
        describe: months -> extra metadata per table and month.
        looks_back_to: month -> the earliest month its rows look at.

    A month is left out, by name, when a table that the assets declare to read was never computed for it (`inputs.py`).
    """
    months = sorted(context.partition_keys)
    selected = [model for model in models if checks.asset_key(model) in context.selected_asset_keys]
    open_months = set(months) - platform.closed(months) if any(QUALITY in columns(model) for model in models) else set()
    wanted = {month: fingerprint(inputs(month), "provisional") if month in open_months else inputs(month) for month in months}
    stale = {model: _stale_months(platform, model, wanted) for model in selected}
    due = sorted(set().union(*stale.values()))
    failures: dict[str, DataQualityError] = {}
    frames: dict[type[Table], pd.DataFrame] = {}
    commits: dict[type[Table], Commit] = {}
    if due:
        context.log.info(f"computing {', '.join(table_name(model) for model in selected)}: {_span(due)}")
        needed = Inputs(context, platform, models)
        failures = {month: DataQualityError(lacking) for month in due if (lacking := needed.missing(month, looks_back_to(month))) is not None}
        frames = _compute(models, [month for month in due if month not in failures], prepare, failures)
        frames = {model: _provisional(frame, open_months) for model, frame in frames.items()}
        problems = yield from _audit(selected, models, frames, reconciled, failures, computed=len(failures) < len(due))
        if problems is None:
            good = [month for month in due if month not in failures]
            for model in selected:
                commits[model] = _commit_months(context, platform, model, frames[model], [month for month in stale[model] if month in good], wanted)
    else:
        context.log.info(f"{', '.join(table_name(model) for model in selected)}: {_span(months)} current, nothing to do")
        problems = None
        for model in selected:
            yield checks.passed(model, checks.SCHEMA_CHECK, CURRENT)
        for rule in reconciled:
            if rule.model in selected:
                yield checks.passed(rule.model, checks.RECONCILED_CHECK, CURRENT)
    done = [month for month in months if month not in failures] if problems is None else []
    yield from _report(context, platform, selected, done, commits, describe, whole=not failures and problems is None)
    if problems is not None:
        raise dg.Failure(f"{problems}; nothing was written", allow_retries=False)
    if failures:
        raise dg.Failure(f"{_said(failures)}. Nothing was written for {_span(sorted(failures))}; earlier figures stay", allow_retries=False)


def build_tables(
    context: dg.AssetExecutionContext,
    platform: Platform,
    *,
    models: Sequence[type[Table]],
    inputs: str,
    compute: Callable[[], Frames],
    reconciled: Sequence[Reconciled] = (),
    append: bool = False,
) -> Iterator[Any]:
    """Builds unpartitioned tables that are computed together; same contract as `build_months`.

    With `append` the frames are rows to add to tables that are only ever added to.
    """
    names = ", ".join(table_name(model) for model in models)
    commits: dict[type[Table], Commit] = {}
    if all(platform.ledger.builds.of(table_name(model)).get(WHOLE) == (inputs, platform.lake.state(model)) for model in models):
        context.log.info(f"{names}: current, nothing to do")
        yield from (checks.passed(model, checks.SCHEMA_CHECK, CURRENT) for model in models)
        yield from (checks.passed(rule.model, checks.RECONCILED_CHECK, CURRENT) for rule in reconciled)
    else:
        if (lacking := Inputs(context, platform, models).missing()) is not None:
            raise dg.Failure(f"{names} {lacking}", allow_retries=False)
        context.log.info(f"computing {names}")
        frames: dict[type[Table], pd.DataFrame] = dict(compute())
        problem = yield from _audit(models, models, frames, reconciled, {})
        if problem is not None:
            raise dg.Failure(f"{problem}; nothing was written", allow_retries=False) from problem
        for model in models:
            write = platform.lake.append if append else platform.lake.replace
            commits[model] = write(model, frames[model], info={"run": context.run.run_id})
            if append:  # a table that is replaced has few files
                platform.lake.compact(model)
            platform.ledger.builds.record(table_name(model), {WHOLE: (inputs, platform.lake.state(model))})
            context.log.info(f"{table_name(model)}: {commits[model].rows} rows{'' if commits[model].changed else ', unchanged'}")
    for model in models:
        metadata = {**table_metadata(platform.lake, model, commits.get(model)), **preview_metadata(platform.lake, model)}
        yield dg.MaterializeResult(asset_key=checks.asset_key(model), metadata=metadata)


def _stale_months(platform: Platform, model: type[Table], wanted: Mapping[str, str]) -> list[str]:
    recorded = platform.ledger.builds.of(table_name(model))
    states = platform.lake.states(model)
    return [month for month, inputs in wanted.items() if recorded.get(month) != (inputs, states.get(month, ABSENT))]


def _compute(
    models: Sequence[type[Table]],
    due: list[str],
    prepare: Callable[[list[str]], Callable[[str], Frames]],
    failures: dict[str, DataQualityError],
) -> dict[type[Table], pd.DataFrame]:
    """The frames of the months that can be computed; why the others cannot is added to `failures`."""
    parts: dict[type[Table], list[pd.DataFrame]] = {model: [] for model in models}
    compute = prepare(due) if due else None
    for month in due if compute is not None else ():
        try:
            for model, frame in compute(month).items():
                parts[model].append(frame)
        except DataQualityError as error:
            failures[month] = error
    return {model: _stacked(model, frames) for model, frames in parts.items()}


def _stacked(model: type[Table], frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The rows of all months. Frames without rows are left out: what they were made of has lost its types, and often its columns."""
    filled = [frame for frame in frames if len(frame)]
    return pd.concat(filled, ignore_index=True) if filled else empty(model)


def _provisional(frame: pd.DataFrame, open_months: set[str]) -> pd.DataFrame:
    """The frame with figures of open months marked as such; no base and few customers are said first (semantics 4)."""
    if not open_months or QUALITY not in frame.columns:
        return frame
    graded = frame["month"].isin(open_months) & (frame[QUALITY] == "ok")
    return frame.assign(**{QUALITY: frame[QUALITY].mask(graded, "provisional")})


def _audit(
    selected: Sequence[type[Table]],
    models: Sequence[type[Table]],
    frames: dict[type[Table], pd.DataFrame],
    reconciled: Sequence[Reconciled],
    failures: Mapping[str, DataQualityError],
    *,
    computed: bool = True,
) -> Iterator[Any]:
    """Yields every declared check; returns the first problem that stops the whole write, or None.

    `computed` is False when every month failed: then there is nothing to check, and the months' own reason is what the checks say.
    """
    problem: DataQualityError | None = None
    failed_month = next((DataQualityError(f"{month}: {failure.problem}", failure.objects) for month, failure in failures.items()), None)
    for model in models:
        error = failed_month
        try:
            frames[model] = checks.validate(model, frames[model]) if computed else frames[model]
        except DataQualityError as broken:
            error = problem = broken
        if model in selected:
            yield (
                checks.failed(model, checks.SCHEMA_CHECK, error)
                if error
                else checks.passed(model, checks.SCHEMA_CHECK, "checked before it was written", rows=len(frames[model]))
            )
    for rule in reconciled:
        broken_rule: DataQualityError | None = problem if computed else failed_month
        if broken_rule is None:
            try:
                rule.audit(frames)
            except DataQualityError as error:
                broken_rule = problem = error
        if rule.model in selected:
            yield (
                checks.failed(rule.model, checks.RECONCILED_CHECK, broken_rule)
                if broken_rule
                else checks.passed(rule.model, checks.RECONCILED_CHECK, rule.rule)
            )
    return problem


def _commit_months(
    context: dg.AssetExecutionContext, platform: Platform, model: type[Table], frame: pd.DataFrame, months: list[str], wanted: Mapping[str, str]
) -> Commit:
    name = table_name(model)
    if not months:
        return Commit(name, False, 0, platform.lake.version(model))
    commit = platform.lake.replace(model, frame[frame["month"].isin(months)], months=months, info={"run": context.run.run_id})
    states = platform.lake.states(model)
    platform.ledger.builds.record(name, {month: (wanted[month], states.get(month, ABSENT)) for month in months})
    context.log.info(f"{name}: {commit.rows} rows in {_span(months)}{'' if commit.changed else ', unchanged'}")
    return commit


def _report(
    context: dg.AssetExecutionContext,
    platform: Platform,
    selected: Sequence[type[Table]],
    months: list[str],
    commits: Mapping[type[Table], Commit],
    describe: Describe,
    *,
    whole: bool,
) -> Iterator[Any]:
    """Metadata per month. With a failed month only the good ones are recorded as materialized, so the partitions bar tells the truth."""
    extras = describe(months) if months else {}
    for model in selected:
        key = checks.asset_key(model)
        shared = {**table_metadata(platform.lake, model, commits.get(model)), "months_of_the_run": _span(months)} if months else {}
        counts = platform.lake.rows_by_month(model)
        for month in months:
            metadata = {**extras.get(model, {}).get(month, {}), **shared, "dagster/row_count": counts.get(month, 0)}
            if month == months[-1]:  # the page shows the newest month; a preview of each would only fill the event log
                metadata |= preview_metadata(platform.lake, model, month)
            if whole:
                context.add_asset_metadata(metadata, asset_key=key, partition_key=month)
            else:
                context.log_event(dg.AssetMaterialization(key, partition=month, metadata=metadata))
        if whole:
            yield dg.MaterializeResult(asset_key=key)


def _span(months: Sequence[str]) -> str:
    return months[0] if len(months) == 1 else f"{months[0]} to {months[-1]}"


def _said(failures: Mapping[str, DataQualityError]) -> str:
    """Why months failed; months in a row with the same reason are one span."""
    runs = [(reason, [month for month, _ in run]) for reason, run in groupby(sorted(failures.items()), key=lambda failure: str(failure[1]))]
    return "; ".join(f"{_span(run)}: {reason}" for reason, run in runs)
