"""What the user gives through the whole pipeline: attributes as dimensions, costs as a ratio, and nothing
where nothing is given.
"""

from __future__ import annotations

import copy
from fractions import Fraction
from pathlib import Path

import pytest
from rich.console import Console

from expansion_platform.automation.run import refresh
from expansion_platform.domain.metrics import tables as metrics
from expansion_platform.domain.stripe import tables as stripe
from expansion_platform.domain.tables import TABLES
from expansion_platform_tests.pipelines import NEWEST, Pipeline

pytestmark = pytest.mark.xdist_group("pipeline")

BEFORE = "2026-09"


def computed(pipeline: Pipeline, *tables: str) -> None:
    assert refresh(
        pipeline.settings, BEFORE, NEWEST, Console(quiet=True), pipeline.instance, only=list(tables)
    ).success


def test_without_costs_there_is_no_ratio(pipeline: Pipeline) -> None:
    assert pipeline.lake.rows(metrics.ExpansionCac) == 0
    assert "economics" not in set(pipeline.lake.read(metrics.Benchmarks)["benchmark"])


def test_costs_of_one_month_are_a_ratio_and_its_benchmark(pipeline: Pipeline, tmp_path: Path) -> None:
    file = tmp_path / "costs.csv"
    file.write_text(f"month,program_cost,acquisition_cost,currency\n{NEWEST},1000.00,50000,usd\n")
    with pipeline.copied(tmp_path) as copied:
        with_costs = copied.with_settings(expansion_costs=str(file))
        computed(with_costs, "metrics/expansion_cac", "metrics/benchmarks")
        rows = with_costs.lake.read(metrics.ExpansionCac).set_index(["month", "metric"])
        flows = with_costs.lake.read(metrics.Rollforward, [NEWEST]).query("dimension == 'total'").iloc[0]
        expected = Fraction(100_000, int(flows["expansion"])) / Fraction(5_000_000, int(flows["new"]))
        row = rows.loc[(NEWEST, "expansion_cac_ratio")]
        assert Fraction(int(row["numerator"]), int(row["denominator"])) == expected
        assert set(rows.index.get_level_values("month")) == {NEWEST}
        told = with_costs.lake.read(metrics.Benchmarks).query("benchmark == 'economics'")
        assert told[["month", "ratio"]].to_numpy().tolist() == [[NEWEST, row["ratio"]]]


def test_attributes_of_a_file_and_of_metadata_are_dimensions(pipeline: Pipeline, tmp_path: Path) -> None:
    """Some customers move to another region with the newest month; `industry` is metadata that was not kept
    until it is asked for.
    """
    customers = pipeline.lake.read(stripe.Customers)["id"].tolist()
    lines = [f"{customer},region,north," for customer in customers[:40]] + [
        f"{customer},region,south,{NEWEST}" for customer in customers[:25]
    ]
    file = tmp_path / "attributes.csv"
    file.write_text("\n".join(["customer,attribute,value,valid_from", *lines]))
    with pipeline.copied(tmp_path) as copied:
        copied.world.stripe.account = copy.deepcopy(copied.world.stripe.account)
        for number, customer in enumerate(copied.world.stripe.account.objects["customers"]):
            customer["metadata"]["industry"] = ("retail", "health", "")[number % 3]
        sliced = copied.with_settings(
            expansion_customer_attributes=str(file), expansion_attribute_keys="industry, size"
        )
        computed(
            sliced,
            *(name for name in TABLES if name.startswith("stripe/")),
            *("mrr/customer_slices", "metrics/expansion_by_dimension", "metrics/rollforward_by_dimension"),
        )
        rows = sliced.lake.read(metrics.RollforwardByDimension, [BEFORE, NEWEST]).set_index(
            ["month", "dimension", "value"]
        )
        region = rows.xs("region", level="dimension")
        # Nobody is in the south yet, and some will be.
        assert set(region.loc[BEFORE].index) == {"north", "south", "unknown"}
        assert region.loc[(BEFORE, "south"), ["opening", "closing"]].tolist() == [0, 0]
        moved = region.loc[(BEFORE, "south"), "transfer_in"]
        assert moved == region.loc[(BEFORE, "north"), "transfer_out"] > 0
        for value in region.loc[BEFORE].index:
            here = region.loc[(BEFORE, value)]
            assert (
                here["closing"] + here["transfer_in"] - here["transfer_out"]
                == region.loc[(NEWEST, value), "opening"]
            )
        industry = rows.xs("industry", level="dimension").loc[NEWEST]
        assert set(industry.index) == {"retail", "health", "unknown"}
        assert industry["closing"].sum() == rows.loc[(NEWEST, "total", "all"), "closing"]
        assert set(rows.xs("size", level="dimension").loc[NEWEST].index) == {"unknown"}
        country = rows.xs("country", level="dimension").loc[NEWEST]
        assert list(country.index) == ["US"]


def test_a_wrong_row_stops_what_it_is_for_and_nothing_else(pipeline: Pipeline, tmp_path: Path) -> None:
    file = tmp_path / "attributes.csv"
    file.write_text("customer,attribute,value,valid_from\ncus_1,region,north,soon\n")
    with pipeline.copied(tmp_path) as copied:
        broken = copied.with_settings(expansion_customer_attributes=str(file))
        before = broken.contents()
        with pytest.raises(
            Exception, match=r"line 2: valid_from 'soon' cannot be: it is the first month it holds in"
        ):
            computed(
                broken,
                "mrr/customer_slices",
                "metrics/expansion_by_dimension",
                "metrics/rollforward_by_dimension",
            )
        assert broken.contents() == before
