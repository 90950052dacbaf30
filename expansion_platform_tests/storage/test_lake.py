"""The lake's contracts: a commit is whole or not there, changes what it names and nothing else, and is not
made when nothing changes.
"""

from __future__ import annotations

import os
import pickle
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pyarrow.dataset as ds
import pytest
from deltalake import write_deltalake

from expansion_platform.domain.core import declared as pa
from expansion_platform.domain.core.errors import DataQualityError, ExpansionError
from expansion_platform.domain.core.table import Table, empty
from expansion_platform.domain.history.tables import FxRates
from expansion_platform.domain.mrr.tables import CustomerMonths
from expansion_platform.domain.stripe.tables import Customers
from expansion_platform.storage.engine import select
from expansion_platform.storage.lake import Lake
from expansion_platform_tests.storage.tables import customer_months, customers, rates

JANUARY, FEBRUARY, MARCH = "2026-01", "2026-02", "2026-03"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


@pytest.fixture
def filled(lake: Lake) -> Lake:
    lake.replace(CustomerMonths, customer_months(JANUARY, "a", "b"), months=[JANUARY])
    lake.replace(CustomerMonths, customer_months(FEBRUARY, "a", "b", "c"), months=[FEBRUARY])
    return lake


def test_a_table_never_written_is_empty_with_its_columns(lake: Lake) -> None:
    assert not lake.exists(CustomerMonths)
    assert lake.version(CustomerMonths) is None
    assert lake.state(CustomerMonths) == "absent"
    assert lake.states(CustomerMonths) == {}
    assert lake.months(CustomerMonths) == []
    assert lake.rows(CustomerMonths) == 0
    CustomerMonths.validate(lake.read(CustomerMonths))
    CustomerMonths.validate(lake.read_coded(CustomerMonths, ["segment"]))


def test_no_months_are_no_rows(filled: Lake) -> None:
    assert filled.read(CustomerMonths, []).empty
    assert filled.rows(CustomerMonths, []) == 0
    assert filled.head(CustomerMonths, 5, []).empty


def test_rows_come_back_as_written_in_key_order(lake: Lake) -> None:
    written = customer_months(JANUARY, "c", "a", "b")
    commit = lake.replace(CustomerMonths, written, months=[JANUARY])
    assert (commit.changed, commit.rows, commit.version) == (True, 3, 0)
    expected = CustomerMonths.validate(written.sort_values("customer", ignore_index=True))
    pd.testing.assert_frame_equal(CustomerMonths.validate(lake.read(CustomerMonths)), expected)


def test_a_merged_table_can_be_filtered_by_text(lake: Lake) -> None:
    """Delta's own statistics of a merged file are of a text type that Arrow does not compare."""
    lake.upsert(Customers, customers("cus_1", "cus_2", "cus_3"))
    lake.upsert(Customers, customers("cus_2").assign(deleted=True))
    assert lake.dataset(Customers).to_table(filter=ds.field("id") == "cus_2").num_rows == 1
    assert lake.read(Customers, where=ds.field("id").isin(["cus_1", "cus_3"]))["id"].tolist() == [
        "cus_1",
        "cus_3",
    ]
    assert select(lake, "select deleted from stripe.customers where id = 'cus_2'").to_pylist() == [
        {"deleted": True}
    ]


def test_a_part_can_be_merged_without_the_rest(lake: Lake) -> None:
    lake.upsert(Customers, customers("cus_1", "cus_2"))
    files = lake.dataset(Customers).files
    among = ds.field("id").isin(["cus_3", "cus_4"])
    assert lake.upsert(Customers, customers("cus_3", "cus_4"), among=among).rows == 2
    assert set(files) < set(lake.dataset(Customers).files)  # appended, nothing rewritten
    assert lake.upsert(Customers, customers("cus_3"), delete=["cus_4"], among=among).rows == 1
    assert lake.read(Customers)["id"].tolist() == ["cus_1", "cus_2", "cus_3"]


