"""Amplitude's Export API as it is asked, and what it may answer instead of an export."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pandas as pd
import pytest

from expansion_platform.domain.core.errors import ConfigurationError
from expansion_platform.simulator.servers.amplitude import PATH, AmplitudeServer
from expansion_platform.simulator.servers.http import DROPPED, Delivery, LoopbackServer, Request, Response
from expansion_platform.sources.analytics import amplitude, requesting
from expansion_platform.sources.analytics.amplitude import Amplitude, AmplitudeError
from expansion_platform.sources.analytics.usage import Asked
from expansion_platform_tests.sources.amplitude_events import (
    DEFINITION,
    EVENTS,
    UNTIL,
    assert_counted,
    assert_read,
    at,
    question,
    read,
    table,
)


@pytest.fixture
def server() -> Iterator[AmplitudeServer]:
    with AmplitudeServer(lambda: table(EVENTS)) as running:
        yield running


@pytest.fixture
def few_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two requests read January and the days after it."""
    monkeypatch.setattr(amplitude, "LONGEST_WINDOW", 24 * 20)


def windows(server: LoopbackServer) -> list[tuple[pd.Timestamp, pd.Timestamp]]:
    """What was asked for, the last hour included."""
    return [
        (at(request.params["start"]), at(request.params["end"]) + pd.Timedelta(hours=1))
        for request in server.requests
    ]


# Which hours


def test_uploads_are_read_day_by_day_until_a_month_after_its_end(server: AmplitudeServer) -> None:
    server.again = 4
    asked = question()
    assert_counted(read(server, asked), EVENTS, asked)
    days = pd.date_range("2026-01-01", "2026-03-04", tz="UTC")
    assert windows(server) == list(itertools.pairwise(days))


@pytest.mark.usefixtures("few_windows")
@pytest.mark.parametrize(
    ("now", "until"),
    [("2026-02-01 03:00", "2026-02-01 00:00"), ("2026-02-20 10:59", "2026-02-20 07:00")],
)
def test_only_exported_hours_are_asked_for(server: AmplitudeServer, now: str, until: str) -> None:
    server.clock = at(now)
    assert read(server, question(now=now)).incomplete is None
    asked = windows(server)
    assert asked[0][0] == at("2026-01-01")
    assert asked[-1][1] == at(until)
    assert all(before[1] == after[0] for before, after in itertools.pairwise(asked))


@pytest.mark.parametrize("timezone", ["UTC", "Asia/Kolkata"])
def test_a_month_that_is_not_exported_to_its_end_is_incomplete(
    server: AmplitudeServer, timezone: str
) -> None:
    ends = question(timezone=timezone).ends
    now = ends.ceil("h") + pd.Timedelta(hours=2, minutes=59)
    usage = read(server, question(timezone=timezone, now=now.strftime("%Y-%m-%d %H:%M")))
    assert usage.incomplete is not None
    ready = ends.ceil("h") + pd.Timedelta(hours=3)
    assert f"Ask again from {ready:%Y-%m-%d %H:%M} UTC" in usage.incomplete
    assert usage.accounts.empty
    assert not server.requests


# Windows that are too large


@pytest.mark.usefixtures("few_windows")
def test_a_window_over_the_size_is_halved_until_it_fits(server: AmplitudeServer) -> None:
    server.largest_bytes = 12_000
    assert_read(read(server))
    answered = windows(server)
    lengths = [stop - start for start, stop in answered]
    assert lengths[0] == pd.Timedelta(days=20)
    assert lengths[:-1] == sorted(lengths[:-1], reverse=True)
    assert pd.Timedelta(hours=6) < min(lengths) < pd.Timedelta(days=5)
    assert answered[-1][1] == at(UNTIL)


class LastDay(Asked):
    """The last day of a month instead of all of it."""

    @property
    def begins(self) -> pd.Timestamp:
        return self.ends - pd.Timedelta(days=1)


