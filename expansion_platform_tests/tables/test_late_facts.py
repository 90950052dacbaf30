"""A fact that becomes known late refreshes the closed months it touches and no others."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from expansion_platform.automation.jobs import month_range
from expansion_platform.definitions import build_defs
from expansion_platform.domain.history import tables as billing
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.engine import checks
from expansion_platform.ingestion.account import UNDER_WAY
from expansion_platform.resources import Platform
from expansion_platform.tables.mrr import MRR
from expansion_platform_tests.pipelines import NEWEST, Pipeline, computations

pytestmark = pytest.mark.xdist_group("pipeline")


def compute(pipeline: Pipeline) -> int:
    """Computes the mrr floor of all months; how many months were computed."""
    with computations() as computed, Platform(pipeline.settings) as platform:
        job = build_defs(platform).resolve_implicit_global_asset_job_def()
        first = pipeline.lake.months(mrr.CustomerMonths)[0]
        selection = [checks.asset_key(model) for model in MRR.models]
        assert job.execute_in_process(
            instance=pipeline.instance, tags=month_range(first, NEWEST), asset_selection=selection
        ).success
    return len(computed.get(MRR.name, []))


def files(pipeline: Pipeline) -> dict[str, dict[str, str]]:
    return {model.Config.name: pipeline.lake.states(model) for model in MRR.models}


def with_blip(states: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The history in which a customer, otherwise unchanged, held more for a week of May."""
    lasting = states["valid_to"].isna() & (states["valid_from"] < "2026-03-01")
    lasting &= (states["usage_type"] == "licensed") & (states["status"] == "active")
    alone = ~states["customer"].duplicated(keep=False)
    before = states[lasting & alone].iloc[[0]]
    start, end = (pd.Timestamp(day, tz="UTC").as_unit("us") for day in ("2026-05-10", "2026-05-17"))
    blip = pd.concat(
        [
            before.assign(valid_to=start),
            before.assign(valid_from=start, valid_to=end, quantity="77"),
            before.assign(valid_from=end),
        ]
    )
    return pd.concat([states.drop(before.index), blip]), str(before["customer"].iloc[0])


def test_a_late_fact_about_a_closed_month_rebuilds_that_month(pipeline: Pipeline, tmp_path: Path) -> None:
    with pipeline.copied(tmp_path) as copied:
        before = files(copied)
        states, customer = with_blip(copied.lake.read(billing.ItemStates))
        copied.lake.replace(billing.ItemStates, states)
        assert compute(copied) == 1
        after = files(copied)
        changed = {
            (name, month)
            for name, of in after.items()
            for month in of
            if of[month] != before[name].get(month)
        }
        assert changed == {("mrr/movements", "2026-05")}
        may = copied.lake.read(mrr.Movements, ["2026-05"]).set_index("customer")
        assert "intramonth_reversal" in may.at[customer, "flags_json"]
        assert compute(copied) == 0


def test_what_is_only_known_better_rebuilds_nothing(pipeline: Pipeline, tmp_path: Path) -> None:
    """More evidence for the same states, as every renewal brings."""
    with pipeline.copied(tmp_path) as copied:
        states = copied.lake.read(billing.ItemStates)
        copied.lake.replace(billing.ItemStates, states.assign(evidence_json='["in_1"]'))
        assert compute(copied) == 0


def test_half_an_account_is_not_computed(pipeline: Pipeline, tmp_path: Path) -> None:
    """A pull that was killed has committed a part; history made of it would look like customers that never
    were.
    """
    with pipeline.copied(tmp_path) as copied, Platform(copied.settings) as platform:
        copied.ledger.pulls.begin(UNDER_WAY, {})
        job = build_defs(platform).resolve_implicit_global_asset_job_def()
        selection = [checks.asset_key(billing.ItemChanges)]
        result = job.execute_in_process(
            instance=copied.instance, asset_selection=selection, raise_on_error=False
        )
        (failure,) = [event.step_failure_data for event in result.all_events if event.is_step_failure]
        assert "it goes on where it stopped" in failure.user_failure_data.description
