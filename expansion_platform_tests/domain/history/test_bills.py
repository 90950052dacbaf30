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


MINUTE = 1 / 1440


def bill(
    account: Account,
    name: str,
    at: float,
    status: str = "paid",
    reason: str | None = "subscription_cycle",
    **told: Any,
) -> None:
    """A bill of day `at` for 30 days, finalized at once unless it is a draft; what ends with `_at` and
    `_date` is in days.
    """
    account.invoice(name, at, line("si", "basic", "5", at, at + 30), status=status)
    fields = {
        key: day(value) if key.endswith(("_at", "_date")) and value is not None else value
        for key, value in told.items()
    }
    finalized = None if status == "draft" else day(at)
    account.rows["invoices"][-1] |= {"billing_reason": reason, "finalized_at": finalized} | fields


def told(account: Account, column: str = "status") -> list[tuple[Any, ...]]:
    states = account.states()
    assert (states[["price", "quantity"]] == ["basic", "5"]).all(axis=None)
    return [
        (
            days(row.valid_from),
            days(row.valid_to),
            None if getattr(row, column) != getattr(row, column) else getattr(row, column),
            row.confidence,
        )
        for row in states.itertuples(index=False)
    ]


def test_bill_paid_late_was_past_due(account: Account) -> None:
    account.subscription()
    bill(account, "in1", 0, paid_at=0)
    bill(account, "in2", 30, paid_at=41)
    assert told(account) == [
        (0, 30, "active", "exact"),
        (30, 41, "past_due", "exact"),
        (41, None, "active", "exact"),
    ]


def test_bill_that_was_sent_is_late_only_after_it_was_due(account: Account) -> None:
    account.subscription()
    bill(account, "in1", 0, due_date=20, paid_at=19)
    bill(account, "in2", 30, due_date=50, paid_at=55)
    bill(account, "in3", 90, "open", due_date=110)
    assert told(account) == [
        (0, 50, "active", "exact"),
        (50, 55, "past_due", "exact"),
        (55, None, "active", "exact"),
    ]


def test_bill_taken_back_ends_past_due(account: Account) -> None:
    account.subscription()
    bill(account, "in1", 0, paid_at=0)
    bill(account, "in2", 30, "void", voided_at=35)
    assert told(account) == [
        (0, 30, "active", "exact"),
        (30, 35, "past_due", "exact"),
        (35, None, "active", "exact"),
    ]


def test_bill_given_up_leaves_past_due_until_the_next_is_paid(account: Account) -> None:
    account.subscription()
    bill(account, "in1", 0, paid_at=0)
    bill(account, "in2", 30, "uncollectible", uncollectible_at=51)
    bill(account, "in3", 60, paid_at=60)
    assert told(account) == [
        (0, 30, "active", "exact"),
        (30, 60, "past_due", "exact"),
        (60, None, "active", "exact"),
    ]


def test_drafts_show_that_a_subscription_was_unpaid_since_its_last_bill(account: Account) -> None:
    account.subscription()
    bill(account, "in1", 0, paid_at=0)
    bill(account, "in2", 30, paid_at=70)
    bill(account, "in3", 60, "draft")
    assert told(account) == [
        (0, 30, "active", "exact"),
        (30, 70, "unpaid", "renewal"),
        (70, None, "active", "exact"),
    ]
    assert told(account, "collection_paused")[0][2] is None


def test_unpaid_today_is_unpaid_since_its_bill_unless_an_event_dates_it(account: Account) -> None:
    account.subscription(status="unpaid")
    bill(account, "in1", 0, paid_at=0)
    bill(account, "in2", 30, "open")
    assert told(account) == [(0, 30, "active", "exact"), (30, None, "unpaid", "renewal")]
    account.event("evt", 51, {"status": "unpaid"}, {"status": "past_due"})
    assert told(account) == [
        (0, 30, "active", "exact"),
        (30, 51, "past_due", "exact"),
        (51, None, "unpaid", "exact"),
    ]


