"""The code location loads, without a warning and without any setting."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from expansion_platform.definitions import build_defs, partitions
from expansion_platform.settings import Settings

MONTHLY = ("analytics", "mrr", "metrics", "signals")
LOAD = (
    "import dagster as dg; from expansion_platform.definitions import defs; "
    "dg.Definitions.validate_loadable(defs)"
)


def test_it_loads_without_warnings_in_an_empty_environment(tmp_path: Path) -> None:
    """A process of its own, since this one has imported and warned already; `-W error` makes a warning a
    failure.
    """
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", LOAD],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_it_holds_the_job_the_schedule_and_the_sensors() -> None:
    defs = build_defs()
    assert defs.resolve_job_def("monthly_refresh")
    assert defs.resolve_schedule_def("monthly_refresh_schedule").job_name == "monthly_refresh"
    assert defs.resolve_sensor_def("stripe_changes").job_name == "monthly_refresh"
    for name in ("watch_runs", "deliver_alerts"):
        assert defs.resolve_sensor_def(name).default_status == dg.DefaultSensorStatus.RUNNING


def test_the_job_runs_everything() -> None:
    defs = build_defs()
    selected = defs.resolve_job_def("monthly_refresh").asset_layer.selected_asset_keys
    assert selected == {spec.key for spec in defs.resolve_all_asset_specs()}


def test_data_goes_up_floor_by_floor() -> None:
    floors = ["stripe", "analytics", "crm", "billing", "mrr", "metrics", "signals", "alerts"]
    graph = build_defs().resolve_asset_graph()
    down = [
        f"{parent.to_user_string()} -> {node.key.to_user_string()}"
        for node in graph.asset_nodes
        for parent in node.parent_keys
        if floors.index(graph.get(parent).group_name) > floors.index(node.group_name)
    ]
    assert down == []


@pytest.mark.parametrize(
    ("settings", "first", "last"),
    [
        ({"expansion_as_of": "2026-11-03T06:00:00+00:00"}, "2026-10", "2026-10"),
        (
            {"expansion_as_of": "2026-11-03T06:00:00+00:00", "expansion_first_month": "2025-06"},
            "2025-06",
            "2026-10",
        ),
        ({"expansion_as_of": "2026-11-01T00:00:00+00:00"}, "2026-10", "2026-10"),
        ({"expansion_as_of": "2026-10-31T23:59:59+00:00"}, "2026-09", "2026-09"),
        (
            {"expansion_as_of": "2026-10-31T23:30:00+00:00", "expansion_timezone": "Europe/Berlin"},
            "2026-10",
            "2026-10",
        ),
        (
            {"expansion_as_of": "2026-11-01T03:30:00+00:00", "expansion_timezone": "America/New_York"},
            "2026-09",
            "2026-09",
        ),
    ],
)
def test_partitions_are_the_closed_months(
    settings: dict[str, str], first: str, last: str, tmp_path: Path
) -> None:
    """Before anything was pulled the newest closed month is the only one, unless EXPANSION_FIRST_MONTH is
    set.
    """
    keys = partitions(
        Settings(_env_file=None, expansion_data_dir=str(tmp_path), **settings)
    ).get_partition_keys()
    assert (keys[0], keys[-1]) == (first, last)


def test_monthly_assets_are_partitioned_and_a_range_is_one_run() -> None:
    """The open month is no partition: `metrics/pace` holds it alone."""
    graph = build_defs().resolve_asset_graph()
    for node in graph.asset_nodes:
        monthly = node.group_name in MONTHLY and node.key.path != ["metrics", "pace"]
        assert (node.partitions_def is not None) == monthly
        if monthly:
            assert isinstance(node.partitions_def, dg.MonthlyPartitionsDefinition)
            assert node.backfill_policy == dg.BackfillPolicy.single_run()