def test_rows_another_run_wrote_meanwhile_are_not_written_twice(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.upsert(Customers, customers("cus_1"))
    other, read = Lake(lake.root), Lake.arrow

    def meanwhile(self: Lake, *given: object, **named: object) -> object:
        monkeypatch.setattr(Lake, "arrow", read)
        found = read(self, *given, **named)
        other.upsert(Customers, customers("cus_2"))
        return found

    monkeypatch.setattr(Lake, "arrow", meanwhile)
    lake.upsert(Customers, customers("cus_2", "cus_3"))
    assert lake.read(Customers)["id"].tolist() == ["cus_1", "cus_2", "cus_3"]


def test_repeated_texts_can_come_as_categoricals(filled: Lake) -> None:
    """The two months are two files, each with its own dictionary."""
    plain = filled.read(CustomerMonths)
    coded = filled.read_coded(CustomerMonths, ["segment", "first_paid_month"], without=["items"])
    assert [name for name, kind in coded.dtypes.items() if kind == "category"] == [
        "segment",
        "first_paid_month",
    ]
    pd.testing.assert_frame_equal(
        coded.astype(dict.fromkeys(["segment", "first_paid_month"], "str")), plain.drop(columns="items")
    )


def test_months_are_replaced_and_others_stay(filled: Lake) -> None:
    january = filled.content_hash(CustomerMonths, [JANUARY])
    filled.replace(CustomerMonths, customer_months(FEBRUARY, "z"), months=[FEBRUARY])
    assert filled.content_hash(CustomerMonths, [JANUARY]) == january
    assert list(filled.read(CustomerMonths, [FEBRUARY])["customer"]) == ["z"]
    assert filled.rows_by_month(CustomerMonths, [JANUARY, FEBRUARY, MARCH]) == {JANUARY: 2, FEBRUARY: 1}


def test_a_month_replaced_by_nothing_is_empty(filled: Lake) -> None:
    filled.replace(CustomerMonths, customer_months(FEBRUARY), months=[FEBRUARY])
    assert filled.months(CustomerMonths) == [JANUARY]
    assert filled.states(CustomerMonths).keys() == {JANUARY}


def test_several_months_are_one_commit(lake: Lake) -> None:
    both = pd.concat([customer_months(JANUARY, "a"), customer_months(FEBRUARY, "a")])
    assert lake.replace(CustomerMonths, both, months=[JANUARY, FEBRUARY, MARCH]).version == 0
    assert lake.months(CustomerMonths) == [JANUARY, FEBRUARY]


def test_equal_rows_are_not_written_again(filled: Lake) -> None:
    version, files = filled.version(CustomerMonths), sorted(filled.root.rglob("*"))
    commit = filled.replace(CustomerMonths, customer_months(FEBRUARY, "c", "b", "a"), months=[FEBRUARY])
    assert (commit.changed, commit.version) == (False, version)
    assert sorted(filled.root.rglob("*")) == files


def test_rows_outside_the_months_are_refused(filled: Lake) -> None:
    version = filled.version(CustomerMonths)
    rows = pd.concat([customer_months(FEBRUARY, "a"), customer_months(MARCH, "a")])
    with pytest.raises(DataQualityError, match=MARCH):
        filled.replace(CustomerMonths, rows, months=[FEBRUARY])
    with pytest.raises(TypeError, match="name the months"):
        filled.replace(CustomerMonths, rows)
    assert filled.version(CustomerMonths) == version


def test_a_whole_table_is_replaced_whole(lake: Lake) -> None:
    lake.replace(FxRates, rates(m2026_01="1.08", m2026_02="1.09"))
    lake.replace(FxRates, rates(m2026_02="1.09", m2026_03="1.1"))
    assert list(lake.read(FxRates)["month"]) == [FEBRUARY, MARCH]
    assert not lake.replace(FxRates, rates(m2026_03="1.1", m2026_02="1.09")).changed
    assert lake.version(FxRates) == 1


def test_state_changes_exactly_when_content_does(filled: Lake) -> None:
    states = filled.states(CustomerMonths)
    whole = filled.state(CustomerMonths)
    filled.replace(CustomerMonths, customer_months(FEBRUARY, "a", "b", "c"), months=[FEBRUARY])
    assert filled.states(CustomerMonths) == states
    filled.replace(CustomerMonths, customer_months(FEBRUARY, "a", "b", "c", closing=1201), months=[FEBRUARY])
    changed = filled.states(CustomerMonths)
    assert changed[JANUARY] == states[JANUARY] == filled.state(CustomerMonths, [JANUARY])
    assert changed[FEBRUARY] != states[FEBRUARY]
    assert filled.state(CustomerMonths) != whole
    assert filled.state(CustomerMonths, [MARCH]) == "absent"


def test_content_hash_depends_on_content_only(filled: Lake, tmp_path: Path) -> None:
    other = Lake(tmp_path / "other")
    both = pd.concat([customer_months(FEBRUARY, "c", "a", "b"), customer_months(JANUARY, "b", "a")])
    other.replace(CustomerMonths, both, months=[JANUARY, FEBRUARY])
    assert other.content_hash(CustomerMonths) == filled.content_hash(CustomerMonths)
    other.replace(CustomerMonths, customer_months(JANUARY, "a", "b", closing=1201), months=[JANUARY])
    assert other.content_hash(CustomerMonths) != filled.content_hash(CustomerMonths)


def test_deleted_months_are_gone(filled: Lake) -> None:
    filled.delete_months(CustomerMonths, [JANUARY])
    assert filled.months(CustomerMonths) == [FEBRUARY]


def test_merged_rows_keep_their_first_sight(lake: Lake) -> None:
    lake.upsert(Customers, customers("cus_1", "cus_2", seen="2026-11-01"))
    commit = lake.upsert(
        Customers,
        pd.concat(
            [customers("cus_1", seen="2026-11-02"), customers("cus_2", seen="2026-11-02", currency="eur")]
        ),
    )
    assert (commit.changed, commit.rows) == (True, 1)
    stored = lake.read(Customers).set_index("id")
    assert f"{stored.at['cus_1', 'observed_at']:%m-%d}" == "11-01"
    assert f"{stored.at['cus_2', 'observed_at']:%m-%d}" == "11-02"
    assert stored.at["cus_2", "currency"] == "eur"


def test_a_value_that_becomes_null_is_a_change_and_null_to_null_is_none(lake: Lake) -> None:
    lake.upsert(Customers, customers("cus_1", "cus_2"))
    assert lake.upsert(Customers, customers("cus_1", currency=None)).rows == 1
    assert lake.read(Customers)["currency"].isna().tolist() == [True, False]
    assert not lake.upsert(Customers, customers("cus_1", currency=None, seen="2026-11-09")).changed
    assert lake.upsert(Customers, customers("cus_1", currency="gbp")).rows == 1


def test_merging_adds_and_deletes_and_leaves_the_rest(lake: Lake) -> None:
    lake.upsert(Customers, customers("cus_1", "cus_2", "cus_3"))
    commit = lake.upsert(Customers, customers("cus_4"), delete=["cus_2", "cus_9"])
    assert (commit.changed, commit.rows, commit.version) == (True, 2, 1)
    assert list(lake.read(Customers)["id"]) == ["cus_1", "cus_3", "cus_4"]
    assert not lake.upsert(Customers, customers("cus_1"), delete=["cus_9"]).changed


def test_a_row_that_is_written_and_deleted_stays(lake: Lake) -> None:
    lake.upsert(Customers, customers("cus_1"))
    lake.upsert(Customers, customers("cus_1"), delete=["cus_1"])
    assert list(lake.read(Customers)["id"]) == ["cus_1"]


def test_an_empty_first_merge_makes_the_table(lake: Lake) -> None:
    assert lake.upsert(Customers, customers()).changed
    assert lake.exists(Customers)
    assert not lake.upsert(Customers, customers()).changed


WRITER = """
import sys, time
from pathlib import Path
from expansion_platform.domain.mrr.tables.customer_months import CustomerMonths
from expansion_platform.storage.lake import Lake
from expansion_platform_tests.storage.tables import customer_months
root, month, first, last, customers = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
names = [f"{number:06d}" for number in range(customers)]
frames = [customer_months(month, *names, closing=closing) for closing in (2, 3)]
Path(root, f"ready-{month}").touch()
while not Path(root, "go").exists():
    time.sleep(0.01)
for turn in range(first, last):
    Lake(root).replace(CustomerMonths, frames[turn % 2], months=[month])
"""


def writer(root: Path, month: str, first: int, last: int, customers: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", WRITER, str(root), month, str(first), str(last), str(customers)]
    return subprocess.Popen(command, cwd=Path(__file__).parents[2], stderr=subprocess.PIPE)


def wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while not path.exists():
        assert process.poll() is None, process.stderr.read().decode()
        assert time.monotonic() < until
        time.sleep(0.01)


def test_two_processes_write_different_months_at_once(filled: Lake) -> None:
    processes = {month: writer(filled.root, month, 0, 8, 3) for month in (FEBRUARY, MARCH)}
    for month, process in processes.items():
        wait_for(filled.root / f"ready-{month}", process)
    (filled.root / "go").touch()
    for process in processes.values():
        _, problems = process.communicate(timeout=60)
        assert process.returncode == 0, problems.decode()
    assert filled.rows_by_month(CustomerMonths, [JANUARY, FEBRUARY, MARCH]) == {
        JANUARY: 2,
        FEBRUARY: 3,
        MARCH: 3,
    }
    assert set(filled.read(CustomerMonths, [FEBRUARY, MARCH])["closing"]) == {3}
    assert filled.version(CustomerMonths) == 1 + 16


@pytest.mark.parametrize("after_seconds", [0.0, 0.05, 0.2])
def test_a_writer_killed_in_the_middle_leaves_a_whole_month(filled: Lake, after_seconds: float) -> None:
    process = writer(filled.root, MARCH, 0, 10_000, 20_000)
    wait_for(filled.root / f"ready-{MARCH}", process)
    version = filled.version(CustomerMonths)
    assert version is not None
    (filled.root / "go").touch()
    wait_for(filled.path(CustomerMonths) / "_delta_log" / f"{version + 2:020d}.json", process)
    time.sleep(after_seconds)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    march = filled.read(CustomerMonths, [MARCH])
    assert len(march) == 20_000
    assert march["closing"].nunique() == 1
    assert filled.rows_by_month(CustomerMonths, [JANUARY, FEBRUARY, MARCH]) == {
        JANUARY: 2,
        FEBRUARY: 3,
        MARCH: 20_000,
    }
    filled.replace(CustomerMonths, customer_months(MARCH, "a"), months=[MARCH])
    assert filled.rows(CustomerMonths, [MARCH]) == 1


def test_a_table_of_an_older_version_says_what_to_do(lake: Lake) -> None:
    for model, rows, remedy in (
        (FxRates, rates(m2026_01="1.08"), str(lake.path(FxRates))),
        (Customers, customers("cus_1"), str(lake.root.parent)),
    ):
        lost = rows.columns[-1]
        write_deltalake(str(lake.path(model)), rows.drop(columns=lost))
        with pytest.raises(
            ExpansionError,
            match=f"stored by an older version, without {lost}. Move {re.escape(remedy)} away and refresh",
        ):
            lake.read(model)


class Kept(Table):
    """A table that is written once, as its first version had it."""

    month: str = pa.Field()
    customer: str = pa.Field()
    opening: int = pa.Field()

    class Config(Table.Config):
        name = "mrr/kept"
        metadata = {"key": ["month", "customer"], "partitioned_by": "month"}  # noqa: RUF012


class KeptWithMore(Kept):
    """The same table with a column that came later."""

    arr: pd.Int64Dtype = pa.Field(nullable=True)

    class Config(Table.Config):
        name = "mrr/kept"
        metadata = {"key": ["month", "customer"], "partitioned_by": "month", "added": ["arr"]}  # noqa: RUF012


def test_a_column_added_to_a_table_that_is_written_once_is_null_in_old_rows(tmp_path: Path) -> None:
    """The old month's file is left as it is, and its rows hash as they did then without the new column."""
    lake = Lake(tmp_path)
    old = pd.DataFrame({"month": ["2026-01"], "customer": ["a"], "opening": [7]})
    lake.replace(Kept, old, months=["2026-01"])
    state, hashed = lake.states(Kept)["2026-01"], lake.frame_hash(Kept, old)
    now = Lake(tmp_path)
    assert now.read(KeptWithMore)["arr"].isna().all()
    now.replace(
        KeptWithMore,
        pd.DataFrame({"month": ["2026-02"], "customer": ["a"], "opening": [8], "arr": [96]}),
        months=["2026-02"],
    )
    rows = now.read(KeptWithMore)
    assert rows["opening"].tolist() == [7, 8]
    assert rows["arr"].isna().tolist() == [True, False]
    assert now.states(KeptWithMore)["2026-01"] == state
    assert now.frame_hash(KeptWithMore, now.read(KeptWithMore, ["2026-01"]), without=["arr"]) == hashed
    assert now.dataset(KeptWithMore).to_table(columns=["arr"]).num_rows == 2


def test_a_lake_that_has_been_read_can_be_sent_to_another_process(tmp_path):
    lake = Lake(tmp_path)
    lake.replace(Customers, empty(Customers))
    assert lake.read(Customers).empty
    sent = pickle.loads(pickle.dumps(lake))  # noqa: S301  # our own bytes
    assert (sent.root, sent.version(Customers)) == (lake.root, 0)
