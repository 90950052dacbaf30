"""One run of a declaration over a range of months: which are current, compute, audit, commit, report.

Here: the one shape of every monthly table. Not here: a table's rule (`domain/`) or declaration (`tables/`), fingerprints, events.

A month is current when its fingerprint is that of its last build and nobody touched its files since; then it costs nothing. A month that fails is
named, shown as a failed check and not written; the other months of the run are. Frames that contradict each other stop the whole write.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import Any

import dagster as dg
import pandas as pd

from expansion_platform import checks
from expansion_platform.domain.errors import DataQualityError
from expansion_platform.domain.inputs import Computed
from expansion_platform.domain.schemas.base import Table, columns, empty, table_name
from expansion_platform.engine import events
from expansion_platform.engine.declaration import Declaration, Identity, Read
from expansion_platform.engine.describe import month_metadata
from expansion_platform.engine.fingerprints import QUALITY, fingerprints, open_of
from expansion_platform.engine.missing import missing
from expansion_platform.engine.reading import Reading
from expansion_platform.resources import Platform
from expansion_platform.storage.lake import ABSENT

CHECKED = "checked before it was written"
CURRENT = "current: nothing was written since the last check"
Broken = dict[str, DataQualityError]
"""Month -> why it is not written."""


@dataclass
class Run:
    """One step: the months of the run, and what becomes of them."""

    context: dg.AssetExecutionContext
    platform: Platform
    declaration: Declaration
    months: list[str]
    selected: list[type[Table]]
    reading: Reading
    failures: Broken = field(default_factory=dict)
    """Months that cannot be computed."""
    frames: dict[type[Table], pd.DataFrame] = field(default_factory=dict)


def build(context: dg.AssetExecutionContext, platform: Platform, declaration: Declaration) -> Iterator[Any]:
    """Brings the run's months of a declaration's tables up to date.

    Args:
        context: the step, with its partition keys (months), selected assets and checks.
        platform: lake, ledger, catalog, settings.
        declaration: of the tables.

    Raises:
        dg.Failure: months that cannot be computed, or frames that contradict each other; each with its reason.
    """
    months = sorted(context.partition_keys)
    selected = [model for model in declaration.models if checks.asset_key(model) in context.selected_asset_keys]
    run = Run(context, platform, declaration, months, selected, Reading(platform, months))
    wanted = fingerprints(declaration, run.reading, months)
    stale = {model: stale_months(platform, model, wanted) for model in selected}
    due = [month for month in months if any(month in of for of in stale.values())]
    problem = None
    if due:
        problem = _compute(run, due)
        if problem is None:
            for model, of in stale.items():
                _commit(run, model, [month for month in due if month in of and month not in run.failures], wanted)
    else:
        context.log.info(f"{_names(selected)}: {span(months)} current, nothing to do")
    if problem is None:
        _report(run, stale)
    _report_current(run, [month for month in months if month not in due])
    yield from events.check_outputs(context)
    if problem is not None:
        raise dg.Failure(f"{problem}; nothing was written", allow_retries=False)
    if run.failures:
        why = f"{reasons(run.failures)}. Nothing was written for {span(sorted(run.failures))}; earlier figures stay"
        raise dg.Failure(why, allow_retries=False)
    yield from events.outputs(context, selected)


def span(months: Sequence[str]) -> str:
    """Months as text: the first and the last."""
    return months[0] if len(months) == 1 else f"{months[0]} to {months[-1]}"


def reasons(failures: Mapping[str, DataQualityError]) -> str:
    """Why months failed; months in a row with the same reason are one span."""
    runs = [(reason, [month for month, _ in run]) for reason, run in groupby(sorted(failures.items()), key=lambda failure: str(failure[1]))]
    return "; ".join(f"{span(run)}: {reason}" for reason, run in runs)


def stale_months(platform: Platform, model: type[Table], wanted: Mapping[str, str]) -> set[str]:
    """The months of a table that are not current: built from something else, or their files touched since."""
    recorded, states = platform.ledger.builds.of(table_name(model)), platform.lake.states(model)
    return {month for month, inputs in wanted.items() if recorded.get(month) != (inputs, states.get(month, ABSENT))}


def _compute(run: Run, due: list[str]) -> DataQualityError | None:
    """The frames of the months that can be computed, checked; returns the first problem that stops the whole write."""
    declaration, context = run.declaration, run.context
    context.log.info(f"computing {_names(run.selected)}: {span(due)}")
    if (without := declaration.not_set_up(run.platform)) is not None:
        context.log.info(without)
    lacking = missing(declaration.needed, run.reading)
    run.failures = {month: DataQualityError(text) for month in due if (text := lacking(month)) is not None}
    possible = [month for month in due if month not in run.failures]
    computed = declaration.rule(possible, run.reading.inputs_of(declaration, possible)) if possible else Computed({})
    run.failures |= computed.failures
    open_months = open_of(declaration, run.reading, due)
    run.frames = {model: _stamped(model, computed.frames.get(model), run, open_months) for model in declaration.models}
    return _audit(run, due)


def _stamped(model: type[Table], frame: pd.DataFrame | None, run: Run, open_months: set[str]) -> pd.DataFrame:
    """Rows with the versions they are made with; figures of open months are provisional (no base and few customers come first, semantics 4)."""
    if frame is None or frame.empty:
        return empty(model)
    known = columns(model)
    stamps: dict[str, Any] = {name: text for name, text in run.reading.catalog_hashes.items() if name in known and name not in frame.columns}
    if open_months and QUALITY in frame.columns:
        graded = frame["month"].isin(open_months) & (frame[QUALITY] == "ok")
        stamps[QUALITY] = frame[QUALITY].mask(graded, "provisional")
    return frame.assign(**stamps)


def _audit(run: Run, due: list[str]) -> DataQualityError | None:
    """Reports every check of the months computed; returns the first problem that stops the whole write."""
    good = [month for month in due if month not in run.failures]
    of_month = {month: DataQualityError(f"{month}: {failure.problem}", failure.objects) for month, failure in run.failures.items()}
    problem: DataQualityError | None = None
    for model in run.declaration.models:
        broken: Broken = {}
        try:
            run.frames[model] = checks.validate(model, run.frames[model]) if good else run.frames[model]
        except DataQualityError as error:
            problem = problem or error
            broken = _by_month(good, error, partial(_validate, run, model))
        if model in run.selected:
            rows = len(run.frames[model])
            events.checked_by_month(run.context, model, checks.SCHEMA_CHECK, due, of_month | broken, CHECKED, rows=rows)
    for identity in run.declaration.identities:
        found = problem or (_broken(run, identity, good) if good else None)
        broken = {} if found is None else dict.fromkeys(good, found) if found is problem else _by_month(good, found, partial(_hold, run, identity))
        if identity.model in run.selected:
            severity = dg.AssetCheckSeverity.WARN if identity.warns else dg.AssetCheckSeverity.ERROR
            events.checked_by_month(run.context, identity.model, identity.check, due, of_month | broken, identity.says, severity=severity)
        if not identity.warns:
            problem = found
    return problem


def _validate(run: Run, model: type[Table], month: str) -> None:
    frame = run.frames[model]
    checks.validate(model, _of_months(frame, [month]))


def _broken(run: Run, identity: Identity, months: Sequence[str]) -> DataQualityError | None:
    try:
        _hold(run, identity, *months)
    except DataQualityError as error:
        return error
    return None


def _hold(run: Run, identity: Identity, *months: str) -> None:
    """Raises DataQualityError where the frames of some months break an identity."""
    declaration = run.declaration
    inputs = run.reading.inputs(declaration.names, (*identity.reads, *declaration.reads), declaration.uses, months)
    frames = run.frames
    if len(months) == 1:
        frames = {model: _of_months(frame, months) for model, frame in frames.items()}
    identity.audit(frames, inputs)


def _of_months(frame: pd.DataFrame, months: Sequence[str]) -> pd.DataFrame:
    """The rows of some months; the frame itself where it has no others, since 36 months of customers are millions of rows."""
    return frame if frame.empty or set(frame["month"].unique()) <= set(months) else frame[frame["month"].isin(months)]


def _by_month(months: Sequence[str], error: DataQualityError, audit: Callable[[str], None]) -> Broken:
    """The months that are broken by themselves; all of them, with the error of all, where that only shows over several."""
    broken: Broken = {}
    for month in months:
        try:
            audit(month)
        except DataQualityError as own:
            broken[month] = own
    return broken or dict.fromkeys(months, error)


def _commit(run: Run, model: type[Table], months: list[str], wanted: Mapping[str, str]) -> None:
    if not months:
        return
    lake, name, frame = run.platform.lake, table_name(model), run.frames[model]
    commit = lake.replace(model, _of_months(frame, months), months=months, info={"run": run.context.run.run_id})
    states = lake.states(model)
    run.platform.ledger.builds.record(name, {month: (wanted[month], states.get(month, ABSENT)) for month in months})
    run.context.log.info(f"{name}: {commit.rows} rows in {span(months)}{'' if commit.changed else ', unchanged'}")


def _report(run: Run, stale: Mapping[type[Table], set[str]]) -> None:
    """Materializations of the months that were written, and of those that are current and this Dagster instance never heard of."""
    done = [month for month in run.months if month not in run.failures]
    shown = {model: [*events.unknown(run.context, model, done, written=stale[model])] for model in run.selected}
    every = sorted(set().union(*shown.values())) if shown else []
    if not every:
        return
    declaration = run.declaration
    own = tuple(Read(model) for model in declaration.models)
    inputs = Reading(run.platform, every).inputs(declaration.names, (*declaration.plot_reads, *own), declaration.uses, every)
    plotted = {} if declaration.plots is None else declaration.plots(every, inputs)
    for model in run.selected:
        if shown[model]:
            metadata = month_metadata(run.platform.lake, model, shown[model], plotted.get(model, {}))
            written = {month: {**metadata[month], "written": month in stale[model]} for month in shown[model]}
            events.materialized(run.context, model, written)


def _report_current(run: Run, months: Sequence[str]) -> None:
    """Checks that the run announced, of months in which nothing was written."""
    note = f"{CURRENT} of this month"
    every = [(model, checks.SCHEMA_CHECK) for model in run.declaration.models]
    every += [(identity.model, identity.check) for identity in run.declaration.identities]
    for model, check in every:
        if events.asked_for(run.context, model, check):
            events.checked(run.context, checks.passed(model, check, note), months)


def _names(models: Sequence[type[Table]]) -> str:
    return ", ".join(table_name(model) for model in models)
