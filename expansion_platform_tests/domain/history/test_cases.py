"""The numbered cases of semantics section 7 about when something happened: from what Stripe tells to the
month it moves.

One subscription on plans of 10 (basic) and 20 dollars (pro) a seat and month; day 0 is 1 January 2026, 31 is
1 February, 59 is 1 March. Not here: the rules of rebuilding one by one (`test_history*.py`) and every case
two month ends decide (`domain/mrr/test_cases.py`).
"""

from __future__ import annotations

from dataclasses import fields

import pandas as pd
import pytest

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.core import months
from expansion_platform.domain.history.records import Staged
from expansion_platform.domain.mrr.movements import classify
from expansion_platform.domain.mrr.states import covers
from expansion_platform_tests.domain.books import catalog
from expansion_platform_tests.domain.history_rows import Account, day, line, proration

FEBRUARY, MARCH = "2026-02", "2026-03"


def told(account, month, timezone="UTC"):
    """(movement, opening, closing, causes) of the account's customer, None where nothing moved."""
    states = account.states()
    bounds = months.opening(month, timezone), months.closing(month, timezone)
    ends = [states[covers(states, bound)] for bound in bounds]
    found = classify(*ends, catalog=Catalog.from_dict(catalog()), rates_open={}, rates_close={}, ever_paid=())
    causes = dict(zip(found.causes["cause"], found.causes["amount"], strict=True))
    rows = [(row.movement, row.opening, row.closing, causes) for row in found.movements.itertuples()]
    return rows[0] if rows else None


def five_seats(**fields):
    account = Account()
    account.subscription(**fields)
    account.invoice("in_0", 0, line("si", "basic", "5", 0, 31))
    account.invoice("in_1", 31, line("si", "basic", "5", 31, 59))
    return account


def changed(account, number, before, after, on, *, until=59, credit=-1, debit=1):
    lines = (
        proration("si", "basic", before, on, until, credit),
        proration("si", "basic", after, on, until, debit),
    )
    account.invoice(f"in_{number}", on, *lines)


def seats_in_february(*quantities, on=(40, 45, 50), **amounts):
    """Five seats, then each quantity from its day on."""
    account = five_seats()
    for number, (before, after, day_of) in enumerate(
        zip(["5", *quantities], quantities, on, strict=False), 2
    ):
        changed(account, number, before, after, day_of, **amounts)
    account.item("si", "basic", quantities[-1])
    return account


def test_case_1_mid_month_change_counts_in_full():
    """8 seats from 10 February: 80 dollars at its end, not 50 and a part of 30."""
    assert told(seats_in_february("8"), FEBRUARY) == ("continuing", 5000, 8000, {"seat": 3000})


def test_case_2_several_changes_in_one_month_are_their_net():
    assert told(seats_in_february("8", "4", "6"), FEBRUARY) == ("continuing", 5000, 6000, {"seat": 1000})


def test_case_3_up_and_back_down_is_no_movement():
    assert told(seats_in_february("8", "5"), FEBRUARY) is None


@pytest.mark.parametrize("debit", [0, 1, 2400, 999_999])
def test_case_4_amounts_of_proration_lines_are_ignored(debit):
    assert told(seats_in_february("8", credit=-1500, debit=debit), FEBRUARY) == (
        "continuing",
        5000,
        8000,
        {"seat": 3000},
    )


def test_case_5_a_trial_that_converts_is_new_at_its_first_paid_closing():
    account = Account()
    account.subscription(trial_start=day(0), trial_end=day(40))
    account.item("si", "basic", "5")
    account.invoice("in_0", 0, line("si", "basic", "5", 0, 40, 0))
    account.invoice("in_1", 40, line("si", "basic", "5", 40, 68))
    assert [told(account, month) for month in ("2026-01", FEBRUARY, MARCH)] == [
        None,
        ("new", 0, 5000, {}),
        None,
    ]


def test_case_13_set_to_cancel_counts_until_it_has_ended():
    waiting = five_seats(cancel_at_period_end=True, cancel_at=day(59), canceled_at=day(40))
    waiting.item("si", "basic", "5")
    assert told(waiting, FEBRUARY) is None
    ended = five_seats(status="canceled", canceled_at=day(40), ended_at=day(59))
    ended.item("si", "basic", "5")
    assert [told(ended, month) for month in (FEBRUARY, MARCH)] == [None, ("churn", 5000, 0, {})]


