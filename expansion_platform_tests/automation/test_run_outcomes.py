"""Failures of real Dagster runs: each told once, its end too, and never taken back by a run that mended
nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from expansion_platform.alerting.outbox import deliver
from expansion_platform.automation.jobs import month_range
from expansion_platform.automation.sensors import watch_runs
from expansion_platform.resources import Platform
from expansion_platform.settings import Settings
from expansion_platform.simulator.servers.slack import SlackServer, block_problems

MONTHS = dg.MonthlyPartitionsDefinition(start_date="2026-01", end_date="2026-11", fmt="%Y-%m")
SCHEMA = dg.AssetCheckSpec("schema", asset=["mrr", "movements"])


class Company:
    """Assets that fail on demand, the ticks that watch their runs, and the channel."""

    def __init__(self, instance: dg.DagsterInstance, platform: Platform, slack: SlackServer) -> None:
        self.instance, self.platform, self.slack = instance, platform, slack
        self.cursor: str | None = None
        self.problem = ""
        self.check_holds = True
        self.pulls = True

        self.job = self._job()

    def run(self, first: str = "2026-08", last: str = "2026-10") -> None:
        self.job.execute_in_process(
            instance=self.instance, tags=month_range(first, last), raise_on_error=False
        )

    def _job(self) -> dg.JobDefinition:
        company = self

        @dg.asset(key=["mrr", "movements"], partitions_def=MONTHS, check_specs=[SCHEMA])
        def movements() -> Iterator[Any]:
            if company.problem:
                yield dg.AssetCheckResult(passed=False, check_name="schema", description=company.problem)
                raise dg.Failure(company.problem, allow_retries=False)
            yield dg.MaterializeResult()
            yield dg.AssetCheckResult(
                passed=company.check_holds, check_name="schema", description="two rows of <one> customer"
            )

        @dg.asset(key=["stripe", "events"])
        def pulled() -> None:
            if not company.pulls:
                raise dg.Failure("STRIPE_API_KEY is not set", allow_retries=False)

        job = dg.define_asset_job("monthly_refresh", selection=[movements, pulled])
        return dg.Definitions(assets=[movements, pulled], jobs=[job]).resolve_job_def("monthly_refresh")

    def tick(self) -> list[str]:
        """One look at the runs and one delivery; the texts posted so far."""
        context = dg.build_sensor_context(
            instance=self.instance, cursor=self.cursor, resources={"platform": self.platform}
        )
        self.cursor = watch_runs.evaluate_tick(context).cursor
        deliver(self.platform.ledger, *self.platform.channels)
        return [message.text for message in self.slack.messages]


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Company]:
    with (
        SlackServer() as slack,
        dg.DagsterInstance.local_temp(str(tmp_path), overrides={"telemetry": {"enabled": False}}) as instance,
    ):
        given = {
            "slack_bot_token": "xoxb-test",
            "slack_channel": "C1",
            "slack_data_channel": "C2",
            "slack_api_base": slack.api_url,
        }
        yield Company(
            instance,
            Platform(Settings(_env_file=None, expansion_data_dir=str(tmp_path / "data"), **given)),
            slack,
        )  # type: ignore[arg-type]


def test_a_failed_step_is_told_once_with_its_checks_and_closed_by_a_run_that_mends_it(
    company: Company,
) -> None:
    company.run()
    assert company.tick() == []
    company.problem = "2026-09: negative quantity of si_1"
    company.run()
    (told,) = company.tick()
    assert told == (
        "Step mrr__movements failed, 2026-08 to 2026-10: 2026-09: negative quantity of si_1\nFailed "
        "checks: mrr/movements schema"
    )
    company.run()  # the same problem again
    assert company.tick() == [told]
    company.problem = "2026-09: no rate for eur"
    company.run()
    assert company.tick()[1].startswith(
        "Step mrr__movements still fails, now for another reason, 2026-08 to 2026-10: 2026-09: no rate"
    )
    company.problem = ""
    company.run("2026-10", "2026-10")  # other months than those that failed
    assert len(company.tick()) == 2
    company.run()
    assert company.tick() == [
        f"Resolved. {told}",
        company.slack.messages[1].text,
        "Step mrr__movements is well again, 2026-08 to 2026-10.",
    ]
    entry, *replies = company.slack.messages
    assert {message.thread for message in replies} == {entry.ts}
    assert {message.channel for message in company.slack.messages} == {"C2"}
    assert all(block_problems(message.blocks) == [] for message in company.slack.messages)
    company.problem = "again"
    company.run()
    assert len(company.tick()) == 4  # a new life


def test_a_failed_check_in_a_green_run_is_told(company: Company) -> None:
    company.check_holds = False
    company.run()
    assert company.tick() == [
        "Check mrr/movements: schema failed, 2026-08 to 2026-10: two rows of &lt;one&gt; customer"
    ]
    assert "<one>" not in str(company.slack.messages[0].blocks)
    company.run()
    assert len(company.tick()) == 1
    company.check_holds = True
    company.run()
    assert company.tick()[1:] == ["Check mrr/movements: schema is well again, 2026-08 to 2026-10."]


def test_what_is_not_kept_by_month_is_over_whatever_months_the_next_run_is_for(company: Company) -> None:
    company.pulls = False
    company.run("2026-01", "2026-10")
    assert company.tick() == ["Step stripe__events failed: STRIPE_API_KEY is not set"]
    company.pulls = True
    company.run("2026-10", "2026-10")
    assert company.tick()[1:] == ["Step stripe__events is well again."]


def test_what_failed_and_was_mended_before_anybody_looked_is_not_told(company: Company) -> None:
    company.problem = "a moment's trouble"
    company.run()
    company.problem = ""
    company.run()
    assert company.tick() == []


def test_what_is_mended_and_fails_again_between_two_looks_goes_on_under_its_message(company: Company) -> None:
    company.problem = "broken"
    company.run()
    first = company.tick()
    company.problem = ""
    company.run()
    company.problem = "broken"
    company.run()
    assert company.tick() == first
    company.problem = ""
    company.run()
    assert company.tick()[0] == f"Resolved. {first[0]}"


def test_a_tick_that_dies_before_its_cursor_moves_tells_nothing_twice(company: Company) -> None:
    company.problem = "broken"
    company.run()
    first = company.tick()
    company.cursor = None
    assert company.tick() == first
    company.problem = ""
    company.run()
    mended = company.tick()
    company.cursor = None
    assert company.tick() == mended
    assert len(mended) == 2


def test_a_run_that_dies_without_a_failed_step_is_told(company: Company) -> None:
    run = company.instance.create_run_for_job(company.job)
    company.instance.report_run_failed(run, "the process was killed")
    assert company.tick() == ["Run of monthly_refresh failed: the process was killed"]