def test_bill_marked_uncollectible_leaves_the_subscription_unpaid_from_then(account: Account) -> None:
    """Case 68, of 21 days: drafts show that it was unpaid, not since when."""
    account.subscription(status="unpaid")
    bill(account, "in1", 0, paid_at=0)
    bill(account, "in2", 30, "uncollectible", uncollectible_at=51)
    bill(account, "in3", 60, "draft")
    unpaid = [(0, 30, "active", "exact"), (30, 51, "past_due", "exact"), (51, None, "unpaid", "exact")]
    assert told(account) == unpaid
    for table in ("invoices", "invoice_lines"):
        account.rows[table].pop()
    assert told(account) == unpaid
    account.event("evt", 55, {"status": "unpaid"}, {"status": "past_due"})
    assert told(account) == [*unpaid[:1], (30, 55, "past_due", "exact"), (55, None, "unpaid", "exact")]


@pytest.mark.parametrize("reason", [None, "max_payment_attempts", "payment_not_received"])
def test_bill_marked_uncollectible_by_the_end_of_retries_is_unpaid_where_nothing_else_shows(
    account: Account, reason: str | None
) -> None:
    account.subscription(status="canceled", ended_at=day(58))
    bill(account, "in1", 0, paid_at=0)
    bill(account, "in2", 30, "uncollectible", uncollectible_at=51, uncollectible_reason=reason)
    assert told(account) == [
        (0, 30, "active", "exact"),
        (30, 51, "past_due", "exact"),
        (51, 58, "unpaid", "exact"),
    ]


def test_bill_paid_after_it_was_marked_uncollectible_ends_unpaid(account: Account) -> None:
    account.subscription()
    bill(account, "in1", 0, paid_at=0)
    bill(account, "in2", 30, uncollectible_at=51, paid_at=58)
    spells = [
        (0, 30, "active", "exact"),
        (30, 51, "past_due", "exact"),
        (51, 58, "unpaid", "exact"),
        (58, None, "active", "exact"),
    ]
    assert told(account) == spells


def test_draft_finalized_after_weeks_shows_that_the_subscription_was_unpaid(account: Account) -> None:
    """It comes back when its newest bill, a draft till then, is finalized and paid."""
    account.subscription()
    bill(account, "in1", 0, paid_at=0)
    bill(account, "in2", 30, "uncollectible", uncollectible_at=51)
    bill(account, "in3", 60, finalized_at=80, paid_at=80)
    spells = [
        (0, 30, "active", "exact"),
        (30, 51, "past_due", "exact"),
        (51, 80, "unpaid", "exact"),
        (80, None, "active", "exact"),
    ]
    assert told(account) == spells


def test_sent_bill_marked_uncollectible_after_it_was_due(account: Account) -> None:
    account.subscription(status="unpaid")
    bill(account, "in1", 0, due_date=20, paid_at=19)
    bill(account, "in2", 30, "uncollectible", due_date=50, uncollectible_at=80)
    assert told(account) == [
        (0, 50, "active", "exact"),
        (50, 80, "past_due", "exact"),
        (80, None, "unpaid", "exact"),
    ]


@pytest.mark.parametrize(
    ("told_of", "since"),
    [
        ({"uncollectible_at": 30 + 40 * MINUTE}, 30 + 40 * MINUTE),
        ({"uncollectible_at": 30 + 40 * MINUTE, "attempt_count": 1}, 30 + 40 * MINUTE),
        ({"uncollectible_at": 45, "attempt_count": 3, "uncollectible_reason": "user_forgiven"}, 45),
    ],
)
@pytest.mark.parametrize("status", ["active", "canceled"])
def test_bill_marked_uncollectible_by_a_person_is_settled(
    account: Account, told_of: dict[str, Any], since: float, status: str
) -> None:
    """Stripe sets the subscription active; whether it is billed again, or ends with its period, changes
    nothing.
    """
    account.subscription(status=status, ended_at=day(60) if status == "canceled" else None)
    bill(account, "in1", 0, paid_at=0)
    bill(account, "in2", 30, "uncollectible", **told_of)
    if status == "active":
        bill(account, "in3", 60, paid_at=60)
    spells = [(start, status) for start, _, status, _ in told(account)]
    assert spells == [(0, "active"), (30, "past_due"), (pytest.approx(since), "active")]
    assert told(account, "collection_paused")[0][2] is None


def test_retries_that_end_leave_past_due_where_billing_goes_on(account: Account) -> None:
    account.subscription()
    bill(account, "in1", 0, paid_at=0)
    bill(
        account, "in2", 30, "uncollectible", uncollectible_at=51, uncollectible_reason="max_payment_attempts"
    )
    bill(account, "in3", 60, paid_at=60)
    assert told(account) == [
        (0, 30, "active", "exact"),
        (30, 60, "past_due", "exact"),
        (60, None, "active", "exact"),
    ]


