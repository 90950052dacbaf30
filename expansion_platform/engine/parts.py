"""One shard of a declaration: its rows made, and, once all customers are known, finished and checked.

Here: the two tasks that an executor runs, `make` and `check`, on plain values. Not here: which months are
due, what is reported and committed (`monthly.py`), running tasks (`executors.py`).

Between the two, rows wait in memory where there is one shard, else in a scratch folder, so that no process
holds more than one shard. What a task finds wrong it returns: an error that is raised would be tried again by
an executor that retries.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from expansion_platform.domain.catalog.inputs import Computed, Frames
from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.core.table import Table, columns, empty
from expansion_platform.domain.core.validation import SCHEMA_CHECK, validate
from expansion_platform.engine.declaration import Identity, Settling
from expansion_platform.engine.work import Work, plain, run
from expansion_platform.storage.files import File
from expansion_platform.storage.shards import Shard

QUALITY = "quality"
"""The column that says of open months that their figures are provisional (semantics 4)."""

Broken = Mapping[str, DataQualityError]
"""Month -> why it is not written."""
Check = tuple[type[Table], str]


@dataclass(frozen=True)
class Part:
    """What a rule made of a shard.

    The months it cannot compute, what the other shards' rows depend on, and its rows or where they wait.
    """

    shard: Shard
    failures: Broken
    shows: Any
    rows: Computed | Path

    @property
    def computed(self) -> Computed:
        """The rows."""
        if isinstance(self.rows, Path):
            with self.rows.open("rb") as file:
                found: Computed = pickle.load(file)  # noqa: S301  this run wrote it, into its own folder
            return found
        return self.rows


@dataclass(frozen=True)
class Plan:
    """What is to become of the rows of a declaration.

    Args:
        models: the tables.
        months: those that can be computed.
        writes: the months to be written of each table.
        identities: what must hold.
        work: the rule, with what the identities compare with.
        stamps: the versions that are stamped on rows.
        provisional: the months whose figures are.
        settling: what finishes rows, with what all customers show.
    """

    models: tuple[type[Table], ...]
    months: list[str]
    writes: Mapping[type[Table], list[str]]
    identities: tuple[Identity, ...]
    work: Work
    stamps: Mapping[str, str]
    provisional: frozenset[str]
    settling: Settling | None = None
    shown: Any = None


@dataclass
class Checked:
    """A shard's rows after every check.

    `broken` has, by check, the months that it fails in; `problem` is the first that stops the whole write.
    The rows themselves, or the files they were laid down in; `same` says whether they are what is stored.
    """

    rows: dict[type[Table], int] = field(default_factory=dict)
    broken: dict[Check, Broken] = field(default_factory=dict)
    problem: DataQualityError | None = None
    frames: dict[type[Table], pd.DataFrame] = field(default_factory=dict)
    files: dict[type[Table], list[File]] = field(default_factory=dict)
    same: dict[type[Table], bool] = field(default_factory=dict)


def make(work: Work, months: list[str], scratch: Path | None, shard: Shard) -> Part:
    """Runs the rule on a shard; with a scratch folder, its rows wait there."""
    computed: Computed = run(work, months, shard)
    if scratch is None:
        return Part(shard, computed.failures, computed.shows, computed)
    place = scratch / f"{shard.number}.pickle"
    with place.open("wb") as file:
        pickle.dump(replace(computed, shows=None), file, protocol=pickle.HIGHEST_PROTOCOL)
    return Part(shard, computed.failures, computed.shows, place)


def check(plan: Plan, part: Part) -> Checked:
    """Finishes the rows of a part, checks them, and lays them down as files where they had waited."""
    computed = part.computed
    rows = (
        computed.frames if plan.settling is None else plan.settling.finish(plan.months, computed, plan.shown)
    )
    checked = check_frames(plan, rows, part.shard)
    if isinstance(part.rows, Path) and checked.problem is None:
        lake = plan.work.lake
        for model, months in plan.writes.items():
            if months and model in checked.frames:
                frame = of_months(checked.frames[model], months)
                checked.files[model], checked.same[model] = lake.lay_down(
                    model, frame, months, part.shard.rows("customer")
                )
        checked.frames = {}
    return checked


def check_frames(plan: Plan, rows: Frames, shard: Shard) -> Checked:
    """Rows with the versions they are made with, checked against their tables' models and identities."""
    checked, months = Checked(), plan.months
    for model in plan.models:
        frame = stamped(model, rows.get(model), plan)
        try:
            frame = validate(model, frame)
        except DataQualityError as error:
            checked.problem = checked.problem or error
            checked.broken[model, SCHEMA_CHECK] = by_month(months, error, _validation(model, frame))
        checked.frames[model], checked.rows[model] = frame, len(frame)
    for identity in plan.identities:
        found = checked.problem or _broken(plan, identity, checked.frames, shard, months)
        if found is not None:
            alone = dict.fromkeys(months, found)
            if found is not checked.problem:
                alone = by_month(months, found, _holding(plan, identity, checked.frames, shard))
            checked.broken[identity.model, identity.check] = alone
        if not identity.warns:
            checked.problem = found
    return checked


