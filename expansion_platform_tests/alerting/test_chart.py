"""The picture in an alert's thread: what it shows, that it goes out once, and that an alert never waits for
it.
"""

from __future__ import annotations

import builtins
import struct
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from expansion_platform.alerting.chart import MONTHS, chart_data, drawn
from expansion_platform.alerting.messages import alert_message
from expansion_platform.alerting.outbox import deliver
from expansion_platform.alerting.slack import SlackBot, SlackWebhook
from expansion_platform.domain.core import months
from expansion_platform.simulator.servers.http import DROPPED
from expansion_platform.simulator.servers.slack import SlackServer
from expansion_platform.storage.ledger import Alert, Ledger
from expansion_platform_tests.alerting.test_alert_life import AROUND, notice, of, rate_drop
from expansion_platform_tests.domain.alerts.books import MONTH

RATES = {
    month: Fraction(number + 1, 1000)
    for number, month in enumerate(months.between(months.shift(MONTH, -20), MONTH))
}
DATA = {
    "month": MONTH,
    "scope": "all customers",
    "rates": {MONTH: "1/200", months.shift(MONTH, -1): "1/50"},
    "baseline": None,
    "target": None,
}
ALERT = Alert(
    "key-1",
    "rate_drop",
    "total",
    MONTH,
    "warning",
    {"text": "Expansion rate fell", "blocks": [], "chart": {**DATA, "baseline_months": []}},
)


@pytest.fixture
def server() -> Iterator[SlackServer]:
    with SlackServer(channels=["C1"]) as running:
        yield running


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    made = Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    made.alerts.put(ALERT)
    return made


def test_it_shows_a_year_and_the_month_with_the_mean_it_is_judged_by() -> None:
    found = rate_drop()
    assert found.drop is not None
    data = chart_data(found, RATES, Fraction(1, 50))
    assert data is not None
    assert list(data["rates"]) == months.between(months.shift(MONTH, 1 - MONTHS), MONTH)
    assert Fraction(data["baseline"]) == found.drop.baseline
    assert data["baseline_months"] == list(found.drop.baseline_months)
    assert (data["month"], data["target"], data["scope"]) == (MONTH, "1/50", "all customers")
    assert chart_data(found, {MONTH: Fraction(1, 50)}, None) is None  # one bar is no picture


def test_entries_about_a_rate_carry_it_and_nothing_else_does() -> None:
    around = replace(AROUND, rates={"total": RATES})
    entry = notice(rate_drop())
    assert alert_message(entry, around)["chart"]["month"] == MONTH
    assert "chart" not in alert_message(notice(of("mix_shift")), around)
    update = notice(replace(of("rate_drop"), month="2026-11"), entry.state)
    assert "chart" not in alert_message(update, around)
    assert "chart" not in alert_message(entry, AROUND)  # no rates, no picture


def test_it_is_drawn_as_png() -> None:
    found = rate_drop()
    picture = drawn(chart_data(found, RATES, Fraction(1, 50)) or {})
    assert picture is not None
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", picture[16:24])
    assert (width > 1200, height > 500) == (True, True)
    assert drawn(chart_data(found, RATES, Fraction(1, 50)) or {}) == picture


def test_it_goes_into_the_thread_of_its_alert_once(server: SlackServer, ledger: Ledger) -> None:
    deliver(ledger, SlackBot("xoxb-test", "C1", server.api_url))
    deliver(ledger, SlackBot("xoxb-test", "C1", server.api_url))
    (message,), (file,) = server.messages, server.files
    assert (file.channel, file.thread) == ("C1", message.ts)
    assert file.content is not None
    assert file.content.startswith(b"\x89PNG")
    assert (file.title, file.alt_text) == (
        f"Expansion rate, all customers, to {MONTH}",
        "Expansion rate fell",
    )


@pytest.mark.parametrize(
    "path", ["/api/files.getUploadURLExternal", "/upload/v1/", "/api/files.completeUploadExternal"]
)
@pytest.mark.parametrize("status", [400, 500, DROPPED])
def test_an_alert_is_sent_though_its_picture_is_not(
    server: SlackServer, ledger: Ledger, path: str, status: int
) -> None:
    server.fail_next(status, times=10, path_prefix=path)
    deliver(ledger, SlackBot("xoxb-test", "C1", server.api_url))
    assert [alert.status for alert in ledger.alerts.read()] == ["sent"]
    assert len(server.messages) == 1
    assert all(file.channel is None for file in server.files)


def test_without_the_right_to_upload_the_alert_is_sent(server: SlackServer, ledger: Ledger) -> None:
    posted = server._post

    def then_refuse(arguments: dict[str, Any]) -> Any:
        server.refuse_next("missing_scope")
        return posted(arguments)

    server._post = then_refuse  # type: ignore[method-assign]
    deliver(ledger, SlackBot("xoxb-test", "C1", server.api_url))
    assert (len(server.messages), server.files) == (1, [])
    assert ledger.alerts.read("pending") == []


def test_a_message_found_again_gets_no_second_picture(server: SlackServer, ledger: Ledger) -> None:
    ledger.alerts.mark_attempt(ALERT.key)  # an attempt of which no word came back
    SlackBot("xoxb-test", "C1", server.api_url).post(ALERT)
    deliver(ledger, SlackBot("xoxb-test", "C1", server.api_url))
    assert (len(server.messages), len(server.files)) == (1, 1)


def test_without_the_extra_or_without_a_token_there_is_no_picture_and_no_error(
    server: SlackServer, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported = builtins.__import__

    def without(name: str, *arguments: Any, **named: Any) -> Any:
        if name in ("altair", "vl_convert"):
            raise ImportError(name)
        return imported(name, *arguments, **named)

    with monkeypatch.context() as patched:
        patched.setattr(builtins, "__import__", without)
        SlackBot("xoxb-test", "C1", server.api_url).post(ALERT)
    SlackWebhook(server.webhook_url).post(ALERT)
    assert (len(server.messages), server.files) == (2, [])
