"""Files that shards lay down: unseen before the commit, all of them in it, and refused where they are not
what was written.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.mrr.tables import CustomerMonths
from expansion_platform.storage.files import File
from expansion_platform.storage.lake import Lake
from expansion_platform.storage.shards import Shard
from expansion_platform_tests.storage.tables import customer_months

JANUARY, FEBRUARY, MARCH = MONTHS = ["2026-01", "2026-02", "2026-03"]
SHARDS = Shard(0, None, "c"), Shard(1, "c", None)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "lake")
    lake.replace(CustomerMonths, customer_months(JANUARY, "a", "c", "d"), months=[JANUARY])
    return lake


def laid_down(lake: Lake, month: str, *customers: str) -> tuple[list[File], bool]:
    found, every = list[File](), True
    for shard in SHARDS:
        theirs = [name for name in customers if (name < "c") is (shard.number == 0)]
        rows = customer_months(month, *theirs) if theirs else customer_months(month, "a").iloc[:0]
        files, same = lake.lay_down(CustomerMonths, rows, [month], shard.rows("customer"))
        found += files
        every &= same
    return found, every


def on_disk(lake: Lake) -> set[str]:
    return {
        str(path.relative_to(lake.path(CustomerMonths)))
        for path in lake.path(CustomerMonths).rglob("*.parquet")
    }


def test_readers_see_nothing_before_the_commit_and_all_after_it(lake: Lake) -> None:
    files, same = laid_down(lake, FEBRUARY, "a", "b", "d")
    assert not same
    assert lake.months(CustomerMonths) == [JANUARY]
    commit = lake.commit(CustomerMonths, files, [FEBRUARY], same=same)
    assert (commit.changed, commit.rows) == (True, 3)
    assert lake.read(CustomerMonths, [FEBRUARY])["customer"].tolist() == ["a", "b", "d"]
    assert lake.rows_by_month(CustomerMonths, MONTHS) == {JANUARY: 3, FEBRUARY: 3}


def test_content_and_types_are_those_of_a_plain_write(lake: Lake, tmp_path: Path) -> None:
    files, same = laid_down(lake, JANUARY, "a", "b", "d")
    lake.commit(CustomerMonths, files, [JANUARY], same=same)
    plain = Lake(tmp_path / "plain")
    plain.replace(CustomerMonths, customer_months(JANUARY, "a", "b", "d"), months=[JANUARY])
    assert lake.content_hash(CustomerMonths) == plain.content_hash(CustomerMonths)
    assert lake.arrow(CustomerMonths).schema == plain.arrow(CustomerMonths).schema


def test_a_table_begins_with_its_first_commit(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "new")
    files, same = laid_down(lake, JANUARY, "a", "d")
    lake.commit(CustomerMonths, files, [JANUARY], same=same)
    assert lake.read(CustomerMonths)["customer"].tolist() == ["a", "d"]


def test_the_same_rows_make_no_commit_and_leave_no_files(lake: Lake) -> None:
    version, before = lake.version(CustomerMonths), on_disk(lake)
    files, same = laid_down(lake, JANUARY, "a", "c", "d")
    assert same
    assert not lake.commit(CustomerMonths, files, [JANUARY], same=same).changed
    assert (lake.version(CustomerMonths), on_disk(lake)) == (version, before)


def test_rows_that_are_gone_make_a_commit(lake: Lake) -> None:
    files, same = laid_down(lake, JANUARY)
    assert (files, same) == ([], False)
    assert lake.commit(CustomerMonths, files, [JANUARY], same=same).changed
    assert lake.months(CustomerMonths) == []


def test_files_that_are_not_of_the_months_or_not_whole_are_refused(lake: Lake) -> None:
    version = lake.version(CustomerMonths)
    files, _ = laid_down(lake, FEBRUARY, "a", "d")
    lost = [replace(files[0], path="month=2026-02/part-lost.parquet"), files[1]]
    for wrong, months in (
        (files, [MARCH]),
        (lost, [FEBRUARY]),
        ([*files, files[0]], [FEBRUARY]),
        ([replace(files[0], size=1)], [FEBRUARY]),
    ):
        with pytest.raises(DataQualityError, match="files that cannot be committed"):
            lake.commit(CustomerMonths, wrong, months, same=False)
    assert lake.version(CustomerMonths) == version
    lake.forget({CustomerMonths: files})
    assert not [path for path in on_disk(lake) if FEBRUARY in path]