def stamped(model: type[Table], frame: pd.DataFrame | None, plan: Plan) -> pd.DataFrame:
    """Rows with the versions they are made with.

    Figures of open months are provisional (no base and few customers come first, semantics 4).
    """
    if frame is None or frame.empty:
        return empty(model)
    known = columns(model)
    frame = of_months(frame, plan.months)
    stamps: dict[str, Any] = {
        name: pd.Categorical.from_codes(np.zeros(len(frame), dtype=np.int8), pd.Index([text]))
        for name, text in plan.stamps.items()
        if name in known and name not in frame.columns
    }
    if plan.provisional and QUALITY in frame.columns:
        graded = frame["month"].isin(plan.provisional) & (frame[QUALITY] == "ok")
        stamps[QUALITY] = frame[QUALITY].mask(graded, "provisional")
    return frame.assign(**stamps)


def of_months(frame: pd.DataFrame, months: Sequence[str]) -> pd.DataFrame:
    """The rows of some months.

    The frame itself where it has no others, since 36 months of customers are millions of rows.
    """
    return (
        frame
        if frame.empty or set(frame["month"].unique()) <= set(months)
        else frame[frame["month"].isin(months)]
    )


def by_month(
    months: Sequence[str], error: DataQualityError, audit: Callable[[str], None]
) -> dict[str, DataQualityError]:
    """The months that are broken by themselves.

    All of them, with the error of all, where that only shows over several.
    """
    broken: dict[str, DataQualityError] = {}
    for month in months:
        try:
            audit(month)
        except DataQualityError as own:
            broken[month] = own
    return broken or dict.fromkeys(months, error)


def merged(parts: Iterable[Broken]) -> dict[str, DataQualityError]:
    """Why months fail, from why they do in each shard: one reason a month, of all the objects it has."""
    found: dict[str, DataQualityError] = {}
    for part in parts:
        for month, error in part.items():
            first = found.get(month)
            if first is None:
                found[month] = error
            elif first.problem == error.problem:
                found[month] = DataQualityError(
                    first.problem, dict.fromkeys([*first.objects, *error.objects])
                )
    return found


def _validation(model: type[Table], frame: pd.DataFrame) -> Callable[[str], None]:
    def audit(month: str) -> None:
        validate(model, of_months(frame, [month]))

    return audit


def _holding(plan: Plan, identity: Identity, frames: Frames, shard: Shard) -> Callable[[str], None]:
    def audit(month: str) -> None:
        _hold(plan, identity, frames, shard, [month])

    return audit


def _broken(
    plan: Plan, identity: Identity, frames: Frames, shard: Shard, months: list[str]
) -> DataQualityError | None:
    try:
        _hold(plan, identity, frames, shard, months)
    except DataQualityError as error:
        return error
    return None


def _hold(plan: Plan, identity: Identity, frames: Frames, shard: Shard, months: list[str]) -> None:
    """Raises DataQualityError where the frames of some months break an identity."""
    work = replace(plan.work, reads=(*plain(identity.reads), *plan.work.reads))
    if len(months) == 1:
        frames = {model: of_months(frame, months) for model, frame in frames.items()}
    identity.audit(frames, work.inputs(months, shard))
