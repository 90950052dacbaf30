"""What has to be true after a fault and one plain run, whatever the fault was.

Every table's content equals that of a run without the fault; there is no file that no table has; opening plus
movements is closing for each customer; no run is left as if it were still going on.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import pairwise
from pathlib import Path

import dagster as dg
from deltalake import DeltaTable

from expansion_platform.domain.core.months import between
from expansion_platform.domain.core.table import arrow_schema
from expansion_platform.domain.mrr.tables import CustomerMonths, Movements
from expansion_platform.domain.tables import TABLES
from expansion_platform.storage.lake import Lake

OBSERVED = ("observed_at", "known_at")
"""Columns that say when something was read: a run at another instant has another there."""


def contents(lake: Lake, *, without: Collection[str] = ()) -> dict[str, str]:
    """Content hash of each table, `without` some columns wherever they are."""
    found = {}
    for name, model in TABLES.items():
        left_out = [column for column in arrow_schema(model).names if column in without]
        found[name] = lake.frame_hash(model, lake.read(model), without=left_out)
    return found


def assert_same(found: Mapping[str, str], expected: Mapping[str, str]) -> None:
    """Fails with the names of the tables that differ."""
    assert {name for name in expected if found.get(name) != expected[name]} == set()


def assert_sound(folder: Path) -> None:
    """A data folder after a plain run: its files, and that every customer's MRR ties and goes on."""
    assert stray_files(folder) == []
    lake = Lake(folder / "lake")
    rows, moved = (lake.read(model).set_index(["month", "customer"]) for model in (CustomerMonths, Movements))
    flows = moved[[name for name in moved.columns if name.startswith("flow_") and name != "flow_fx"]]
    assert set(moved.index) <= set(rows.index)
    flow = flows.sum(axis=1).reindex(rows.index, fill_value=0) + rows["flow_fx"]
    apart = rows["opening"] + flow != rows["closing"]
    assert not apart.any(), f"opening + flows is not closing: {list(rows.index[apart])[:5]}"
    computed = sorted(set(rows.index.get_level_values("month")))
    assert computed == (between(computed[0], computed[-1]) if computed else [])
    for month, following in pairwise(computed):
        closed, opened = rows.loc[month]["closing"], rows.loc[following]["opening"]
        assert closed[closed > 0].to_dict() == opened[opened > 0].to_dict(), f"{month} to {following}"


def stray_files(folder: Path) -> list[str]:
    """Files of the lake that no version of a table ever had, and temporary ones, by path from `folder`.

    Files of older versions stay for readers, until they are vacuumed.
    """
    stray = [path for path in folder.rglob("*") if path.is_file() and ".tmp" in path.name]
    for log in (folder / "lake").rglob("_delta_log"):
        table = DeltaTable(str(log.parent))
        known = {Path(uri).name for uri in table.file_uris()}
        for version in range(table.version()):
            known |= {Path(uri).name for uri in DeltaTable(str(log.parent), version=version).file_uris()}
        stray += [
            path
            for path in log.parent.rglob("*.parquet")
            if log not in path.parents and path.name not in known
        ]
    return sorted(str(path.relative_to(folder)) for path in stray)


def assert_no_run_is_under_way(instance: dg.DagsterInstance) -> None:
    """Every run in the history has ended, well or badly."""
    assert [run.run_id for run in instance.get_runs() if not run.is_finished] == []
