"""The loopback Slack, used by the official SDK."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_handlers import RateLimitErrorRetryHandler
from slack_sdk.webhook import WebhookClient

from expansion_platform.simulator.servers.http import DROPPED
from expansion_platform.simulator.servers.slack import SlackServer, block_problems


@pytest.fixture
def server() -> Iterator[SlackServer]:
    with SlackServer() as running:
        yield running


TOKEN = "xoxb-test"


def client(server: SlackServer, token: str | None = TOKEN, **options: Any) -> WebClient:
    return WebClient(token=token, base_url=server.api_url, **options)


def section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def test_a_message_is_kept_with_its_blocks_and_metadata(server: SlackServer) -> None:
    metadata = {"event_type": "expansion_alert", "event_payload": {"key": "2026-10"}}
    posted = client(server).chat_postMessage(
        channel="#alerts", text="Expansion fell", blocks=[section("*Expansion fell*")], metadata=metadata
    )
    assert posted["ok"]
    message = server.messages[0]
    assert (message.ts, message.channel, message.text, message.via) == (
        posted["ts"],
        "#alerts",
        "Expansion fell",
        "bot",
    )
    assert message.blocks == [section("*Expansion fell*")]
    assert message.metadata == metadata


def test_history_finds_a_message_by_its_metadata(server: SlackServer) -> None:
    api = client(server)
    first = api.chat_postMessage(
        channel="C1", text="one", metadata={"event_type": "alert", "event_payload": {"key": "a"}}
    )["ts"]
    api.chat_postMessage(
        channel="C1", text="two", metadata={"event_type": "alert", "event_payload": {"key": "b"}}
    )
    api.chat_postMessage(channel="C2", text="elsewhere")
    found = api.conversations_history(channel="C1", include_all_metadata=True)["messages"]
    assert [message["metadata"]["event_payload"]["key"] for message in found] == ["b", "a"]
    assert "metadata" not in api.conversations_history(channel="C1")["messages"][0]
    assert [
        message["text"] for message in api.conversations_history(channel="C1", oldest=first)["messages"]
    ] == ["two"]
    assert api.conversations_history(channel="C1", limit=1)["has_more"]


def test_a_message_can_be_updated(server: SlackServer) -> None:
    api = client(server)
    posted = api.chat_postMessage(channel="C1", text="open")
    api.chat_update(channel="C1", ts=posted["ts"], text="closed")
    assert [(message.text, message.updates) for message in server.messages] == [("closed", 1)]
    with pytest.raises(SlackApiError, match="message_not_found"):
        api.chat_update(channel="C1", ts="1.1", text="closed")


def test_tokens_and_channels(server: SlackServer) -> None:
    assert client(server).auth_test()["ok"]
    for token, error in {
        "xoxb-invalid": "invalid_auth",
        "xoxp-test": "invalid_auth",
        None: "not_authed",
    }.items():
        with pytest.raises(SlackApiError, match=error):
            client(server, token).auth_test()
    server.channels = ["C1"]
    with pytest.raises(SlackApiError, match="channel_not_found"):
        client(server).chat_postMessage(channel="C2", text="hello")
    assert server.messages == []


@pytest.mark.parametrize(
    "blocks",
    [
        [section("x" * 3001)],
        [section("")],
        [section("x")] * 51,
        [{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}],
        [{"type": "header", "text": {"type": "mrkdwn", "text": "x"}}],
        [{"type": "section", "fields": [{"type": "mrkdwn", "text": "x"}] * 11}],
        [{"type": "section", "fields": [{"type": "mrkdwn", "text": "x" * 2001}]}],
        [{"type": "section"}],
        [{"type": "context", "elements": []}],
        [
            {
                "type": "actions",
                "elements": [{"type": "button", "text": {"type": "plain_text", "text": "x" * 76}}],
            }
        ],
        [{"type": "paragraph"}],
    ],
)
def test_blocks_slack_would_refuse_are_refused(server: SlackServer, blocks: list[dict[str, Any]]) -> None:
    with pytest.raises(SlackApiError, match="invalid_blocks"):
        client(server).chat_postMessage(channel="C1", text="x", blocks=blocks)
    assert WebhookClient(server.webhook_url).send(text="x", blocks=blocks).body == "invalid_blocks"
    assert server.messages == []


def test_blocks_at_the_limits_are_taken() -> None:
    button = {
        "type": "button",
        "text": {"type": "plain_text", "text": "x" * 75},
        "url": "https://example.com/" + "x" * 2980,
    }
    blocks = [
        {"type": "header", "text": {"type": "plain_text", "text": "x" * 150}},
        section("x" * 3000),
        {"type": "section", "fields": [{"type": "mrkdwn", "text": "x" * 2000}] * 10},
        {"type": "context", "elements": [{"type": "mrkdwn", "text": "x"}] * 10},
        {"type": "actions", "elements": [button] * 25},
        *[{"type": "divider"}] * 45,
    ]
    assert block_problems(blocks) == []


def test_an_empty_message_is_refused(server: SlackServer) -> None:
    with pytest.raises(SlackApiError, match="no_text"), pytest.warns(UserWarning, match="text"):
        client(server).chat_postMessage(channel="C1")


def test_a_webhook_takes_messages(server: SlackServer) -> None:
    answer = WebhookClient(server.webhook_url).send(
        text="Expansion fell", blocks=[section("*Expansion fell*")]
    )
    assert (answer.status_code, answer.body) == (200, "ok")
    assert [(message.text, message.via) for message in server.messages] == [("Expansion fell", "webhook")]
    assert WebhookClient(f"{server.url}/services/T0/B0/gone").send(text="x").status_code == 404
    assert WebhookClient(server.webhook_url).send(text="").body == "no_text"


def test_a_file_is_announced_sent_and_shared(server: SlackServer) -> None:
    client(server).files_upload_v2(
        content=b"picture", filename="a.png", title="A", alt_txt="in words", channel="C1", thread_ts="1.1"
    )
    (file,) = server.files
    assert (file.name, file.content, file.title, file.alt_text) == ("a.png", b"picture", "A", "in words")
    assert (file.channel, file.thread) == ("C1", "1.1")


def test_a_file_that_was_not_sent_whole_cannot_be_shared(server: SlackServer) -> None:
    announced = client(server).files_getUploadURLExternal(filename="a.png", length=7)
    with pytest.raises(HTTPError):
        urlopen(announced["upload_url"], data=b"pict")
    with pytest.raises(SlackApiError, match="file_not_found"):
        client(server).files_completeUploadExternal(
            files=[{"id": announced["file_id"], "title": "A"}], channel_id="C1"
        )
    with pytest.raises(SlackApiError, match="invalid_arguments"):
        client(server).files_getUploadURLExternal(filename="a.png", length=0)


def test_planned_failures(server: SlackServer) -> None:
    server.fail_next(429, {"Retry-After": "0"})
    client(server, retry_handlers=[RateLimitErrorRetryHandler(max_retry_count=1)]).chat_postMessage(
        channel="C1", text="after a wait"
    )
    server.fail_next(500)
    assert WebhookClient(server.webhook_url).send(text="x").status_code == 500
    server.refuse_next("is_archived")
    with pytest.raises(SlackApiError, match="is_archived"):
        client(server).chat_postMessage(channel="C1", text="x")
    assert [message.text for message in server.messages] == ["after a wait"]


def test_a_connection_dropped_after_the_message_was_taken(server: SlackServer) -> None:
    server.fail_next(DROPPED, after=True)
    with pytest.raises((OSError, SlackApiError)):
        client(server, retry_handlers=[]).chat_postMessage(channel="C1", text="taken")
    assert [message.text for message in server.messages] == ["taken"]
