"""When discounts were in force, and how they resolve onto items (semantics 1.6)."""

from __future__ import annotations

import pytest

from expansion_platform_tests.domain.history_rows import NOW, Account, day, discount, line, proration, shown


@pytest.fixture
def account() -> Account:
    account = Account()
    account.coupon("ten", percent="10")
    account.coupon("three_months", "repeating", percent="20.50", duration_in_months=3)
    account.coupon("first", "once", percent="50")
    account.coupon("hundred", amount=100, currency="usd")
    account.coupon("pro_only", percent="30", applies_to_json='["prod_pro"]')
    return account


def test_forever_from_its_start_while_listed(account: Account) -> None:
    given = discount("di", "ten", 10)
    account.subscription(discounts=(shown(given),))
    account.item("si", "basic", "5")
    account.invoice("in1", 0, line("si", "basic", "5", 0, 30))
    account.invoice("in2", 30, line("si", "basic", "5", 30, 60), discounts=(given,))
    assert account.discounts() == [("si", 0, 10, []), ("si", 10, None, [("ten", "10")])]
    assert (
        account.states()["discounts_json"].iloc[1]
        == '[{"coupon":"ten","duration":"forever","type":"percent","value":"10"}]'
    )


def test_forever_ends_with_the_renewal_that_no_longer_lists_it(account: Account) -> None:
    given = discount("di", "ten", 0)
    account.subscription()
    account.item("si", "basic", "5")
    account.invoice("in1", 0, line("si", "basic", "5", 0, 30), discounts=(given,))
    account.invoice("in2", 30, line("si", "basic", "5", 30, 60))
    assert account.discounts() == [("si", 0, 30, [("ten", "10")]), ("si", 30, None, [])]
    assert account.states()["confidence"].tolist() == ["exact", "renewal"]


def test_forever_taken_off_since_the_last_bill_ends_when_that_was_seen(account: Account) -> None:
    account.subscription()
    account.item("si", "basic", "5")
    account.invoice("in1", 80, line("si", "basic", "5", 80, 110), discounts=(discount("di", "ten", 80),))
    assert account.discounts() == [("si", 0, 80, []), ("si", 80, NOW, [("ten", "10")]), ("si", NOW, None, [])]


def test_removal_is_dated_by_its_event(account: Account) -> None:
    given = discount("di", "ten", 0)
    account.subscription()
    account.item("si", "basic", "5")
    account.invoice("in1", 0, line("si", "basic", "5", 0, 30), discounts=(given,))
    account.event(
        "evt",
        12,
        {"discounts": []},
        {"discounts": [{"id": "di", "coupon": None, "start": None, "end": None}]},
    )
    account.invoice("in2", 30, line("si", "basic", "5", 30, 60))
    assert account.discounts() == [("si", 0, 12, [("ten", "10")]), ("si", 12, None, [])]


def test_discount_of_an_ended_subscription_lasts_to_its_end(account: Account) -> None:
    account.subscription(status="canceled", ended_at=day(20))
    account.item("si", "basic", "5")
    account.invoice("in1", 0, line("si", "basic", "5", 0, 30), discounts=(discount("di", "ten", 0),))
    assert account.discounts() == [("si", 0, 20, [("ten", "10")])]


def test_repeating_ends_on_its_date_within_a_period(account: Account) -> None:
    given = discount("di", "three_months", 0, 40)
    account.subscription()
    account.item("si", "basic", "5")
    for number in range(3):
        listed = (given,) if number < 2 else ()
        account.invoice(
            f"in{number}",
            number * 30,
            line("si", "basic", "5", number * 30, number * 30 + 30),
            discounts=listed,
        )
    assert account.discounts() == [("si", 0, 40, [("three_months", "20.5")]), ("si", 40, None, [])]


