"""Other channels than Slack, through apprise to a real HTTP endpoint: plain text, a state for each, and none
holds another up.
"""

from __future__ import annotations

import builtins
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from expansion_platform.alerting.apprise_channel import AppriseChannel, apprise_channels, plain
from expansion_platform.alerting.messages import alert_message
from expansion_platform.alerting.outbox import channels, deliver
from expansion_platform.alerting.slack import SlackBot
from expansion_platform.domain.core.errors import ConfigurationError, ExpansionError
from expansion_platform.settings import Settings
from expansion_platform.simulator.servers.http import LoopbackServer, Request, Response
from expansion_platform.simulator.servers.slack import SlackServer
from expansion_platform.storage.ledger import Alert, Ledger
from expansion_platform_tests.alerting.test_alert_life import AROUND, LIFE, notice, rate_drop

# Apprise's own import, on Python before 3.13.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


class Endpoint(LoopbackServer):
    """Takes JSON notices, or refuses them while `down`."""

    def __init__(self) -> None:
        super().__init__()
        self.notices: list[dict[str, Any]] = []
        self.down = False

    def answer(self, request: Request) -> Response:
        if self.down:
            return Response("down", 503)
        self.notices.append(json.loads(request.body))
        return Response("ok")

    def failure(self, status: int, message: str) -> Response:
        return Response(message)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint() as running:
        yield running


@pytest.fixture
def server() -> Iterator[SlackServer]:
    with SlackServer() as running:
        yield running


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")


def settings(*urls: str, **more: str) -> Settings:
    return Settings(_env_file=None, expansion_alert_urls=",".join(urls), **more)  # type: ignore[arg-type]


def url(endpoint: Endpoint, path: str = "") -> str:
    return f"{endpoint.url.replace('http://', 'json://')}/{path}"


def test_an_alert_arrives_as_plain_text(endpoint: Endpoint, ledger: Ledger) -> None:
    message = alert_message(notice(rate_drop()), AROUND)
    ledger.alerts.put(Alert("k", "rate_drop", "total", "2026-10", "critical", message))
    deliver(ledger, *apprise_channels(settings(url(endpoint))))
    (told,) = endpoint.notices
    assert told["title"] == message["blocks"][0]["text"]["text"]
    assert told["type"] == "failure"
    for part in (
        message["text"],
        "NRR / GRR: 101.00 % / no base",
        "Open in Dagster: http://localhost:3000/assets/metrics/expansion?partition=2026-10",
    ):
        assert part in told["message"]
    assert "*" not in told["message"]
    assert ledger.alerts.read("pending") == []


def test_markup_is_taken_off_and_escapes_are_undone() -> None:
    section = {
        "type": "section",
        "text": {"type": "mrkdwn", "text": "*Over* for R&amp;D &lt;x&gt;\n```a reason```"},
    }
    assert plain({"text": "Over &lt;x&gt;.", "blocks": [section]}) == (
        "Over <x>.",
        "Over for R&D <x>\na reason",
    )
    title, body = plain({"text": "w" * 500})
    assert (len(title), len(body)) == (120, 500)


def test_a_channel_that_is_down_sends_nothing_twice_into_the_others(
    endpoint: Endpoint, server: SlackServer, ledger: Ledger
) -> None:
    into = [SlackBot("xoxb-test", "C1", server.api_url), *apprise_channels(settings(url(endpoint)))]
    endpoint.down = True
    for alert in LIFE[:2]:
        ledger.alerts.put(alert)
    for _ in range(2):
        with pytest.raises(ExpansionError, match="JSON did not take the alert"):
            deliver(ledger, *into)
    assert [message.text for message in server.messages] == ["entry 1", "update 2"]
    assert server.messages[1].thread == server.messages[0].ts
    assert len(ledger.alerts.read("pending")) == 2
    endpoint.down = False
    assert [alert.key for alert in deliver(ledger, *into)] == ["1", "2"]
    assert [told["message"] for told in endpoint.notices] == ["entry 1", "update 2"]
    assert deliver(ledger, *into) == []
    assert (len(server.messages), len(endpoint.notices)) == (2, 2)
    assert ledger.alerts.read("pending") == []


def test_slack_being_down_holds_no_other_channel_up(
    endpoint: Endpoint, server: SlackServer, ledger: Ledger
) -> None:
    into = [SlackBot("xoxb-test", "C1", server.api_url), *apprise_channels(settings(url(endpoint)))]
    for alert in LIFE:
        ledger.alerts.put(alert)
    server.refuse_next("is_archived")
    with pytest.raises(ExpansionError, match="is_archived"):
        deliver(ledger, *into)
    assert len(endpoint.notices) == 4
    assert endpoint.notices[-1]["type"] == "success"
    deliver(ledger, *into)
    assert (len(server.messages), len(endpoint.notices)) == (4, 4)


def test_many_undelivered_alerts_of_a_dead_channel_do_not_crowd_out_new_ones(
    endpoint: Endpoint, server: SlackServer, ledger: Ledger
) -> None:
    into = [SlackBot("xoxb-test", "C1", server.api_url), *apprise_channels(settings(url(endpoint)))]
    endpoint.down = True
    for number in range(4):
        ledger.alerts.put(
            Alert(f"k{number}", "rate_drop", "total", "2026-10", "info", {"text": f"alert {number}"})
        )
        with pytest.raises(ExpansionError):
            deliver(ledger, *into, limit=2)
    assert len(server.messages) == 4


def test_each_url_is_a_channel_and_its_name_holds_no_key(endpoint: Endpoint, ledger: Ledger) -> None:
    made = apprise_channels(settings(url(endpoint, "one?+secret=hidden"), url(endpoint, "two")))
    assert len({channel.name for channel in made}) == 2
    assert not [channel.name for channel in made if "hidden" in channel.name]
    ledger.alerts.put(LIFE[0])
    deliver(ledger, *made)
    assert len(endpoint.notices) == 2
    assert made[0].name == apprise_channels(settings(url(endpoint, "one?+secret=hidden")))[0].name


def test_slack_and_others_stand_side_by_side(endpoint: Endpoint, server: SlackServer) -> None:
    assert channels(Settings(_env_file=None)) == []
    both = channels(
        settings(url(endpoint), slack_bot_token="xoxb-x", slack_channel="C1", slack_api_base=server.api_url)
    )
    assert [type(channel) for channel in both] == [SlackBot, AppriseChannel]


def test_an_unknown_url_is_an_error_that_does_not_tell_it(endpoint: Endpoint) -> None:
    with pytest.raises(ConfigurationError, match="only 1 of its URLs") as caught:
        apprise_channels(settings(url(endpoint), "nonsense://token-of-mine"))
    assert "token-of-mine" not in str(caught.value)


def test_without_the_extra_the_setting_says_what_to_install(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported = builtins.__import__

    def without(name: str, *arguments: Any, **named: Any) -> Any:
        if name == "apprise":
            raise ImportError(name)
        return imported(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    assert apprise_channels(Settings(_env_file=None)) == []
    with pytest.raises(ConfigurationError, match="install the extra `apprise`"):
        apprise_channels(settings(url(endpoint)))
