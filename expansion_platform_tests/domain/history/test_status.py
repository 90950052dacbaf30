"""Statuses and collection pauses over a subscription's life (reference 2.5.13)."""

from __future__ import annotations

from typing import Any

import pytest

from expansion_platform_tests.domain.history_rows import Account, day, days, line


@pytest.fixture
def account() -> Account:
    account = Account()
    account.item("si", "basic", "5")
    return account


def statuses(account: Account, column: str = "status") -> list[tuple[Any, ...]]:
    return [
        (days(row.valid_from), days(row.valid_to), getattr(row, column))
        for row in account.states().itertuples(index=False)
    ]


def test_trial_that_converts(account: Account) -> None:
    account.subscription(trial_start=day(0), trial_end=day(14))
    account.invoice("in1", 0, line("si", "basic", "5", 0, 14, 0))
    account.invoice("in2", 14, line("si", "basic", "5", 14, 44))
    assert statuses(account) == [(0, 14, "trialing"), (14, None, "active")]


def test_trial_that_still_runs_has_no_end_yet(account: Account) -> None:
    account.subscription(status="trialing", trial_start=day(0), trial_end=day(114))
    assert statuses(account) == [(0, None, "trialing")]


@pytest.mark.parametrize("end", [5, 14])
def test_subscription_canceled_during_its_trial_never_was_active(account: Account, end: int) -> None:
    account.subscription(status="canceled", ended_at=day(end), trial_start=day(0), trial_end=day(14))
    account.invoice("in1", 0, line("si", "basic", "5", 0, 14, 0))
    assert statuses(account) == [(0, end, "trialing")]


def test_events_date_the_statuses(account: Account) -> None:
    account.subscription()
    account.event("evt_1", 30, {"status": "past_due"}, {"status": "active"})
    account.event("evt_2", 40, {"status": "unpaid"}, {"status": "past_due"})
    account.event("evt_3", 45, {"status": "active"}, {"status": "unpaid"})
    assert statuses(account) == [
        (0, 30, "active"),
        (30, 40, "past_due"),
        (40, 45, "unpaid"),
        (45, None, "active"),
    ]


def test_status_no_event_dates_begins_when_it_was_seen(account: Account) -> None:
    account.subscription(status="unpaid", observed_at=day(50))
    assert statuses(account) == [(0, 50, "active"), (50, None, "unpaid")]
    assert account.states()["confidence"].tolist() == ["exact", "snapshot"]


@pytest.mark.parametrize(
    ("before", "confidence"),
    [({}, "snapshot"), ({"pause_collection": None}, "exact")],
    ids=["seen", "changed"],
)
def test_event_that_lists_no_change_saw_a_pause_and_does_not_date_it(
    account: Account, before: dict[str, Any], confidence: str
) -> None:
    account.subscription(pause_collection="void")
    account.event("evt", 30, {"pause_collection": "void"}, before)
    assert account.states()[["collection_paused", "source", "confidence"]].iloc[1].tolist() == [
        "void",
        "event",
        confidence,
    ]


def test_event_that_saw_what_a_bill_dates_leaves_it_exact(account: Account) -> None:
    account.subscription(status="past_due")
    account.invoice("in1", 0, line("si", "basic", "5", 0, 30), status="open")
    account.event("evt_1", 20, {"status": "past_due"}, {"status": "active"})
    account.event("evt_2", 20, {"status": "past_due"}, {})
    assert statuses(account)[-1] == (20, None, "past_due")
    assert account.states()["confidence"].iloc[-1] == "exact"


def test_pause_of_collection_from_events_and_from_today(account: Account) -> None:
    account.subscription(pause_collection="keep_as_draft", observed_at=day(50))
    account.event("evt_1", 30, {"pause_collection": "void"}, {"pause_collection": None})
    account.event("evt_2", 40, {"pause_collection": None}, {"pause_collection": "void"})
    found = [
        (start, end, None if behavior != behavior else behavior)
        for start, end, behavior in statuses(account, "collection_paused")
    ]
    assert found == [(0, 30, None), (30, 40, "void"), (40, 50, None), (50, None, "keep_as_draft")]
