"""The same delivery against a Slack that is not ours: `emulate` (npm, vercel-labs), which keeps channels,
threads, metadata and files by itself.

Our stand-in is made by the hands that made the client: what both misunderstand alike, only another server
shows. It enforces no limits and never fails; that is tested against the stand-in (`test_alert_life.py`,
`test_slack.py`).
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from expansion_platform.alerting.messages import alert_message
from expansion_platform.alerting.outbox import deliver
from expansion_platform.alerting.slack import SlackBot
from expansion_platform.domain.core import months
from expansion_platform.domain.core.errors import ExpansionError
from expansion_platform.storage.ledger import Alert, Ledger
from expansion_platform_tests.alerting.test_alert_life import AROUND, notice, rate_drop
from expansion_platform_tests.domain.alerts.books import MONTH

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("emulate")]

PACKAGE = "emulate@0.7.0"  # 0.12 needs a newer Node than 20
INSTALL_SECONDS, START_SECONDS = 180, 30
RATES = {
    month: Fraction(number + 1, 1000)
    for number, month in enumerate(months.between(months.shift(MONTH, -12), MONTH))
}


@pytest.fixture(scope="module")
def emulate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its address. Skips where there is no Node 20, or the package cannot be fetched; anything it does wrong
    after that is a failure.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("node and npm are not installed")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.lstrip("v").split(".")[0]) < 20:
        pytest.skip(f"emulate needs node 20, this is {version}")
    folder = tmp_path_factory.mktemp("emulate")
    options = [
        "--prefix",
        str(folder),
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        "--fetch-retries=1",
        "--fetch-timeout=30000",
    ]
    try:
        installed = subprocess.run(
            [npm, "install", *options, PACKAGE],
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            cwd=folder,
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"{PACKAGE} could not be fetched within {INSTALL_SECONDS} s")
    if installed.returncode:
        said = [line for line in installed.stderr.splitlines() if line.startswith("npm error")]
        pytest.skip(f"{PACKAGE} could not be fetched: {'; '.join(said[:3])}")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        node,
        str(folder / "node_modules/emulate/dist/index.js"),
        "start",
        "--service",
        "slack",
        "--port",
        str(port),
    ]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(command, cwd=folder, stdout=log, stderr=log) as server,
    ):
        try:
            url = f"http://127.0.0.1:{port}/api/"
            _until_up(url, server)
            yield url
        finally:
            server.terminate()


def _until_up(url: str, server: subprocess.Popen[Any]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if asked(url, "auth.test")["ok"]:
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"{PACKAGE} did not start")


def asked(url: str, method: str, **arguments: str) -> dict[str, Any]:
    """One request by hand, so that nothing of ours or the SDK's stands between."""
    body = urllib.parse.urlencode(arguments).encode()
    request = urllib.request.Request(url + method, body, {"Authorization": "Bearer xoxb-simulated"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        told: dict[str, Any] = json.load(answer)
    return told


@pytest.fixture
def channel(emulate: str, request: pytest.FixtureRequest) -> str:
    """The id of a new channel."""
    made = asked(emulate, "conversations.create", name=request.node.name[:80])
    return str(made["channel"]["id"])


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")


def life() -> list[Alert]:
    """A drop that is told, goes on, gets worse and recovers, in the words and blocks of a real one."""
    found, around = replace(rate_drop(), severity="warning"), replace(AROUND, rates={"total": RATES})
    assert found.drop is not None
    entry = notice(found)
    update = notice(replace(found, month="2026-11"), entry.state)
    worse = notice(replace(found, month="2026-12", severity="critical"), update.state)
    over = notice(replace(found, month="2027-01", outcome="clear", measured=found.drop.baseline), worse.state)
    first = alert_message(entry, around)
    alerts = []
    for number, one in enumerate((entry, update, worse, over)):
        message = first if one is entry else alert_message(one, around, first if one is over else None)
        if "entry" in message:
            message["entry"]["key"] = "0"
        alerts.append(
            Alert(
                str(number),
                "rate_drop",
                "total",
                one.finding.month,
                "warning",
                message,
                event=one.event,
                thread="0" if number else None,
            )
        )
    assert [one.event for one in alerts] == ["entry", "update", "worse", "recovery"]
    return alerts


def assert_told_once(url: str, channel: str, alerts: list[Alert]) -> None:
    """Each key once; one message in the channel, marked as over, and its three replies in order. What got
    worse may show in the channel as well.
    """
    history = asked(url, "conversations.history", channel=channel, include_all_metadata="true", limit="100")[
        "messages"
    ]
    first = min(history, key=lambda message: float(message["ts"]))
    thread = asked(
        url,
        "conversations.replies",
        channel=channel,
        ts=first["ts"],
        include_all_metadata="true",
        limit="100",
    )["messages"]
    keyed = [message for message in thread if "metadata" in message]  # the chart's message has none
    assert [message["metadata"]["event_payload"]["key"] for message in keyed] == [
        alert.key for alert in alerts
    ]
    assert [message["text"] for message in keyed[1:]] == [alert.message["text"] for alert in alerts[1:]]
    assert {message["thread_ts"] for message in keyed[1:]} == {first["ts"]}
    assert first["text"] == alerts[-1].message["entry"]["text"]
    assert first["text"].startswith("Resolved in 2027-01. Expansion rate fell by ")
    assert {message["ts"] for message in history} <= {message["ts"] for message in thread}


def test_each_alert_arrives_once_in_one_thread_and_the_recovery_closes_it(
    emulate: str, channel: str, ledger: Ledger
) -> None:
    alerts = life()
    bot = SlackBot("xoxb-simulated", channel, emulate)
    for one in alerts:
        ledger.alerts.put(one)
        deliver(ledger, bot)
        assert deliver(ledger, bot) == []
    assert ledger.alerts.read("pending") == []
    assert_told_once(emulate, channel, alerts)


def test_a_process_that_dies_after_each_post_finds_it_by_its_key(
    emulate: str, channel: str, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Died(BaseException):
        pass

    def dies(*_: object) -> None:
        raise Died

    alerts = life()
    bot = SlackBot("xoxb-simulated", channel, emulate)
    for one in alerts:
        ledger.alerts.put(one)
        with monkeypatch.context() as patched:
            patched.setattr(ledger.alerts, "mark_sent", dies)
            with pytest.raises(Died):
                deliver(ledger, bot)
        deliver(ledger, bot)
    assert_told_once(emulate, channel, alerts)


def test_the_chart_is_uploaded_into_the_thread(emulate: str, channel: str, ledger: Ledger) -> None:
    pytest.importorskip("vl_convert")
    entry = life()[0]
    assert "chart" in entry.message
    ledger.alerts.put(entry)
    deliver(ledger, SlackBot("xoxb-simulated", channel, emulate))
    sent = ledger.alerts.get("0")
    assert sent is not None
    (file,) = asked(emulate, "files.list", channel=channel)["files"]
    assert (file["name"], file["title"]) == (
        f"expansion-{MONTH}.png",
        f"Expansion rate, all customers, to {MONTH}",
    )
    assert file["size"] > 10_000
    thread = asked(emulate, "conversations.replies", channel=channel, ts=str(sent.posted_as))["messages"]
    assert [file["id"] for message in thread for file in message.get("files", [])] == [file["id"]]


def test_a_channel_that_is_not_there_keeps_the_alert(emulate: str, ledger: Ledger) -> None:
    ledger.alerts.put(life()[0])
    with pytest.raises(ExpansionError, match="channel_not_found"):
        deliver(ledger, SlackBot("xoxb-simulated", "C0NOWHERE", emulate))
    (waiting,) = ledger.alerts.read("pending")
    assert "channel_not_found" in str(waiting.last_error)
