"""The open month of a computed company: against the truth at an instant within it, and its notice once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
import yaml

from expansion_platform.alerting.outbox import deliver
from expansion_platform.domain.core import months
from expansion_platform.domain.history import tables as billing
from expansion_platform.domain.metrics import tables as metrics
from expansion_platform.domain.mrr.vocabulary import FLOWS
from expansion_platform.reports.month import month_report
from expansion_platform.resources import Platform
from expansion_platform.simulator.servers.slack import block_problems
from expansion_platform.simulator.truth.reference import classify_month
from expansion_platform.simulator.verify import book
from expansion_platform.storage.ledger import Judgement
from expansion_platform.tables.pace import pace_notice, pace_table
from expansion_platform_tests.pipelines import NEWEST, Pipeline

pytestmark = pytest.mark.xdist_group("pipeline")

AT = pd.Timestamp("2026-10-20T12:00Z")


@contextmanager
def within(pipeline: Pipeline, tmp_path: Path, target: str = "2") -> Iterator[Pipeline]:
    """The company as of an instant within its newest month, as if Stripe had been read no further."""
    (tmp_path / "alerts.yaml").write_text(yaml.safe_dump({"targets": [{"monthly_percent": target}]}))
    with pipeline.copied(tmp_path) as copy:
        cursor = copy.ledger.pulls.cursor("stripe")
        assert cursor is not None
        copy.ledger.pulls.set_cursor("stripe", {**cursor, "last_pull_at": int(AT.timestamp())})
        yield copy.with_settings(expansion_alerts=tmp_path / "alerts.yaml")


def run(pipeline: Pipeline) -> dg.ExecuteInProcessResult:
    with Platform(pipeline.settings) as platform:
        return dg.materialize(
            [pace_table, pace_notice], resources={"platform": platform}, instance=pipeline.instance
        )


def test_the_month_to_date_is_the_truth_at_that_instant(pipeline: Pipeline, tmp_path: Path) -> None:
    """A plain second implementation over the true states at both instants, at the opening's exchange
    rates.
    """
    company = pipeline.world.company
    states, rates = company.truth.expected_states, company.fx_rates
    assert "metered" not in set(states["usage_type"])  # the truth knows usage before it is billed
    fx = dict(
        zip(
            *rates.loc[rates["month"] == months.shift(NEWEST, -1), ["currency", "rate"]].to_numpy().T,
            strict=True,
        )
    )
    opening = months.opening(NEWEST)
    paid = states.loc[states["valid_from"] < opening, "customer"].unique()
    truth = classify_month(
        book(states, opening),
        book(states, AT),
        {**company.catalog, "fx": {"prev": fx, "curr": fx}, "ever_paid": sorted(paid)},
    )
    with within(pipeline, tmp_path) as copy:
        run(copy)
        found = {row["value"]: row for row in copy.lake.arrow(metrics.Pace).to_pylist()}
    assert any(truth["total"]["flows"].values())
    for value, sums in {**truth["segments"], "all": truth["total"]}.items():
        assert {name: found[value][name] for name in ("opening", *FLOWS, "closing")} == {
            "opening": sums["opening"],
            **sums["flows"],
            "closing": sums["closing"],
        }


def test_a_notice_comes_once_and_only_after_the_month_before_was_judged(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    with within(pipeline, tmp_path, target="30") as copy:
        states = copy.ledger.alerts.states()
        run(copy)
        assert [alert for alert in copy.ledger.alerts.read() if alert.rule == "pace"] == []
        copy.ledger.alerts.record([], [], Judgement(months.shift(NEWEST, -1), "p"))
        for _ in range(2):
            run(copy)
        (notice,) = [alert for alert in copy.ledger.alerts.read() if alert.rule == "pace"]
        assert (notice.severity, notice.event, notice.scope, notice.month) == (
            "info",
            "entry",
            "total",
            NEWEST,
        )
        assert notice.message["text"].startswith(
            f"Expansion behind pace in {NEWEST}, provisional: Expansion so far: "
        )
        assert "target of 30.00 %" in notice.message["text"]
        assert block_problems(notice.message["blocks"]) == []
        assert copy.ledger.alerts.states() == states  # no rule fired, no state changed
        before = len(copy.world.slack.messages)
        with Platform(copy.settings) as platform:
            deliver(platform.ledger, *platform.channels)
        posted = [message.text for message in copy.world.slack.messages[before:]]
        assert posted.count(notice.message["text"]) == 1


def test_a_month_on_its_way_sends_nothing_and_says_so_in_words(pipeline: Pipeline, tmp_path: Path) -> None:
    with within(pipeline, tmp_path, target="0.01") as copy:
        copy.ledger.alerts.record([], [], Judgement(months.shift(NEWEST, -1), "p"))
        run(copy)
        assert [alert for alert in copy.ledger.alerts.read() if alert.rule == "pace"] == []
        first, bridge, standing = month_report(Platform(copy.settings), NEWEST)
        assert first.startswith(f"{NEWEST}, provisional: open, read up to 2026-10-20 12:00 UTC (day 20)")
        assert bridge.startswith("- MRR ")
        assert standing.endswith(" by now: on its way.")


def test_it_is_current_until_stripe_is_read_again(pipeline: Pipeline, tmp_path: Path) -> None:
    with pipeline.copied(tmp_path) as copy:
        before = copy.contents([metrics.Pace])
        run(copy)
        assert copy.contents([metrics.Pace]) == before


def test_what_cannot_be_read_in_the_open_month_is_no_row_and_no_failure(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    with within(pipeline, tmp_path) as copy:
        states = copy.lake.read(billing.ItemStates)
        row = states[
            (states["valid_from"] < AT) & (states["valid_to"].isna() | (states["valid_to"] >= AT))
        ].iloc[0]
        bad = {
            "customer": row["customer"],
            "subscription": row["subscription"],
            "valid_from": AT - pd.Timedelta(days=1),
            "valid_to": None,
        }
        bad |= {"problem": "a negative quantity", "objects_json": '["si_1"]'}
        copy.lake.replace(billing.Quarantine, pd.DataFrame([bad]).astype({"valid_to": "datetime64[us, UTC]"}))
        assert run(copy).success
        assert copy.lake.read(metrics.Pace).empty
