"""Origins through the pipeline: they sum to the published expansion, a wrong row is seen before it is
written, CRM records move what they concern.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from expansion_platform.automation.run import refresh
from expansion_platform.domain.core.errors import ExpansionError
from expansion_platform.domain.metrics import tables as metrics
from expansion_platform.domain.mrr import origins as rules
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform_tests.pipelines import NEWEST, Pipeline

pytestmark = pytest.mark.xdist_group("pipeline")

TABLES = ["mrr/origins", "metrics/expansion_by_origin"]
BEFORE = "2026-09"


def computed(pipeline: Pipeline) -> None:
    refresh(pipeline.settings, BEFORE, NEWEST, Console(quiet=True), pipeline.instance, only=TABLES)


def test_origins_sum_to_what_is_published_in_every_month(pipeline: Pipeline) -> None:
    rows = pipeline.lake.read(metrics.ExpansionByOrigin).query("metric == 'expansion_rate'")
    sums = rows.groupby(["dimension", "month"])["numerator"].sum()
    published = (
        pipeline.lake.read(metrics.Expansion)
        .query("metric == 'expansion_rate'")
        .set_index("month")["numerator"]
    )
    assert sums["origin"].to_dict() == sums["motion"].to_dict() == published.to_dict()
    by_type = pipeline.lake.read(mrr.Origins).groupby(["month", "cause"])["expansion"].sum()
    types = pipeline.lake.read(metrics.ExpansionByType).query("metric == 'expansion_rate' and numerator > 0")
    assert by_type[by_type > 0].to_dict() == types.set_index(["month", "value"])["numerator"].to_dict()


def test_a_row_of_a_cent_too_much_is_seen_and_nothing_is_written(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = rules.origins

    def corrupted(wanted, *rest):
        rows = made(wanted, *rest)
        first = (rows["month"] == NEWEST) & ~rows["month"].duplicated()
        return rows.assign(amount=rows["amount"] + first)

    with pipeline.copied(tmp_path) as copied:
        customer = copied.lake.read(mrr.Origins, [NEWEST])["customer"].iloc[0]
        copied.lake.delete_months(mrr.Origins, [NEWEST])
        before = copied.contents([mrr.Origins, metrics.ExpansionByOrigin])
        monkeypatch.setattr(rules, "origins", corrupted)
        with pytest.raises(ExpansionError, match=f"origins do not sum to expansion: {customer}/{NEWEST}"):
            computed(copied)
        assert copied.contents([mrr.Origins, metrics.ExpansionByOrigin]) == before
        assert "mrr/origins reconciled" in {
            f"{check.asset_key.to_user_string()} {check.check_name}" for check in copied.failed_checks()
        }


def test_an_opportunity_makes_its_customers_expansion_sales_driven(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    """The month before stays as it was, to the file: nothing it looks at changed."""
    moved = (
        pipeline.lake.read(mrr.Movements, [NEWEST])
        .query("expansion_seat > 0 and expansion_seat == expansion_gross")
        .iloc[0]
    )
    file = tmp_path / "crm.csv"
    file.write_text(
        f"customer,date,kind,id\n{moved['customer']},{NEWEST}-28,opportunity,006\ncus_nobody,{NEWEST}-15,touch,00T\n"
    )
    with pipeline.copied(tmp_path) as copied:
        won = copied.with_settings(expansion_crm_activity=str(file))
        before = won.lake.states(mrr.Origins)
        computed(won)
        rows = won.lake.read(mrr.Origins, [NEWEST]).query(f"customer == '{moved['customer']}'")
        assert rows[["origin", "rule", "evidence_json"]].to_numpy().tolist() == [
            ["sales", "opportunity", '["006"]']
        ]
        split = won.lake.read(metrics.ExpansionByOrigin, [NEWEST]).set_index(
            ["metric", "dimension", "value"]
        )["numerator"]
        assert split["expansion_mix", "motion", "sales_driven"] == moved["flow_expansion"]
        after = won.lake.states(mrr.Origins)
        assert {month for month in after if after[month] != before[month]} == {NEWEST}


def test_a_month_without_published_figures_says_what_to_compute(pipeline: Pipeline, tmp_path: Path) -> None:
    with pipeline.copied(tmp_path) as copied:
        copied.lake.delete_months(metrics.Expansion, [NEWEST])
        with pytest.raises(
            ExpansionError,
            match=f"{NEWEST}: needs metrics/expansion, which was never computed for it: run `expansion "
            "refresh`",
        ):
            computed(copied)
