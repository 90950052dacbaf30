"""Each identity holds on the pipeline's own tables, is refused once a table is corrupted, and is checked
where `docs/identities.md` says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from expansion_platform.definitions import build_defs
from expansion_platform.domain.core import validation
from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.core.table import table_name
from expansion_platform.domain.identities import IDENTITIES, OF_RULES, Identity
from expansion_platform.domain.metrics import attainment, reconciliation_totals
from expansion_platform.domain.metrics import reconciliation as metrics_reconciliation
from expansion_platform.domain.metrics.attainment import FIGURES as TARGET_FIGURES
from expansion_platform.domain.metrics.attainment import METRICS
from expansion_platform.domain.metrics.benchmarks import FIGURES
from expansion_platform.domain.metrics.restated_months import VALUES
from expansion_platform.domain.mrr import contributions, reconciliation
from expansion_platform.domain.tables import TABLES
from expansion_platform_tests.pipelines import Pipeline

pytestmark = pytest.mark.xdist_group("pipeline")

ROOT = Path(__file__).parents[2]
Read = Callable[[str], pd.DataFrame]


@dataclass(frozen=True)
class Corruption:
    """What is done to the first row of a table that a query finds: amounts are added, texts and flags are
    set.
    """

    query: str
    changed: Mapping[str, object]
    table: str | None = None
    """Another table than the identity's."""


CONTINUING = "movement == 'continuing'"
CORRUPTED = {
    "months_chain": Corruption("opening > 0 and month == '2026-05'", {"opening": 1}),
    "membership": Corruption("movement == 'new'", {"movement": "reactivation"}),
    "first_paid": Corruption("opening == 0", {"first_paid_month": "2020-01"}),
    "dormancy": Corruption(CONTINUING, {"dormant": True}),
    "flows_close": Corruption(CONTINUING, {"flow_price": 1}),
    "customers_tie": Corruption("opening > 0", {"closing": 1}),
    "rollforward": Corruption("dimension == 'total'", {"expansion": 1}),
    "rollforward_by_dimension": Corruption("dimension == 'cohort'", {"expansion": 1}),
    "all_customers": Corruption("dimension == 'total'", {"expansion": 1, "closing": 1}),
    "headline": Corruption("flow_expansion > 0", {"flow_expansion": -1, "flow_price": 1}),
    "contraction": Corruption("flow_contraction < 0", {"flow_contraction": 1, "flow_price": -1}),
    "concession": Corruption(CONTINUING, {"flow_discount": 1, "flow_price": -1}),
    "fx": Corruption(CONTINUING, {"flow_fx": 1, "flow_price": -1}),
    "signs": Corruption(CONTINUING, {"flow_churn": 1}),
    "gross": Corruption("flow_expansion > 0", {"expansion_gross": 1, "contraction_gross": 1}),
    "bridge": Corruption("flow_expansion > 0", {"flow_contraction": -1}),
    "unadjusted": Corruption(CONTINUING, {"expansion_unadjusted": 1}),
    "types": Corruption("flow_expansion > 0", {"expansion_seat": 1}),
    "types_in_gross": Corruption(
        "expansion_seat > 0 and expansion_usage == 0", {"expansion_seat": -1, "expansion_usage": 1}
    ),
    "types_of_total": Corruption("metric == 'expansion_rate'", {"numerator": 1}),
    "labels": Corruption("label == 'expansion'", {"label": "flat"}),
    "sides": Corruption("match_pass == 'item'", {"from_item": ""}),
    "causes_sum": Corruption("cause == 'seat'", {"amount": 1}),
    "pairs": Corruption("cause == 'seat'", {"to_mrr": 1}),
    "inferred": Corruption("metric == 'inferred_mrr_share'", {"denominator": 1}),
    "quotient": Corruption("metric == 'nrr' and denominator > 0", {"ratio": "0.1234567890"}),
    "graded": Corruption("metric == 'nrr' and n_customers > 0 and quality == 'low_n'", {"quality": "ok"}),
    "segments": Corruption("value == 'smb'", {"opening": 1, "closing": 1}),
    "transfers": Corruption("value == 'smb' and month < '2026-10'", {"transfer_in": 1}),
    "transfers_by_dimension": Corruption("value == 'seat' and month < '2026-10'", {"transfer_out": 1}),
    "dimensions": Corruption("dimension == 'plan'", {"opening": 1, "closing": 1}),
    "slices": Corruption("value == 'smb' and metric == 'nrr'", {"numerator": 1}),
    "slices_of_windows": Corruption("value == 'seat' and metric == 'quick_ratio_t3m'", {"numerator": 1}),
    "cohorts": Corruption("months_since > 0", {"cumulative_expansion": 1}),
    "expansion_rate": Corruption("metric == 'expansion_rate'", {"numerator": 1}),
    "nrr": Corruption("metric == 'nrr'", {"numerator": -1}),
    "grr": Corruption("metric == 'grr'", {"numerator": 10**9}),
    "net_new": Corruption("metric == 'mrr_change'", {"numerator": 1}),
    "share_of_new": Corruption("metric == 'expansion_share_of_new'", {"denominator": 1}),
    "windows": Corruption(
        "metric == 'expansion_rate_t12m_simple' and dimension == 'total' and month == '2026-10'",
        {"numerator": 1},
    ),
    "origins": Corruption("expansion > 0", {"expansion": -1}),
    "origin_shares": Corruption("metric == 'expansion_rate'", {"numerator": 1}),
    "expanders": Corruption("dimension == 'total' and compared > 0", {"expanders": 1}),
    "then_churn": Corruption("compared > 0", {"churned": 10**6}),
    "seats_kept": Corruption("kept > 0", {"kept": -1}),
    "seat_amounts": Corruption("kept > 0", {"amount": 1}),
    "seat_durability": Corruption(
        "metric == 'seat_amount_durable' and dimension == 'total'", {"numerator": 1}
    ),
    "durable": Corruption("metric == 'durability_3m' and numerator > 0", {"denominator": 1}),
    "compared": Corruption("ratio.notna()", {"ratio": "0.0000000001"}),
    "bands": Corruption("ratio.notna()", {"band": None}),
    "targets": Corruption("period == 'year_to_date'", {"numerator": 1}),
    "restated": Corruption("opening > 0", {"opening": 1}, "mrr/first_reported"),
}


