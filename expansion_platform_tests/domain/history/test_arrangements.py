"""Billing beyond the plain: cycles begun anew, backdated starts, flexible billing, trials of one item
(reference 2.5, steps 5, 9, 12, 13).
"""

from __future__ import annotations

import json

import pytest

from expansion_platform_tests.domain.history_rows import Account, day, days, discount, line, proration


@pytest.fixture
def account() -> Account:
    return Account()


def credit(item: str, price: str, quantity: str, start: float, end: float, *lines: str) -> dict[str, object]:
    return proration(item, price, quantity, start, end, -100) | {"credited_lines_json": json.dumps(lines)}


def test_upgrade_in_mid_year_with_a_new_cycle(account: Account) -> None:
    account.price("plus", unit_amount_decimal="90000", interval="year")
    account.price("team", unit_amount_decimal="50000", interval="year")
    account.subscription()
    account.item("si", "plus", "5")
    account.invoice("in1", 0, line("si", "team", "5", 0, 365))
    account.invoice("in2", 90, credit("si", "team", "5", 90, 365, "in1_0"), line("si", "plus", "5", 90, 455))
    assert account.story() == [("si", 0, 90, "team", "5"), ("si", 90, None, "plus", "5")]
    # The plan may have been changed without proration before.
    assert account.states()["confidence"].tolist() == ["exact", "renewal"]


def test_new_cycle_without_credit_dates_its_change(account: Account) -> None:
    account.subscription()
    account.item("si", "basic", "8")
    account.invoice("in1", 0, line("si", "basic", "5", 0, 30))
    account.invoice("in2", 12, line("si", "basic", "8", 12, 42))
    assert account.story() == [("si", 0, 12, "basic", "5"), ("si", 12, None, "basic", "8")]


def test_backdated_subscription_begins_with_its_start_date_billed_or_not(account: Account) -> None:
    account.subscription(0, created=day(40))
    account.item("si", "basic", "5", created=40)
    account.invoice("in1", 40, line("si", "basic", "5", 40, 70))
    unbilled = account.story()
    account.invoice("in0", 40, line("si", "basic", "5", 0, 30), line("si", "basic", "5", 30, 40))
    assert unbilled == account.story() == [("si", 0, None, "basic", "5")]


def test_bill_of_time_gone_by_lists_the_discounts_of_its_own_day(account: Account) -> None:
    given = discount("di", "ten", 40)
    account.coupon("ten", percent="10")
    account.subscription(
        0, created=day(40), discounts=({name: given[name] for name in ("id", "coupon", "start", "end")},)
    )
    account.item("si", "basic", "5", created=40)
    lines = (
        line("si", "basic", "5", 0, 30),
        line("si", "basic", "5", 30, 40),
        line("si", "basic", "5", 40, 70, off={"di": 500}),
    )
    account.invoice("in1", 40, *lines, discounts=(given,))
    assert account.discounts() == [("si", 0, 40, []), ("si", 40, None, [("ten", "10")])]


def test_one_change_credits_every_line_that_debited(account: Account) -> None:
    """A graduated price billed a line a tier: three credits, none of them of the quantity held, and one
    debit.
    """
    tiers = [{"up_to": 10, "unit": "0", "flat": "9900"}, {"up_to": None, "unit": "800", "flat": "0"}]
    account.price(
        "seats",
        billing_scheme="tiered",
        tiers_mode="graduated",
        unit_amount_decimal=None,
        tiers_json=json.dumps(tiers),
    )
    account.subscription()
    account.item("si", "seats", "10")
    bill = [
        line("si", "seats", "10", 0, 30, 0),
        line("si", "seats", "0", 0, 30, 9900),
        line("si", "seats", "15", 0, 30, 12000),
    ]
    account.invoice("in1", 0, *bill)
    credits = credit("si", "seats", "0", 12, 30, "in1_1"), credit("si", "seats", "15", 12, 30, "in1_2")
    account.invoice(
        "in2",
        30,
        line("si", "seats", "10", 30, 60, 9900),
        *credits,
        proration("si", "seats", "10", 12, 30, 5940),
    )
    assert account.story() == [("si", 0, 12, "seats", "25"), ("si", 12, None, "seats", "10")]
    assert json.loads(account.states()["evidence_json"][0]) == ["in1_0", "in2_1", "in2_2"]


