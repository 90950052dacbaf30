"""What bills tell of a subscription's status and pauses when no event does (reference 2.5.1, 2.5.13)."""

from __future__ import annotations

from typing import Any

import pytest

from expansion_platform_tests.domain.history_rows import Account, day, days, line


@pytest.fixture
def account() -> Account:
    account = Account()
    account.item("si", "basic", "5")
    return account


def bill(account: Account, name: str, at: float, status: str = "paid", reason: str = "subscription_cycle", **dates: Any) -> None:
    """A bill of day `at` for 30 days, finalized at once unless it is a draft; `dates` are in days."""
    account.invoice(name, at, line("si", "basic", "5", at, at + 30), status=status)
    instants = {key: None if value is None else day(value) for key, value in dates.items()}
    finalized = None if status == "draft" else day(at)
    account.rows["invoices"][-1] |= {"billing_reason": reason, "finalized_at": finalized} | instants


def told(account: Account, column: str = "status") -> list[tuple[Any, ...]]:
    states = account.states()
    assert (states[["price", "quantity"]] == ["basic", "5"]).all(axis=None)
    return [
        (days(row.valid_from), days(row.valid_to), None if getattr(row, column) != getattr(row, column) else getattr(row, column), row.confidence)
        for row in states.itertuples(index=False)
    ]


def test_bill_paid_late_was_past_due(account: Account) -> None:
    account.subscription()
    bill(account, "in1", 0, paid_at=0)
    bill(account, "in2", 30, paid_at=41)
    assert told(account) == [(0, 30, "active", "exact"), (30, 41, "past_due", "exact"), (41, None, "active", "exact")]


def test_bill_that_was_sent_is_late_only_after_it_was_due(account: Account) -> None:
    account.subscription()
    bill(account, "in1", 0, due_date=20, paid_at=19)
    bill(account, "in2", 30, due_date=50, paid_at=55)
    bill(account, "in3", 90, "open", due_date=110)
    assert told(account) == [(0, 50, "active", "exact"), (50, 55, "past_due", "exact"), (55, None, "active", "exact")]


def test_bill_taken_back_ends_past_due(account: Account) -> None:
    account.subscription()
    bill(account, "in1", 0, paid_at=0)
    bill(account, "in2", 30, "void", voided_at=35)
    assert told(account) == [(0, 30, "active", "exact"), (30, 35, "past_due", "exact"), (35, None, "active", "exact")]


def test_bill_given_up_leaves_past_due_until_the_next_is_paid(account: Account) -> None:
    account.subscription()
    bill(account, "in1", 0, paid_at=0)
    bill(account, "in2", 30, "uncollectible", uncollectible_at=51)
    bill(account, "in3", 60, paid_at=60)
    assert told(account) == [(0, 30, "active", "exact"), (30, 60, "past_due", "exact"), (60, None, "active", "exact")]


def test_drafts_show_that_a_subscription_was_unpaid_since_its_last_bill(account: Account) -> None:
    account.subscription()
    bill(account, "in1", 0, paid_at=0)
    bill(account, "in2", 30, paid_at=70)
    bill(account, "in3", 60, "draft")
    assert told(account) == [(0, 30, "active", "exact"), (30, 70, "unpaid", "renewal"), (70, None, "active", "exact")]
    assert told(account, "collection_paused")[0][2] is None


def test_unpaid_today_is_unpaid_since_its_bill_unless_an_event_dates_it(account: Account) -> None:
    account.subscription(status="unpaid")
    bill(account, "in1", 0, paid_at=0)
    bill(account, "in2", 30, "open")
    assert told(account) == [(0, 30, "active", "exact"), (30, None, "unpaid", "renewal")]
    account.event("evt", 51, {"status": "unpaid"}, {"status": "past_due"})
    assert told(account) == [(0, 30, "active", "exact"), (30, 51, "past_due", "exact"), (51, None, "unpaid", "exact")]


def test_first_bill_paid_within_hours_began_incomplete_and_later_by_a_slow_method(account: Account) -> None:
    account.subscription()
    bill(account, "in1", 0, reason="subscription_create", paid_at=0.25)
    assert told(account) == [(0, 0.25, "incomplete", "exact"), (0.25, None, "active", "exact")]
    account.rows["invoices"][0]["paid_at"] = day(4)
    assert told(account) == [(0, None, "active", "exact")]


@pytest.mark.parametrize(
    ("behavior", "status", "dates"),
    [
        ("void", "void", {"voided_at": 30}),
        ("mark_uncollectible", "uncollectible", {"uncollectible_at": 30}),
        ("keep_as_draft", "draft", {}),
    ],
)
def test_renewals_not_collected_at_once_were_paused(account: Account, behavior: str, status: str, dates: dict[str, float]) -> None:
    account.subscription()
    bill(account, "in1", 0, paid_at=0)
    bill(account, "in2", 30, status, **dates)
    bill(account, "in3", 60, paid_at=60)
    paused = told(account, "collection_paused")
    assert paused == [(0, 30, None, "exact"), (30, 60, behavior, "renewal"), (60, None, None, "renewal")]
    assert told(account)[1][2] == "active"


def test_event_that_shows_no_pause_forbids_inferring_one(account: Account) -> None:
    account.subscription()
    bill(account, "in1", 0, paid_at=0)
    bill(account, "in2", 30, "void", voided_at=30)
    account.event("evt", 30, {"status": "active", "pause_collection": None}, {})
    assert told(account, "collection_paused") == [(0, None, None, "exact")]


def test_event_tells_what_was_just_before_it_too(account: Account) -> None:
    """Of a spell of six hours the event at its beginning is gone from Stripe, the one at its end is not."""
    account.subscription()
    bill(account, "in1", 0, paid_at=0)
    bill(account, "in2", 30, paid_at=30.25)
    account.event("evt", 30.25, {"status": "active"}, {"status": "past_due"})
    assert told(account) == [(0, 30, "active", "exact"), (30, 30.25, "past_due", "exact"), (30.25, None, "active", "exact")]


def test_draft_not_finalized_yet_is_no_pause(account: Account) -> None:
    account.subscription()
    bill(account, "in1", 68, paid_at=68)
    bill(account, "in2", 98, "draft")
    assert told(account, "collection_paused") == [(0, None, None, "exact")]


def test_draft_read_early_and_left_since_is_evidence(account: Account) -> None:
    """It keeps the instant it was first read at: that days have passed, the bills read since tell."""
    account.subscription()
    bill(account, "in1", 60, paid_at=60)
    account.invoice("in2", 96, line("si", "basic", "8", 96, 126), status="draft")
    account.rows["subscription_items"][0]["quantity"] = "8"
    for row in (row for rows in account.rows.values() for row in rows):
        row["observed_at"] = day(97)
    fresh = account.story()
    account.invoice("in3", 100, status="paid")
    assert fresh == [("si", 0, 97, "basic", "5"), ("si", 97, None, "basic", "8")]
    assert account.story() == [("si", 0, 96, "basic", "5"), ("si", 96, None, "basic", "8")]


def test_trial_without_a_bill_at_its_end_paused_until_the_next_bill(account: Account) -> None:
    account.subscription(trial_start=day(0), trial_end=day(14))
    bill(account, "in1", 0, paid_at=0)
    bill(account, "in2", 40, paid_at=40)
    assert [row[:3] for row in told(account)] == [(0, 14, "trialing"), (14, 40, "paused"), (40, None, "active")]