def test_once_covers_the_period_of_the_line_it_reduced(account: Account) -> None:
    given = discount("di", "first", 0)
    account.subscription(trial_start=day(0), trial_end=day(14))
    account.item("si", "basic", "8")
    account.invoice("in1", 0, line("si", "basic", "5", 0, 14, 0), discounts=(given,))
    account.invoice("in2", 14, line("si", "basic", "5", 14, 44, 5000, off={"di": 2500}), discounts=(given,))
    account.invoice(
        "in3",
        44,
        line("si", "basic", "8", 44, 74),
        *(proration("si", "basic", q, 20, 44, a) for q, a in (("5", -1), ("8", 2))),
    )
    assert account.discounts() == [
        ("si", 0, 14, []),
        ("si", 14, 20, [("first", "50")]),
        ("si", 20, 44, [("first", "50")]),
        ("si", 44, None, []),
    ]


def test_once_ends_with_a_period_cut_short_by_a_new_cycle(account: Account) -> None:
    account.price("yearly", unit_amount_decimal="10000", interval="year", product="prod_basic")
    given = discount("di", "first", 0)
    account.subscription()
    account.item("si", "yearly", "5")
    account.invoice("in1", 0, line("si", "basic", "5", 0, 30, 5000, off={"di": 2500}), discounts=(given,))
    account.invoice(
        "in2", 10, line("si", "yearly", "5", 10, 375), proration("si", "basic", "5", 10, 30, -3333)
    )
    assert account.discounts() == [("si", 0, 10, [("first", "50")]), ("si", 10, None, [])]


def test_once_not_used_yet_is_not_in_force(account: Account) -> None:
    account.subscription(discounts=(shown(discount("di", "first", 5)),))
    account.item("si", "basic", "5")
    account.invoice("in1", 0, line("si", "basic", "5", 0, 30))
    assert account.discounts() == [("si", 0, None, [])]


def test_item_level_comes_before_subscription_level_and_products_limit(account: Account) -> None:
    own, shared, limited = (
        discount("di_own", "three_months", 0, 90),
        discount("di_sub", "ten", 0),
        discount("di_pro", "pro_only", 0),
    )
    account.subscription(discounts=(shown(shared), shown(limited)))
    account.item("si_a", "basic", "5", discounts=(shown(own),))
    account.item("si_b", "pro", "1")
    account.invoice(
        "in1",
        0,
        line("si_a", "basic", "5", 0, 30, discounts=(own,)),
        line("si_b", "pro", "1", 0, 30),
        discounts=(shared, limited),
    )
    assert account.discounts() == [
        ("si_a", 0, 90, [("three_months", "20.5"), ("ten", "10")]),
        ("si_a", 90, None, [("ten", "10")]),
        ("si_b", 0, None, [("ten", "10"), ("pro_only", "30")]),
    ]


def test_amount_off_is_shared_and_moves_when_a_sibling_changes(account: Account) -> None:
    given = discount("di", "hundred", 0)
    account.subscription(discounts=(shown(given),))
    account.item("si_a", "basic", "2")
    account.item("si_b", "extra", "8")
    account.invoice(
        "in1", 0, line("si_a", "basic", "2", 0, 30), line("si_b", "extra", "2", 0, 30), discounts=(given,)
    )
    account.pending("ii1", proration("si_b", "extra", "2", 10, 30, -667))
    account.pending("ii2", proration("si_b", "extra", "8", 10, 30, 2667))
    assert account.discounts() == [
        ("si_a", 0, 10, [("hundred", "67")]),
        ("si_a", 10, None, [("hundred", "33")]),
        ("si_b", 0, 10, [("hundred", "33")]),
        ("si_b", 10, None, [("hundred", "67")]),
    ]
    assert account.states()["source"].tolist() == ["invoice_line", "proration", "invoice_line", "proration"]