def test_credit_of_what_was_debited_hides_a_change_without_proration(account: Account) -> None:
    """5, then 8 without proration, then 9: flexible billing credits the 5 it charged, and no record tells of
    the 8.
    """
    account.subscription()
    account.item("si", "basic", "9")
    account.invoice("in1", 0, line("si", "basic", "5", 0, 30))
    change = credit("si", "basic", "5", 20, 30, "in1_0"), proration("si", "basic", "9", 20, 30, 3000)
    account.invoice("in2", 30, line("si", "basic", "9", 30, 60), *change)
    assert account.story() == [("si", 0, 20, "basic", "5"), ("si", 20, None, "basic", "9")]


def test_lines_credited_whole_in_the_second_they_begin_assert_nothing(account: Account) -> None:
    """Renewed and changed in one second: the renewal's lines are credited by name, whatever part of it each
    one was.
    """
    account.subscription()
    account.item("si", "pro", "4")
    account.invoice("in1", 0, line("si", "basic", "5", 0, 30))
    account.invoice("in2", 30, line("si", "basic", "5", 30, 60))
    account.invoice("in3", 30, credit("si", "basic", "2", 30, 60, "in2_0"), line("si", "pro", "4", 30, 60))
    assert account.story() == [("si", 0, 30, "basic", "5"), ("si", 30, None, "pro", "4")]


def statuses(account: Account) -> list[tuple[object, ...]]:
    return [
        (row.item, days(row.valid_from), days(row.valid_to), row.status)
        for row in account.states().itertuples(index=False)
    ]


def test_item_billed_at_nothing_beside_others_is_on_trial(account: Account) -> None:
    account.subscription()
    account.item("si", "basic", "5")
    account.item("sj", "extra", "2", created=10)
    account.invoice("in1", 0, line("si", "basic", "5", 0, 30, 5000))
    account.invoice("in2", 10, line("sj", "extra", "2", 10, 30, 0))
    account.invoice("in3", 30, line("si", "basic", "5", 30, 60, 5000), line("sj", "extra", "2", 30, 60, 1000))
    assert statuses(account) == [
        ("si", 0, None, "active"),
        ("sj", 10, 30, "trialing"),
        ("sj", 30, None, "active"),
    ]


def test_item_tells_of_its_own_trial_that_no_bill_shows(account: Account) -> None:
    account.subscription()
    account.item("si", "basic", "5")
    account.item("sj", "extra", "2", created=90, trial_start=day(90), trial_end=day(120))
    account.invoice("in1", 0, line("si", "basic", "5", 0, 365, 5000))
    assert statuses(account) == [("si", 0, None, "active"), ("sj", 90, None, "trialing")]


def test_introductory_price_is_a_price(account: Account) -> None:
    account.subscription()
    account.item("si", "extra", "2", trial_start=day(0), trial_end=day(120))
    account.invoice("in1", 0, line("si", "extra", "2", 0, 30, 1000))
    assert statuses(account) == [("si", 0, None, "active")]


def test_free_price_is_no_trial_and_neither_is_nothing_used(account: Account) -> None:
    account.price("free", unit_amount_decimal="0")
    account.price("use", unit_amount_decimal="4", usage_type="metered")
    account.subscription()
    account.item("si", "free", "5")
    account.item("sj", "use", None)
    account.invoice("in1", 0, line("si", "free", "5", 0, 30, 0), line("sj", "use", "0", 0, 30, 0))
    assert {row[3] for row in statuses(account)} == {"active"}


