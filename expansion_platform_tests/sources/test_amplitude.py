"""What Amplitude's events are counted as, against a plain loop over the same events."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from expansion_platform.domain.core import months
from expansion_platform.domain.signals.definition import AccountKey, Events, SignalDefinition
from expansion_platform.simulator.company.usage import usage_events
from expansion_platform.simulator.servers import amplitude as stand_in
from expansion_platform.simulator.servers.amplitude import AmplitudeServer
from expansion_platform.sources.analytics import amplitude
from expansion_platform.sources.analytics.amplitude import Amplitude
from expansion_platform.sources.analytics.amplitude_lines import OWN_EVENTS
from expansion_platform.sources.analytics.usage import ACCOUNT_COLUMNS, FEATURE_COLUMNS, Asked, MonthUsage
from expansion_platform_tests.sources.amplitude_events import (
    CANARY,
    DEFINITION,
    Event,
    assert_counted,
    event,
    question,
    rows,
    some_events,
    table,
)

Read = Callable[..., MonthUsage]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Iterator[Read]:
    """Reads a month of events through a server with some oddities; in few requests, to be quick."""
    monkeypatch.setattr(amplitude, "LONGEST_WINDOW", 24 * 40)

    def answered(
        events: Sequence[Event],
        asked: Asked | None = None,
        definition: SignalDefinition = DEFINITION,
        **oddities: Any,
    ) -> MonthUsage:
        with AmplitudeServer(lambda: table(events)) as server:
            for name, value in oddities.items():
                assert hasattr(server, name)
                setattr(server, name, value)
            source = Amplitude(
                server.url, server.api_key, server.secret_key, definition, first_wait_seconds=0.001
            )
            try:
                return source.month(asked or question())
            finally:
                source.close()

    yield answered


@pytest.mark.parametrize(
    "oddities",
    [
        {},
        {"groups_as": "text"},
        {"groups_as": "both", "again": 3},
        {"iso_times": True},
        {"null": frozenset({"$insert_id"})},
        {"null": frozenset({"uuid"}), "again": 2},
        {"null": frozenset({"uuid", "$insert_id"}), "again": 1},
    ],
    ids=["plain", "text", "both", "iso_times", "no_insert_id", "no_uuid", "no_id"],
)
def test_events_are_counted_once_whatever_form_they_have(read: Read, oddities: dict[str, Any]) -> None:
    events = some_events(5)
    usage = read(events, **oddities)
    assert_counted(usage, events, question())
    assert list(usage.accounts.columns) == list(ACCOUNT_COLUMNS)
    assert list(usage.features.columns) == list(FEATURE_COLUMNS)
    of_the_month = [
        item
        for item in events
        if item.happened.strftime("%Y-%m") == "2026-01" and item.name not in OWN_EVENTS
    ]
    assert usage.events == len(of_the_month)
    assert usage.events_without_account == sum(not item.accounts for item in of_the_month) > 0
    # Both versions of an account, so that the comparison says something of late events.
    assert len(usage.accounts) == 2 * usage.accounts["account"].nunique()


@pytest.mark.parametrize("timezone", ["America/New_York", "Asia/Kolkata"])
def test_months_are_those_of_the_time_zone(read: Read, timezone: str) -> None:
    events = some_events(6)
    asked = question("2026-02", timezone)
    assert asked.begins.hour != 0
    assert_counted(read(events, asked), events, asked)


def test_an_event_without_any_id_is_no_copy(read: Read) -> None:
    events = some_events(5, 200)
    whole = read(events)
    twice = read(events, null=frozenset({"uuid", "$insert_id", "event_id"}), again=1)
    assert twice.events == 2 * whole.events


def test_an_insert_id_is_of_its_device(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(stand_in._FIELDS, "$insert_id", "'order 5'")
    usage = read([event(person="p1"), event(person="p1"), event(person="p2")], null=frozenset({"uuid"}))
    assert usage.events == 2


def test_the_simulated_company_can_be_exported(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    seats = [
        ("org_1", "cus_1", "2026-01", 9),
        ("org_2", "cus_2", "2026-01", 4),
        ("org_1", "cus_1", "2026-02", 8),
    ]
    made = usage_events(7, pd.DataFrame(seats, columns=["account", "customer", "month", "seats"]))
    monkeypatch.setattr(f"{__name__}.table", lambda _: made)
    events = made.to_pandas()
    events = events[events["timestamp"] < months.closing("2026-01")]
    usage = read([])
    assert usage.events == len(events)
    people = events.groupby("$group_0")["person_id"].nunique()
    assert rows(usage.accounts[["account", "active_users"]]) == list(people.items())


def test_a_month_without_events_has_empty_tables(read: Read) -> None:
    usage, some = read([event(happened="2026-06-01")]), read([event()])
    assert usage.incomplete is None
    assert usage.accounts.empty and usage.features.empty
    assert (usage.accounts.dtypes == some.accounts.dtypes).all()
    assert (usage.features.dtypes == some.features.dtypes).all()


# What events mean


def test_a_group_may_have_any_name(read: Read) -> None:
    name = '[Segment] "Group" {x}'
    usage = read([event()], definition=SignalDefinition(account=AccountKey(group=name)), group_type=name)
    assert usage.accounts["account"].tolist() == ["org_a"]
    other = read([event()], definition=SignalDefinition(account=AccountKey(group="other")))
    assert other.accounts.empty
    assert (other.events, other.events_without_account) == (1, 1)


def test_the_account_can_be_a_property(read: Read) -> None:
    values: list[tuple[Any, list[str]]] = [
        ("org_a", ["org_a"]),
        (17, ["17"]),
        (["org_b", "org_a", "org_b", "", None, 5], ["5", "org_a", "org_b"]),
        ("", []),
        (None, []),
        ([], []),
        (True, []),
        ({"email": CANARY}, []),
        ([{"email": CANARY}, [CANARY]], []),
    ]
    events = [
        event(f"event {number}", accounts=["no"], **{'the "account"': value})
        for number, (value, _) in enumerate(values)
    ]
    usage = read(events, definition=SignalDefinition(account=AccountKey(property='the "account"')))
    expected = sorted(
        (account, f"event {number}") for number, (_, accounts) in enumerate(values) for account in accounts
    )
    assert rows(usage.features[["account", "feature"]]) == expected
    assert (usage.events, usage.events_without_account) == (9, 6)


def test_a_feature_can_be_a_property(read: Read) -> None:
    values = {"text": "export", "number": 3, "truth": False, "empty": "", "null": None}
    nested = {"list": [CANARY], "object": {"email": CANARY}}
    events = [
        event(name, accounts=[name], feature=value, account_id=name)
        for name, value in {**values, **nested}.items()
    ]
    definition = SignalDefinition(account=AccountKey(property="account_id"), feature_property="feature")
    usage = read([*events, event("without", accounts=["without"])], definition=definition)
    shown = dict(rows(usage.features[["account", "feature"]]))
    assert shown == {
        "text": "export",
        "number": "3",
        "truth": "false",
        **{name: name for name in ("empty", "null", "list", "object", "without")},
    }


def test_account_and_feature_can_be_the_same_property(read: Read) -> None:
    definition = SignalDefinition(account=AccountKey(property="both"), feature_property="both")
    usage = read([event(both="x")], definition=definition)
    assert usage.features[["account", "feature"]].to_numpy().tolist() == [["x", "x"]]


def test_events_of_amplitudes_own_count_where_they_are_named(read: Read) -> None:
    events = [event(name, person=name) for name in (*OWN_EVENTS, "login")]
    assert read(events).features["feature"].tolist() == ["login"]
    usage = read(
        events,
        definition=SignalDefinition(events=Events(logins=("session_start",)), excluded_events=("login",)),
    )
    assert usage.features["feature"].tolist() == ["session_start"]
    assert usage.accounts["logins"].tolist() == [1]


def test_nobody_is_no_person(read: Read) -> None:
    usage = read([event(person="p1"), event(person="p2")], null=frozenset({"amplitude_id"}))
    assert usage.accounts[["active_users", "logins"]].to_numpy().tolist() == [[0, 2]]
    assert usage.accounts["mean_daily_users"].tolist() == ["0.000000"]


def test_new_users_are_not_guessed(read: Read) -> None:
    events = [
        event("joined", "p1"),
        event("login", "p2"),
        event("login", "p3", "2025-12-30"),
        event(person="p3"),
    ]
    usage = read(events)
    assert usage.new_users_by == "first seen by the provider"
    assert usage.accounts["new_users"].tolist() == [2]
    unknown = read(events, null=frozenset({"user_creation_time"}))
    assert unknown.new_users_by is None
    assert unknown.accounts["new_users"].isna().tolist() == [True]
    signed_up = read(events, definition=SignalDefinition(events=Events(sign_ups=("joined",))))
    assert signed_up.new_users_by == "sign-up events"
    assert signed_up.accounts["new_users"].tolist() == [1]


def test_nothing_of_a_person_is_in_the_answer(read: Read, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    events = [replace(item, person=f"{CANARY} {item.person}") for item in some_events(7, 300)]
    usage = read(events, private=CANARY)
    assert len(usage.accounts) > 3
    shown = usage.accounts.to_csv() + usage.features.to_csv() + repr(usage) + caplog.text
    assert "canary" not in shown
    assert "export?start=" in caplog.text  # the log is there