ALONE = [
    *(
        reconciliation.months_chain,
        reconciliation_totals.segments_sum,
        reconciliation_totals.slices_chain,
        reconciliation_totals.dimensions_sum,
        reconciliation.pairs_sum,
    ),
    metrics_reconciliation.slices_sum,
]
"""Checks of one table against itself."""
BESIDE: dict[object, list[str]] = {
    reconciliation_totals.rollforward_ties: ["mrr/customer_months", "mrr/movements"],
    reconciliation_totals.coverage_ties: ["mrr/customer_months"],
    reconciliation.origins_tie: ["mrr/movements"],
    reconciliation_totals.origin_shares_sum: ["metrics/expansion"],
    metrics_reconciliation.expanders_tie: ["metrics/expansion"],
    metrics_reconciliation.durability_ties: ["mrr/seat_events"],
}
"""Whole tables that a check reads beside the identity's own."""


def figures(read: Read, names: list[str]) -> pd.DataFrame:
    """Rows of several tables of figures, one below the other."""
    return pd.concat([read(name) for name in names], ignore_index=True)


def beside(identity: Identity, read: Read) -> list[Any]:
    """What a check is given beside the identity's own table."""
    check = identity.check
    if check in ALONE:
        return []
    if check in BESIDE:
        return [read(name) for name in BESIDE[check]]
    if check is metrics_reconciliation.cohorts_tie:
        return [read("metrics/rollforward_by_dimension").query("dimension == 'cohort'")]
    if check is reconciliation.seat_events_tie:
        return [read("mrr/causes").query("cause == 'seat'")]
    if check is metrics_reconciliation.benchmarks_tie:
        return [figures(read, [table_name(model) for model in FIGURES])]
    if check is attainment.ties:
        published = figures(read, [table_name(model) for model in TARGET_FIGURES])
        return [published[published["metric"].isin(METRICS)]]
    if check is reconciliation_totals.restatements_tie:
        return first_and_published(read)
    return [read("metrics/rollforward")]


