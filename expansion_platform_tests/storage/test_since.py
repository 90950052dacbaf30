"""What came into a table and went from it since a version, read from the files in question alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from deltalake import DeltaTable

from expansion_platform.domain.stripe.tables import Customers
from expansion_platform.storage import lake as storage
from expansion_platform.storage.lake import Lake
from expansion_platform.storage.rows import among
from expansion_platform_tests.storage.tables import customers


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def told(lake: Lake, point: tuple[str, int] | None) -> list[tuple[str, bool]] | None:
    rows = lake.since(Customers, point)
    return None if rows is None else [(row["id"], row["deleted"]) for row in rows.to_pylist()]


def test_of_a_table_that_was_not_there_everything_came(lake: Lake) -> None:
    assert lake.point(Customers) is None
    assert told(lake, None) == []
    lake.upsert(Customers, customers("cus_1", "cus_2"))
    assert told(lake, None) == [("cus_1", False), ("cus_2", False)]
    assert told(lake, lake.point(Customers)) == []


def test_rows_that_came_were_replaced_or_went(lake: Lake) -> None:
    lake.upsert(Customers, customers("cus_1", "cus_2", "cus_3"))
    first = lake.point(Customers)
    lake.upsert(Customers, customers("cus_4"))
    assert told(lake, first) == [("cus_4", False)]
    second = lake.point(Customers)
    lake.upsert(Customers, customers("cus_2").assign(deleted=True), delete=["cus_3"])
    assert told(lake, second) == [("cus_2", False), ("cus_3", False), ("cus_2", True)]
    assert told(lake, first) == [("cus_2", False), ("cus_3", False), ("cus_2", True), ("cus_4", False)]


def test_what_is_as_it_was_is_not_told_whatever_file_it_is_in_now(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.upsert(Customers, customers("cus_1"))
    lake.upsert(Customers, customers("cus_2"))
    lake.upsert(Customers, customers("cus_1").assign(deleted=True))  # a merge, whose texts have no statistics
    point, content = lake.point(Customers), lake.content_hash(Customers)
    assert not lake.compact(Customers)
    monkeypatch.setattr(storage, "MANY_FILES", 1)
    assert lake.compact(Customers)
    assert len(DeltaTable(str(lake.path(Customers))).file_uris()) == 1
    assert lake.content_hash(Customers) == content
    assert lake.read(Customers, where=among("id", ["cus_2"]))["id"].tolist() == ["cus_2"]
    assert lake.point(Customers) != point
    assert told(lake, point) == []
    assert not lake.compact(Customers)


def test_nobody_can_tell_of_another_table_or_of_files_that_are_gone(lake: Lake, tmp_path: Path) -> None:
    lake.upsert(Customers, customers("cus_1"))
    point = lake.point(Customers)
    lake.upsert(Customers, customers("cus_1").assign(deleted=True))
    other = Lake(tmp_path / "other")
    other.upsert(Customers, customers("cus_1"))
    assert told(other, point) is None
    assert told(Lake(tmp_path / "none"), point) is None
    DeltaTable(str(lake.path(Customers))).vacuum(0, dry_run=False, enforce_retention_duration=False)
    assert told(lake, point) is None


def test_rows_are_added_and_an_addition_of_none_is_no_commit(lake: Lake) -> None:
    assert lake.append(Customers, customers("cus_1").iloc[:0]).changed
    assert lake.append(Customers, customers("cus_2", "cus_1")).rows == 2
    assert lake.append(Customers, customers("cus_3")).version == 2
    assert not lake.append(Customers, customers("cus_3").iloc[:0]).changed
    assert lake.read(Customers)["id"].tolist() == ["cus_1", "cus_2", "cus_3"]
