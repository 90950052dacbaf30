"""Opening, flows and closing in the stored tables tie for every customer, segment and total; used by the
tests over whole companies.
"""

from __future__ import annotations

from expansion_platform.domain.metrics import reconciliation_totals
from expansion_platform.domain.metrics import tables as metrics
from expansion_platform.domain.mrr import reconciliation
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.mrr.vocabulary import FLOWS
from expansion_platform.storage.lake import Lake


def assert_ties(lake: Lake, months: int) -> None:
    """From the lake tables alone, not from the checks that ran before they were written."""
    customers, movements, rollforward = (
        lake.read(model) for model in (mrr.CustomerMonths, mrr.Movements, metrics.Rollforward)
    )
    assert customers["month"].nunique() == rollforward["month"].nunique() == months
    reconciliation.customers_tie(customers, movements)
    reconciliation.months_chain(customers)
    reconciliation.causes_explain_movements(movements, lake.read(mrr.Causes))
    reconciliation_totals.segments_sum(rollforward)
    assert (rollforward["opening"] + rollforward[FLOWS].sum(axis=1) == rollforward["closing"]).all()
    total = rollforward[rollforward["dimension"] == "total"].set_index("month")
    segments = rollforward[rollforward["dimension"] == "segment"].sort_values(["value", "month"])
    for end in ("opening", "closing"):
        assert total[end].to_dict() == customers.groupby("month")[end].sum().to_dict()
        held = (
            customers.groupby(["segment", "month"])[end]
            .sum()
            .reindex(segments.set_index(["value", "month"]).index, fill_value=0)
        )
        assert segments[end].tolist() == held.tolist()
    carried = (
        (segments["closing"] + segments["transfer_in"] - segments["transfer_out"])
        .groupby(segments["value"])
        .shift()
    )
    following = carried.notna()
    assert (segments.loc[following, "opening"] == carried[following]).all()
