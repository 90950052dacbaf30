"""One run of a declaration over a range of months: which are current, compute, audit, commit, report.

Here: the one shape of every monthly table. Not here: a table's rule (`domain/`) or declaration (`tables/`),
fingerprints, events.

A month is current when its fingerprint is that of its last build and nobody touched its files since; then it
costs nothing. A month that fails is named, shown as a failed check and not written; the other months of the
run are. Frames that contradict each other stop the whole write.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import dagster as dg

from expansion_platform.domain.catalog.inputs import Together
from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.core.table import Table, table_name, table_names
from expansion_platform.domain.core.validation import SCHEMA_CHECK
from expansion_platform.engine import checks, events
from expansion_platform.engine.declaration import Declaration, Read
from expansion_platform.engine.describe import month_metadata
from expansion_platform.engine.executors import counted
from expansion_platform.engine.fingerprints import fingerprints, open_of
from expansion_platform.engine.missing import missing
from expansion_platform.engine.parts import (
    Checked,
    Part,
    Plan,
    check,
    check_frames,
    make,
    merged,
    of_months,
)
from expansion_platform.engine.reading import Reading
from expansion_platform.engine.work import Work, plain
from expansion_platform.resources import Platform
from expansion_platform.storage.lake import ABSENT
from expansion_platform.storage.shards import EVERYONE

CHECKED = "checked before it was written"
CURRENT = "current: nothing was written since the last check"


@dataclass
class Run:
    """One step: the months of the run, and what becomes of them."""

    context: dg.AssetExecutionContext
    platform: Platform
    declaration: Declaration
    months: list[str]
    selected: list[type[Table]]
    reading: Reading
    stale: dict[type[Table], set[str]] = field(default_factory=dict)
    """The months of each selected table that are not current."""
    failures: dict[str, DataQualityError] = field(default_factory=dict)
    """Months that cannot be computed."""

    def writes(self, model: type[Table], due: Sequence[str]) -> list[str]:
        """The months of a table to be written."""
        return [month for month in due if month in self.stale.get(model, ()) and month not in self.failures]


def build(context: dg.AssetExecutionContext, platform: Platform, declaration: Declaration) -> Iterator[Any]:
    """Brings the run's months of a declaration's tables up to date.

    Args:
        context: the step, with its partition keys (months), selected assets and checks.
        platform: lake, ledger, catalog, settings.
        declaration: of the tables.

    Raises:
        dg.Failure: months that cannot be computed, or frames that contradict each other; each with its
        reason.
    """
    months = sorted(context.partition_keys)
    selected = [
        model for model in declaration.models if checks.asset_key(model) in context.selected_asset_keys
    ]
    run = Run(context, platform, declaration, months, selected, Reading(platform, months))
    wanted = fingerprints(declaration, run.reading, months)
    run.stale = {model: stale_months(platform, model, wanted) for model in selected}
    due = [month for month in months if any(month in of for of in run.stale.values())]
    problem = _write(run, due, wanted) if due else None
    if not due:
        context.log.info(f"{table_names(selected)}: {span(months)} current, nothing to do")
    if problem is None:
        _report(run)
    _report_current(run, [month for month in months if month not in due])
    yield from events.check_outputs(context)
    if problem is not None:
        raise dg.Failure(f"{problem}; nothing was written", allow_retries=False)
    if run.failures:
        why = (
            f"{reasons(run.failures)}. Nothing was written for {span(sorted(run.failures))}; earlier "
            "figures stay"
        )
        raise dg.Failure(why, allow_retries=False)
    yield from events.outputs(context, selected)


def span(months: Sequence[str]) -> str:
    """Months as text: the first and the last."""
    return months[0] if len(months) == 1 else f"{months[0]} to {months[-1]}"


def reasons(failures: Mapping[str, DataQualityError]) -> str:
    """Why months failed; months in a row with the same reason are one span."""
    runs = [
        (reason, [month for month, _ in run])
        for reason, run in groupby(sorted(failures.items()), key=lambda failure: str(failure[1]))
    ]
    return "; ".join(f"{span(run)}: {reason}" for reason, run in runs)


def stale_months(platform: Platform, model: type[Table], wanted: Mapping[str, str]) -> set[str]:
    """The months of a table that are not current: built from something else, or their files touched since."""
    recorded, states = platform.ledger.builds.of(table_name(model)), platform.lake.states(model)
    return {
        month
        for month, inputs in wanted.items()
        if recorded.get(month) != (inputs, states.get(month, ABSENT))
    }


def _write(run: Run, due: list[str], wanted: Mapping[str, str]) -> DataQualityError | None:
    """Makes, checks and commits the months that can be computed, shard by shard.

    Returns the first problem, which stops the whole write.
    """
    declaration, context, reading = run.declaration, run.context, run.reading
    context.log.info(f"computing {table_names(run.selected)}: {span(due)}")
    if (without := declaration.not_set_up(run.platform)) is not None:
        context.log.info(without)
    lacking = missing(declaration.needed, reading)
    run.failures = {month: DataQualityError(text) for month in due if (text := lacking(month)) is not None}
    possible = [month for month in due if month not in run.failures]
    checked = _checked(run, due, possible) if possible else []
    problem = next((each.problem for each in checked if each.problem is not None), None)
    _report_checks(run, due, checked)
    if problem is None:
        for model in run.selected:
            _commit(run, model, run.writes(model, due), checked, wanted)
    else:
        for each in checked:
            run.platform.lake.forget(each.files)
    return problem


def _checked(run: Run, due: list[str], possible: list[str]) -> list[Checked]:
    """The rows of the months that every shard can compute, made and checked shard by shard."""
    declaration, reading = run.declaration, run.reading
    work = reading.work(
        declaration.names,
        declaration.rule,
        declaration.reads,
        declaration.uses,
        declaration.pooled,
        [read for identity in declaration.identities for read in identity.reads],
    )
    shards = reading.shards if declaration.by == "customer" else [EVERYONE]
    with _scratch() if len(shards) > 1 else nullcontext() as scratch:
        made = run.platform.executor.map(partial(make, work, possible, scratch), shards)
        parts = list(counted(made, len(shards), partial(_say, run, "computed")))
        run.failures |= merged(part.failures for part in parts)
        return _check(run, _plan(run, due, work, [part.shows for part in parts]), parts)


def _plan(run: Run, due: list[str], work: Work, shows: Sequence[Any]) -> Plan:
    """What is to become of the rows: of the months that every shard could compute."""
    declaration, reading = run.declaration, run.reading
    good = [month for month in due if month not in run.failures]
    settling = declaration.settling if good else None
    return Plan(
        models=declaration.models,
        months=good,
        writes={model: run.writes(model, due) for model in run.selected},
        identities=tuple(
            replace(identity, reads=plain(identity.reads)) for identity in declaration.identities
        ),
        work=work,
        stamps=reading.catalog_hashes,
        provisional=frozenset(open_of(declaration, reading, good)),
        settling=settling,
        shown=settling and settling.together(good, shows, reading.inputs_of(declaration, good)),
    )


def _check(run: Run, plan: Plan, parts: Sequence[Part]) -> list[Checked]:
    """Every part's rows, and those of tables that have none by customer, finished and checked."""
    if not plan.months:
        return []
    together = plan.shown if isinstance(plan.shown, Together) else Together({}, None)
    theirs = replace(
        plan,
        models=tuple(model for model in plan.models if model not in together.frames),
        shown=together.shown,
    )
    found = run.platform.executor.map(partial(check, theirs), parts)
    checked = list(counted(found, len(parts), partial(_say, run, "checked")))
    if together.frames:
        everyone = replace(plan, models=tuple(together.frames), identities=())
        checked.append(check_frames(everyone, together.frames, EVERYONE))
    return checked


