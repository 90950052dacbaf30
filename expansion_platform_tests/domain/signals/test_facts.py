"""Versions of facts, worked out by hand: what a close knew, and what a read adds."""

from __future__ import annotations

import pandas as pd
import pytest

from expansion_platform.domain.catalog.tables import CrmActivity, CustomerSignals, Nps, Owners, Tickets
from expansion_platform.domain.signals.facts import known_facts
from expansion_platform_tests.domain.signals.fact_rows import Stored, at, plain


def deal(stage: str, date: str, known_at: str | None = None, **more: str) -> dict[str, str | None]:
    row = {"customer": "cus_1", "kind": "opportunity", "id": "o1", "stage": stage, "date": date}
    return row | {"known_at": known_at} | more


def known(stored: Stored, close: str, *names: str) -> list[tuple[object, ...]]:
    return plain(known_facts(stored.rows, stored.model, at(close)), *names)


def test_a_back_dated_opportunity_is_not_known_before_it_was_read() -> None:
    stored = Stored(CrmActivity)
    stored.read("2026-03-01", deal("won", "2026-02-10", id="other"))
    stored.read("2026-05-01", deal("won", "2026-02-10", id="other"), deal("won", "2026-03-05"))
    assert known(stored, "2026-04-06", "id") == [("other",)]
    assert known(stored, "2026-05-01", "id") == [("o1",), ("other",)]


def test_a_first_load_dates_facts_by_their_own_day_and_says_so() -> None:
    stored = Stored(CrmActivity)
    added = stored.read("2026-05-01T06:00", deal("won", "2026-03-05"), deal("open", "2026-06-01", id="o2"))
    assert plain(added, "id", "known_at", "first_load", "stated_at") == [
        ("o1", "2026-03-06T00:00:00+00:00", True, None),
        ("o2", "2026-05-01T06:00:00+00:00", True, None),  # no later than it was read
    ]


def test_a_day_ends_in_the_reporting_time_zone() -> None:
    stored = Stored(CrmActivity, timezone="Asia/Tokyo")
    stored.read("2026-05-01", deal("won", "2026-03-31"), deal("won", "2026-03-31", "2026-04-02", id="o2"))
    assert plain(stored.rows, "id", "known_at") == [
        ("o1", "2026-03-31T15:00:00+00:00"),  # the close of March without a lag sees it
        ("o2", "2026-04-02T15:00:00+00:00"),
    ]


def test_todays_state_is_never_back_dated_where_the_source_says_so() -> None:
    stored = Stored(CrmActivity, own_dates=False)
    stored.read("2026-05-01", deal("won", "2026-03-05"))
    assert plain(stored.rows, "known_at", "first_load") == [("2026-05-01T00:00:00+00:00", False)]


def test_a_stage_updated_in_place_is_a_version_of_its_own() -> None:
    stored = Stored(CrmActivity)
    stored.read("2026-03-01", deal("open", "2026-02-10", amount="100"))
    added = stored.read("2026-04-01", deal("won", "2026-03-20", amount="80.5"))
    assert plain(added, "version", "stage", "amount", "known_at") == [
        (2, "won", 8_050, "2026-04-01T00:00:00+00:00")
    ]
    assert known(stored, "2026-03-31", "stage", "amount") == [("open", 10_000)]
    assert known(stored, "2026-04-01", "stage", "amount") == [("won", 8_050)]


def test_a_value_that_returns_is_a_version_again() -> None:
    stored = Stored(CrmActivity)
    for month, stage in enumerate(["open", "won", "open", "open"], 3):
        stored.read(f"2026-{month:02d}-01", deal(stage, "2026-02-10"))
    assert plain(stored.rows, "version", "stage", "known_at") == [
        (1, "open", "2026-02-11T00:00:00+00:00"),
        (2, "won", "2026-04-01T00:00:00+00:00"),
        (3, "open", "2026-05-01T00:00:00+00:00"),
    ]