def test_share_that_a_sibling_moved_is_known_as_surely_as_the_sibling(account: Account) -> None:
    """The customer's discount, which begins exactly there, is none of the subscription's as long as it has
    its own.
    """
    shared, customers = discount("di", "hundred", 0), discount("di_cus", "ten", 30, subscription=None)
    account.customer(customers)
    account.subscription(discounts=(shown(shared),))
    account.item("si_a", "basic", "2")
    account.item("si_b", "extra", "12")
    account.invoice(
        "in1", 0, line("si_a", "basic", "2", 0, 30), line("si_b", "extra", "4", 0, 30), discounts=(shared,)
    )
    account.invoice(
        "in2",
        30,
        line("si_a", "basic", "2", 30, 60),
        line("si_b", "extra", "12", 30, 60),
        discounts=(shared,),
    )
    assert account.discounts() == [
        ("si_a", 0, 30, [("hundred", "50")]), ("si_a", 30, None, [("hundred", "25")]),
        ("si_b", 0, 30, [("hundred", "50")]), ("si_b", 30, None, [("hundred", "75")]),
    ]  # fmt: skip
    assert account.states()["confidence"].tolist() == ["exact", "renewal", "exact", "renewal"]


def test_customer_level_counts_only_where_the_subscription_has_none(account: Account) -> None:
    customers, own = (
        discount("di_cus", "ten", 0, subscription=None),
        discount("di_sub", "three_months", 20, 60),
    )
    account.customer(customers)
    account.subscription()
    account.item("si", "basic", "5")
    account.invoice("in1", 0, line("si", "basic", "5", 0, 30), discounts=(customers,))
    account.invoice("in2", 30, line("si", "basic", "5", 30, 60), discounts=(own,))
    account.invoice("in3", 60, line("si", "basic", "5", 60, 90), discounts=(customers,))
    assert account.discounts() == [
        ("si", 0, 20, [("ten", "10")]),
        ("si", 20, 60, [("three_months", "20.5")]),
        ("si", 60, None, [("ten", "10")]),
    ]


def test_discount_given_to_one_bill_is_no_discount_of_the_item(account: Account) -> None:
    account.subscription()
    account.item("si", "basic", "5")
    account.invoice(
        "in1",
        0,
        line("si", "basic", "5", 0, 30),
        discounts=(discount("di", "ten", 0, subscription=None) | {"invoice": "in1"},),
    )
    assert account.discounts() == [("si", 0, None, [])]


def test_item_level_discount_ends_when_its_item_was_read_without_it(account: Account) -> None:
    given = discount("di", "three_months", 0, 70)
    account.subscription(observed_at=day(20))
    account.item("si", "basic", "5", observed_at=day(75))
    account.invoice("in1", 0, line("si", "basic", "5", 0, 365, discounts=(given,)))
    assert account.discounts() == [("si", 0, 70, [("three_months", "20.5")]), ("si", 70, None, [])]


def test_order_is_the_lists_whatever_other_discounts_a_line_shows(account: Account) -> None:
    own = discount("di_own", "three_months", 0, 30)
    shared, later = discount("di_b", "ten", 0), discount("di_a", "pro_only", 40)
    account.subscription(discounts=(shown(later), shown(shared)))
    account.item("si", "pro", "1")
    account.invoice("in1", 0, line("si", "pro", "1", 0, 30, discounts=(own,)), discounts=(shared,))
    account.invoice("in2", 30, line("si", "pro", "1", 30, 60), discounts=(shared,))
    assert account.discounts()[-1] == ("si", 40, None, [("pro_only", "30"), ("ten", "10")])


def test_order_outlives_an_earlier_discount(account: Account) -> None:
    """`ten` stood second while `three_months` was in force; `pro_only` came after and was only ever seen
    alone, in first place.
    """
    earlier, lasting, late = (
        discount("di_a", "three_months", 0, end=40),
        discount("di_b", "ten", 5),
        discount("di_c", "pro_only", 45),
    )
    account.subscription(discounts=(shown(late),))
    account.item("si", "pro", "5")
    account.invoice("in1", 0, line("si", "pro", "5", 0, 30), discounts=(earlier,))
    account.invoice("in2", 30, line("si", "pro", "5", 30, 60), discounts=(earlier, lasting))
    account.invoice("in3", 60, line("si", "pro", "5", 60, 90), discounts=(late,))
    assert account.discounts()[-2:] == [
        ("si", 45, 60, [("ten", "10"), ("pro_only", "30")]),
        ("si", 60, None, [("pro_only", "30")]),
    ]


