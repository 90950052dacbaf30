"""The user's own tables: read from a CSV or a warehouse, and each row that cannot be is named."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa

from expansion_platform.domain.catalog.tables import Costs, CrmActivity, CustomerAttributes, Owners, Tickets
from expansion_platform.domain.core.errors import ConfigurationError
from expansion_platform.sources.user_tables import read_given

FOUR = ["customer", "date", "kind", "id"]


def write(folder: Path, text: str) -> str:
    file = folder / "given.csv"
    file.write_text(text, encoding="utf-8-sig")
    return str(file)


def given(where: str, url: str | None = None) -> pd.DataFrame:
    """CRM activity in the four columns it always had: of the others only `owner` is in a file here."""
    rows = read_given(where, CrmActivity, url)
    assert rows.drop(columns=[*FOUR, "owner"]).isna().all(axis=None)
    return rows[FOUR]


def test_a_file_is_read_as_text_and_other_columns_are_ignored(tmp_path: Path) -> None:
    where = write(
        tmp_path,
        "owner,kind,customer,date,id\nAl,touch, cus_1 ,2026-03-05,t1\nBob,opportunity,cus_2,2026-02-28,006\n",
    )
    assert given(where).to_dict("records") == [
        {"customer": "cus_1", "date": "2026-03-05", "kind": "touch", "id": "t1"},
        {"customer": "cus_2", "date": "2026-02-28", "kind": "opportunity", "id": "006"},
    ]


def test_what_may_be_empty_may_be_missing(tmp_path: Path) -> None:
    rows = read_given(write(tmp_path, "customer,attribute,value\ncus_1,region,EMEA\n"), CustomerAttributes)
    assert rows["valid_from"].isna().all()


def test_what_is_not_given_has_no_rows(tmp_path: Path) -> None:
    for rows in (
        read_given(None, Costs),
        read_given(write(tmp_path, "month,program_cost,acquisition_cost,currency\n"), Costs),
    ):
        assert rows.empty
        assert list(rows.columns) == ["month", "program_cost", "acquisition_cost", "currency"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("cus_1,2026-13-01,touch,t1", "line 3: date '2026-13-01' cannot be: it is a day"),
        ("cus_1,2026-02-30,touch,t1", "line 3: date '2026-02-30' cannot be: it is a day"),
        ("cus_1,2026-02-03,call,t1", "line 3: kind 'call' cannot be: it is `opportunity`"),
        (",2026-02-03,touch,t1", "line 3: customer is empty: it is a Stripe customer"),
        ("cus_1,2026-02-03,touch", "line 3: id is empty"),
        ("cus_1,2026-02-03,touch,t0", "line 3: there is a row of touch, t0 already"),
        ("cus_1,2026-02-03,touch,t1,more", "line 3: more values than the header has columns"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, line: str, problem: str) -> None:
    where = write(tmp_path, f"customer,date,kind,id\ncus_0,2026-02-03,touch,t0\n{line}\n")
    with pytest.raises(ConfigurationError) as caught:
        read_given(where, CrmActivity)
    assert str(caught.value).startswith(where)
    assert problem in str(caught.value)


def test_many_wrong_rows_are_told_in_their_order_and_counted(tmp_path: Path) -> None:
    rows = "".join(f"2026-{month:02d},-1,1,USD\n" for month in range(1, 9))
    with pytest.raises(ConfigurationError, match=r"line 2: .*; line 3: .*; line 6: .*; and 3 more$"):
        read_given(write(tmp_path, f"month,program_cost,acquisition_cost,currency\n{rows}"), Costs)


def test_a_file_without_a_column_and_one_that_is_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError,
        match=r"given\.csv, line 1: no column date, kind; CRM activity are customer,date,kind,id",
    ):
        read_given(write(tmp_path, "customer,id\n"), CrmActivity)
    with pytest.raises(ConfigurationError, match=r"absent\.csv cannot be read as a CSV of costs"):
        read_given(str(tmp_path / "absent.csv"), Costs)


def test_a_table_of_the_warehouse(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'warehouse.sqlite'}"
    rows = [
        ("cus_2", pd.Timestamp("2026-03-05 11:30"), "touch", 2),
        ("cus_1", pd.Timestamp("2026-03-04"), "opportunity", 1),
    ]
    with sa.create_engine(url).connect() as connection:
        pd.DataFrame(rows, columns=["customer", "date", "kind", "id"]).to_sql("crm", connection, index=False)
        connection.commit()
    assert given("warehouse:crm", url).to_dict("records") == [
        {"customer": "cus_1", "date": "2026-03-04", "kind": "opportunity", "id": "1"},
        {"customer": "cus_2", "date": "2026-03-05", "kind": "touch", "id": "2"},
    ]
    with pytest.raises(ConfigurationError, match="warehouse:crm: no column attribute, value"):
        read_given("warehouse:crm", CustomerAttributes, url)
    with pytest.raises(ConfigurationError, match=r"warehouse:main\.none: the warehouse has no such table"):
        read_given("warehouse:main.none", CrmActivity, url)
    with pytest.raises(ConfigurationError, match="EXPANSION_WAREHOUSE_URL is needed"):
        read_given("warehouse:crm", CrmActivity)


def test_versions_of_one_thing_differ_in_when_they_are_known(tmp_path: Path) -> None:
    header = "customer,id,opened,closed,severity,known_at\n"
    first, second = "cus_1,7,2026-03-01,,low,2026-03-01", "cus_1,7,2026-03-01,,high,2026-03-04T10:00:00Z"
    rows = read_given(write(tmp_path, f"{header}{first}\n{second}\n"), Tickets)
    assert rows["known_at"].tolist() == ["2026-03-01", "2026-03-04T10:00:00Z"]
    assert rows["feature"].isna().all()
    with pytest.raises(ConfigurationError, match="line 3: there is a row of 7, 2026-03-01 already"):
        read_given(write(tmp_path, f"{header}{first}\n{first}\n"), Tickets)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (
            "cus_1,7,2026-03-01,,urgent,",
            "severity 'urgent' cannot be: it is `low`, `normal`, `high`, `critical`",
        ),
        ("cus_1,7,2026-02-30,,,", "opened '2026-02-30' cannot be"),
        ("cus_1,7,2026-03-01,2026-02-30,,", "closed '2026-02-30' cannot be"),
        (
            "cus_1,7,2026-03-01,,,2026-02-30",
            "known_at '2026-02-30' cannot be: it is since when this is known",
        ),
        ("cus_1,7,2026-03-01,,,5.3.2026", "known_at '5.3.2026' cannot be"),
    ],
)
def test_a_ticket_that_cannot_be_is_named(tmp_path: Path, line: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_given(write(tmp_path, f"customer,id,opened,closed,severity,known_at\n{line}\n"), Tickets)
    assert problem in str(caught.value)


def test_an_address_is_refused_and_not_shown(tmp_path: Path) -> None:
    where = write(tmp_path, "customer,owner,valid_from\ncus_1,ann@example.com,2026-03-01\n")
    with pytest.raises(ConfigurationError, match=r"line 2: owner '\.\.\.@\.\.\.' cannot be") as caught:
        read_given(where, Owners)
    assert "example.com" not in str(caught.value)
    url = f"sqlite:///{tmp_path / 'warehouse.sqlite'}"
    with sa.create_engine(url).connect() as connection:
        pd.DataFrame([{"customer": "cus_1", "owner": "ann@example.com"}]).to_sql("owners", connection)
        connection.commit()
    with pytest.raises(ConfigurationError, match="owner") as caught:
        read_given("warehouse:owners", Owners, url)
    assert "example.com" not in str(caught.value)