def test_versions_that_the_source_states_are_known_since_then() -> None:
    stored = Stored(CrmActivity)
    first = deal("open", "2026-02-10", "2026-02-10T09:00:00Z")
    stored.read("2026-03-01", first)
    stored.read("2026-05-01", first, deal("won", "2026-03-20", "2026-03-20T10:00:00+02:00"))
    assert known(stored, "2026-03-20T07:59:59", "stage") == [("open",)]
    assert known(stored, "2026-03-20T08:00", "stage", "first_load") == [("won", False)]


def test_nothing_is_known_before_its_read_when_asked_so() -> None:
    stored = Stored(CrmActivity, not_before_read=True)
    first = deal("open", "2026-02-10", "2026-02-10T09:00:00Z")
    later = deal("won", "2026-03-20", "2026-03-20T10:00:00Z"), deal("lost", "2026-04-20", "2026-04-20")
    stored.read("2026-03-01", first)
    stored.read("2026-05-01", first, *later)
    assert plain(stored.rows, "stage", "known_at") == [
        ("open", "2026-02-10T09:00:00+00:00"),
        ("lost", "2026-05-01T00:00:00+00:00"),
    ]
    assert stored.read("2026-06-01", first, *later).empty


def test_a_version_corrected_in_place_stays_and_the_correction_is_known_since_its_read() -> None:
    stored = Stored(CrmActivity)
    stored.read("2026-03-01", deal("won", "2026-02-10", "2026-02-10", amount="100"))
    corrected = deal("won", "2026-02-10", "2026-02-10", amount="90")
    stored.read("2026-04-01", corrected)
    assert known(stored, "2026-03-31", "amount") == [(10_000,)]
    assert known(stored, "2026-04-01", "amount") == [(9_000,)]
    assert stored.read("2026-05-01", corrected).empty


def test_a_corrected_version_that_is_not_the_newest_changes_nothing() -> None:
    stored = Stored(CrmActivity)
    newest = deal("won", "2026-02-20", "2026-02-20")
    stored.read("2026-03-01", deal("open", "2026-02-10", "2026-02-10"), newest)
    assert stored.read("2026-04-01", deal("open", "2026-02-09", "2026-02-10"), newest).empty


def test_a_fact_that_vanished_is_gone_from_its_read_on() -> None:
    stored = Stored(CrmActivity)
    stored.read("2026-03-01", deal("won", "2026-02-10"), deal("won", "2026-02-11", id="o2"))
    added = stored.read("2026-04-01", deal("won", "2026-02-10"))
    assert plain(added, "id", "version", "stage", "gone", "known_at", "first_load") == [
        ("o2", 2, "won", True, "2026-04-01T00:00:00+00:00", False)
    ]
    assert known(stored, "2026-03-31", "id") == [("o1",), ("o2",)]
    assert known(stored, "2026-04-01", "id") == [("o1",)]
    assert stored.read("2026-05-01", deal("won", "2026-02-10")).empty


@pytest.mark.parametrize("known_at", [None, "2026-02-10"])
def test_a_fact_that_comes_back_is_known_again(known_at: str | None) -> None:
    stored = Stored(CrmActivity)
    row, other = deal("won", "2026-02-10", known_at), deal("won", "2026-02-11", id="o2")
    stored.read("2026-03-01", row, other)
    stored.read("2026-04-01", other)
    stored.read("2026-05-01", row, other)
    assert [len(known(stored, f"2026-{month:02d}-15", "id")) for month in (3, 4, 5)] == [2, 1, 2]
    assert stored.read("2026-06-01", row, other).empty


def test_a_newest_version_that_was_taken_back_is_superseded() -> None:
    stored = Stored(CrmActivity)
    first = deal("open", "2026-02-10", "2026-02-10")
    stored.read("2026-03-01", first, deal("won", "2026-02-20", "2026-02-20"))
    stored.read("2026-04-01", first)
    assert known(stored, "2026-03-31", "stage") == [("won",)]
    assert known(stored, "2026-04-01", "stage") == [("open",)]


def test_a_planned_meeting_waits_until_it_has_passed_and_never_is_when_it_was_cancelled() -> None:
    stored = Stored(CrmActivity)
    touch = {"customer": "cus_1", "kind": "touch", "date": "2026-04-10", "known_at": "2026-04-10T15:00:00Z"}
    for read_at, meetings, seen in [
        ("2026-04-01", ["t1", "t2"], []),
        ("2026-04-10T14:00", ["t1"], []),
        ("2026-04-11", ["t1"], ["t1"]),
    ]:
        stored.read(read_at, *(touch | {"id": identity} for identity in meetings))
        assert list(stored.rows["id"]) == seen


