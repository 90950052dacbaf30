"""SQL over the tables: every table by its name, read-only whatever is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from expansion_platform.domain.core.errors import ExpansionError
from expansion_platform.domain.core.table import columns, table_name
from expansion_platform.domain.history.tables import FxRates
from expansion_platform.domain.mrr.tables import CustomerMonths
from expansion_platform.domain.tables import TABLES
from expansion_platform.storage.engine import select
from expansion_platform.storage.lake import Lake
from expansion_platform_tests.storage.tables import customer_months, rates


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "lake")
    lake.replace(CustomerMonths, customer_months("2026-01", "a", "b"), months=["2026-01"])
    lake.replace(FxRates, rates(m2026_01="1.08"))
    return lake


@pytest.mark.parametrize("name", TABLES)
def test_every_table_is_there_with_its_columns_even_before_it_is_written(lake: Lake, name: str) -> None:
    floor, table = name.split("/")
    assert set(select(lake, f'select * from {floor}."{table}" limit 0').column_names) == set(
        columns(TABLES[name])
    )


def test_tables_can_be_joined_and_ctes_used(lake: Lake) -> None:
    rows = select(
        lake,
        """with paying as (select month, sum(closing) as closing from mrr.customer_months group by month)
        select month, closing::bigint as closing, rate from paying join billing.fx_rates using (month)""",
    )
    assert rows.to_pylist() == [{"month": "2026-01", "closing": 2400, "rate": "1.08"}]


def test_only_what_a_statement_names_is_opened(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    plain = Lake.dataset
    monkeypatch.setattr(
        Lake, "dataset", lambda self, model: opened.append(table_name(model)) or plain(self, model)
    )
    select(lake, "select 1")
    assert opened == []
    select(lake, 'SELECT * FROM "mrr" . "Customer_Months" JOIN billing.fx_rates USING (month)')
    assert sorted(opened) == ["billing/fx_rates", "mrr/customer_months"]


def test_what_tables_there_are_can_be_asked_and_a_wrong_name_is_corrected(lake: Lake) -> None:
    found = select(
        lake,
        "select table_schema || '/' || table_name as name from information_schema.tables where "
        "table_schema <> 'main'",
    )
    assert set(TABLES) <= {row["name"] for row in found.to_pylist()}
    with pytest.raises(ExpansionError, match="customer_months"):
        select(lake, "select * from mrr.customer_month")


@pytest.mark.parametrize(
    "statement",
    [
        "insert into mrr.customer_months select * from mrr.customer_months",
        "delete from billing.fx_rates",
        "drop view billing.fx_rates",
        "create table copied as select * from billing.fx_rates",
        "copy billing.fx_rates to '{folder}/out.csv'",
        "copy (select 1) to '{folder}/out.csv'",
        "select 1; select 2",
        "select 1; drop view billing.fx_rates",
        "set enable_external_access = true",
        "attach '{folder}/other.db'",
        "install httpfs",
        "pragma database_list",
        "select * from read_csv('{folder}/secret.csv')",
        "select * from '{folder}/secret.csv'",
        "select * from read_text('{folder}/secret.csv')",
        "select * from glob('{folder}/*')",
        "select * from 'https://example.com/x.parquet'",
        "select getenv('HOME')",
        "select * from mrr.nothing",
        "selekt 1",
        "",
    ],
)
def test_anything_but_one_select_of_the_tables_is_refused(lake: Lake, tmp_path: Path, statement: str) -> None:
    (tmp_path / "secret.csv").write_text("secret\n1\n")
    with pytest.raises(ExpansionError):
        select(lake, statement.format(folder=tmp_path))
    assert not (tmp_path / "out.csv").exists()
    assert not (tmp_path / "other.db").exists()
    assert lake.version(FxRates) == 0