def test_case_14_immediate_cancel():
    account = five_seats(status="canceled", ended_at=day(40))
    account.item("si", "basic", "5")
    assert told(account, FEBRUARY) == ("churn", 5000, 0, {})


def test_case_22_backdated_subscription_begins_in_the_month_it_says():
    """Sold on 1 January as of 22 November: November is where it is new."""
    account = Account()
    account.subscription(start=-40, created=day(0))
    account.item("si", "basic", "5")
    account.invoice("in_0", 0, line("si", "basic", "5", 0, 31))
    assert [told(account, month) for month in ("2025-11", "2025-12", "2026-01")] == [
        ("new", 0, 5000, {}),
        None,
        None,
    ]


@pytest.mark.parametrize("status", ["paid", "open", "uncollectible"])
@pytest.mark.parametrize("amount", [0, 2500, 5000])
def test_case_23_what_was_paid_credited_or_disputed_does_not_matter(status, amount):
    account = Account()
    account.subscription()
    account.item("si", "basic", "5")
    for number, (start, end) in enumerate(((0, 31), (31, 59), (59, 90))):
        account.invoice(f"in_{number}", start, line("si", "basic", "5", start, end, amount), status=status)
    assert [told(account, month) for month in (FEBRUARY, MARCH)] == [None, None]
    assert not {"refunds", "credit_notes", "disputes", "charges"} & {table.name for table in fields(Staged)}


def test_case_53_deleted_customer_has_left():
    """Stripe cancels the subscriptions of a customer at once when it is deleted."""
    account = five_seats(status="canceled", ended_at=day(40))
    account.item("si", "basic", "5")
    account.customer(deleted=True)
    assert told(account, FEBRUARY) == ("churn", 5000, 0, {})


def test_case_54_a_month_begins_at_local_midnight_also_in_summer_time():
    """31 March 22:30 UTC is April in Berlin, which is two hours ahead by then and one hour ahead at the
    beginning of March.
    """
    assert months.opening(MARCH, "Europe/Berlin") == pd.Timestamp("2026-02-28 23:00", tz="UTC")
    assert months.opening("2026-04", "Europe/Berlin") == pd.Timestamp("2026-03-31 22:00", tz="UTC")
    account = Account()
    account.subscription()
    account.item("si", "basic", "8")
    account.invoice("in_0", 0, line("si", "basic", "5", 0, 120))
    changed(account, 1, "5", "8", 89.9375, until=120)
    more = ("continuing", 5000, 8000, {"seat": 3000})
    assert [told(account, month) for month in (MARCH, "2026-04")] == [more, None]
    assert [told(account, month, "Europe/Berlin") for month in (MARCH, "2026-04")] == [None, more]


def test_case_55_the_length_of_a_month_does_not_matter():
    """10 dollars a day and 70 a week are 304.17 a month each: in February, in a leap year's, and in a month
    of 31 days.
    """
    account = Account()
    account.price("daily", unit_amount_decimal="1000", interval="day")
    account.price("weekly", unit_amount_decimal="7000", interval="week")
    account.subscription()
    account.item("si_d", "daily", "1")
    account.item("si_w", "weekly", "1")
    assert told(account, "2026-01") == ("new", 0, 2 * 30417, {})
    assert [told(account, month) for month in (FEBRUARY, MARCH, "2028-02", "2028-03")] == [None] * 4


def test_case_56_a_change_exactly_at_the_boundary_is_of_the_later_month():
    account = Account()
    account.subscription()
    account.item("si", "basic", "8")
    account.invoice("in_0", 0, line("si", "basic", "5", 0, 59))
    changed(account, 1, "5", "8", 31)
    assert told(account, "2026-01") == ("new", 0, 5000, {})
    assert told(account, FEBRUARY) == ("continuing", 5000, 8000, {"seat": 3000})


