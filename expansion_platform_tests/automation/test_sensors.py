"""What runs by itself: which months are asked for and when, and alerts that arrive once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from expansion_platform.automation.jobs import refresh_job
from expansion_platform.automation.schedules import refresh_schedule
from expansion_platform.automation.sensors import deliver_alerts, stripe_changes_sensor
from expansion_platform.domain.core.errors import ExpansionError
from expansion_platform.domain.history import tables as billing
from expansion_platform.domain.metrics import tables as metrics
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.resources import Platform
from expansion_platform.settings import Settings
from expansion_platform.simulator.company.company import AS_OF, simulate
from expansion_platform.simulator.servers.slack import SlackServer
from expansion_platform.simulator.servers.stripe import StripeServer
from expansion_platform.simulator.verify import INTERVAL
from expansion_platform.simulator.world import running
from expansion_platform.storage.ledger import Alert
from expansion_platform_tests.pipelines import CUSTOMERS, MONTHS, SEED, Pipeline

FIRST_MONTH = "2025-06"
START, END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


def scheduled(at: datetime, timezone: str = "UTC", first_month: str = FIRST_MONTH) -> dg.RunRequest:
    schedule = refresh_schedule(refresh_job(), lambda: first_month, timezone, 5)
    (request,) = schedule.evaluate_tick(dg.build_schedule_context(scheduled_execution_time=at)).run_requests
    return request


def test_the_schedule_asks_for_the_three_months_closed_at_its_time() -> None:
    request = scheduled(datetime(2026, 3, 2, 6, tzinfo=UTC))
    assert (request.tags[START], request.tags[END]) == ("2025-12", "2026-02")
    assert request.run_key == "2026-02 2026-03-02"
    # As the month closes.
    assert scheduled(datetime(2026, 3, 6, 6, tzinfo=UTC)).run_key == "2026-02 2026-03-06"


def test_a_late_tick_asks_for_the_months_of_its_scheduled_time() -> None:
    """The months come from the scheduled time and never from the clock: this one is long past."""
    assert scheduled(datetime(2025, 12, 2, 6, tzinfo=UTC)).tags[END] == "2025-11"


def test_the_schedule_counts_months_in_the_reporting_time_zone() -> None:
    assert scheduled(datetime(2026, 3, 1, 3, tzinfo=UTC), "America/New_York").tags[END] == "2026-01"
    assert scheduled(datetime(2026, 3, 1, 3, tzinfo=UTC), "UTC").tags[END] == "2026-02"


def test_the_range_never_begins_before_the_first_month() -> None:
    request = scheduled(datetime(2026, 3, 2, 6, tzinfo=UTC), first_month="2026-01")
    assert (request.tags[START], request.tags[END]) == ("2026-01", "2026-02")


def test_a_tick_of_a_month_before_the_first_asks_for_nothing() -> None:
    """Before anything was pulled the first month is the newest closed one: a tick that comes a month late has
    none.
    """
    schedule = refresh_schedule(refresh_job(), lambda: "2026-03", "UTC", 5)
    tick = schedule.evaluate_tick(
        dg.build_schedule_context(scheduled_execution_time=datetime(2026, 3, 2, 6, tzinfo=UTC))
    )
    assert (tick.run_requests, tick.skip_message) == ([], "the tables begin with 2026-03")


@pytest.mark.parametrize(("lag", "days"), [(0, "2"), (1, "2"), (2, "2,3"), (5, "2,6")])
def test_the_schedule_runs_by_itself_on_the_second_of_a_month_there_and_when_it_closes(
    lag: int, days: str
) -> None:
    schedule = refresh_schedule(refresh_job(), lambda: FIRST_MONTH, "Europe/Berlin", lag)
    assert (schedule.cron_schedule, schedule.execution_timezone) == (f"0 6 {days} * *", "Europe/Berlin")
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING


@contextmanager
def watched(folder: Path, as_of: datetime, **settings: str) -> Iterator[tuple[Platform, StripeServer]]:
    """A platform on a small account as it was at AS_OF, and its server."""
    with StripeServer(simulate(1, customers=5, months=4).account) as server:
        given = {
            "stripe_api_key": "rk_live_simulated",
            "stripe_api_base": server.url,
            "stripe_requests_per_second": 100,
            **settings,
        }
        with Platform(
            Settings(
                _env_file=None, expansion_data_dir=str(folder), expansion_as_of=as_of.isoformat(), **given
            )
        ) as platform:  # type: ignore[arg-type]
            yield platform, server


def looked(platform: Platform) -> dg.RunRequest | dg.SkipReason:
    return stripe_changes_sensor(refresh_job(), lambda: FIRST_MONTH)(platform=platform)  # type: ignore[return-value]


def test_the_watch_waits_for_a_key_and_a_first_pull(tmp_path: Path) -> None:
    with Platform(Settings(_env_file=None, expansion_data_dir=str(tmp_path))) as platform:
        assert "STRIPE_API_KEY" in str(looked(platform).skip_message)
    with watched(tmp_path, AS_OF) as (platform, server):
        assert "nothing has been pulled" in str(looked(platform).skip_message)
        assert server.requests == []


def test_the_watch_asks_for_a_refresh_only_after_the_account_moved_on(tmp_path: Path) -> None:
    later = AS_OF + timedelta(days=20)
    with watched(tmp_path, later) as (platform, server):
        platform.ledger.pulls.set_cursor(
            "stripe", {"last_pull_at": int(AS_OF.timestamp()), "recent_events": []}
        )
        assert looked(platform).skip_message == "no Stripe event since the last pull"
        server.account = simulate(1, customers=5, months=4, as_of=later).account
        request = looked(platform)
        newest = server.account.objects["events"][-1]
        assert isinstance(request, dg.RunRequest)
        assert request.run_key == newest["id"]  # asked for once: Dagster does not repeat a run key
        assert (request.tags[START], request.tags[END]) == ("2026-08", "2026-10")
        platform.ledger.pulls.set_cursor("stripe", {"last_pull_at": newest["created"], "recent_events": []})
        assert isinstance(looked(platform), dg.SkipReason)
        assert {(request.path, request.params["limit"]) for request in server.requests} == {
            ("/v1/events", "1")
        }


def test_events_a_pull_does_not_read_ask_for_nothing(tmp_path: Path) -> None:
    with watched(tmp_path, AS_OF) as (platform, server):
        newest = server.account.objects["events"][-1]
        platform.ledger.pulls.set_cursor("stripe", {"last_pull_at": newest["created"], "recent_events": []})
        payment = {
            **newest,
            "id": "evt_payment",
            "type": "charge.succeeded",
            "created": newest["created"] + 1,
        }
        server.account.objects["events"].append(payment)
        server.account = server.account
        assert isinstance(looked(platform), dg.SkipReason)
        server.account.objects["events"].append(
            {**newest, "id": "evt_read", "created": newest["created"] + 2}
        )
        server.account = server.account
        assert isinstance(looked(platform), dg.RunRequest)


ALERTS = [
    Alert(f"key-{number}", "rate_drop", "total", f"2026-0{number}", "warning", {"text": f"alert {number}"})
    for number in (1, 2, 3)
]


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    with SlackServer() as running_slack:
        yield running_slack


@pytest.fixture
def outbox(tmp_path: Path, slack: SlackServer) -> Platform:
    """Three pending alerts and a channel."""
    platform = Platform(
        Settings(
            _env_file=None,
            expansion_data_dir=str(tmp_path),
            slack_bot_token="xoxb-test",
            slack_channel="C1",
            slack_api_base=slack.api_url,
        )
    )
    for alert in ALERTS:
        platform.ledger.alerts.put(alert)
    return platform


def test_an_empty_outbox_posts_nothing(tmp_path: Path) -> None:
    platform = Platform(Settings(_env_file=None, expansion_data_dir=str(tmp_path)))
    assert deliver_alerts(platform=platform).skip_message == "no pending alerts"


def test_without_a_channel_alerts_wait_and_the_tick_says_what_is_missing(tmp_path: Path) -> None:
    platform = Platform(Settings(_env_file=None, expansion_data_dir=str(tmp_path)))
    platform.ledger.alerts.put(ALERTS[0])
    assert "SLACK_WEBHOOK_URL" in deliver_alerts(platform=platform).skip_message
    assert platform.ledger.alerts.read("pending") == [ALERTS[0]]


def test_alerts_are_posted_once_oldest_first(outbox: Platform, slack: SlackServer) -> None:
    assert deliver_alerts(platform=outbox).skip_message == "sent 3 alerts"
    assert [message.text for message in slack.messages] == ["alert 1", "alert 2", "alert 3"]
    assert [alert.posted_as for alert in outbox.ledger.alerts.read("sent")] == [
        message.ts for message in slack.messages
    ]
    assert deliver_alerts(platform=outbox).skip_message == "no pending alerts"
    assert len(slack.messages) == 3


def test_a_red_tick_loses_nothing_and_the_next_one_sends(outbox: Platform, slack: SlackServer) -> None:
    slack.refuse_next("is_archived")
    with pytest.raises(ExpansionError, match="is_archived"):
        deliver_alerts(platform=outbox)
    assert [alert.last_error for alert in outbox.ledger.alerts.read("pending")] == [
        "Slack refused the alert: is_archived",
        None,
        None,
    ]
    assert deliver_alerts(platform=outbox).skip_message == "sent 3 alerts"
    assert [message.text for message in slack.messages] == ["alert 1", "alert 2", "alert 3"]


def test_alerts_sent_before_a_failure_are_not_sent_again(outbox: Platform, slack: SlackServer) -> None:
    slack.channels = ["C1"]
    taken = slack._post

    def second_time_down(arguments: dict) -> object:
        if len(slack.messages) == 1:
            slack.channels = []
        return taken(arguments)

    slack._post = second_time_down  # type: ignore[method-assign,assignment]
    with pytest.raises(ExpansionError, match="channel_not_found"):
        deliver_alerts(platform=outbox)
    slack._post = taken  # type: ignore[method-assign]
    slack.channels = ["C1"]
    deliver_alerts(platform=outbox)
    assert [message.text for message in slack.messages] == ["alert 1", "alert 2", "alert 3"]


@pytest.mark.xdist_group("pipeline")
def test_pulling_twice_leads_where_pulling_once_does(pipeline: Pipeline, tmp_path: Path) -> None:
    """A pull before the newest month closed and a refresh after it give what one pull at the end gives.

    What may differ is dated better, never worse: a change made without proration is dated by its event, which
    Stripe keeps for 30 days and the lake for ever, so the earlier pull knows instants that the later one
    alone can only read off the renewal. Those customers are known to the simulator as undatable; all others'
    histories are equal, and so is every figure made of them.
    """
    earlier = AS_OF - timedelta(days=28)
    company = simulate(SEED, CUSTOMERS, MONTHS, as_of=earlier)
    with dg.DagsterInstance.ephemeral() as instance:
        with running(
            company, seed=SEED, months=MONTHS, data_dir=tmp_path, as_of=earlier.isoformat()
        ) as world:
            Pipeline(world, world.settings, instance).refresh()
        with running(pipeline.world.company, seed=SEED, months=MONTHS, data_dir=tmp_path) as world:
            twice = Pipeline(world, world.settings, instance)
            twice.refresh()
            assert any(
                request.path == "/v1/invoices" and "gte" in request.params.get("created", {})
                for request in world.stripe.requests
            )
    undatable = set(world.company.truth.undatable["customer"])
    tables = [billing.ItemStates, mrr.CustomerMonths, mrr.Movements, mrr.Causes]
    for model in tables:
        once, again = (
            rows[~rows["customer"].isin(undatable)].reset_index(drop=True)
            for rows in (pipeline.lake.read(model), twice.lake.read(model))
        )
        compared = INTERVAL if model is billing.ItemStates else list(once.columns)
        assert len(once) > 50
        pd.testing.assert_frame_equal(once[compared], again[compared])
    # The months that had closed by the earlier pull said then what they say now, but for those customers.
    assert twice.lake.read(mrr.FirstReported).groupby("month")["reported_at"].first().nunique() == 2
    assert set(twice.lake.read(metrics.Restatements)["customer"]) <= undatable
    known = pipeline.lake.read(billing.ItemStates), twice.lake.read(billing.ItemStates)
    assert (known[1]["confidence"] == "exact").sum() >= (known[0]["confidence"] == "exact").sum()