def first_and_published(read: Read) -> list[pd.DataFrame]:
    reported = read("mrr/first_reported")
    flows = read("metrics/rollforward"), read("metrics/rollforward_by_dimension")
    values = figures(read, [table_name(model) for model in VALUES])
    published = contributions.published(
        *flows, values, read("metrics/expansion_by_type"), read("metrics/expansion_by_origin")
    )
    return [reported, published[published["month"].isin(reported["month"])]]


def refuse(identity: Identity, read: Read) -> None:
    """Runs an identity's check on tables as the pipeline does."""
    check, customers, moved = identity.check, "mrr/customer_months", "mrr/movements"
    if isinstance(check, str):
        validation.validate(TABLES[identity.table], read(identity.table))
    elif check is reconciliation.customers_tie:
        check(read(customers), read(moved))
    elif check is reconciliation.first_paid_ties:
        check(read(customers), read(moved), [])
    elif check in (reconciliation.flows_follow_causes, reconciliation.causes_explain_movements):
        check(read(moved), read("mrr/causes"))
    else:
        check(read(identity.table), *beside(identity, read))


@pytest.fixture(scope="module")
def tables(pipeline: Pipeline) -> Read:
    """The pipeline's tables by name, each read once."""
    return cache(lambda name: pipeline.lake.read(TABLES[name]))


def corrupted(frame: pd.DataFrame, corruption: Corruption) -> pd.DataFrame:
    row = frame.query(corruption.query).index[0]
    frame = frame.copy()
    for column, value in corruption.changed.items():
        added = isinstance(value, int) and not isinstance(value, bool)
        frame.loc[row, column] = frame.loc[row, column] + value if added else value
    return frame


def test_every_identity_is_corrupted_here() -> None:
    assert [one.name for one in IDENTITIES] == list(CORRUPTED)


@pytest.mark.parametrize("identity", IDENTITIES, ids=lambda one: one.name)
def test_it_holds_and_a_corrupted_table_is_refused(identity: Identity, tables: Read) -> None:
    refuse(identity, tables)
    corruption = CORRUPTED[identity.name]
    name = corruption.table or identity.table
    wrong = corrupted(tables(name), corruption)
    with pytest.raises(DataQualityError) as caught:
        refuse(identity, lambda asked: wrong if asked == name else tables(asked))
    if isinstance(identity.check, str):
        assert identity.check in str(caught.value)
    assert caught.value.objects


@pytest.mark.parametrize("identity", IDENTITIES, ids=lambda one: one.name)
def test_it_is_checked_where_it_is_said_to_be(identity: Identity) -> None:
    keys = {
        (key.asset_key.to_user_string(), key.name)
        for key in build_defs().resolve_asset_graph().asset_check_keys
    }
    assert (identity.table, identity.shown_as) in keys
    if not isinstance(identity.check, str):
        callers = [
            path
            for path in sorted((ROOT / "expansion_platform").rglob("*.py"))
            if not path.name.startswith("reconciliation")
        ]
        called = rf"[ .]{identity.check.__name__}\("
        assert any(re.search(f"(?<!def){called}", path.read_text(encoding="utf-8")) for path in callers)


@pytest.mark.parametrize("module", sorted({test for tests in OF_RULES.values() for test in tests.values()}))
def test_what_is_asked_of_the_rules_has_its_tests(module: str) -> None:
    assert "def test_" in (ROOT / "expansion_platform_tests" / module).read_text(encoding="utf-8")
