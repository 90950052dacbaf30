"""The pipeline against the truth under each policy preset, and that the comparison can tell the presets apart."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from expansion_platform.domain import reconciliation
from expansion_platform.domain.schemas import metrics, mrr
from expansion_platform.simulator.verify import POLICIES, compare, under, verify
from expansion_platform.storage.lake import Lake
from expansion_platform_tests.pipelines import MONTHS, NEWEST, Pipeline

pytestmark = pytest.mark.xdist_group("pipeline")


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 5, 11])
def test_opening_flows_and_closing_tie_as_stripe_counts(tmp_path: Path, seed: int) -> None:
    verdict = verify(seed, 80, 12, tmp_path, Console(quiet=True), "stripe_parity")
    assert verdict.differences == []
    assert verdict.customer_months > 500
    assert verdict.sums == 12 * 4
    lake = Lake(tmp_path / "lake")
    customers, movements = lake.read(mrr.CustomerMonths), lake.read(mrr.Movements)
    reconciliation.customers_tie(customers, movements)
    reconciliation.months_chain(customers)
    reconciliation.segments_sum(lake.read(metrics.Rollforward))
    assert movements["policy_hash"].nunique() == 1


def test_figures_of_one_policy_are_not_those_of_another(pipeline: Pipeline) -> None:
    other = under(pipeline.world.company, POLICIES["stripe_parity"])
    differences = compare(other, pipeline.lake, MONTHS).differences
    assert any("opening" in difference for difference in differences)


@pytest.mark.parametrize("column", ["opening", "expansion", "closing"])
def test_the_comparison_sees_one_cent_of_a_roll_forward(pipeline: Pipeline, tmp_path: Path, column: str) -> None:
    with pipeline.copied(tmp_path) as copied:
        rows = copied.lake.read(metrics.Rollforward, [NEWEST])
        rows.loc[rows["value"] == "smb", column] += 1
        copied.lake.replace(metrics.Rollforward, rows, months=[NEWEST])
        (difference,) = compare(copied.world.company, copied.lake, MONTHS).differences
    assert difference.startswith(f"smb {NEWEST}: {column} ")
