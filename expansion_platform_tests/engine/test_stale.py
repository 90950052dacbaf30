"""Where a refresh begins: at the first month of which something is not current, or which this Dagster
instance does not know.
"""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from expansion_platform.domain.core import months
from expansion_platform.domain.metrics import tables as metrics
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.tables import TABLES
from expansion_platform.engine.stale import first_stale
from expansion_platform.resources import Platform
from expansion_platform.tables.declarations import DECLARATIONS
from expansion_platform_tests.pipelines import MONTHS, NEWEST, Pipeline, computations

pytestmark = pytest.mark.xdist_group("pipeline")

CALENDAR = months.between(months.shift(NEWEST, 1 - MONTHS), NEWEST)


def first(pipeline: Pipeline, tables: list[str] | None = None) -> str | None:
    with Platform(pipeline.settings) as platform:
        return first_stale(
            DECLARATIONS, platform, pipeline.instance, CALENDAR, list(TABLES) if tables is None else tables
        )


def test_a_current_company_has_none(pipeline: Pipeline) -> None:
    assert first(pipeline) is None


def test_a_month_that_somebody_deleted_is_the_first(pipeline: Pipeline, tmp_path: Path) -> None:
    with pipeline.copied(tmp_path, history=False) as copied:
        assert first(copied) == CALENDAR[0]
        copied.refresh()
        assert first(copied) is None
        copied.lake.delete_months(metrics.Trailing, ["2026-07"])
        assert first(copied) == "2026-07"
        assert first(copied, ["mrr/movements"]) is None
        with computations() as computed:
            copied.refresh()
        # What reads it is computed again, too; nothing else is.
        assert computed == {"trailing": ["2026-07"], "benchmarks": ["2026-07"], "diagnosis": ["2026-07"]}
        assert first(copied) is None


def test_a_run_with_nothing_to_do_computes_no_month(pipeline: Pipeline) -> None:
    result = pipeline.refresh()
    assert result is not None
    planned = [
        event for event in result.all_events if event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION
    ]
    assert {event.asset_key.to_user_string() for event in planned if event.asset_key} == {
        "metrics/pace",
        "alerts/expansion",
        "alerts/pace",
        "alerts/digest",
    }


def test_a_month_whose_inputs_changed_is_stale(pipeline: Pipeline, tmp_path: Path) -> None:
    with pipeline.copied(tmp_path) as copied:
        copied.refresh()
        rows = copied.lake.read(mrr.Movements, ["2026-05"])
        copied.lake.replace(mrr.Movements, rows.iloc[1:], months=["2026-05"])
        assert first(copied) == "2026-05"
