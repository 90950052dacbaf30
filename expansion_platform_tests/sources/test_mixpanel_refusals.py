"""Answers of Mixpanel that are no clean export: lines that are no events, refusals, web pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from expansion_platform.domain.core.errors import ConfigurationError
from expansion_platform.simulator.servers.mixpanel import MixpanelServer
from expansion_platform.sources.analytics.mixpanel_export import MixpanelError
from expansion_platform_tests.sources.mixpanel_events import (
    CANARY,
    SECRET,
    Canned,
    failure,
    line,
    quiet,
    read,
    read_lines,
    server_of,
)

__all__ = ["quiet"]  # a fixture of every test here


@pytest.fixture
def server() -> Iterator[MixpanelServer]:
    with server_of([]) as running:
        yield running


# Lines in the middle


@pytest.mark.parametrize(
    "bad",
    [
        f'{{"event": "opened", "properties": {{"$email": "{CANARY}"',
        f"what is this, {CANARY}",
        f'["{CANARY}"]',
        f'{{"event": "opened", "properties": "{CANARY}"}}',
        f'{{"event": "opened", "properties": ["{CANARY}"]}}',
        f'{{"event": "opened", "$email": "{CANARY}"}}',
        f'{{"properties": {{"time": 1, "$email": "{CANARY}"}}}}',
        line(time=CANARY),
        line(time=...),
        line(time=None),
        line(time=2**60),
        line(time=-1e300),
    ],
)
def test_a_line_that_is_no_event_is_named_by_its_number(bad: str) -> None:
    with pytest.raises(MixpanelError) as raised:
        read_lines(line(), "", line(), bad, line())
    assert "line 4 of Mixpanel's export of 2026-03-01 to 2026-03-31 is not an event" in failure(raised)


@pytest.mark.parametrize(
    ("odd", "accounts"),
    [
        (line(title="half of a smile \ud83d"), ["org_a"]),
        (line(company_id="org \ud83d"), ["org ?", "org_a"]),
        (line(title="é").encode().decode("unicode-escape").encode("latin-1"), ["org_a"]),
        (line().replace('"org_a"', '"x", "company_id": "org_b"'), ["org_a", "org_b"]),  # the last one counts
        (line(mp_processing_time_ms=CANARY), ["org_a"]),
        (line(mp_processing_time_ms=2**63), ["org_a"]),
    ],
)
def test_what_duckdb_refuses_and_python_can_read_is_read(odd: str | bytes, accounts: list[str]) -> None:
    usage = read_lines(line(distinct_id="p0"), odd, line(distinct_id="p2", title=CANARY))
    assert usage.accounts["account"].tolist() == accounts
    assert (usage.events, usage.incomplete) == (3, None)
    assert usage.accounts["active_users"].sum() == 3


# Refusals


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"secret": f"{SECRET}-other"}, "does not accept MIXPANEL_USERNAME and MIXPANEL_SECRET"),
        ({"username": "someone"}, "does not accept MIXPANEL_USERNAME and MIXPANEL_SECRET"),
        ({"project_id": "2"}, "may not read MIXPANEL_PROJECT_ID"),
        ({"timezone": "Europe/Belin"}, "MIXPANEL_TIMEZONE: there is no time zone 'Europe/Belin'"),
        ({"timezone": "../etc/passwd"}, "MIXPANEL_TIMEZONE: there is no time zone"),
        ({"timezone": ""}, "MIXPANEL_TIMEZONE: there is no time zone"),
    ],
)
def test_what_only_the_user_can_change_is_named(
    server: MixpanelServer, options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConfigurationError, match=problem) as raised:
        read(server, **options)
    failure(raised)
    assert len(server.requests) <= 1


@pytest.mark.parametrize(
    ("status", "problem"),
    [(400, "MIXPANEL_PROJECT_ID, MIXPANEL_HOST"), (402, "plan"), (404, "MIXPANEL_HOST")],
)
def test_other_refusals_say_what_to_look_at(status: int, problem: str) -> None:
    with Canned(b"no", status) as server, pytest.raises(ConfigurationError, match=problem) as raised:
        read(server)
    assert f"({status}: no)" in failure(raised)


@pytest.mark.parametrize(
    ("status", "headers", "problem"),
    [
        (200, {"Content_Type": "text/html"}, "a web page instead of an export: check MIXPANEL_HOST"),
        (200, {"Content_Encoding": "br"}, "compressed by br, although gzip was asked for"),
        (302, {"Location": "/login"}, r"refused the export \(302\)"),
        (418, {}, r"refused the export \(418\)"),
    ],
)
def test_an_answer_that_is_no_export_is_refused(status: int, headers: dict[str, str], problem: str) -> None:
    with Canned(CANARY.encode() if status == 200 else b"", status, **headers) as server:
        with pytest.raises(MixpanelError, match=problem) as raised:
            read(server)
        failure(raised)
        assert len(server.requests) == 1
