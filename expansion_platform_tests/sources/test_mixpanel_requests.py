"""What Mixpanel is asked for, and what becomes of everything else that it can answer."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

import pytest

from expansion_platform.simulator.servers.http import DROPPED, LoopbackServer
from expansion_platform.simulator.servers.mixpanel import Ending, Limits, MixpanelServer
from expansion_platform.sources.analytics import mixpanel, requesting
from expansion_platform.sources.analytics.mixpanel_export import MixpanelError
from expansion_platform.sources.analytics.usage import MonthUsage
from expansion_platform_tests.sources.mixpanel_events import (
    CANARY,
    MEANING,
    Canned,
    failure,
    line,
    quiet,
    read,
    server_of,
    some_events,
    source_of,
)
from expansion_platform_tests.sources.plain_count import found, plain_count, question

__all__ = ["quiet"]  # a fixture of every test here
EVENTS = some_events(question(), count=400)
COUNTED = plain_count(EVENTS, question(), MEANING)
OTHER = "export terminated early, said canary-4711@example.com"


@pytest.fixture
def server() -> Iterator[MixpanelServer]:
    with server_of(EVENTS) as running:
        yield running


def dates(server: LoopbackServer) -> list[tuple[str, str]]:
    return [(request.params["from_date"], request.params["to_date"]) for request in server.requests]


# What is asked


def test_a_month_is_one_request(server: MixpanelServer) -> None:
    assert found(read(server)) == COUNTED
    (request,) = server.requests
    assert request.params == {"project_id": "1", "from_date": "2026-03-01", "to_date": "2026-03-31"}
    assert request.headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize(
    ("timezone", "project", "now", "asked"),
    [
        ("America/New_York", "UTC", "2026-06-01", ("2026-03-01", "2026-04-01")),
        ("Asia/Kolkata", "UTC", "2026-06-01", ("2026-02-28", "2026-03-31")),
        ("UTC", "Europe/Berlin", "2026-06-01", ("2026-02-28", "2026-04-02")),
        ("UTC", "UTC", "2026-03-09 23:00", ("2026-03-01", "2026-03-09")),  # none of the future
        ("UTC", "Europe/Berlin", "2026-03-09 23:00", ("2026-02-28", "2026-03-10")),
        ("UTC", "America/New_York", "2026-03-10 03:59", ("2026-02-27", "2026-03-09")),
    ],
)
def test_dates_cover_the_month_in_the_zone_of_the_project(
    server: MixpanelServer, timezone: str, project: str, now: str, asked: tuple[str, str]
) -> None:
    question_now = question(timezone=timezone, now=now)
    server.now, server.timezone = question_now.now, project
    assert read(server, question_now, timezone=project).incomplete is None
    assert dates(server) == [asked]


def test_a_month_that_has_not_begun_is_not_asked_for(server: MixpanelServer) -> None:
    usage = read(server, question(now="2026-02-28 23:59"))
    assert (usage.incomplete, server.requests) == ("the month has not begun", [])


# Failures that pass


def test_passing_failures_are_passed_over(server: MixpanelServer) -> None:
    server.fail_next(429, times=2)
    server.fail_next(503, {"Retry-After": "0"})
    server.fail_next(DROPPED)
    assert found(read(server)) == COUNTED
    assert len(server.requests) == 5


def test_a_limit_of_a_second_is_waited_for(server: MixpanelServer) -> None:
    server.limits = Limits(per_second=1)
    assert found(read(server, first_wait_seconds=0.5)) == COUNTED
    again = read(server, first_wait_seconds=0.5)
    assert found(again) == COUNTED
    assert len(server.requests) > 2


def test_the_limit_of_an_hour_ends_with_what_mixpanel_said(server: MixpanelServer) -> None:
    server.limits = Limits(hourly=1, per_second=99)
    read(server)
    with pytest.raises(
        MixpanelError, match=r"Mixpanel answered 429: .*1/1 queries in the last hour \(gave up"
    ) as raised:
        read(server)
    failure(raised)
    assert len(server.requests) == 1 + requesting.ATTEMPTS


def test_a_long_retry_after_is_not_sat_through(server: MixpanelServer) -> None:
    server.fail_next(429, {"Retry-After": "3600"})
    with pytest.raises(MixpanelError, match="asks to wait 3600 s; run again later"):
        read(server)


def test_an_unreachable_host_is_named() -> None:
    with server_of(EVENTS) as server:
        url = server.url
        source = source_of(server)
    with source, pytest.raises(MixpanelError, match="could not be reached") as raised:
        source.month(question())
    assert url in failure(raised)


# Exports that end early


@pytest.mark.parametrize("ending", Ending)
@pytest.mark.parametrize("count", [4, 400])
def test_an_export_that_ends_early_is_asked_for_in_halves(ending: Ending, count: int) -> None:
    events = EVENTS[:count]
    assert plain_count(events, question(), MEANING).events > 1
    with server_of(events) as server:
        server.end_next(ending)
        assert found(read(server)) == plain_count(events, question(), MEANING)
        assert dates(server) == [
            ("2026-03-01", "2026-03-31"),
            ("2026-03-01", "2026-03-16"),
            ("2026-03-17", "2026-03-31"),
        ]


def test_parts_are_as_large_as_mixpanel_allows(server: MixpanelServer) -> None:
    server.most_events = 100
    usage = read(server)
    assert found(usage) == COUNTED
    assert len(server.requests) < 16


def test_copies_do_not_count_twice_where_the_month_is_read_in_parts(server: MixpanelServer) -> None:
    server.most_events, server.copied, server.copied_later = 60, 1, True
    assert found(read(server)) == COUNTED


@pytest.mark.parametrize("ending", Ending)
def test_a_month_with_a_day_that_keeps_ending_early_is_incomplete(
    server: MixpanelServer, ending: Ending
) -> None:
    server.end_next(ending, times=1000)
    usage = read(server)
    assert usage.incomplete is not None
    assert usage.incomplete.startswith("Mixpanel's export of 2026-03-0")
    assert "ended early 3 times: " in usage.incomplete
    first, last = dates(server)[-1]
    assert first == last
    assert dates(server)[-mixpanel.DAY_ATTEMPTS :] == [(first, last)] * mixpanel.DAY_ATTEMPTS
    assert len(server.requests) < 15


@pytest.mark.parametrize(
    "body",
    [
        OTHER.encode(),
        f"{line()}\n{OTHER}".encode(),
        f"{line()}\n{line()[:-30]}\n\n".encode(),
        f'{line()}\n{{"error": "{CANARY}"}}\n'.encode(),
        f'{line()}\n{{"event": null, "properties": {{"time": 1}}}}\n'.encode(),
        f"{line()}\n[1]".encode(),
    ],
)
@pytest.mark.parametrize("compressed", [True, False])
def test_an_export_whose_last_line_is_no_event_is_incomplete(body: bytes, compressed: bool) -> None:
    with canned(body, compressed) as server:
        assert "its last line is not an event" in incomplete(read(server))


@pytest.mark.parametrize("cut", [5, 1, 9, 40])
def test_a_gzip_stream_without_its_end_is_incomplete(cut: int) -> None:
    whole = gzip.compress("".join(f"{line(number=number)}\n" for number in range(500)).encode())
    with Canned(whole[:-cut], Content_Encoding="gzip") as server:
        assert "its gzip stream is broken" in incomplete(read(server))


def test_what_is_said_to_be_gzip_and_is_not_is_incomplete() -> None:
    with Canned(line().encode(), Content_Encoding="gzip") as server:
        assert "its gzip stream is broken" in incomplete(read(server))


def canned(body: bytes, compressed: bool) -> Canned:
    return Canned(gzip.compress(body), Content_Encoding="gzip") if compressed else Canned(body)


def incomplete(usage: MonthUsage) -> str:
    assert usage.incomplete is not None and CANARY not in usage.incomplete
    return usage.incomplete


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("body", [b"", b"\n"])
def test_an_empty_export_is_a_month_without_events(body: bytes, compressed: bool) -> None:
    with canned(body, compressed) as server:
        usage = read(server)
    assert (usage.events, len(usage.accounts), usage.incomplete) == (0, 0, None)


def test_a_gzip_stream_may_have_members() -> None:
    members = b"".join(gzip.compress(f"{line(distinct_id=str(number))}\n".encode()) for number in range(3))
    with Canned(members, Content_Encoding="gzip") as server:
        assert read(server).accounts["active_users"].tolist() == [3]
