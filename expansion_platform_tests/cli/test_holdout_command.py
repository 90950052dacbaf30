"""`expansion holdout` as a user meets it, and its file through the whole pipeline to signals/programmes."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from expansion_platform.cli.main import app
from expansion_platform.domain.core.errors import ConfigurationError, ExpansionError
from expansion_platform.domain.core.table import Table
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.signals import tables as signals
from expansion_platform.reports.holdout import control_share, customers_of_file, write
from expansion_platform_tests.pipelines import NEWEST, Pipeline, computations

HEADER = "programme,customer,arm,assigned_at,randomised"


def holdout(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, *arguments: Any, **given: str) -> Result:
    environment = {
        **pipeline.world.environment,
        "EXPANSION_DATA_DIR": str(pipeline.settings.data_dir),
        "COLUMNS": "300",
        **given,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    ran = CliRunner().invoke(app, ["holdout", *map(str, arguments)])
    if ran.exception is not None and not isinstance(ran.exception, SystemExit):
        raise ran.exception
    return ran


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as opened:
        return list(csv.DictReader(opened))


@pytest.fixture(scope="module")
def customers(pipeline: Pipeline) -> list[str]:
    return sorted(pipeline.lake.read(mrr.CustomerMonths, [NEWEST]).query("closing > 0")["customer"])


@pytest.mark.xdist_group("pipeline")
class TestOnAComputedCompany:
    def test_draws_writes_and_says_what_next(
        self, pipeline: Pipeline, customers: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        asked, file = tmp_path / "asked.csv", tmp_path / "arms.csv"
        asked.write_text("\n".join(["name,customer", *(f"x,{name}" for name in customers), "x,cus_typo"]))
        ran = holdout(pipeline, monkeypatch, "autumn", "--share", "0.3", "--customers", asked, "--out", file)
        rows = rows_of(file)
        assert [row["customer"] for row in rows] == customers
        assert {row["programme"] for row in rows} == {"autumn"}
        assert {row["randomised"] for row in rows} == {"true"}
        control = sum(row["arm"] == "control" for row in rows)
        assert f"treatment {len(rows) - control}, control {control} ({len(rows)} new)" in ran.output
        assert "left out, not in Stripe: cus_typo" in ran.output
        assert f"EXPANSION_ASSIGNMENTS={file}" in ran.output
        assert "autumn,0.7,share,,," in ran.output
        assert re.search(r"share +\d+\.\d % to \d+\.\d %", ran.output)
        assert re.search(r"amount +[\d,]+\.\d\d USD a customer", ran.output)

    def test_again_adds_only_who_is_new_and_changes_nothing(
        self, pipeline: Pipeline, customers: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        asked, file = tmp_path / "asked.txt", tmp_path / "arms.csv"
        file.write_text(f"note,{HEADER}\nkept,winter,{customers[0]},control,2026-01-02,false")
        asked.write_text("\n".join(customers[:20]))
        options = ["--customers", asked, "--out", file]
        holdout(pipeline, monkeypatch, "autumn", "--share", "0.5", *options)
        first = file.read_text()
        assert first.startswith(
            f"note,{HEADER}\nkept,winter,{customers[0]},control,2026-01-02,false\n,autumn,"
        )
        asked.write_text("\n".join(reversed(customers)))
        # Another share leaves those alone who were drawn before.
        ran = holdout(pipeline, monkeypatch, "autumn", "--share", "0.2", *options)
        assert file.read_text().startswith(first)
        assert len(rows_of(file)) == 1 + len(customers)
        assert f"({len(customers) - 20} new)" in ran.output
        done = file.read_text()
        holdout(pipeline, monkeypatch, "autumn", "--share", "0.2", *options)
        assert file.read_text() == done

    def test_without_customers_it_takes_candidates_to_speak_to(
        self, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        file = tmp_path / "arms.csv"
        given = {"EXPANSION_ASSIGNMENTS": str(file)}
        ran = holdout(pipeline, monkeypatch, "autumn", "--share", "0.4", "--month", NEWEST, **given)
        candidates = pipeline.lake.read(signals.Candidates, [NEWEST])
        wanted = set(candidates.loc[~candidates["do_not_push"], "customer"])
        assert {row["customer"] for row in rows_of(file)} == wanted
        assert "EXPANSION_ASSIGNMENTS=" not in ran.output  # it is set
        with pytest.raises(ExpansionError, match="2031-01 has no candidates; there are candidates of"):
            holdout(pipeline, monkeypatch, "autumn", "--month", "2031-01", **given)

    def test_refusals_leave_the_file_as_it_is(
        self, pipeline: Pipeline, customers: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        asked, file = tmp_path / "asked.txt", tmp_path / "arms.csv"
        options = ["--customers", asked, "--out", file]
        asked.write_text("cus_typo\n")
        with pytest.raises(ExpansionError, match="no customers to draw among: 1 not in Stripe: cus_typo"):
            holdout(pipeline, monkeypatch, "autumn", *options)
        asked.write_text(customers[0])
        with pytest.raises(ExpansionError, match=r"1 customer and nobody in (control|treatment)"):
            holdout(pipeline, monkeypatch, "autumn", *options)
        with pytest.raises(ExpansionError, match="not both"):
            holdout(pipeline, monkeypatch, "autumn", "--month", NEWEST, *options)
        with pytest.raises(ExpansionError, match="without @"):
            holdout(pipeline, monkeypatch, "ana@example.com", *options)
        assert not file.exists()
        file.write_text("customer\ncus_1\n")
        with pytest.raises(ConfigurationError, match="no column programme"):
            holdout(pipeline, monkeypatch, "autumn", *options)
        assert file.read_text() == "customer\ncus_1\n"

    def test_its_file_leads_to_outcomes(
        self, pipeline: Pipeline, customers: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """As if drawn in June: measured by September, and a second run computes nothing."""
        asked, file, plans = tmp_path / "asked.txt", tmp_path / "arms.csv", tmp_path / "plans.csv"
        before = pipeline.lake.read(mrr.CustomerMonths, ["2026-05"]).query("closing > 0")["customer"].tolist()
        asked.write_text("\n".join(before))
        options = ["--share", "0.4", "--customers", asked, "--out", file]
        holdout(pipeline, monkeypatch, "autumn", *options, EXPANSION_AS_OF="2026-06-15T00:00:00Z")
        plans.write_text(
            "programme,planned_share,primary_outcome,cost,margin,months_retained\nautumn,0.6,share,100,0.8,\n"
        )
        arms = {row["customer"]: row["arm"] for row in rows_of(file)}
        moved = pipeline.lake.read(mrr.Movements, ["2026-07", "2026-08", "2026-09"])
        moved = moved[moved["flow_expansion"] > 0]
        with pipeline.copied(tmp_path) as copied:
            money: list[type[Table]] = [mrr.CustomerMonths, mrr.Movements]
            kept = copied.contents(money)
            given = copied.with_settings(expansion_assignments=str(file), expansion_programmes=str(plans))
            assert given.refresh().success
            assert given.contents(money) == kept
            rows = given.lake.read(signals.ProgrammeOutcomes).set_index("month")
            assert rows.index.tolist() == ["2026-06", "2026-07", "2026-08", "2026-09", "2026-10"]
            assert rows["verdict"].tolist()[:3] == ["too early"] * 3
            for side in ("treatment", "control"):
                ours = {name for name, arm in arms.items() if arm == side}
                here = moved[moved["customer"].isin(ours)]
                for month in ("2026-09", "2026-10"):
                    assert rows.loc[month, f"measured_{side}"] == len(ours)
                    assert rows.loc[month, f"expanders_{side}"] == here["customer"].nunique()
                    assert rows.loc[month, f"expansion_{side}"] == here["flow_expansion"].sum()
            assert (rows["left_out"] == 0).all()
            with computations() as computed:
                assert given.refresh().success
            assert computed == {}


def test_files_of_customers(tmp_path: Path) -> None:
    file = tmp_path / "asked.csv"
    file.write_text("\ufeffcustomer , mrr\n cus_1 ,5\n\n,7\ncus_2\n", encoding="utf-8")
    assert customers_of_file(file) == ["cus_1", "cus_2"]
    file.write_text("cus_1\n\n cus_2 \n")
    assert customers_of_file(file) == ["cus_1", "cus_2"]
    file.write_text("cus_1,5\n")
    with pytest.raises(ExpansionError, match="several columns and none is called customer"):
        customers_of_file(file)
    with pytest.raises(ExpansionError, match="cannot be read"):
        customers_of_file(tmp_path / "absent.csv")


@pytest.mark.parametrize("text", ["0", "1", "-0.1", "ten", "NaN", "Infinity"])
def test_shares_that_cannot_be(text: str) -> None:
    with pytest.raises(ExpansionError, match="--share"):
        control_share(text)


def test_a_folder_that_is_not_there_is_an_error_for_people(tmp_path: Path) -> None:
    import pandas as pd

    with pytest.raises(ExpansionError, match="cannot be written"):
        write(tmp_path / "absent" / "arms.csv", pd.DataFrame())