@pytest.mark.parametrize("status", ["active", "past_due"])
def test_case_61_an_invoice_sent_and_not_yet_paid_counts_by_status(status):
    account = Account()
    account.subscription(status=status)
    account.item("si", "basic", "5")
    account.invoice("in_0", 0, line("si", "basic", "5", 0, 31), status="open")
    assert told(account, "2026-01") == ("new", 0, 5000, {})


def test_case_62_order_and_replays_change_nothing():
    account = five_seats()
    account.item("si", "basic", "9")
    seats = [
        {
            "items": [
                {"id": "si", "price": "basic", "product": "prod_basic", "quantity": count, "discounts": []}
            ]
        }
        for count in ("5", "7", "9")
    ]
    account.event("evt_1", 40, seats[1], seats[0])
    account.event("evt_2", 45, seats[2], seats[1])
    once = account.states()
    for rows in account.rows.values():
        rows.reverse()
    assert once.equals(account.states())
    account.event("evt_3", 45, seats[2], seats[1])  # the same change told again, under another id
    assert told(account, FEBRUARY) == ("continuing", 5000, 9000, {"seat": 4000})
    assert once.drop(columns="evidence_json").equals(account.states().drop(columns="evidence_json"))


def finalized(account, reason, **told_of):
    """What Stripe says of the newest bill; dates are days."""
    row = account.rows["invoices"][-1]
    row |= {"billing_reason": reason, "finalized_at": row["created"]}
    row |= {key: day(value) if key.endswith("_at") else value for key, value in told_of.items()}


@pytest.mark.parametrize(
    ("held", "march", "april"), [("5", None, None), ("8", ("continuing", 5000, 8000, {"seat": 3000}), None)]
)
def test_case_63_update_that_is_never_paid_was_never_made(held, march, april):
    """8 seats asked for on 10 March, the bill void on 11 March: 50 dollars throughout, unless the renewal
    shows the 8.
    """
    account = five_seats()
    account.item("si", "basic", held)
    account.invoice("in_2", 59, line("si", "basic", "5", 59, 90))
    wanted = proration("si", "basic", "5", 68, 90, -3500), proration("si", "basic", "8", 68, 90, 5600)
    account.invoice("in_3", 68, *wanted, status="void")
    finalized(account, "subscription_update", voided_at=69)
    account.invoice("in_4", 90, line("si", "basic", held, 90, 120))
    assert [told(account, month) for month in (MARCH, "2026-04")] == [march, april]


@pytest.mark.parametrize(
    ("status", "told_of"), [("void", {"voided_at": 31.03}), ("uncollectible", {"uncollectible_at": 31.03})]
)
@pytest.mark.parametrize("attempts", [1, None])
def test_case_67_bill_given_up_by_a_person_is_no_pause(status, told_of, attempts):
    account = five_seats()
    account.item("si", "basic", "5")
    account.rows["invoices"][-1]["status"] = status
    finalized(account, "subscription_cycle", attempt_count=attempts, **told_of)
    account.invoice("in_2", 59, line("si", "basic", "5", 59, 90))
    assert [told(account, month) for month in (FEBRUARY, MARCH)] == [None, None]


def test_case_68_bill_marked_uncollectible_later_counts_until_then():
    """The bill is of 1 February and marked on 11 March: February's close counts."""
    account = five_seats(status="unpaid")
    account.item("si", "basic", "5")
    account.rows["invoices"][-1]["status"] = "uncollectible"
    finalized(account, "subscription_cycle", uncollectible_at=69, attempt_count=4)
    assert [told(account, month) for month in (FEBRUARY, MARCH)] == [None, ("churn", 5000, 0, {})]


@pytest.mark.parametrize("answered", [31 + 10 / 24, 31 + 1 / 144])
def test_case_12_first_payment_answered_after_the_month_is_new_in_the_next(answered):
    """Incomplete from 31 January, 23:40, until it is paid in February."""
    begun = 31 - 1 / 72
    account = Account()
    account.subscription(begun)
    account.item("si", "basic", "5", begun)
    account.invoice("in_0", begun, line("si", "basic", "5", begun, begun + 31))
    finalized(account, "subscription_create", paid_at=answered)
    assert [told(account, month) for month in ("2026-01", FEBRUARY)] == [None, ("new", 0, 5000, {})]