def test_customers_discount_taken_off_between_bills_ends_when_its_event_says(account: Account) -> None:
    given = discount("di_cus", "ten", 0, subscription=None)
    account.subscription()
    account.item("si", "basic", "5")
    account.invoice("in1", 0, line("si", "basic", "5", 0, 30), discounts=(given,))
    account.discount_event("evt", 12, "deleted", given)
    account.invoice("in2", 30, line("si", "basic", "5", 30, 60))
    assert account.discounts() == [("si", 0, 12, [("ten", "10")]), ("si", 12, None, [])]
    assert account.states()["confidence"].tolist() == ["exact", "exact"]


def test_discount_read_after_its_end_ends_when_its_event_says(account: Account) -> None:
    """The account moved while it was read: the list it is missing from is newer than the instant the reading
    began, and its end a day after that.
    """
    given = discount("di", "three_months", 0, 21)
    account.subscription(observed_at=day(20))
    account.item("si", "basic", "5")
    account.invoice("in1", 0, line("si", "basic", "5", 0, 365), discounts=(given,))
    account.discount_event("evt", 21, "deleted", given)
    assert account.discounts() == [("si", 0, 21, [("three_months", "20.5")]), ("si", 21, None, [])]


def test_customers_discount_that_no_bill_ever_listed_is_known_from_its_events(account: Account) -> None:
    customers, subscriptions = discount("di_cus", "ten", 12, subscription=None), discount("di_sub", "ten", 3)
    account.subscription()
    account.item("si", "basic", "5")
    account.invoice("in1", 0, line("si", "basic", "5", 0, 30))
    account.discount_event("evt1", 12, "created", customers)
    account.discount_event("evt2", 20, "deleted", customers)
    account.discount_event("evt3", 3, "created", subscriptions)  # of a subscription: its own events list it
    account.discount_event("evt4", 4, "created", customers | {"id": "di_bill", "invoice": "in1"})
    account.invoice("in2", 30, line("si", "basic", "5", 30, 60))
    assert account.discounts() == [("si", 0, 12, []), ("si", 12, 20, [("ten", "10")]), ("si", 20, None, [])]


def test_customers_discount_is_known_from_any_of_its_bills(account: Account) -> None:
    """An annual subscription, not billed since, beside a monthly one; the customer has been deleted."""
    given = discount("di_cus", "ten", 20, subscription=None)
    account.subscription(status="canceled", ended_at=day(70))
    account.invoice("in1", 0, line("si", "basic", "5", 0, 365))
    account.subscription(id="sub_monthly", status="canceled", ended_at=day(70))
    account.invoice(
        "in2", 30, line("si_monthly", "extra", "1", 30, 61, subscription="sub_monthly"), discounts=(given,)
    )
    assert [row for row in account.discounts() if row[0] == "si"] == [
        ("si", 0, 20, []),
        ("si", 20, 70, [("ten", "10")]),
    ]


def test_customers_discount_is_gone_when_any_of_its_bills_lists_it_no_more(account: Account) -> None:
    """Taken off between the first subscription's last two bills. The second one's own discount would have
    hidden it, and ends before a renewal.
    """
    customers, own = (
        discount("di_cus", "ten", 0, subscription=None),
        discount("di_sub", "three_months", 70, 115),
    )
    account.subscription(id="sub_first", status="canceled", ended_at=day(65))
    account.invoice(
        "in1", 0, line("si_first", "extra", "1", 0, 30, subscription="sub_first"), discounts=(customers,)
    )
    account.invoice("in2", 30, line("si_first", "extra", "1", 30, 60, subscription="sub_first"))
    account.subscription(70)
    account.item("si", "basic", "5", created=70)
    account.invoice("in3", 70, line("si", "basic", "5", 70, 100), discounts=(own,))
    account.invoice("in4", 100, line("si", "basic", "5", 100, 130), discounts=(own,))
    account.invoice("in5", 130, line("si", "basic", "5", 130, 160))
    assert account.discounts() == [
        *(("si", 70, 115, [("three_months", "20.5")]), ("si", 115, None, [])),
        *(("si_first", 0, 30, [("ten", "10")]), ("si_first", 30, 60, [])),
    ]