def test_a_reread_at_the_same_instant_counts_as_the_later_version() -> None:
    stored = Stored(CrmActivity)
    stored.read("2026-03-01", deal("open", "2026-02-10", "2026-03-01T00:00:00Z"))
    stored.read("2026-03-01", deal("lost", "2026-02-10", "2026-03-01T00:00:00Z"))
    assert known(stored, "2026-03-01", "version", "stage") == [(2, "lost")]


def test_a_closed_ticket_of_a_first_load_was_open_before() -> None:
    stored = Stored(Tickets)
    stored.read(
        "2026-05-01",
        {"customer": "cus_1", "id": "7", "opened": "2026-03-02", "closed": "2026-04-20", "severity": "high"},
        {"customer": "cus_1", "id": "8", "opened": "2026-03-02", "closed": "2026-03-02"},
    )
    assert known(stored, "2026-03-02T23:59", "id") == []
    assert known(stored, "2026-04-06", "id", "closed") == [("7", None), ("8", "2026-03-02")]
    assert known(stored, "2026-04-21", "id", "closed", "severity") == [
        ("7", "2026-04-20", "high"),
        ("8", "2026-03-02", None),
    ]


def test_an_owner_of_whom_only_today_is_known_is_not_back_dated() -> None:
    stored = Stored(Owners)
    today, dated = (
        {"customer": "cus_1", "owner": "77"},
        {"customer": "cus_2", "owner": "77", "valid_from": "2026-02-01"},
    )
    stored.read("2026-05-01", today, dated)
    assert known(stored, "2026-04-30", "customer") == [("cus_2",)]
    stored.read("2026-06-01", today | {"owner": None}, dated)
    assert known(stored, "2026-05-31", "customer", "owner") == [("cus_1", "77"), ("cus_2", "77")]
    assert known(stored, "2026-06-01", "customer", "owner") == [("cus_1", None), ("cus_2", "77")]


def test_two_answers_of_a_day_are_two_facts_by_their_ids() -> None:
    stored = Stored(Nps)
    answer = {"customer": "cus_1", "date": "2026-03-02"}
    stored.read("2026-04-01", answer | {"id": "a", "score": "9"}, answer | {"id": "b", "score": "10"})
    assert known(stored, "2026-04-01", "id", "score") == [("a", 9), ("b", 10)]


def test_a_signal_written_another_way_is_no_new_version() -> None:
    stored = Stored(CustomerSignals)
    row = {"customer": "cus_1", "date": "2026-03-02", "signal": "csat", "value": "0.50"}
    stored.read("2026-04-01", row)
    assert stored.added("2026-05-01", row | {"value": "0.5"}).empty
    assert plain(stored.added("2026-05-01", row | {"value": "0.51"}), "value") == [("0.51",)]


def test_nothing_read_and_nothing_stored() -> None:
    stored = Stored(Tickets)
    assert stored.read("2026-03-01").empty
    assert known_facts(stored.rows, stored.model, at("2026-04-01")).empty


def test_a_read_of_an_earlier_instant_does_not_see_what_was_stored_later() -> None:
    stored = Stored(CrmActivity)
    stored.read(
        "2026-05-01", deal("open", "2026-02-10", "2026-02-10"), deal("won", "2026-04-20", "2026-04-20")
    )
    stored.read("2026-03-01", deal("open", "2026-02-12", "2026-02-12"))
    assert known(stored, "2026-03-01", "date") == [("2026-02-12",)]
    assert known(stored, "2026-05-01", "stage") == [("won",)]


def test_a_close_may_be_any_instant_with_a_zone() -> None:
    stored = Stored(CrmActivity)
    stored.read("2026-05-01", deal("won", "2026-02-10", "2026-03-01T00:00:00Z"))
    close = pd.Timestamp("2026-03-01T02:00:00+02:00").to_pydatetime()
    assert len(known_facts(stored.rows, stored.model, close)) == 1
