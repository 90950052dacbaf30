"""What a step reports of each month: a check that fails for one of them, and a month that cannot be
computed.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from expansion_platform.automation.jobs import month_range
from expansion_platform.definitions import partitions
from expansion_platform.domain.catalog.inputs import Computed, Frames, Inputs
from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.metrics import tables as metrics
from expansion_platform.domain.metrics.one_month import compute_metrics
from expansion_platform.engine.assets import monthly_assets
from expansion_platform.engine.declaration import Declaration, Identity
from expansion_platform.engine.reading import Reading
from expansion_platform.resources import Platform
from expansion_platform.tables.metrics import METRICS
from expansion_platform_tests.pipelines import Pipeline

pytestmark = pytest.mark.xdist_group("pipeline")

FIRST, BROKEN, LAST = MADE = ["2026-04", "2026-05", "2026-06"]


def run(pipeline: Pipeline, declaration: Declaration) -> tuple[dict[tuple[str, str], bool], set[str], str]:
    """Three months of a declaration: each check of metrics/rollforward by month, the months materialized, and
    why the step failed.
    """
    with Platform(pipeline.settings) as platform, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assets = monthly_assets(declaration, partitions(pipeline.settings))
        job = dg.Definitions(
            assets=[assets], resources={"platform": platform}
        ).resolve_implicit_global_asset_job_def()
        result = job.execute_in_process(
            instance=pipeline.instance, tags=month_range(FIRST, LAST), raise_on_error=False
        )
    evaluated = [
        event.asset_check_evaluation_data
        for event in result.all_events
        if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION
    ]
    found = {
        (each.check_name, str(each.partition)): each.passed
        for each in evaluated
        if each.asset_key.path[-1] == "rollforward"
    }
    written = {str(event.partition) for event in result.all_events if event.is_step_materialization}
    failures = [
        str(event.step_failure_data.user_failure_data.description)
        for event in result.all_events
        if event.is_step_failure
    ]
    return found, written, "; ".join(failures)


def changed(_: Reading) -> dict[str, str]:
    """Every month is made of something new."""
    return dict.fromkeys(MADE, "new")


def no_base_in(months: Sequence[str], frames: Frames) -> None:
    if set(frames[metrics.Rollforward]["month"]) & set(months):
        raise DataQualityError("opening MRR is wrong", [f"rollforward {BROKEN}"])


def refuse(frames: Frames, _: Inputs) -> None:
    no_base_in([BROKEN], frames)


def without_broken(months: list[str], inputs: Inputs) -> Computed:
    good = [month for month in months if month != BROKEN]
    return Computed(compute_metrics(good, inputs).frames, {BROKEN: DataQualityError("no rate", ["eur"])})


def test_a_check_that_fails_for_one_month_passes_for_the_others_and_stops_the_write(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    with pipeline.copied(tmp_path) as copied:
        before = copied.contents([metrics.Rollforward])
        wrong = replace(
            METRICS,
            identities=(Identity(metrics.Rollforward, "opening MRR is right", refuse),),
            made_of=changed,
        )
        found, written, why = run(copied, wrong)
        assert {key: passed for key, passed in found.items() if key[0] == "reconciled"} == {
            ("reconciled", FIRST): True,
            ("reconciled", BROKEN): False,
            ("reconciled", LAST): True,
        }
        assert written == set()
        assert "opening MRR is wrong" in why
        assert "nothing was written" in why
        assert copied.contents([metrics.Rollforward]) == before


def test_an_identity_that_warns_stops_nothing(pipeline: Pipeline, tmp_path: Path) -> None:
    with pipeline.copied(tmp_path) as copied:
        identity = Identity(metrics.Rollforward, "opening MRR is right", refuse, warns=True)
        found, written, why = run(copied, replace(METRICS, identities=(identity,), made_of=changed))
        assert not found["reconciled", BROKEN]
        assert found["schema", BROKEN]
        assert written == set(MADE)
        assert why == ""


def test_a_month_that_cannot_be_computed_leaves_the_others(pipeline: Pipeline, tmp_path: Path) -> None:
    with pipeline.copied(tmp_path) as copied:
        found, written, why = run(copied, replace(METRICS, rule=without_broken, made_of=changed))
        assert written == {FIRST, LAST}
        assert not found["schema", BROKEN]
        assert found["schema", LAST]
        assert why == f"{BROKEN}: no rate: eur. Nothing was written for {BROKEN}; earlier figures stay"


def test_current_months_say_so_where_their_checks_were_asked_for(pipeline: Pipeline, tmp_path: Path) -> None:
    """A run that announces a check and does not report it shows it as skipped."""
    with pipeline.copied(tmp_path, history=False) as copied:
        found, written, why = run(copied, METRICS)
        assert found == {(check, month): True for check in ("schema", "reconciled") for month in MADE}
        assert written == set(MADE)
        assert why == ""
