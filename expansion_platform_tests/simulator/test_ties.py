"""Opening, flows and closing in the stored tables, for every customer, segment and total, at twenty companies and under both policy presets."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from expansion_platform.domain import reconciliation
from expansion_platform.domain.schemas import metrics, mrr
from expansion_platform.domain.schemas.mrr import FLOWS
from expansion_platform.simulator.verify import POLICIES, verify
from expansion_platform.storage.lake import Lake

CUSTOMERS, MONTHS = 40, 12


@pytest.mark.slow
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("seed", range(1, 21))
def test_opening_flows_and_closing_tie(tmp_path: Path, seed: int, policy: str) -> None:
    assert verify(seed, CUSTOMERS, MONTHS, tmp_path, Console(quiet=True), policy).differences == []
    lake = Lake(tmp_path / "lake")
    customers, movements, rollforward = (lake.read(model) for model in (mrr.CustomerMonths, mrr.Movements, metrics.Rollforward))
    assert customers["month"].nunique() == rollforward["month"].nunique() == MONTHS
    reconciliation.customers_tie(customers, movements)
    reconciliation.months_chain(customers)
    reconciliation.causes_explain_movements(movements, lake.read(mrr.Causes))
    reconciliation.segments_sum(rollforward)
    assert (rollforward["opening"] + rollforward[FLOWS].sum(axis=1) == rollforward["closing"]).all()
    total = rollforward[rollforward["dimension"] == "total"].set_index("month")
    segments = rollforward[rollforward["dimension"] == "segment"].sort_values(["value", "month"])
    for end in ("opening", "closing"):
        assert total[end].to_dict() == customers.groupby("month")[end].sum().to_dict()
        held = customers.groupby(["segment", "month"])[end].sum().reindex(segments.set_index(["value", "month"]).index, fill_value=0)
        assert segments[end].tolist() == held.tolist()
    carried = (segments["closing"] + segments["transfer_in"] - segments["transfer_out"]).groupby(segments["value"]).shift()
    following = carried.notna()
    assert (segments.loc[following, "opening"] == carried[following]).all()
