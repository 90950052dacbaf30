"""Usage of metered items by calendar month, from bills in arrears (semantics 1.5, reference 2.5.10)."""

from __future__ import annotations

from typing import Any

import pytest

from expansion_platform.domain.core import canonical
from expansion_platform_tests.domain.history_rows import NOW, Account, day, days, discount, line, shown
from expansion_platform_tests.domain.whole_history import rebuild

JANUARY, FEBRUARY, MARCH, APRIL = 0, 31, 59, 90


@pytest.fixture
def account() -> Account:
    account = Account()
    account.price("calls", usage_type="metered", unit_amount_decimal="2")
    account.subscription()
    account.item("si", "calls", None)
    account.invoice("in0", 0, line("si", "calls", "0", 0, 31, 0))
    return account


def bill(
    account: Account, name: str, start: float, end: float, *quantities: str, amount: int = 100, **fields: Any
) -> None:
    account.invoice(
        name, end, *(line("si", "calls", quantity, start, end, amount) for quantity in quantities), **fields
    )


def told(account: Account, timezone: str = "UTC") -> list[tuple[Any, ...]]:
    states = rebuild(account.staged(), timezone).states
    return [
        (days(row.valid_from), days(row.valid_to), row.quantity, row.confidence)
        for row in states.itertuples(index=False)
    ]


def test_bill_of_a_calendar_month_is_that_months_usage_and_the_rest_goes_on_at_its_pace(
    account: Account,
) -> None:
    bill(account, "in1", JANUARY, FEBRUARY, "310")
    bill(account, "in2", FEBRUARY, MARCH, "560")
    bill(account, "in3", MARCH, APRIL, "0")
    assert told(account) == [
        (JANUARY, FEBRUARY, "310", "renewal"),
        (FEBRUARY, MARCH, "560", "renewal"),
        (MARCH, APRIL, "0", "renewal"),
        (APRIL, None, "0", "snapshot"),
    ]


def test_usage_is_spread_evenly_over_the_bills_own_period(account: Account) -> None:
    bill(account, "in1", 0, 15, "150")
    bill(account, "in2", 15, 45, "60")
    assert told(account) == [
        (JANUARY, FEBRUARY, "182", "renewal"),
        (FEBRUARY, MARCH, "56", "snapshot"),  # 14 days billed at 2 a day, and 14 more at that pace
        (MARCH, APRIL, "62", "snapshot"),
        (APRIL, None, "60", "snapshot"),
    ]


def test_spread_is_exact_and_rounded_once(account: Account) -> None:
    bill(account, "in1", 0, 37, "10")
    bill(account, "in2", 37, 100, "0")
    assert [row[2] for row in told(account)] == ["8.378378378378", "1.621621621622", "0", "0"]


def test_months_are_those_of_the_reporting_time_zone(account: Account) -> None:
    bill(account, "in1", 0, 100, "2400")
    assert [row[:3] for row in told(account, "America/New_York")][:2] == [
        (0, 5 / 24, "5"),
        (5 / 24, FEBRUARY + 5 / 24, "744"),
    ]


def test_one_line_a_tier_is_one_usage(account: Account) -> None:
    tiers = canonical.dumps(
        [{"up_to": 100, "unit": "0", "flat": "0"}, {"up_to": None, "unit": "2", "flat": "0"}]
    )
    account.rows["prices"][-1] |= {
        "billing_scheme": "tiered",
        "tiers_mode": "graduated",
        "tiers_json": tiers,
        "unit_amount_decimal": None,
    }
    account.invoice("in1", 31, line("si", "calls", "100", 0, 31, 0), line("si", "calls", "50", 0, 31, 100))
    assert told(account)[0] == (JANUARY, FEBRUARY, "150", "renewal")


def test_bill_taken_back_tells_no_usage(account: Account) -> None:
    bill(account, "in1", JANUARY, FEBRUARY, "310", status="void")
    bill(account, "in2", JANUARY, FEBRUARY, "31")
    bill(account, "in3", FEBRUARY, 100, "0")
    assert told(account)[0][2] == "31"


def test_nothing_billed_yet_is_no_usage(account: Account) -> None:
    assert {row[2:] for row in told(account)} == {("0", "snapshot")}


def test_usage_ends_with_the_subscription(account: Account) -> None:
    account.rows["subscriptions"][-1] |= {"status": "canceled", "ended_at": day(40)}
    bill(account, "in1", 0, 31, "310")
    assert told(account) == [(0, 31, "310", "renewal"), (31, 40, "90", "snapshot")]


# By meter


