"""What Mixpanel's raw export is counted as, against a plain count of the same events."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pandas as pd
import pytest

from expansion_platform.domain.core.errors import ConfigurationError
from expansion_platform.simulator.company.usage import usage_events
from expansion_platform.simulator.servers.mixpanel import MixpanelServer
from expansion_platform.sources.analytics.counting import SIGN_UPS
from expansion_platform.sources.analytics.mixpanel_export import Export, wall_clock_offset
from expansion_platform.sources.analytics.usage import Asked
from expansion_platform_tests.sources.mixpanel_events import (
    CANARY,
    MEANING,
    by_device,
    line,
    read,
    read_lines,
    server_of,
    some_events,
)
from expansion_platform_tests.sources.plain_count import Event, at, definition, found, plain_count, question

NEW_YORK = "America/New_York"


@pytest.mark.parametrize(
    "oddities",
    [
        {},
        {"copied": 3},
        {"copied": 2, "copied_later": True, "unsorted": True},
        {"insert_ids": False},
        {"user_ids": False},
    ],
    ids=str,
)
def test_events_are_counted_once_and_say_nothing_of_people(oddities: dict[str, Any]) -> None:
    events = some_events(question())
    with server_of(events, **oddities) as server:
        usage = read(server)
    counted = plain_count(
        events if oddities.get("user_ids", True) else by_device(events), question(), MEANING
    )
    assert found(usage) == counted
    assert (usage.incomplete, usage.new_users_by) == (None, SIGN_UPS)
    assert usage.events > usage.events_without_account > 0
    assert usage.accounts["account"].duplicated().any()  # late events are among them
    for frame in (usage.accounts, usage.features):
        text = frame.to_csv()
        assert CANARY not in text and "device" not in text and "p1" not in text.split(",")


def test_copies_without_an_insert_id_are_events() -> None:
    events = some_events(question(), count=50)
    with server_of(events, insert_ids=False, copied=1) as server:
        twice = read(server)
    assert twice.events == 2 * plain_count(events, question(), MEANING).events > 0


@pytest.mark.parametrize(
    ("month", "timezone", "project"),
    [
        ("2026-03", NEW_YORK, "UTC"),
        ("2026-03", "Asia/Kolkata", "UTC"),
        ("2026-03", NEW_YORK, NEW_YORK),
        ("2026-11", "UTC", NEW_YORK),  # 1 November has 25 hours there
        ("2026-03", "Pacific/Auckland", "Europe/Berlin"),
        ("2026-04", "Australia/Lord_Howe", "Australia/Lord_Howe"),
    ],
)
def test_months_are_those_of_the_time_zone_whatever_the_project_has(
    month: str, timezone: str, project: str
) -> None:
    asked = question(month, timezone, now="2027-06-01")
    events = some_events(asked, seed=6)
    with server_of(events, timezone=project, copied=5, copied_later=True) as server:
        usage = read(server, asked, timezone=project)
        assert len(server.requests) == 1
    assert found(usage) == plain_count(events, asked, MEANING)
    assert usage.events > 100


def test_a_clock_that_is_taken_for_another_one_is_noticed() -> None:
    """The test above could not fail otherwise."""
    events = some_events(question())
    with server_of(events, timezone=NEW_YORK) as server:
        assert found(read(server)) != plain_count(events, question(), MEANING)


def test_an_event_whose_copies_lie_in_two_months_is_of_one() -> None:
    instants = (at("2026-04-01 03:59:59"), at("2026-04-01 04:00:00"))  # the edge of March in New York
    for first, second in (instants, instants[::-1]):
        original = Event("opened", first, id="e1", arrived=at("2026-04-01 05:00"))
        copy = replace(original, happened=second, arrived=at("2026-04-01 06:00"))
        with server_of([copy, original]) as server:
            events = [read(server, question(month, NEW_YORK)).events for month in ("2026-03", "2026-04")]
        assert events == ([1, 0] if first < second else [0, 1])


@pytest.mark.parametrize(
    ("zone", "first", "last"),
    [
        (NEW_YORK, "2026-02-28", "2026-04-01"),
        (NEW_YORK, "2026-10-31", "2026-12-01"),
        ("Australia/Lord_Howe", "2026-03-31", "2026-05-01"),
        ("America/St_Johns", "2010-10-31", "2010-12-01"),  # at one minute past midnight
        ("Asia/Kolkata", "2026-03-01", "2026-03-02"),
    ],
)
def test_a_wall_clock_is_read_as_python_reads_it(zone: str, first: str, last: str) -> None:
    dates = (dt.date.fromisoformat(first), dt.date.fromisoformat(last))
    offset = wall_clock_offset(ZoneInfo(zone), Export(Path(), *dates, compressed=True))
    seconds = range(int(at(first).timestamp()), int(at(last).timestamp()) + 86_400, 60)
    frame = pd.DataFrame({"seconds": list(seconds)})
    read_as = duckdb.from_df(frame).project(f"seconds, {offset} AS ahead").fetchall()
    for second, ahead in read_as:
        wall = dt.datetime(1970, 1, 1) + dt.timedelta(seconds=second)
        assert wall.replace(tzinfo=ZoneInfo(zone), fold=0).utcoffset() == dt.timedelta(seconds=ahead)


def test_a_backfill_between_two_reads_is_a_later_version() -> None:
    early = [Event("opened", at("2026-03-03"), id="e1"), Event("opened", at("2026-03-04"), id="e2")]
    backfill = Event("invited", at("2026-03-05"), person="p9", id="e3", arrived=at("2026-04-20"))
    with server_of([*early, backfill], now=at("2026-04-10")) as server:
        first = read(server, question(now="2026-04-10"))
        server.now = at("2026-05-01")
        second = read(server, question(now="2026-05-01"))
    assert found(first) == plain_count(early, question(), MEANING)
    assert found(second) == plain_count([*early, backfill], question(), MEANING)
    assert second.accounts["known_at"].tolist() == [at("2026-03-04"), at("2026-04-20")]


def test_the_simulated_company_is_counted() -> None:
    seats = [("org_1", "cus_1", "2026-03", 9), ("org_2", "cus_2", "2026-03", 40)]
    made = usage_events(7, pd.DataFrame(seats, columns=["account", "customer", "month", "seats"]))
    events = [
        Event(row["event"], row["timestamp"].floor("s"), (row["$group_0"],), row["person_id"], id=row["uuid"])
        for row in made.to_pandas().to_dict("records")
    ]
    with MixpanelServer(lambda: made) as server:
        usage = read(server, meaning=definition(), secret=server.secret)
    expected = plain_count(events, question())
    assert [row[:1] + row[2:] for row in found(usage).accounts] == [
        row[:1] + row[2:] for row in expected.accounts
    ]
    assert [row[:2] + row[3:] for row in found(usage).features] == [
        row[:2] + row[3:] for row in expected.features
    ]


# Accounts and features


@pytest.mark.parametrize(
    ("value", "accounts"),
    [
        ("org_a", ["org_a"]),
        (" org_a ", ["org_a"]),
        ('the "first" \\ é', ['the "first" \\ é']),
        (4711, ["4711"]),
        (-1, ["-1"]),
        (4711.0, ["4711"]),
        (12345678901234567890, ["12345678901234567890"]),
        (["org_b", 7, "org_a", "org_b"], ["7", "org_a", "org_b"]),
        (["org_a", None, "", True, ["org_b"], {"id": "org_c"}], ["org_a"]),
        ([], []),
        ("", []),
        (None, []),
        (True, []),
        ({"id": "org_a"}, []),
        (..., []),
    ],
    ids=str,
)
def test_an_account_is_a_text_a_number_or_a_list_of_them(value: Any, accounts: list[str]) -> None:
    usage = read_lines(line(company_id=value))
    assert usage.accounts["account"].tolist() == accounts
    assert (usage.events, usage.events_without_account) == (1, int(not accounts))


@pytest.mark.parametrize(
    ("account", "name"),
    [
        ({}, "company_id"),
        ({"group": "workspace"}, "workspace"),
        ({"property": 'the "account" id'}, 'the "account" id'),
        ({"property": "distinct_id"}, "distinct_id"),
        ({"property": "screen"}, "screen"),
    ],
)
def test_the_account_is_the_named_property(account: dict[str, str], name: str) -> None:
    meaning = definition(account=account, feature_property="screen")
    usage = read_lines(line(**{"company_id": ..., name: "org_z"}), meaning=meaning)
    assert usage.accounts["account"].tolist() == ["org_z"]


def test_properties_that_differ_only_in_case_cannot_be_read() -> None:
    meaning = definition(account={"property": "Screen"}, feature_property="screen")
    with pytest.raises(ConfigurationError, match="Screen and screen cannot both be read"):
        read_lines(meaning=meaning)


@pytest.mark.parametrize(
    ("value", "feature"),
    [("Reports", "Reports"), (7, "7"), ("", "opened"), (["Reports"], "opened"), (..., "opened")],
)
def test_the_feature_is_the_named_property_or_the_event(value: Any, feature: str) -> None:
    assert read_lines(line(screen=value)).features["feature"].tolist() == [feature]


# Other values of a line


@pytest.mark.parametrize(
    ("properties", "known_at", "people"),
    [
        ({}, "2026-03-04 04:53:21", 1),
        ({"time": 1_772_600_000_000}, "2026-03-04 04:53:21", 1),  # milliseconds
        ({"time": "1772600000"}, "2026-03-04 04:53:21", 1),
        ({"mp_processing_time_ms": ...}, "2026-03-04 04:53:20", 1),
        ({"mp_processing_time_ms": None}, "2026-03-04 04:53:20", 1),
        ({"distinct_id": "", "$user_id": None}, "2026-03-04 04:53:21", 0),
        ({"distinct_id": ..., "$user_id": ""}, "2026-03-04 04:53:21", 0),
        ({"distinct_id": ..., "$user_id": "u"}, "2026-03-04 04:53:21", 1),
        ({"distinct_id": 4711}, "2026-03-04 04:53:21", 1),
    ],
    ids=str,
)
def test_values_come_in_several_forms(properties: dict[str, Any], known_at: str, people: int) -> None:
    usage = read_lines(line(**properties))
    assert usage.accounts[["known_at", "active_users"]].values.tolist() == [[at(known_at), people]]


def test_people_are_known_by_user_id_and_copies_by_what_was_sent() -> None:
    usage = read_lines(
        line(**{"distinct_id": "$device:1", "$user_id": "u1", "$insert_id": "i1"}),
        line(**{"distinct_id": "$device:2", "$user_id": "u1", "$insert_id": "i1"}),  # of another device
        line(**{"distinct_id": "$device:2", "$user_id": "u1", "$insert_id": "i1", "time": 1_772_600_009}),
        line(**{"distinct_id": "$device:2", "$user_id": "u1", "$insert_id": "i1", "time": 1_772_686_400}),
        line("invited", **{"distinct_id": "$device:2", "$user_id": "u1", "$insert_id": "i1"}),
    )
    assert usage.accounts[["active_users", "active_days", "logins", "invites"]].values.tolist() == [
        [1, 2, 3, 1]
    ]


def test_the_oldest_processing_time_of_copies_counts() -> None:
    asked: Asked = question()
    copies = [
        line(**{"$insert_id": "i1", "mp_processing_time_ms": 1_772_600_000_000 + late}) for late in (9, 1, 5)
    ]
    usage = read_lines(*copies)
    assert usage.accounts["known_at"].tolist() == [at("2026-03-04 04:53:20.001")]
    assert asked.closes > usage.accounts["known_at"][0]


def test_other_keys_may_be_anything() -> None:
    nested: Any = "deep"
    for _ in range(200):
        nested = [nested, {"a": None}]
    usage = read_lines(
        line(**{"Time": "x", "COMPANY_ID": CANARY, "nested": nested, "$insert_id": None}),
        line(long="x" * 3_000_000, number=1e308),
        json.dumps(
            {"event": "opened", "extra": {"properties": 1}, "properties": json.loads(line())["properties"]}
        ),
        "",
        line() + "\r",
        line(nan=float("nan")),
    )
    assert (usage.events, usage.incomplete) == (5, None)
    assert usage.accounts["account"].tolist() == ["org_a"]
