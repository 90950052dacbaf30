"""A warehouse counts what EventCounter and a plain loop count, on SQLite and on Postgres."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expansion_platform.sources.analytics.counting import SIGN_UPS
from expansion_platform.sources.analytics.tracks import FIRST_EVENT
from expansion_platform.sources.analytics.tracks_mapping import mapping, read_mapping
from expansion_platform_tests.sources.event_rows import (
    DEFINITION,
    EVENTS,
    FIRST_SEEN,
    GROUPS,
    TRACKS,
    Database,
    Event,
    asked,
    at,
    by_event_counter,
    by_loop,
    database,
    group_rows,
    loaded_after,
    random_calls,
    random_events,
    same,
    track_rows,
)
from expansion_platform_tests.sources.warehouse.postgres import binaries, running_postgres

MONTHS = [
    ("2026-02", "UTC"),
    ("2026-03", "Europe/Berlin"),  # 29 March has 23 hours
    ("2026-10", "Europe/Berlin"),  # 25 October has 25
    ("2026-03", "America/New_York"),
    ("2026-06", "Pacific/Auckland"),
    ("2026-04", "Africa/Cairo"),  # 24 April begins at one o'clock
]


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    folder = binaries()
    if folder is None:
        pytest.skip("Postgres is not installed (apt-get install postgresql)")
    with running_postgres(folder) as url:
        yield url


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def events_in(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    url = request.getfixturevalue("postgres") if request.param == "postgres" else None
    with database(request.param, "product", tmp_path_factory.mktemp("warehouse"), url) as made:
        yield made


@pytest.mark.parametrize(("month", "timezone"), MONTHS)
def test_the_warehouse_counts_as_event_counter_does(month: str, timezone: str, events_in: Database) -> None:
    question = asked(month, timezone)
    events = random_events(1, 1500, question)
    events_in.write("tracks", track_rows(events), TRACKS)
    with events_in.tracks(mapping("segment"), DEFINITION) as source:
        found = source.month(question)
        assert source.account_by == "context_group_id of the event"
    expected = by_event_counter(events, question, DEFINITION)
    same(found, expected.accounts, expected.features)
    assert (found.events, found.events_without_account) == (expected.events, expected.events_without_account)
    assert (found.new_users_by, found.incomplete) == (SIGN_UPS, None)
    assert found.accounts["account"].duplicated().any()  # some have a version of late events


@pytest.mark.parametrize("sign_ups", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_the_warehouse_counts_as_a_plain_loop_does(seed: int, sign_ups: bool, events_in: Database) -> None:
    question = asked("2026-03", "Europe/Berlin")
    definition = DEFINITION if sign_ups else FIRST_SEEN
    events = random_events(10 + seed, 400, question)
    events_in.write("tracks", track_rows(events), TRACKS)
    with events_in.tracks(mapping("rudderstack"), definition) as source:
        found = source.month(question)
    expected = by_loop(events, question, definition)
    same(found, expected.accounts, expected.features)
    assert (found.events, found.events_without_account) == (expected.events, expected.without_account)
    assert found.new_users_by == (SIGN_UPS if sign_ups else FIRST_EVENT)


@pytest.mark.parametrize("seed", range(4))
def test_accounts_of_group_calls_are_those_before_the_event(seed: int, events_in: Database) -> None:
    question = asked("2026-03", "Europe/Berlin")
    events, calls = random_events(20 + seed, 400, question), random_calls(seed, 60, question)
    columns = {name: kind for name, kind in TRACKS.items() if name != "context_group_id"}
    events_in.write("tracks", track_rows(events), columns)
    events_in.write("groups", group_rows(calls), GROUPS)
    with events_in.tracks(mapping("segment"), FIRST_SEEN) as source:
        found = source.month(question)
        assert source.account_by == "the person's last row of groups before the event"
    expected = by_loop(events, question, FIRST_SEEN, calls)
    same(found, expected.accounts, expected.features)
    assert (found.events, found.events_without_account) == (expected.events, expected.without_account)
    assert not found.accounts.duplicated(["account", "known_at"]).any()
    assert set(found.accounts["account"]) == {"org_1", "org_2"}


_QUESTION = asked("2026-03", "America/New_York")
_INSTANTS = st.sampled_from(
    [
        edge + pd.Timedelta(microseconds=moved)
        for edge in (
            _QUESTION.begins,
            _QUESTION.begins + pd.Timedelta(days=1),
            at("2026-03-08 07:00"),
            _QUESTION.ends,
        )
        for moved in (-1, 0, 1)
    ]
)
_EVENTS = st.lists(
    st.builds(
        Event,
        id=st.sampled_from([None, "a", "b", "c", "d"]),
        event=st.sampled_from(EVENTS),
        happened=_INSTANTS,
        arrived=st.sampled_from(
            [_QUESTION.begins, _QUESTION.closes, _QUESTION.closes + pd.Timedelta(days=9)]
        ),
        person=st.sampled_from([None, "u1", "u2", "visitor"]),
        account=st.sampled_from([None, "", "org", "Org", "own"]),
        named=st.sampled_from([None, "Sales", "Costs"]),
    ),
    max_size=12,
)


@settings(max_examples=30)
@given(events=_EVENTS)
def test_any_events_are_counted_the_same_way(events: list[Event], events_in: Database) -> None:
    moved = [  # no two arrive at once: which of two copies came first is not known then
        Event(**{**vars(each), "arrived": each.arrived + pd.Timedelta(microseconds=number - 5)})
        for number, each in enumerate(events)
    ] + [loaded_after(_QUESTION)]
    events_in.write("tracks", track_rows(moved), TRACKS)
    with events_in.tracks(mapping("segment"), DEFINITION) as source:
        found = source.month(_QUESTION)
    counter = by_event_counter(moved, _QUESTION, DEFINITION)
    same(found, counter.accounts, counter.features)
    assert (found.events, found.events_without_account) == (counter.events, counter.events_without_account)
    with events_in.tracks(mapping("segment"), FIRST_SEEN) as source:
        found = source.month(_QUESTION)
    expected = by_loop(moved, _QUESTION, FIRST_SEEN)
    same(found, expected.accounts, expected.features)


def test_a_late_event_of_an_earlier_month_says_that_a_person_is_not_new(events_in: Database) -> None:
    question = asked("2026-03")
    events = [
        Event("1", "opened", at("2026-03-02"), at("2026-03-02"), "u1", "org"),
        Event("2", "opened", at("2026-03-03"), at("2026-03-03"), "u2", "org"),
        Event("3", "opened", at("2026-02-20"), at("2026-04-09"), "u2", "org"),  # the month closed on 6 April
        Event("4", "opened", at("2026-02-20"), at("2026-02-20"), "u2", "other"),
        loaded_after(question),
    ]
    events_in.write("tracks", track_rows(events), TRACKS)
    with events_in.tracks(mapping("segment")) as source:
        accounts = source.month(question).accounts
    assert accounts[["account", "known_at", "active_users", "new_users"]].to_numpy().tolist() == [
        ["org", at("2026-03-03"), 2, 2],
        ["org", at("2026-04-09"), 2, 1],
    ]


def test_who_is_new_is_not_asked_for_where_the_mapping_says_so(events_in: Database) -> None:
    question = asked("2026-03")
    events = random_events(5, 50, question)
    events_in.write("tracks", track_rows(events), TRACKS)
    own = read_mapping({"preset": "segment", "first_seen": False}, "mine")
    with events_in.tracks(own, FIRST_SEEN) as source:
        found = source.month(question)
    expected = by_event_counter(events, question, FIRST_SEEN)
    same(found, expected.accounts, expected.features)
    assert found.new_users_by is None
    assert found.accounts["new_users"].isna().all()


def test_a_month_that_is_not_loaded_to_its_end_is_incomplete(events_in: Database) -> None:
    question = asked("2026-03", "Europe/Berlin")
    early = Event("1", "opened", at("2026-03-02"), at("2026-03-31 21:59:59"), "u1", "org")
    events_in.write("tracks", track_rows([early]), TRACKS)
    with events_in.tracks(mapping("segment")) as source:
        found = source.month(question)
        events_in.write("tracks", track_rows([Event(**{**vars(early), "arrived": question.ends})]), TRACKS)
        assert source.month(question).incomplete is None
    assert found.incomplete == (
        "the newest event in the warehouse arrived at 2026-03-31 21:59:59 UTC, and 2026-03 ends at "
        "2026-03-31 22:00:00 UTC: its events may not all have been loaded"
    )
    assert found.accounts.empty
    assert found.features.empty
    assert found.events == 0


def test_a_load_that_stopped_long_ago_says_when(events_in: Database) -> None:
    old = Event("1", "opened", at("2025-03-02"), at("2025-03-02"), "u1", "org")
    events_in.write("tracks", track_rows([old]), TRACKS)
    with events_in.tracks(mapping("segment")) as source:
        assert "arrived at 2025-03-02 00:00:00 UTC" in str(source.month(asked()).incomplete)


def test_an_empty_table_is_not_a_month_without_usage(events_in: Database) -> None:
    events_in.write("tracks", [], TRACKS)
    with events_in.tracks(mapping("segment")) as source:
        found = source.month(asked("2026-03"))
    assert found.incomplete == "the tables of events are empty, so nothing says that 2026-03 has been loaded"
    assert found.accounts.empty


def test_a_loaded_month_without_events_is_complete_and_empty(events_in: Database) -> None:
    question = asked("2026-03")
    events_in.write("tracks", track_rows([loaded_after(question)]), TRACKS)
    with events_in.tracks(mapping("segment"), DEFINITION) as source:
        found = source.month(question)
    assert found.incomplete is None
    expected = by_loop([loaded_after(question)], question, DEFINITION)
    same(found, expected.accounts, expected.features)
    assert found.accounts.empty
