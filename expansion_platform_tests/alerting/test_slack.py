"""Posting to the loopback Slack by both ways: what is waited for, what fails, and that nothing is marked sent
before Slack took it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from expansion_platform.alerting.limits import escape
from expansion_platform.alerting.outbox import BATCH, Notifier, deliver
from expansion_platform.alerting.slack import CANNOT_SHOW, RETRIES, SlackBot, SlackWebhook, slack
from expansion_platform.domain.core.errors import ConfigurationError, ExpansionError
from expansion_platform.settings import Settings
from expansion_platform.simulator.servers.http import DROPPED, Request, Response
from expansion_platform.simulator.servers.slack import SlackServer
from expansion_platform.storage.ledger import Alert, Ledger

BLOCKS = [{"type": "section", "text": {"type": "mrkdwn", "text": "*fell*"}}]
ALERT = Alert(
    "key-1", "rate_drop", "total", "2026-10", "warning", {"text": "Expansion rate fell", "blocks": BLOCKS}
)


@pytest.fixture
def server() -> Iterator[SlackServer]:
    with SlackServer() as running:
        yield running


@pytest.fixture(params=["bot", "webhook"])
def channel(request: pytest.FixtureRequest, server: SlackServer) -> Notifier:
    return (
        SlackBot("xoxb-test", "C1", server.api_url)
        if request.param == "bot"
        else SlackWebhook(server.webhook_url)
    )


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    made = Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    made.alerts.put(ALERT)
    return made


def test_an_alert_is_posted_with_its_blocks(channel: Notifier, server: SlackServer) -> None:
    posted_as = channel.post(ALERT)
    (message,) = server.messages
    assert (message.text, message.blocks) == ("Expansion rate fell", BLOCKS)
    if message.via == "bot":
        assert posted_as == message.ts
        assert message.metadata == {"event_type": "expansion_alert", "event_payload": {"key": "key-1"}}
    else:
        assert posted_as is None


def test_a_limit_is_waited_for(channel: Notifier, server: SlackServer) -> None:
    server.fail_next(429, {"Retry-After": "0"}, times=RETRIES)
    channel.post(ALERT)
    assert len(server.requests) == RETRIES + 1
    assert len(server.messages) == 1


def test_the_next_try_comes_when_slack_asks_for_it(
    channel: Notifier, server: SlackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr("slack_sdk.http_retry.builtin_handlers.time.sleep", waits.append)
    server.fail_next(429, {"Retry-After": "7"})
    channel.post(ALERT)
    assert [7 <= seconds < 9 for seconds in waits] == [True]
    assert len(server.messages) == 1


def test_a_limit_that_lasts_is_an_error(channel: Notifier, server: SlackServer) -> None:
    server.fail_next(429, {"Retry-After": "0"}, times=RETRIES + 1)
    with pytest.raises(ExpansionError, match=r"429|ratelimited"):
        channel.post(ALERT)
    assert server.messages == []


def test_slack_being_down_is_an_error(channel: Notifier, server: SlackServer) -> None:
    server.fail_next(500, times=10)
    with pytest.raises(ExpansionError, match="Slack"):
        channel.post(ALERT)
    assert len(server.requests) == RETRIES + 1


def test_a_dropped_connection_is_an_error_and_not_repeated(channel: Notifier, server: SlackServer) -> None:
    """Slack may have taken the message: repeating at once would post it twice."""
    server.fail_next(DROPPED, after=True)
    with pytest.raises(ExpansionError, match="Slack could not be reached"):
        channel.post(ALERT)
    assert len(server.messages) == 1
    assert len(server.requests) == 1


def test_nobody_listening_is_an_error() -> None:
    for channel in (
        SlackBot("xoxb-test", "C1", "http://127.0.0.1:9/api"),
        SlackWebhook("http://127.0.0.1:9/services/x"),
    ):
        with pytest.raises(ExpansionError, match="Slack could not be reached"):
            channel.post(ALERT)


def test_a_refusal_stays_pending_with_its_reason_and_goes_out_on_the_next_try(
    ledger: Ledger, channel: Notifier, server: SlackServer
) -> None:
    server.refuse_next("is_archived")
    with pytest.raises(ExpansionError, match="is_archived"):
        deliver(ledger, channel)
    (waiting,) = ledger.alerts.read("pending")
    assert waiting.attempts == 1
    assert "is_archived" in str(waiting.last_error)
    assert [alert.key for alert in deliver(ledger, channel)] == ["key-1"]
    (sent,) = ledger.alerts.read("sent")
    assert (sent.attempts, sent.last_error) == (2, None)
    assert deliver(ledger, channel) == []
    assert len(server.messages) == 1


@pytest.mark.parametrize("reason", sorted(CANNOT_SHOW))
def test_blocks_that_slack_cannot_show_leave_the_text(
    ledger: Ledger, channel: Notifier, server: SlackServer, reason: str
) -> None:
    """Not tried as they are again and again, with every later alert waiting behind."""
    server.refuse_next(reason)
    ledger.alerts.put(replace(ALERT, key="key-2"))
    assert [alert.key for alert in deliver(ledger, channel)] == ["key-1", "key-2"]
    assert [(message.text, message.blocks) for message in server.messages] == [
        ("Expansion rate fell", []),
        ("Expansion rate fell", BLOCKS),
    ]
    assert ledger.alerts.read("pending") == []


@pytest.mark.parametrize("reason", ["not_in_channel", "invalid_auth", "account_inactive", "msg_too_long"])
def test_what_slack_refuses_is_not_repeated_within_a_try(
    channel: Notifier, server: SlackServer, reason: str
) -> None:
    server.refuse_next(reason)
    with pytest.raises(ExpansionError, match=reason):
        channel.post(ALERT)
    assert len(server.requests) == 1
    assert server.messages == []


def test_an_answer_that_does_not_come_is_looked_for_and_not_posted_again(
    ledger: Ledger, server: SlackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slack took the message and kept the connection open without a word."""
    monkeypatch.setattr("expansion_platform.alerting.slack.TIMEOUT_SECONDS", 0.3)
    answer, silent = server.answer, [True]

    def late(request: Request) -> Response:
        answered = answer(request)
        if silent.pop() if silent else False:
            time.sleep(0.6)
        return answered

    monkeypatch.setattr(server, "answer", late)
    bot = SlackBot("xoxb-test", "C1", server.api_url)
    with pytest.raises(ExpansionError, match=r"Slack could not be reached: .*timed out"):
        deliver(ledger, bot)
    assert [alert.key for alert in deliver(ledger, bot)] == ["key-1"]
    assert len(server.messages) == 1


