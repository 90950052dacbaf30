"""Bills that are not paid at once, as a company with such behaviours holds them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from expansion_platform.simulator.company.company import AS_OF, Company, simulate
from expansion_platform_tests.simulator.shape_check import check_shape

BEHAVIOURS = frozenset(
    {
        "pending_update",
        "update_unpaid",
        "bill_by_hand",
        "uncollectible_unpaid",
        "first_payment",
        "incomplete",
        "pause_collection",
    }
)
HOUR = 3_600
STATUSES = {"void": "voided_at", "uncollectible": "marked_uncollectible_at"}


@pytest.fixture(scope="module")
def company() -> Company:
    return company_at(AS_OF)


def company_at(as_of: datetime) -> Company:
    return simulate(4, customers=120, months=20, as_of=as_of, behaviours=BEHAVIOURS)


def bills(
    company: Company, status: str, reason: str = "subscription_cycle"
) -> Iterator[tuple[dict[str, Any], dict[str, int]]]:
    """(bill, seconds from its finalization to each later transition)."""
    for bill in company.account.objects["invoices"]:
        if (bill["status"], bill["billing_reason"]) == (status, reason):
            dates = {
                name: at - bill["created"]
                for name, at in bill["status_transitions"].items()
                if at is not None
            }
            yield bill, dates


def begins(company: Company, bill: dict[str, Any], after: int) -> bool:
    """Whether something of a bill's subscription truly changed that many seconds after it was made."""
    states = company.truth.states
    own = states["subscription"] == bill["parent"]["subscription_details"]["subscription"]
    return bool(
        (states.loc[own, "valid_from"] == pd.Timestamp(bill["created"] + after, unit="s", tz="UTC")).any()
    )


def test_updates_that_wait_are_voided_within_23_hours_and_change_nothing(company: Company) -> None:
    waited = [
        (bill, dates)
        for bill, dates in bills(company, "void", "subscription_update")
        if not begins(company, bill, 0)
    ]
    assert {dates["voided_at"] == 23 * HOUR for _, dates in waited} == {True, False}
    assert all(dates["voided_at"] <= 23 * HOUR and bill["attempt_count"] == 1 for bill, dates in waited)
    assert not any(begins(company, bill, dates["voided_at"]) for bill, dates in waited)
    assert {
        line["parent"]["subscription_item_details"]["proration"]
        for bill, _ in waited
        for line in bill["lines"]["data"]
    } == {True, False}


def test_updates_paid_within_23_hours_are_made_then(company: Company) -> None:
    late = [
        (bill, dates["paid_at"])
        for bill, dates in bills(company, "paid", "subscription_update")
        if 0 < dates["paid_at"] < 23 * HOUR
    ]
    assert len(late) > 5
    assert all(begins(company, bill, after) and not begins(company, bill, 0) for bill, after in late)


def test_updates_made_at_once_are_there_though_their_bill_is_voided_or_paid_after_days(
    company: Company,
) -> None:
    made = [bill for bill, _ in bills(company, "void", "subscription_update") if begins(company, bill, 0)]
    late = [
        bill for bill, dates in bills(company, "paid", "subscription_update") if dates["paid_at"] > 24 * HOUR
    ]
    assert made
    assert late
    assert all(begins(company, bill, 0) for bill in late)


def test_an_update_that_waits_is_on_the_subscription() -> None:
    """Read six hours after one was asked for."""
    asked = next(
        bill
        for bill, dates in bills(company_at(AS_OF), "void", "subscription_update")
        if dates["voided_at"] == 23 * HOUR
    )
    now = company_at(datetime.fromtimestamp(asked["created"], AS_OF.tzinfo) + timedelta(hours=6))
    waiting = [each for each in now.account.objects["subscriptions"] if each["pending_update"] is not None]
    assert [
        each["latest_invoice"]
        for each in waiting
        if each["id"] == asked["parent"]["subscription_details"]["subscription"]
    ] == [asked["id"]]
    for subscription in waiting:
        check_shape(subscription, "Subscription")


def test_a_persons_hand_and_a_pause_can_be_told_apart(company: Company) -> None:
    found = {
        (status, bill["attempt_count"], dates[at] == 0)
        for status, at in STATUSES.items()
        for bill, dates in bills(company, status)
    }
    assert found >= {
        ("void", 0, True),
        ("void", 1, False),
        ("uncollectible", 0, True),
        ("uncollectible", 1, False),
        ("uncollectible", 4, False),
    }
    assert not any(attempts and at_once for _, attempts, at_once in found)
    reasons = {
        bill["status_details"]["uncollectible"]["reason"] for bill, _ in bills(company, "uncollectible")
    }
    assert reasons == {"subscription_paused", "user_forgiven", "max_payment_attempts"}


def test_a_first_payment_is_answered_after_the_months_end(company: Company) -> None:
    spells = company.truth.states.query("status == 'incomplete'")
    over = spells["valid_from"].dt.month != spells["valid_to"].dt.month
    assert 2 < over.sum() < len(spells)
    assert (spells["valid_to"] - spells["valid_from"]).max() < pd.Timedelta(hours=23)


def test_a_first_payment_by_a_slow_method_takes_days_and_is_active_meanwhile(company: Company) -> None:
    slow = [
        bill for bill, dates in bills(company, "paid", "subscription_create") if dates["paid_at"] > 23 * HOUR
    ]
    began = {
        bill["parent"]["subscription_details"]["subscription"]
        for bill in slow
        if bill["collection_method"] == "charge_automatically"
    }
    states = company.truth.states
    assert began
    assert set(states.loc[states["subscription"].isin(began)].groupby("subscription").head(1)["status"]) == {
        "active"
    }