@contextmanager
def _scratch() -> Iterator[Path]:
    """A folder for rows that wait; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="expansion-shards-") as folder:
        yield Path(folder)


def _say(run: Run, done: str, parts: str) -> None:
    run.context.log.info(f"{table_names(run.selected)}: {parts} {done}")


def _report_checks(run: Run, due: list[str], checked: Sequence[Checked]) -> None:
    """Reports every check of the months computed."""
    of_month = {
        month: DataQualityError(f"{month}: {failure.problem}", failure.objects)
        for month, failure in run.failures.items()
    }
    for model in run.selected:
        rows = sum(each.rows.get(model, 0) for each in checked)
        broken = merged(each.broken.get((model, SCHEMA_CHECK), {}) for each in checked)
        events.checked_by_month(run.context, model, SCHEMA_CHECK, due, of_month | broken, CHECKED, rows=rows)
    for identity in run.declaration.identities:
        if identity.model in run.selected:
            broken = merged(each.broken.get((identity.model, identity.check), {}) for each in checked)
            severity = dg.AssetCheckSeverity.WARN if identity.warns else dg.AssetCheckSeverity.ERROR
            events.checked_by_month(
                run.context,
                identity.model,
                identity.check,
                due,
                of_month | broken,
                identity.says,
                severity=severity,
            )


def _commit(
    run: Run, model: type[Table], months: list[str], checked: Sequence[Checked], wanted: Mapping[str, str]
) -> None:
    if not months:
        return
    lake, name, info = run.platform.lake, table_name(model), {"run": run.context.run.run_id}
    laid_down = [each for each in checked if model in each.files]
    if laid_down:
        same = all(each.same[model] for each in laid_down)
        commit = lake.commit(
            model, [file for each in laid_down for file in each.files[model]], months, same=same, info=info
        )
    else:
        (frame,) = (each.frames[model] for each in checked if model in each.frames)
        commit = lake.replace(model, of_months(frame, months), months=months, info=info)
    states = lake.states(model)
    run.platform.ledger.builds.record(
        name, {month: (wanted[month], states.get(month, ABSENT)) for month in months}
    )
    run.context.log.info(
        f"{name}: {commit.rows} rows in {span(months)}{'' if commit.changed else ', unchanged'}"
    )


def _report(run: Run) -> None:
    """Materializations of the months that were written, and of those never heard of.

    The latter are current, and this Dagster instance has no event of them.
    """
    done = [month for month in run.months if month not in run.failures]
    shown = {
        model: [*events.unknown(run.context, model, done, written=run.stale[model])] for model in run.selected
    }
    every = sorted(set().union(*shown.values())) if shown else []
    if not every:
        return
    declaration = run.declaration
    own = tuple(Read(model) for model in declaration.models)
    inputs = Reading(run.platform, every).inputs(
        declaration.names, (*declaration.plot_reads, *own), declaration.uses, every
    )
    plotted = {} if declaration.plots is None else declaration.plots(every, inputs)
    for model in run.selected:
        if shown[model]:
            metadata = month_metadata(run.platform.lake, model, shown[model], plotted.get(model, {}))
            written = {
                month: {**metadata[month], "written": month in run.stale[model]} for month in shown[model]
            }
            events.materialized(run.context, model, written)


def _report_current(run: Run, months: Sequence[str]) -> None:
    """Checks that the run announced, of months in which nothing was written."""
    note = f"{CURRENT} of this month"
    every = [(model, SCHEMA_CHECK) for model in run.declaration.models]
    every += [(identity.model, identity.check) for identity in run.declaration.identities]
    for model, name in every:
        if events.asked_for(run.context, model, name):
            events.checked(run.context, checks.passed(model, name, note), months)