def test_a_host_that_cannot_be_resolved_keeps_the_alert(ledger: Ledger) -> None:
    with pytest.raises(ExpansionError, match="Slack could not be reached"):
        deliver(ledger, SlackBot("xoxb-test", "C1", "http://slack.invalid/api"))
    assert [alert.key for alert in ledger.alerts.read("pending")] == ["key-1"]


def test_many_alerts_go_out_in_batches_and_none_is_lost(ledger: Ledger, server: SlackServer) -> None:
    for number in range(2, 46):
        ledger.alerts.put(replace(ALERT, key=f"key-{number}"))
    bot, sizes = SlackBot("xoxb-test", "C1", server.api_url), []
    while sent := deliver(ledger, bot):
        sizes.append(len(sent))
    assert sizes == [BATCH, BATCH, 5]
    assert (
        len({message.metadata["event_payload"]["key"] for message in server.messages if message.metadata})
        == len(server.messages)
        == 45
    )


def test_an_error_tells_no_token(server: SlackServer) -> None:
    with pytest.raises(ExpansionError, match="invalid_auth") as caught:
        SlackBot("xoxb-invalid-secret", "C1", server.api_url).post(ALERT)
    assert "secret" not in str(caught.value)


def test_a_customer_cannot_page_everybody(channel: Notifier, server: SlackServer) -> None:
    text = f"fell at {escape('<!channel> & <@U1>')}"
    channel.post(Alert("key-2", "rate_drop", "total", "2026-10", "warning", {"text": text}))
    assert server.messages[0].text == "fell at &lt;!channel&gt; &amp; &lt;@U1&gt;"


def test_the_settings_choose_the_channel(server: SlackServer) -> None:
    def chosen(**settings: str) -> Notifier | None:
        return slack(Settings(_env_file=None, **settings))  # type: ignore[arg-type]

    assert chosen() is None
    assert isinstance(chosen(slack_webhook_url=server.webhook_url), SlackWebhook)
    assert isinstance(
        chosen(slack_webhook_url=server.webhook_url, slack_bot_token="xoxb-x", slack_channel="C1"), SlackBot
    )
    with pytest.raises(ConfigurationError, match="SLACK_CHANNEL"):
        chosen(slack_bot_token="xoxb-x")
    bot = chosen(slack_bot_token="xoxb-x", slack_channel="C1", slack_api_base=server.api_url.rstrip("/"))
    assert bot is not None
    bot.post(ALERT)
    assert server.messages[0].channel == "C1"