def test_nothing_is_taken_off_an_item_on_trial(account: Account) -> None:
    account.coupon("off", amount=300, currency="usd")
    given = discount("di", "off", 0)
    account.subscription(discounts=({name: given[name] for name in ("id", "coupon", "start", "end")},))
    account.item("si", "basic", "2")
    account.item("sj", "extra", "2", created=10)
    account.invoice("in1", 0, line("si", "basic", "2", 0, 30, 2000, off={"di": 300}), discounts=(given,))
    account.invoice("in2", 10, line("sj", "extra", "2", 10, 30, 0), discounts=(given,))
    both = (
        line("si", "basic", "2", 30, 60, 2000, off={"di": 200}),
        line("sj", "extra", "2", 30, 60, 1000, off={"di": 100}),
    )
    account.invoice("in3", 30, *both, discounts=(given,))
    assert account.discounts() == [
        ("si", 0, 30, [("off", "300")]),
        ("si", 30, None, [("off", "200")]),
        ("sj", 10, 30, []),
        ("sj", 30, None, [("off", "100")]),
    ]


def test_plan_replaced_item_by_item(account: Account) -> None:
    """Each added with proration, and the one before it deleted within the minute: they follow each other, and
    only the last is left.
    """
    minute = 1 / 1440
    account.subscription()
    account.item("sk", "extra", "5", created=20)
    account.invoice("in1", 0, line("si", "basic", "5", 0, 30))
    first = proration("sj", "pro", "5", 10, 30, 6667), credit("si", "basic", "5", 10 + minute, 30, "in1_0")
    second = proration("sk", "extra", "5", 20, 30, 833), credit("sj", "pro", "5", 20 + minute, 30, "in2_1")
    account.invoice("in2", 30, line("sk", "extra", "5", 30, 60), *first, *second)
    told = [
        (item, round(start, 3), end if end is None else round(end, 3))
        for item, start, end, _, _ in account.story()
    ]
    assert told == [("si", 0, 10.001), ("sj", 10, 20.001), ("sk", 20, None)]


def test_plan_swapped_twice_without_proration(account: Account) -> None:
    """The item still there tells when it was added, and the last one's end; the one between was first billed
    by a renewal.
    """
    account.subscription()
    account.item("sk", "extra", "5", created=45)
    account.invoice("in1", 0, line("si", "basic", "5", 0, 30))
    account.invoice("in2", 30, line("sj", "pro", "5", 30, 60))
    account.invoice("in3", 60, line("sk", "extra", "5", 60, 90))
    assert [row[:3] for row in account.story()] == [("si", 0, 30), ("sj", 30, 45), ("sk", 45, None)]


def test_item_an_event_no_longer_lists_was_gone_by_then(account: Account) -> None:
    account.subscription()
    account.item("si", "basic", "5")
    account.invoice("in1", 0, line("si", "basic", "5", 0, 365), line("sj", "extra", "2", 0, 365))
    held = {"id": "si", "price": "basic", "product": "prod_basic", "quantity": "5", "discounts": []}
    account.event("evt", 70, {"items": [held], "status": "active"}, {"status": "past_due"})
    assert [row[:3] for row in account.story()] == [("si", 0, None), ("sj", 0, 70)]


def test_revised_bill_gives_way_to_its_revision(account: Account) -> None:
    """Not so a void one: there the plan was held although the bill was taken back."""
    account.subscription()
    account.item("si", "basic", "5")
    account.invoice("in1", 0, line("si", "basic", "5", 0, 30), line("sj", "extra", "2", 0, 30), status="void")
    account.invoice("in2", 1, line("si", "basic", "5", 0, 30))
    assert {row[0] for row in account.story()} == {"si", "sj"}
    account.rows["invoices"][0]["revised_by"] = "in2"
    assert {row[0] for row in account.story()} == {"si"}
