"""Updates that waited for a payment, and those that never took effect (semantics 7, case 63)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expansion_platform_tests.domain.history_rows import Account, day, days, line, proration

HOUR = 1 / 24
ASKED, RENEWAL = 10.0, 30.0


@pytest.fixture
def account() -> Account:
    """Five seats of `basic`, renewed on day 30."""
    account = Account()
    account.price("yearly", unit_amount_decimal="10000", interval="year", product="prod_basic")
    account.subscription()
    bill(account, "in1", 0, line("si", "basic", "5", 0, RENEWAL))
    return account


def bill(
    account: Account,
    name: str,
    at: float,
    *lines: dict[str, Any],
    reason: str | None = "subscription_cycle",
    **dates: Any,
) -> None:
    """A bill finalized as it is made; paid at once where nothing else is said."""
    dates = dates or {"paid_at": at}
    status = (
        "void"
        if "voided_at" in dates
        else "uncollectible"
        if "uncollectible_at" in dates
        else "paid"
        if "paid_at" in dates
        else "open"
    )
    account.invoice(name, at, *lines, status=status)
    instants = {key: None if value is None else day(value) for key, value in dates.items()}
    account.rows["invoices"][-1] |= {"billing_reason": reason, "finalized_at": day(at)} | instants


def seats(
    before: str, after: str, at: float = ASKED, price: str = "basic"
) -> tuple[dict[str, Any], dict[str, Any]]:
    return proration("si", "basic", before, at, RENEWAL, -100), proration(
        "si", price, after, at, RENEWAL, 200
    )


def asked(account: Account, name: str, at: float, *lines: dict[str, Any], **dates: Any) -> None:
    bill(account, name, at, *lines, reason=dates.pop("reason", "subscription_update"), **dates)


def renewed(account: Account, quantity: str = "5", price: str = "basic") -> None:
    bill(account, "in_renewed", RENEWAL, line("si", price, quantity, RENEWAL, RENEWAL + 30))
    account.item("si", price, quantity)


def held(account: Account) -> list[tuple[Any, ...]]:
    """(from day, quantity) of each change of quantity."""
    return [
        (days(row.valid_from), row.quantity)
        for row in account.states().drop_duplicates("quantity").itertuples(index=False)
    ]


def statuses(account: Account) -> list[tuple[Any, ...]]:
    return [(days(row.valid_from), row.status) for row in account.states().itertuples(index=False)]


EXPIRES = ASKED + 23 * HOUR
UNCHANGED = [("si", 0, None, "basic", "5")]


@pytest.mark.parametrize(
    ("reason", "voided"),
    [
        ("subscription_update", EXPIRES),
        ("subscription_update", ASKED + HOUR),
        ("subscription_update", ASKED + 3),
        ("subscription", EXPIRES),
        (None, EXPIRES),
    ],
)
def test_seats_never_paid_for_were_never_held(account: Account, reason: str | None, voided: float) -> None:
    asked(account, "in2", ASKED, *seats("5", "8"), reason=reason, voided_at=voided)
    renewed(account)
    assert account.story() == UNCHANGED
    assert statuses(account) == [(0, "active")]


@pytest.mark.parametrize(
    "wanted",
    [
        seats("5", "5", price="pro"),
        (proration("si", "basic", "5", ASKED, RENEWAL, -100), line("si", "yearly", "5", ASKED, ASKED + 365)),
        (proration("sj", "extra", "3", ASKED, RENEWAL, 100),),
        (
            proration("si", "basic", "5", ASKED, RENEWAL, -100),
            proration("sj", "pro", "5", ASKED, RENEWAL, 200),
        ),
        (proration("si", "basic", "5", ASKED, RENEWAL, -100),),
    ],
    ids=["plan", "interval", "item added", "item swapped", "item removed"],
)
@pytest.mark.parametrize("renews", [True, False])
def test_no_change_is_made_by_an_update_that_was_not_paid(
    account: Account, wanted: tuple[dict[str, Any], ...], renews: bool
) -> None:
    asked(account, "in2", ASKED, *(dict(each) for each in wanted), voided_at=EXPIRES)
    renewed(account) if renews else account.item("si", "basic", "5")
    assert account.story() == UNCHANGED


def test_update_that_still_waits_has_not_happened(account: Account) -> None:
    """Read six hours after it was asked for."""
    for rows in account.rows.values():
        for row in rows:
            row["observed_at"] = day(ASKED + 6 * HOUR)
    asked(account, "in2", ASKED, *seats("5", "8"), due_date=None)
    account.item("si", "basic", "5")
    for name in ("invoices", "subscription_items"):
        account.rows[name][-1]["observed_at"] = day(ASKED + 6 * HOUR)
    assert account.story() == UNCHANGED
    assert statuses(account) == [(0, "active")]


def test_update_paid_hours_later_holds_from_its_payment(account: Account) -> None:
    asked(account, "in2", ASKED, *seats("5", "8"), paid_at=ASKED + 0.5)
    renewed(account, "8")
    assert account.story() == [("si", 0, 10.5, "basic", "5"), ("si", 10.5, None, "basic", "8")]
    assert statuses(account) == [(0, "active"), (10.5, "active")]
    assert account.states()["confidence"].tolist() == ["exact", "exact"]


def test_item_added_by_an_update_paid_later_is_there_from_its_payment(account: Account) -> None:
    asked(
        account,
        "in2",
        ASKED,
        *seats("5", "0")[:1],
        proration("sj", "pro", "5", ASKED, RENEWAL, 200),
        paid_at=ASKED + 0.5,
    )
    account.item("sj", "pro", "5", ASKED)
    assert account.story() == [("si", 0, 10.5, "basic", "5"), ("sj", 10.5, None, "pro", "5")]


def test_update_paid_after_days_was_made_at_once(account: Account) -> None:
    """No update waits so long: it was made with the default behaviour, and the subscription was past due."""
    asked(account, "in2", ASKED, *seats("5", "8"), paid_at=ASKED + 3)
    renewed(account, "8")
    assert account.story()[0] == ("si", 0, 10, "basic", "5")
    assert statuses(account) == [(0, "active"), (10, "past_due"), (13, "active")]


@pytest.mark.parametrize("renews", [True, False])
@pytest.mark.parametrize(
    "dates",
    [{"voided_at": ASKED + 3}, {"voided_at": EXPIRES}, {"uncollectible_at": ASKED + 20}, {"due_date": None}],
)
def test_change_that_is_there_later_was_made_though_its_bill_was_not_paid(
    account: Account, renews: bool, dates: dict[str, Any]
) -> None:
    asked(account, "in2", ASKED, *seats("5", "8"), **dates)
    renewed(account, "8") if renews else account.item("si", "basic", "8")
    assert held(account) == [(0, "5"), (10, "8")]


def test_change_whose_bill_was_voided_is_shown_by_what_the_next_change_credits(account: Account) -> None:
    asked(account, "in2", ASKED, *seats("5", "8"), voided_at=ASKED + 1)
    asked(account, "in3", 20, *seats("8", "9", 20))
    renewed(account, "9")
    assert held(account) == [(0, "5"), (10, "8"), (20, "9")]


def test_the_next_change_credits_what_was_there_and_not_what_was_wanted(account: Account) -> None:
    """The same seats, asked for again after the card was changed."""
    asked(account, "in2", ASKED, *seats("5", "8"), voided_at=EXPIRES)
    asked(account, "in3", 20, *seats("5", "8", 20))
    renewed(account, "8")
    assert account.story() == [("si", 0, 20, "basic", "5"), ("si", 20, None, "basic", "8")]


def test_year_that_is_asked_for_again_begins_when_it_is_paid(account: Account) -> None:
    year = [
        (proration("si", "basic", "5", at, RENEWAL, -100), line("si", "yearly", "5", at, at + 365))
        for at in (ASKED, 20)
    ]
    asked(account, "in2", ASKED, *year[0], voided_at=EXPIRES)
    asked(account, "in3", 20, *year[1], paid_at=20)
    account.item("si", "yearly", "5")
    assert account.story() == [("si", 0, 20, "basic", "5"), ("si", 20, None, "yearly", "5")]


def test_several_wishes_in_a_row(account: Account) -> None:
    for number, quantity in enumerate(("8", "12", "7")):
        asked(
            account,
            f"in_{number}",
            ASKED + number,
            *seats("5", quantity, ASKED + number),
            voided_at=ASKED + number + 23 * HOUR,
        )
    asked(account, "in3", 15, *seats("5", "6", 15), paid_at=15 + HOUR)
    renewed(account, "6")
    assert account.story() == [
        ("si", 0, pytest.approx(15 + HOUR), "basic", "5"),
        ("si", pytest.approx(15 + HOUR), None, "basic", "6"),
    ]


def test_two_changes_whose_bills_were_voided_show_each_other(account: Account) -> None:
    asked(account, "in2", ASKED, *seats("5", "8"), voided_at=ASKED + 1)
    asked(account, "in3", 20, *seats("8", "9", 20), voided_at=21)
    renewed(account, "9")
    assert held(account) == [(0, "5"), (10, "8"), (20, "9")]


def test_wish_of_a_subscription_that_ended(account: Account) -> None:
    account.rows["subscriptions"][0] |= {"status": "canceled", "ended_at": day(20)}
    asked(account, "in2", ASKED, *seats("5", "8"), voided_at=EXPIRES)
    account.item("si", "basic", "5")
    assert account.story() == [("si", 0, 20, "basic", "5")]


def test_earlier_change_on_the_bill_of_a_wish_was_made(account: Account) -> None:
    asked(account, "in2", ASKED, *seats("5", "6", 4), *seats("6", "9"), voided_at=EXPIRES)
    renewed(account, "6")
    assert account.story() == [("si", 0, 4, "basic", "5"), ("si", 4, None, "basic", "6")]


def test_event_of_the_update_decides_before_anything_else(account: Account) -> None:
    """Its own event shows the new seats, so it was made at once; on day 20 others came without proration."""
    shown = [
        {"items": [{"id": "si", "price": "basic", "quantity": quantity}]} for quantity in ("5", "8", "9")
    ]
    asked(account, "in2", ASKED, *seats("5", "8"), voided_at=EXPIRES)
    account.event("evt_1", ASKED, shown[1], shown[0])
    account.event("evt_2", 20, shown[2], shown[1])
    renewed(account, "9")
    assert held(account) == [(0, "5"), (10, "8"), (20, "9")]


def test_event_that_shows_the_old_seats_says_that_the_update_waits(account: Account) -> None:
    """The same seats came without proration on day 20."""
    shown = [{"items": [{"id": "si", "price": "basic", "quantity": quantity}]} for quantity in ("5", "8")]
    asked(account, "in2", ASKED, *seats("5", "8"), voided_at=EXPIRES)
    account.event("evt_1", ASKED, shown[0], {})
    account.event("evt_2", 20, shown[1], shown[0])
    renewed(account, "8")
    assert held(account) == [(0, "5"), (20, "8")]


def test_trial_goes_on_when_its_early_end_was_not_paid() -> None:
    account = Account()
    account.subscription(trial_start=day(0), trial_end=day(14))
    bill(account, "in1", 0, line("si", "basic", "5", 0, 14, 0), reason="subscription_create")
    asked(account, "in2", 5, line("si", "basic", "5", 5, 35), voided_at=5.9)
    bill(account, "in3", 14, line("si", "basic", "5", 14, 44))
    account.item("si", "basic", "5")
    assert statuses(account) == [(0, "trialing"), (14, "active")]


def test_voided_renewal_is_no_wish(account: Account) -> None:
    """Seats changed without proration are shown by the renewal, also when its bill is taken back and they are
    changed again before the next.
    """
    bill(account, "in2", RENEWAL, line("si", "basic", "8", RENEWAL, 60), voided_at=RENEWAL + 2)
    bill(account, "in3", 60, line("si", "basic", "6", 60, 90))
    account.item("si", "basic", "6")
    assert held(account) == [(0, "5"), (30, "8"), (60, "6")]


WISHES = st.lists(
    st.tuples(st.integers(1, 27), st.sampled_from(["1", "2", "3"]), st.sampled_from(["basic", "pro"])),
    max_size=3,
    unique_by=lambda each: each[0],
)
SEATS = st.lists(st.tuples(st.integers(1, 27), st.integers(5, 9)), max_size=2, unique_by=lambda each: each[0])


@settings(max_examples=8, deadline=None)
@given(WISHES, SEATS, st.booleans())
def test_wishes_change_nothing(
    wishes: list[tuple[int, str, str]], changes: list[tuple[int, int]], renews: bool
) -> None:
    """Whatever was really changed between, the states are those of an account that never had the bills.
    Nobody wanted what is there later.
    """
    stories = []
    for wanted in (wishes, []):
        account = Account()
        account.subscription()
        bill(account, "in1", 0, line("si", "basic", "5", 0, RENEWAL))
        held = [(0, "5"), *((at, str(quantity)) for at, quantity in sorted(changes))]
        for number, ((_, before), (at, now)) in enumerate(pairwise(held)):
            asked(account, f"in_made_{number}", at, *seats(before, now, at))
        for number, (day_of, quantity, price) in enumerate(wanted):
            at = day_of + 0.5
            before = next(now for since, now in reversed(held) if since < at)
            asked(
                account,
                f"in_wish_{number}",
                at,
                *seats(before, quantity, at, price),
                voided_at=at + 23 * HOUR,
            )
        renewed(account, held[-1][1]) if renews else account.item("si", "basic", held[-1][1])
        stories.append(account.states().drop(columns="evidence_json"))
    assert stories[0].equals(stories[1])