@pytest.mark.parametrize("reason", ["subscription_create", None])
def test_first_bill_answered_later_began_incomplete_and_days_later_by_a_slow_method(
    account: Account, reason: str | None
) -> None:
    account.subscription()
    bill(account, "in1", 0, reason=reason, paid_at=0.25)
    assert told(account) == [(0, 0.25, "incomplete", "exact"), (0.25, None, "active", "exact")]
    account.rows["invoices"][0]["paid_at"] = day(2 * MINUTE)
    assert [row[2] for row in told(account)] == ["incomplete", "active"]
    account.rows["invoices"][0]["paid_at"] = day(4)
    assert told(account) == [(0, None, "active", "exact")]


@pytest.mark.parametrize(
    ("behavior", "status", "dates"),
    [
        ("void", "void", {"voided_at": 30}),
        ("void", "void", {"voided_at": 30 + MINUTE, "attempt_count": 0}),
        (
            "mark_uncollectible",
            "uncollectible",
            {"uncollectible_at": 30, "attempt_count": 0, "uncollectible_reason": "subscription_paused"},
        ),
        ("mark_uncollectible", "uncollectible", {"uncollectible_at": 30}),
        ("keep_as_draft", "draft", {}),
    ],
)
def test_renewals_not_collected_at_once_were_paused(
    account: Account, behavior: str, status: str, dates: dict[str, float]
) -> None:
    account.subscription()
    bill(account, "in1", 0, paid_at=0)
    bill(account, "in2", 30, status, **dates)
    bill(account, "in3", 60, paid_at=60)
    paused = told(account, "collection_paused")
    assert paused == [(0, 30, None, "exact"), (30, 60, behavior, "renewal"), (60, None, None, "renewal")]
    assert told(account)[1][2] == "active"


@pytest.mark.parametrize(
    ("status", "told_of"),
    [
        ("void", {"voided_at": 30 + 40 * MINUTE, "attempt_count": 1}),
        ("void", {"voided_at": 30 + 40 * MINUTE}),
        ("void", {"voided_at": 30 + MINUTE, "attempt_count": 1}),
        ("void", {"voided_at": 30 + 40 * MINUTE, "attempt_count": 0, "due_date": 60}),
        ("uncollectible", {"uncollectible_at": 30 + 40 * MINUTE, "attempt_count": 0}),
        (
            "uncollectible",
            {"uncollectible_at": 30, "attempt_count": 0, "uncollectible_reason": "user_forgiven"},
        ),
    ],
)
@pytest.mark.parametrize("ends", [False, True])
def test_bill_a_person_gave_up_is_no_pause(
    account: Account, status: str, told_of: dict[str, Any], ends: bool
) -> None:
    """Case 67: it was charged, or it was given up later than it was finalized; also where the source does not
    say whether it was charged.
    """
    account.subscription(
        **{"status": "canceled", "ended_at": day(60), "cancel_at_period_end": True} if ends else {}
    )
    bill(account, "in1", 0, paid_at=0)
    bill(account, "in2", 30, status, **told_of)
    if not ends:
        bill(account, "in3", 60, paid_at=60)
    assert {row[2] for row in told(account, "collection_paused")} == {None}
    assert {row[2] for row in told(account)} <= {"active", "past_due"}


def test_period_that_is_billed_again_was_not_paused(account: Account) -> None:
    account.subscription()
    bill(account, "in1", 0, paid_at=0)
    bill(account, "in2", 30, "void", voided_at=30)
    account.invoice("in2b", 30.1, line("si", "basic", "5", 30, 60))
    account.rows["invoices"][-1] |= {
        "billing_reason": "manual",
        "finalized_at": day(30.1),
        "paid_at": day(30.2),
    }
    assert {row[2] for row in told(account, "collection_paused")} == {None}


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
    assert told(account) == [
        (0, 30, "active", "exact"),
        (30, 30.25, "past_due", "exact"),
        (30.25, None, "active", "exact"),
    ]


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
    assert [row[:3] for row in told(account)] == [
        (0, 14, "trialing"),
        (14, 40, "paused"),
        (40, None, "active"),
    ]
