"""Whole runs on a small company: nothing is done twice, a month comes back byte for byte, and what is
compared can also fail.
"""

from __future__ import annotations

from functools import wraps
from pathlib import Path

import dagster as dg
import pytest

from expansion_platform.automation.jobs import REFRESH_JOB, month_range
from expansion_platform.definitions import build_defs
from expansion_platform.domain.core import months
from expansion_platform.domain.core.table import partitioned_by, table_name
from expansion_platform.domain.history import tables as billing_tables
from expansion_platform.domain.metrics import tables as metric_tables
from expansion_platform.domain.metrics.tables import CohortExpansion
from expansion_platform.domain.mrr import tables as mrr_tables
from expansion_platform.domain.signals.tables import FACT_TABLES
from expansion_platform.domain.tables import TABLES
from expansion_platform.engine.checks import asset_key
from expansion_platform.ingestion import histories
from expansion_platform.resources import Platform
from expansion_platform.simulator.verify import compare
from expansion_platform_tests.pipelines import MONTHS, NEWEST, Pipeline, computations

pytestmark = pytest.mark.xdist_group("pipeline")


EMPTY = {
    *("stripe/subscription_schedules", "stripe/meter_usage", "stripe/tax_rates"),  # a plain company has none
    "billing/quarantine",  # nothing that cannot be read
    "metrics/restatements",  # nothing late
    "metrics/expansion_cac",  # nobody says what was spent
    *("signals/programmes", "signals/conversations"),  # no outreach is given
    *("metrics/stripe_parity", "metrics/stripe_differences"),  # nothing to compare with
    # No CRM and no support tool are given.
    *(table_name(model) for model in FACT_TABLES.values()),
}


def test_every_table_is_filled_and_valid(pipeline: Pipeline) -> None:
    for name, model in TABLES.items():
        rows = pipeline.lake.read(model)
        assert bool(len(rows)) is (name not in EMPTY), name
        model.validate(rows, lazy=True)


def test_every_closed_month_is_there(pipeline: Pipeline) -> None:
    expected = months.between(months.shift(NEWEST, 1 - MONTHS), NEWEST)
    for model in (mrr_tables.CustomerMonths, metric_tables.Rollforward):
        assert pipeline.lake.months(model) == expected
    # The first month has new customers only, and those have no causes.
    assert pipeline.lake.months(mrr_tables.Causes) == expected[1:]