@pytest.fixture
def counted(account: Account) -> Account:
    """Billed 310 for January and 280 for February; the price has the meter `mtr`."""
    account.rows["prices"][-1]["meter"] = "mtr"
    bill(account, "in1", JANUARY, FEBRUARY, "310")
    bill(account, "in2", FEBRUARY, MARCH, "280")
    return account


def test_a_meters_days_are_the_months_usage_and_the_open_months_so_far(counted: Account) -> None:
    counted.used(0, *["1"] * 31, *["2"] * 28, *["3.5", None, "0"] + ["4"] * 28, *["7"] * 10)
    assert told(counted) == [
        (JANUARY, FEBRUARY, "31", "exact"),
        (FEBRUARY, MARCH, "56", "exact"),
        (MARCH, APRIL, "115.5", "exact"),
        (APRIL, None, "70", "snapshot"),
    ]
    states = rebuild(counted.staged()).states
    assert set(states["source"]) == {"meter"}
    assert states["evidence_json"].str.contains('"mtr"').all()


def test_a_month_the_days_do_not_cover_is_told_by_bills(counted: Account) -> None:
    """They began to be read in February, and ended in March though more of it has passed: the key may not
    read meters any more.
    """
    counted.used(20, *["1"] * 11, *["2"] * 28, *["3"] * 20)
    assert told(counted) == [
        (JANUARY, FEBRUARY, "310", "renewal"),
        (FEBRUARY, MARCH, "56", "exact"),
        (MARCH, APRIL, "310", "snapshot"),
        (APRIL, None, "300", "snapshot"),
    ]


def test_days_missing_in_between_are_not_days_without_use(counted: Account) -> None:
    counted.used(0, *["1"] * 40)
    counted.used(50, *["1"] * 50)
    assert [row[2:] for row in told(counted)] == [
        ("310", "renewal"),
        ("280", "renewal"),
        ("31", "exact"),
        ("10", "snapshot"),
    ]


def test_days_of_another_meter_or_an_unknown_formula_tell_nothing(counted: Account) -> None:
    counted.used(0, *["1"] * 100, meter="mtr_other")
    by_bills = told(counted)
    counted.used(0, *["1"] * 100, formula="median")
    assert told(counted) == by_bills
    assert by_bills[0] == (JANUARY, FEBRUARY, "310", "renewal")


def test_a_meter_of_the_last_value_shows_the_months_last(counted: Account) -> None:
    counted.used(0, *["9"] * 20, "5", *[None] * 10, "8", *[None] * 27, *[None] * 41, formula="last")
    assert [row[2] for row in told(counted)] == ["5", "8", "0", "0"]


def test_nothing_is_charged_for_a_sum_below_zero(counted: Account) -> None:
    counted.used(0, "-5", *["0"] * 99)
    assert told(counted)[0] == (JANUARY, FEBRUARY, "0", "exact")


def test_an_items_first_and_last_day_are_its_own(counted: Account) -> None:
    counted.rows["subscriptions"][-1] |= {
        "status": "canceled",
        "ended_at": day(40.5),
        "start_date": day(10.5),
    }
    counted.rows["subscription_items"][-1] |= {"created": day(10.5)}
    counted.rows["invoice_lines"].clear()
    counted.rows["invoices"].clear()
    counted.used(8, *["100"] * 2, *["1"] * 31, *["100"] * 3)
    assert told(counted) == [(10.5, 31, "21", "exact"), (31, 40.5, "10", "exact")]


def test_a_day_that_two_months_share_is_shared_by_the_hour(counted: Account) -> None:
    """Days are Stripe's, midnight to midnight UTC; in New York, January begins five hours into its first and
    ends five hours into the next.
    """
    counted.used(0, *["24"] * 31, "240", *["24"] * 68)
    assert [row[2] for row in told(counted, "America/New_York")][:3] == [
        "5",
        str(24 * 31 - 5 + 50),
        str(240 - 50 + 24 * 27 + 5),
    ]


def test_discount_on_a_bill_of_usage_was_not_in_force_before_the_bill(account: Account) -> None:
    account.coupon("ten", "forever", "10")
    account.rows["subscriptions"][-1]["discounts_json"] = canonical.dumps([shown(discount("di", "ten", 31))])
    bill(account, "in1", JANUARY, FEBRUARY, "310", discounts=(discount("di", "ten", 31),))
    bill(account, "in2", FEBRUARY, NOW, "0", discounts=(discount("di", "ten", 31),))
    assert [bool(found) for _, _, _, found in account.discounts()] == [False, True, True, True]
