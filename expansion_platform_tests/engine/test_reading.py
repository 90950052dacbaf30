"""A rule sees what its declaration names: tables, columns, months of the window, settings; anything else is
an error.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow.compute as pc
import pytest

from expansion_platform.domain.catalog.inputs import Inputs
from expansion_platform.domain.core import queries
from expansion_platform.domain.core.errors import UndeclaredReadError
from expansion_platform.domain.metrics import tables as metrics
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.engine.declaration import EVERYTHING, Window
from expansion_platform.engine.reading import Reading
from expansion_platform.resources import Platform
from expansion_platform.settings import Settings
from expansion_platform.tables.metrics import TRAILING
from expansion_platform_tests.storage.tables import customer_months

MONTHS = ["2026-01", "2026-02", "2026-03", "2026-04"]


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    settings = Settings(
        _env_file=None, expansion_data_dir=str(tmp_path), expansion_as_of="2026-11-08T06:00:00+00:00"
    )
    platform = Platform(settings)
    for month in MONTHS:
        platform.lake.replace(mrr.CustomerMonths, customer_months(month, "ada", "ben"), months=[month])
    return platform


def inputs(platform: Platform, month: str, back: int | None) -> Inputs:
    """Those of trailing figures, with another window."""
    reads = tuple(replace(read, window=Window(back)) for read in TRAILING.reads)
    return Reading(platform, [month]).inputs_of(replace(TRAILING, reads=reads), [month])


def test_a_rule_gets_the_declared_columns_of_the_declared_months(platform: Platform) -> None:
    rows = inputs(platform, "2026-03", 1).frame(mrr.CustomerMonths)
    assert sorted(set(rows["month"])) == ["2026-02", "2026-03"]
    assert list(rows.columns) == list(TRAILING.reads[0].columns or ())
    assert inputs(platform, "2026-03", None).frame(mrr.CustomerMonths)["month"].nunique() == 3  # all up to it
    assert EVERYTHING.months("2026-03", MONTHS) == MONTHS[:3]
    assert inputs(platform, "2026-03", 1).months(mrr.CustomerMonths) == set(MONTHS)


def test_another_table_is_an_error(platform: Platform) -> None:
    with pytest.raises(
        UndeclaredReadError,
        match="the rule of metrics/trailing reads mrr/causes, which its declaration does not name: add "
        "it there",
    ):
        inputs(platform, "2026-03", 1).frame(mrr.Causes)
    # The identity reads it, the rule does not.
    with pytest.raises(UndeclaredReadError, match="metrics/rollforward"):
        inputs(platform, "2026-03", 1).months(metrics.Rollforward)


def test_a_month_outside_the_window_is_an_error(platform: Platform) -> None:
    given = inputs(platform, "2026-03", 1)
    assert isinstance(given.frame(mrr.CustomerMonths, ["2026-02"]), pd.DataFrame)
    with pytest.raises(
        UndeclaredReadError, match="of 2026-01, 2026-04, which its declared window does not cover: widen it"
    ):
        given.frame(mrr.CustomerMonths, ["2026-01", "2026-04"])


def test_a_setting_that_is_not_declared_is_an_error(platform: Platform) -> None:
    given = inputs(platform, "2026-03", 1)
    assert given.catalog.reporting_currency == "usd"
    with pytest.raises(UndeclaredReadError, match="reads timezone"):
        _ = given.timezone


def test_a_query_reads_the_declared_columns_of_the_declared_months_from_files(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = inputs(platform, "2026-03", 1)
    monkeypatch.setattr(
        queries,
        "_text",
        {
            "seen": "describe rows",
            "months": "select month, count(*) as rows from rows group by all order by all",
        }.get,
    )
    rows = given.scan(mrr.CustomerMonths)
    assert queries.query("seen", {"rows": rows})["column_name"].tolist() == list(
        TRAILING.reads[0].columns or ()
    )
    assert queries.query("months", {"rows": rows}).to_dict("list") == {
        "month": ["2026-02", "2026-03"],
        "rows": [2, 2],
    }
    assert queries.query("months", {"rows": given.scan(mrr.CustomerMonths, ["2026-02"])})[
        "month"
    ].tolist() == ["2026-02"]
    assert queries.query("months", {"rows": given.scan(mrr.Movements)}).empty  # nothing was ever stored
    with pytest.raises(UndeclaredReadError, match="of 2026-01, which its declared window does not cover"):
        given.scan(mrr.CustomerMonths, ["2026-01"])
    with pytest.raises(UndeclaredReadError, match="reads mrr/causes, which its declaration does not name"):
        given.scan(mrr.Causes)


def test_a_query_reads_only_the_declared_rows(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = (replace(TRAILING.reads[0], window=Window(1), where=pc.field("customer") == "ada"),)
    rows = (
        Reading(platform, ["2026-03"])
        .inputs_of(replace(TRAILING, reads=reads), ["2026-03"])
        .scan(mrr.CustomerMonths)
    )
    monkeypatch.setattr(queries, "_text", lambda _: "select distinct customer from rows")
    assert queries.query("customers", {"rows": rows})["customer"].tolist() == ["ada"]