def test_a_second_refresh_computes_and_commits_nothing(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("changes", "states_of"):

        @wraps(getattr(histories, name))
        def called(*_: object, **__: object) -> None:
            raise AssertionError("computed again")

        monkeypatch.setattr(histories, name, called)
    before = pipeline.contents()
    with computations() as computed:
        assert pipeline.refresh().success
    assert computed == {}
    assert pipeline.contents() == before


def monthly_events(pipeline: Pipeline, first: str) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """What a run of the job from `first` to the newest month reports by month: materializations, and
    checks.
    """
    with Platform(pipeline.settings) as platform:
        job = build_defs(platform).resolve_job_def(REFRESH_JOB)
        result = job.execute_in_process(instance=pipeline.instance, tags=month_range(first, NEWEST))
    assert result.success
    assert not [event for event in result.all_events if event.is_step_skipped]
    found = [
        event for event in result.all_events if event.is_step_materialization and event.partition is not None
    ]
    evaluated = [
        event.asset_check_evaluation_data
        for event in result.all_events
        if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION
    ]
    return (
        {
            (str(event.asset_key and event.asset_key.to_user_string()), str(event.partition))
            for event in found
        },
        {
            (each.asset_key.to_user_string(), each.partition)
            for each in evaluated
            if each.partition is not None
        },
    )


def test_a_run_reports_only_what_it_wrote(pipeline: Pipeline, tmp_path: Path) -> None:
    """Once a run stored 716 materializations of 24 months in which nothing had changed, 4 ms each; and the
    UI's partitions stay filled.
    """
    every = months.between(months.shift(NEWEST, 1 - MONTHS), NEWEST)
    assert monthly_events(pipeline, every[0]) == (set(), set())
    for model in (mrr_tables.CustomerMonths, metric_tables.Restatements):
        assert pipeline.instance.get_materialized_partitions(asset_key(model)) == set(every)
    with pipeline.copied(tmp_path, history=False) as copied:
        reported, checked = monthly_events(copied, every[-2])
        assert {month for _, month in reported} == set(every[-2:])
        assert {name for name, _ in reported} == {
            name for name, model in TABLES.items() if partitioned_by(model)
        }
        assert checked == set()
        copied.lake.delete_months(CohortExpansion, every[-2:-1])  # which no other table reads
        written = {("metrics/cohort_expansion", every[-2])}
        assert monthly_events(copied, every[-2]) == (written, written)


def test_a_deleted_month_comes_back_byte_for_byte(pipeline: Pipeline, tmp_path: Path) -> None:
    month = "2026-05"
    with pipeline.copied(tmp_path) as copied:
        before = copied.contents()
        for model in (mrr_tables.Movements, mrr_tables.Causes):
            copied.lake.delete_months(model, [month])
            assert month not in copied.lake.months(model)
        with Platform(copied.settings) as platform:
            job = build_defs(platform).resolve_implicit_global_asset_job_def()
            result = job.execute_in_process(
                instance=copied.instance,
                partition_key=month,
                asset_selection=[asset_key(model) for model in (mrr_tables.Movements, mrr_tables.Causes)],
            )
        assert result.success
        after = copied.contents()
        assert {name: content for name, (_, content) in after.items()} == {
            name: content for name, (_, content) in before.items()
        }
        changed = {name for name in after if after[name] != before[name]}
        assert changed == {"mrr/movements", "mrr/causes"}


def test_files_someone_touched_are_computed_again(pipeline: Pipeline, tmp_path: Path) -> None:
    with pipeline.copied(tmp_path) as copied:
        before = copied.lake.content_hash(mrr_tables.CustomerMonths)
        copied.lake.replace(
            mrr_tables.CustomerMonths,
            copied.lake.read(mrr_tables.CustomerMonths, ["2026-04"]).head(1),
            months=["2026-04"],
        )
        assert copied.lake.content_hash(mrr_tables.CustomerMonths) != before
        copied.refresh("2026-04", "2026-04")
        assert copied.lake.content_hash(mrr_tables.CustomerMonths) == before


def test_the_result_is_the_truth(pipeline: Pipeline) -> None:
    verdict = compare(pipeline.world.company, pipeline.lake, MONTHS)
    assert verdict.differences == []
    assert verdict.item_states > 100
    assert verdict.customer_months > 300
    assert verdict.causes > 100


@pytest.mark.parametrize(
    ("model", "column"),
    [
        (mrr_tables.CustomerMonths, "closing"),
        (mrr_tables.Movements, "flow_expansion"),
        (mrr_tables.Causes, "amount"),
    ],
)
def test_the_comparison_sees_one_cent(pipeline: Pipeline, tmp_path: Path, model: type, column: str) -> None:
    with pipeline.copied(tmp_path) as copied:
        rows = copied.lake.read(model, [NEWEST])
        row = rows.index[rows[column] > 1][0]
        rows.loc[row, column] += 1
        copied.lake.replace(model, rows, months=[NEWEST])
        differences = compare(copied.world.company, copied.lake, MONTHS).differences
    assert differences
    assert all(f"{rows.at[row, 'customer']} {NEWEST}" in difference for difference in differences)


def test_the_comparison_sees_a_moved_state(pipeline: Pipeline, tmp_path: Path) -> None:
    with pipeline.copied(tmp_path) as copied:
        states = copied.lake.read(billing_tables.ItemStates)
        states.loc[0, "valid_from"] += (states["valid_to"] - states["valid_from"]).min() / 1000
        copied.lake.replace(billing_tables.ItemStates, states)
        differences = compare(copied.world.company, copied.lake, MONTHS).differences
    assert all(states.at[0, "item"] in difference for difference in differences)
    said = ["said to begin exactly where nothing did", "state invented", "state missing"]
    assert sorted(what for what in said for difference in differences if what in difference) == said
