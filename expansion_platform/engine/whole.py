"""One step of tables that are computed whole: are they current, compute, audit, commit, report.

Here: the shape of every table that is not monthly. Not here: monthly tables (`monthly.py`), what they are
(`tables/`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
import pandas as pd

from expansion_platform.domain.catalog.inputs import Frames
from expansion_platform.domain.core import validation
from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.core.table import Table, table_name, table_names
from expansion_platform.engine import checks
from expansion_platform.engine.describe import preview_metadata, table_metadata
from expansion_platform.engine.missing import absent_tables, read_by
from expansion_platform.engine.monthly import CHECKED, CURRENT
from expansion_platform.resources import Platform

WHOLE = "all"
"""In the ledger, the month of a table that has none."""


@dataclass(frozen=True)
class Reconciled:
    """A cross-table identity checked before publishing, shown as a check on `model`."""

    model: type[Table]
    rule: str
    audit: Callable[[Frames], None]
    """Raises DataQualityError where it does not hold."""


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
    """Brings tables that are computed together up to date.

    Args:
        context: the step; its assets declare what they read.
        platform: lake and ledger.
        models: the tables.
        inputs: fingerprint of everything they depend on.
        compute: makes their rows.
        reconciled: identities that must hold.
        append: the rows are to be added to tables that are only ever added to.

    Raises:
        dg.Failure: an input was never computed, or the rows break a rule; nothing was written.
    """
    names = table_names(models)
    changed: set[type[Table]] = set()
    if all(
        platform.ledger.builds.of(table_name(model)).get(WHOLE) == (inputs, platform.lake.state(model))
        for model in models
    ):
        context.log.info(f"{names}: current, nothing to do")
        yield from (checks.passed(model, validation.SCHEMA_CHECK, CURRENT) for model in models)
        yield from (checks.passed(rule.model, validation.RECONCILED_CHECK, CURRENT) for rule in reconciled)
    else:
        if (lacking := absent_tables(read_by(context.assets_def, models), platform)) is not None:
            raise dg.Failure(f"{names} {lacking}", allow_retries=False)
        context.log.info(f"computing {names}")
        frames: dict[type[Table], pd.DataFrame] = dict(compute())
        problem = yield from _audit(models, frames, reconciled)
        if problem is not None:
            raise dg.Failure(f"{problem}; nothing was written", allow_retries=False) from problem
        for model in models:
            write = platform.lake.append if append else platform.lake.replace
            commit = write(model, frames[model], info={"run": context.run.run_id})
            if append:  # a table that is replaced has few files
                platform.lake.compact(model)
            platform.ledger.builds.record(table_name(model), {WHOLE: (inputs, platform.lake.state(model))})
            context.log.info(
                f"{table_name(model)}: {commit.rows} rows{'' if commit.changed else ', unchanged'}"
            )
            changed |= {model} if commit.changed else set()
    for model in models:
        metadata = {
            **table_metadata(platform.lake, model, written=model in changed),
            **preview_metadata(platform.lake, model),
        }
        yield dg.MaterializeResult(asset_key=checks.asset_key(model), metadata=metadata)


def _audit(
    models: Sequence[type[Table]], frames: dict[type[Table], pd.DataFrame], reconciled: Sequence[Reconciled]
) -> Generator[Any, None, DataQualityError | None]:
    """Yields every declared check; returns the first problem, or None."""
    problem: DataQualityError | None = None
    for model in models:
        try:
            frames[model] = validation.validate(model, frames[model])
            yield checks.passed(model, validation.SCHEMA_CHECK, CHECKED, rows=len(frames[model]))
        except DataQualityError as error:
            problem = error
            yield checks.failed(model, validation.SCHEMA_CHECK, error)
    for rule in reconciled:
        broken = problem
        if broken is None:
            try:
                rule.audit(frames)
            except DataQualityError as error:
                broken = problem = error
        yield (
            checks.passed(rule.model, validation.RECONCILED_CHECK, rule.rule)
            if broken is None
            else checks.failed(rule.model, validation.RECONCILED_CHECK, broken)
        )
    return problem
