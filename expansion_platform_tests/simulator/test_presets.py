"""The pipeline against the truth under each policy preset, and that the comparison can tell the presets
apart.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from expansion_platform.domain.metrics import tables as metrics
from expansion_platform.simulator.verify import POLICIES, compare, under
from expansion_platform_tests.pipelines import MONTHS, NEWEST, Pipeline

pytestmark = pytest.mark.xdist_group("pipeline")


def test_figures_of_one_policy_are_not_those_of_another(pipeline: Pipeline) -> None:
    other = under(pipeline.world.company, POLICIES["stripe_parity"])
    differences = compare(other, pipeline.lake, MONTHS).differences
    assert any("opening" in difference for difference in differences)


@pytest.mark.parametrize("column", ["opening", "expansion", "closing"])
def test_the_comparison_sees_one_cent_of_a_roll_forward(
    pipeline: Pipeline, tmp_path: Path, column: str
) -> None:
    with pipeline.copied(tmp_path) as copied:
        rows = copied.lake.read(metrics.Rollforward, [NEWEST])
        rows.loc[rows["value"] == "smb", column] += 1
        copied.lake.replace(metrics.Rollforward, rows, months=[NEWEST])
        (difference,) = compare(copied.world.company, copied.lake, MONTHS).differences
    assert difference.startswith(f"smb {NEWEST}: {column} ")
