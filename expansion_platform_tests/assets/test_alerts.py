"""Judging the newest month of a computed company: once, only on data that holds, and not again when it is restated."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from expansion_platform.assets.alerts import expansion_alerts
from expansion_platform.resources import Platform
from expansion_platform.simulator.slack_server import block_problems
from expansion_platform_tests.pipelines import NEWEST, Pipeline

pytestmark = pytest.mark.xdist_group("pipeline")


def judge(pipeline: Pipeline) -> dict[str, object]:
    """Metadata of one run of the asset alone."""
    with Platform(pipeline.settings) as platform:
        ran = dg.materialize([expansion_alerts], resources={"platform": platform}, instance=pipeline.instance)
    (event,) = ran.get_asset_materialization_events()
    return {name: value.value for name, value in event.materialization.metadata.items()}


def forget(pipeline: Pipeline) -> None:
    """As if the month had never been judged."""
    Path(str(pipeline.ledger.url.database)).rename(pipeline.settings.data_dir / "forgotten.sqlite")


def test_a_month_is_judged_once(pipeline: Pipeline, tmp_path: Path) -> None:
    with pipeline.copied(tmp_path) as copy:
        states, alerts = copy.ledger.alert_states(), copy.ledger.alerts()
        assert states
        assert {state.month for state in states.values()} == {NEWEST}
        assert judge(copy)["judged"] is False
        assert (copy.ledger.alert_states(), copy.ledger.alerts()) == (states, alerts)


def test_a_month_that_was_judged_is_not_gated_again(pipeline: Pipeline, tmp_path: Path) -> None:
    """A large restatement of the months before would fail the gate, as data that is not read to the end does."""
    with pipeline.copied(tmp_path) as copy:
        alerts = copy.ledger.alerts()
        copy.ledger.set_cursor("stripe", {"last_pull_at": 1_790_000_000})
        assert judge(copy) == {"month": NEWEST, "judged": False}
        assert copy.ledger.alerts() == alerts


def test_data_that_was_not_read_to_the_end_is_told_once_and_judged_when_it_is(pipeline: Pipeline, tmp_path: Path) -> None:
    with pipeline.copied(tmp_path) as copy:
        forget(copy)
        copy.ledger.set_cursor("stripe", {"last_pull_at": 1_790_000_000})  # 2026-09-21
        for new in (True, False):
            metadata = judge(copy)
            assert (metadata["judged"], metadata["new"]) == (False, new)
        assert copy.ledger.alert_states() == {}
        assert [alert.rule for alert in copy.ledger.alerts()] == ["data_quality"]
        copy.ledger.set_cursor("stripe", {"last_pull_at": int(Platform(copy.settings).as_of.timestamp())})
        assert judge(copy)["judged"] is True
        assert {state.month for state in copy.ledger.alert_states().values()} == {NEWEST}
        entry, over = [alert for alert in copy.ledger.alerts() if alert.rule == "data_quality"]
        assert (over.event, over.thread, over.message["entry"]["key"]) == ("recovery", entry.key, entry.key)
        assert over.message["entry"]["text"] == f"Resolved. {entry.message['text']}"
        assert block_problems(over.message["entry"]["blocks"]) == []


def test_a_newest_month_that_is_not_computed_is_not_judged(pipeline: Pipeline, tmp_path: Path) -> None:
    with pipeline.copied(tmp_path) as copy:
        later = copy.with_settings(expansion_as_of="2026-12-03T06:00:00+00:00")
        alerts = later.ledger.alerts()
        assert judge(later) == {"month": "2026-11", "judged": False}
        assert later.ledger.alerts() == alerts