def test_a_window_that_takes_too_long_is_halved_down_to_an_hour(
    server: AmplitudeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(amplitude, "LATE", pd.Timedelta(0))
    server.longest_hours = 1
    assert read(server, LastDay("2026-01", "UTC", at("2026-02-01"), at("2026-03-01"))).incomplete is None
    lengths = [(stop - start) // pd.Timedelta(hours=1) for start, stop in windows(server)]
    assert lengths == [24, 12, 6, 3, *[1] * 24]


@pytest.mark.parametrize("status", [400, 504])
def test_an_hour_that_is_too_large_fails_with_what_amplitude_says(
    server: AmplitudeServer, status: int
) -> None:
    if status == 400:
        server.largest_bytes = 10
        server.too_large = "over 4GB for amplitude_simulated with amplitude_secret"
    else:
        server.longest_hours = 0
    with pytest.raises(AmplitudeError) as raised:
        read(server)
    message = str(raised.value)
    if status == 400:
        first = min(item.arrived for item in EVENTS if item.arrived >= at("2026-01-01")).floor("h")
        assert f"the uploads of {first:%Y-%m-%d %H}:00 to " in message
        assert "400: over 4GB for *** with ***" in message
        assert "Amazon S3" in message
    else:
        assert "Amplitude answered 504: " in message
        assert "took too long" in message
        assert len(server.requests) == 4 + requesting.ATTEMPTS
    assert "amplitude_secret" not in message


# Answers that are no export


@pytest.mark.usefixtures("few_windows")
def test_no_data_is_no_usage(server: AmplitudeServer) -> None:
    usage = read(server, question("2024-01"))
    assert usage.incomplete is None
    assert (usage.events, len(usage.accounts), len(usage.features)) == (0, 0, 0)
    assert all(request.path == PATH for request in server.requests)


@pytest.mark.usefixtures("few_windows")
def test_an_address_that_knows_no_export_is_not_a_month_without_usage(server: AmplitudeServer) -> None:
    server.no_data = "<html>404: Not Found</html>"
    with pytest.raises(ConfigurationError, match="AMPLITUDE_HOST"):
        read(server, question("2024-01"))
    assert_read(read(server))  # where other hours have data, an hour without may say so in any way


@pytest.mark.parametrize("wrong", ["api_key", "secret_key", "region"])
def test_wrong_keys_and_the_wrong_region_say_what_to_set(server: AmplitudeServer, wrong: str) -> None:
    server.elsewhere = wrong == "region"
    keys = {} if wrong == "region" else {wrong: "top-secret"}
    with pytest.raises(ConfigurationError) as raised:
        read(server, **keys)
    assert all(name in str(raised.value) for name in ("API_KEY", "SECRET_KEY", "HOST", "eu.", "Invalid"))
    assert "top-secret" not in str(raised.value)
    assert len(server.requests) == 1


@pytest.mark.usefixtures("few_windows")
def test_passing_failures_are_passed_over(server: AmplitudeServer) -> None:
    server.fail_next(429, {"Retry-After": "0"}, times=2)
    server.fail_next(503)
    server.fail_next(DROPPED)
    assert_read(read(server))
    assert len(server.requests) == 2 + 4


@pytest.mark.usefixtures("few_windows")
@pytest.mark.parametrize("delivery", [Delivery.CUT, Delivery.RESET])
def test_a_broken_download_starts_again(server: AmplitudeServer, delivery: Delivery) -> None:
    whole, answers = server.answer, []

    def broken(request: Request) -> Response:
        answers.append(whole(request))
        if len(answers) == 2:
            object.__setattr__(answers[-1], "delivery", delivery)
        return answers[-1]

    server.answer = broken  # type: ignore[method-assign]
    assert_read(read(server))
    assert len(server.requests) == 3


@pytest.mark.usefixtures("few_windows")
def test_a_redirect_is_followed_but_not_for_ever(server: AmplitudeServer) -> None:
    class Elsewhere(LoopbackServer):
        to = server.url

        def answer(self, request: Request) -> Response:
            query = "&".join(f"{name}={value}" for name, value in request.params.items())
            return Response("", 307, {"Location": f"{self.to or self.url}{PATH}?{query}"})

    with Elsewhere() as moved:
        # Another port is another origin: the keys are not sent on, and the answer is that of wrong keys.
        with pytest.raises(ConfigurationError, match="does not accept the keys"):
            read(moved)
        assert "authorization" not in server.requests[-1].headers
        moved.to = ""
        incomplete = read(moved).incomplete
        assert incomplete is not None
        assert incomplete.endswith("cannot be read: TooManyRedirects")


def test_any_other_refusal_is_shown(server: AmplitudeServer) -> None:
    server.fail_next(410)
    with pytest.raises(AmplitudeError, match=r"Amplitude refused the export \(410\): .*planned failure"):
        read(server)
    assert len(server.requests) == 1


def test_lasting_failures_end_with_what_amplitude_said(server: AmplitudeServer) -> None:
    server.fail_next(503, times=100)
    with pytest.raises(AmplitudeError, match=r"Amplitude answered 503: .*planned failure.*after 6 attempts"):
        read(server)
    assert len(server.requests) == requesting.ATTEMPTS


def test_a_long_retry_after_is_not_sat_through(server: AmplitudeServer) -> None:
    server.fail_next(429, {"Retry-After": "3600"})
    with pytest.raises(AmplitudeError, match="asks to wait 3600 s"):
        read(server)


def test_an_unreachable_host_is_named() -> None:
    with AmplitudeServer(lambda: table([])) as gone:
        url = gone.url
    source = Amplitude(url, "key-4711", "secret-4711", DEFINITION, first_wait_seconds=0.001)
    with pytest.raises(AmplitudeError, match="could not be reached") as raised:
        source.month(question())
    source.close()
    assert url in str(raised.value)
    assert "4711" not in str(raised.value)


def test_a_web_page_is_no_export(server: AmplitudeServer) -> None:
    server.damage_next("html")
    with pytest.raises(ConfigurationError, match=r"answered with text/plain.*check AMPLITUDE_HOST"):
        read(server)
