"""Stripe's own change events beside our MRR, over a whole company: what differs has its reason, what is
planted is found.
"""

from __future__ import annotations

import json
import re
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from expansion_platform.cli import main
from expansion_platform.domain.metrics import tables as metrics
from expansion_platform.reports.reconciliation import reconciled
from expansion_platform.resources import Platform
from expansion_platform.settings import Settings
from expansion_platform.simulator.company.company import AS_OF, Company, simulate
from expansion_platform.simulator.truth.reference_items import item_mrr, read_book, read_policy
from expansion_platform.simulator.verify import POLICIES
from expansion_platform_tests.sources.warehouse.layouts import Row, naive
from expansion_platform_tests.sources.warehouse.test_warehouse_pipeline import (
    IMPORTED,
    MONTHS,
    SEED,
    Imported,
    imported,
)

TABLES = [
    *IMPORTED,
    "billing/item_changes",
    "billing/item_states",
    "billing/quarantine",
    "billing/fx_rates",
    "metrics/stripe_parity",
    "metrics/stripe_differences",
]


def change_events(company: Company) -> list[Row]:
    """Every change of every item as Stripe's table has it: MRR in the item's own currency by the plain
    reference, over the true states.
    """
    policy = read_policy(POLICIES["stripe_parity"])
    rows: list[Row] = []
    for _, history in company.truth.states.sort_values("valid_from").groupby("item"):
        before, until, last = (0, 0), None, None
        for state in history.itertuples():
            if last is not None and until != state.valid_from:
                rows.append(_event(last, until, before, (0, 0)))
                before = (0, 0)
            now = _mrr_and_quantity(state, policy)
            if now != before:
                rows.append(_event(state, state.valid_from, before, now))
            before, until, last = now, state.valid_to, state
        if pd.notna(until) and before != (0, 0):
            rows.append(_event(last, until, before, (0, 0)))
    return rows


def _mrr_and_quantity(state: pd.Series, policy: dict[str, object]) -> tuple[int, int]:
    names = (
        "customer",
        "subscription",
        "item",
        "status",
        "currency",
        "product",
        "price",
        "usage_type",
        "interval",
        "quantity",
    )
    row = {name: getattr(state, name) for name in names}
    row |= {
        "interval_count": int(state.interval_count),
        "livemode": True,
        "collection_paused": state.collection_paused or None,
    }
    row |= {"scheme": json.loads(state.scheme_json), "discounts": json.loads(state.discounts_json)}
    [item] = read_book([row], {}, policy)
    return (item_mrr(item, {state.currency: 1}, policy), int(state.quantity)) if item.counts else (0, 0)


def _event(state: pd.Series, at: pd.Timestamp, before: tuple[int, int], now: tuple[int, int]) -> Row:
    instant = naive(int(at.timestamp()))
    kind = (
        "ACTIVE_START"
        if before[1] == 0
        else "ACTIVE_END"
        if now[1] == 0
        else "ACTIVE_UPGRADE"
        if now > before
        else "ACTIVE_DOWNGRADE"
    )
    return {
        **{f"{name}_id": getattr(state, name) for name in ("customer", "subscription", "product", "price")},
        "subscription_item_id": state.item,
        "currency": state.currency,
        "event_timestamp": str(instant),  # text in Stripe's own table
        "local_event_timestamp": instant,
        "event_type": kind,
        "mrr_change": now[0] - before[0],
        "quantity_change": now[1] - before[1],
    }


@pytest.fixture(scope="module")
def compared(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Imported, list[Row]]]:
    company = simulate(SEED, 30, MONTHS)
    with imported(
        "stripe_data_pipeline", postgres, tmp_path_factory.mktemp(uuid.uuid4().hex), company
    ) as world:
        events = change_events(company)
        world.filled.write("subscription_item_change_events", events)
        world.settings = world.settings.model_copy(update={"expansion_stripe_mrr": "change_events"})
        world.refresh(TABLES)
        yield world, events


def test_every_difference_from_stripes_mrr_has_a_reason(compared: tuple[Imported, list[Row]]) -> None:
    world, _ = compared
    totals, differences = (
        world.lake.read(model) for model in (metrics.StripeParity, metrics.StripeDifferences)
    )
    assert len(totals) == MONTHS
    assert totals["ours"].iloc[-1] > 100_000
    assert totals["unexplained"].sum() == 0
    # Stripe sums whole cents of each currency; and without events a change that was not prorated is dated by
    # the next bill.
    assert set(differences["reason"]) == {"rounding", "late_data"}
    assert (totals["customers"] > 2 * totals["differing"]).all()


def test_what_nothing_explains_warns_and_is_named(
    compared: tuple[Imported, list[Row]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    world, events = compared
    at = naive(int((AS_OF - pd.Timedelta(days=40)).timestamp()))
    wrong = events[0] | {
        "event_timestamp": str(at),
        "local_event_timestamp": at,
        "mrr_change": 123_457,
        "quantity_change": 7,
    }
    world.filled.write("subscription_item_change_events", [*events, wrong])
    world.refresh(TABLES[-2:])
    newest = world.lake.read(metrics.StripeDifferences).query(
        "month == '2026-10' and reason == 'unexplained'"
    )
    assert newest["customer"].tolist() == [wrong["customer_id"]]
    log = world.instance.all_logs(
        world.instance.get_runs(limit=1)[0].run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
    )
    evaluations = [
        record.dagster_event.asset_check_evaluation_data for record in log if record.dagster_event is not None
    ]
    failed = {
        evaluation.partition: evaluation
        for evaluation in evaluations
        if evaluation.check_name == "explained" and not evaluation.passed
    }
    assert "2026-10" in failed  # the event stays in every month after it
    assert failed["2026-09"].severity == dg.AssetCheckSeverity.WARN
    assert "nothing explains 2026-09" in failed["2026-09"].description

    with Platform(world.settings) as platform:
        told = reconciled(platform, ["2026-08", "2026-10"])
    assert not told.ok
    assert [row[0] for row in told.rows] == ["2026-08", "2026-10"]
    assert "the rebuilt history ends in Stripe's present" in told.history
    [note] = [note for note in told.notes if note.startswith(f"{wrong['customer_id']} 2026-10: ours ")]
    assert re.search(rf"{wrong['subscription_item_id']} \d+ here, \d+ there$", note)

    path = tmp_path / "mrr.csv"
    path.write_text(
        "customer_id,2026-10\n"
        + "\n".join(f"{row.customer},{row.stripes / 100:.2f}" for row in newest.itertuples())
    )
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)
    for name in (
        "expansion_data_dir",
        "expansion_catalog",
        "expansion_fx_rates",
        "expansion_first_month",
        "expansion_as_of",
    ):
        monkeypatch.setenv(name.upper(), str(getattr(world.settings, name)))
    monkeypatch.setattr(sys, "argv", ["expansion", "reconcile", "--with", str(path)])
    with pytest.raises(SystemExit) as ended:
        main.main()
    printed = capsys.readouterr().out
    assert ended.value.code == 1
    assert f"{wrong['customer_id']} 2026-10: ours" in printed
