"""What of a history cannot be read: the stretch it holds for is set apart with its objects, and nothing else
is.
"""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

from expansion_platform.domain.history.unreadable import of_own_items
from expansion_platform_tests.domain.history_rows import NOW, Account, days, discount, line, proration, shown
from expansion_platform_tests.domain.whole_history import rebuild


@pytest.fixture
def account() -> Account:
    return Account()


def unread(account: Account) -> list[tuple[Any, ...]]:
    """(from day, to day, problem, objects) of each stretch."""
    found = rebuild(account.staged()).quarantine
    return [
        (days(row.valid_from), days(row.valid_to), row.problem, json.loads(row.objects_json))
        for row in found.itertuples()
    ]


def story(account: Account) -> list[tuple[Any, ...]]:
    found = rebuild(account.staged()).states
    return [(row.item, days(row.valid_from), days(row.valid_to), row.quantity) for row in found.itertuples()]


@pytest.mark.parametrize(
    ("price", "quantity", "problem", "objects"),
    [
        ("nowhere", "5", "a price that is missing", ["nowhere", "si", "sub"]),
        ("euro", "1", "a price without an amount in the currency of its subscription", ["euro", "si", "sub"]),
        ("odd", "1", "a price with an unknown interval or billing scheme", ["odd", "si", "sub"]),
        ("unpriced", "1", "a price without an amount", ["si", "sub", "unpriced"]),
        (
            "backwards",
            "1",
            "a price that cannot be read (unknown rounding 'sideways')",
            ["backwards", "si", "sub"],
        ),
        ("basic", "-1", "a negative quantity", ["si", "sub"]),
        ("basic", None, "a licensed item without a quantity", ["si", "sub"]),
        ("bounded", "11", "a quantity above the last tier of its price", ["bounded", "si", "sub"]),
    ],
)
def test_an_item_that_cannot_be_priced(
    account: Account, price: str, quantity: str | None, problem: str, objects: list[str]
) -> None:
    account.price("euro", unit_amount_decimal="1", currency="eur")
    account.price("odd", unit_amount_decimal="1", interval="fortnight")
    account.price("unpriced")
    account.price(
        "bounded", billing_scheme="tiered", tiers_mode="graduated", tiers_json='[{"unit":"5","up_to":10}]'
    )
    account.price("backwards", unit_amount_decimal="1", divide_by=10, round="sideways")
    account.subscription()
    account.item("si", price, quantity)
    assert unread(account) == [(0, None, problem, objects)]
    assert story(account) == []


def test_from_the_bad_fact_to_the_next_one_that_can_be_read(account: Account) -> None:
    """The change of day 40 is told as -3 seats: the months before it and the renewal of day 60 say what they
    say.
    """
    account.subscription()
    account.item("si", "basic", "7")
    account.invoice("in1", 0, line("si", "basic", "5", 0, 30))
    account.invoice("in2", 30, line("si", "basic", "5", 30, 60))
    account.invoice(
        "in3", 40, proration("si", "basic", "5", 40, 60, -3333), proration("si", "basic", "-3", 40, 60, 2000)
    )
    account.invoice("in4", 60, line("si", "basic", "7", 60, 90))
    assert story(account) == [("si", 0, 40, "5"), ("si", 60, None, "7")]
    assert unread(account) == [(40, 60, "a negative quantity", ["in3_1", "si"])]


def test_an_unread_sibling_leaves_no_share_of_an_amount_off(account: Account) -> None:
    account.coupon("hundred", amount=100, currency="usd")
    account.subscription(discounts=(shown(discount("di", "hundred", 0)),))
    account.item("si_a", "basic", "5")
    account.item("si_b", "extra", "-2", created=20)
    account.invoice("in1", 0, line("si_a", "basic", "5", 0, 30))
    assert story(account) == [("si_a", 0, 20, "5")]
    assert unread(account) == [(20, None, "a negative quantity", ["si_b", "sub"])]


def test_an_unknown_status_of_today_begins_when_it_was_seen(account: Account) -> None:
    account.subscription(status="frozen")
    account.item("si", "basic", "5")
    assert story(account) == [("si", 0, NOW, "5")]
    assert unread(account) == [(NOW, None, "a subscription with an unknown status", ["sub"])]


def test_an_unknown_status_in_an_event_lasts_to_the_next(account: Account) -> None:
    account.subscription()
    account.item("si", "basic", "5")
    account.event("evt_1", 30, {"status": "frozen"}, {"status": "active"})
    account.event("evt_2", 35, {"status": "active"}, {"status": "frozen"})
    assert story(account) == [("si", 0, 30, "5"), ("si", 35, None, "5")]
    assert unread(account) == [(30, 35, "a subscription with an unknown status", ["evt_1", "sub"])]


def test_a_canceled_subscription_without_an_end(account: Account) -> None:
    account.subscription(status="canceled")
    account.item("si", "basic", "5")
    assert unread(account) == [(NOW, None, "a canceled subscription without ended_at", ["sub"])]


@pytest.mark.parametrize("fields", [{}, {"duration": "sometimes", "percent": "5"}, {"percent": None}])
def test_a_coupon_that_is_missing_or_cannot_be_read(account: Account, fields: dict[str, Any]) -> None:
    if fields:
        account.coupon("odd", **fields)
    account.subscription(discounts=(shown(discount("di", "odd", 10, end=20)),))
    account.item("si", "basic", "5")
    assert story(account) == [("si", 0, 10, "5"), ("si", 20, None, "5")]
    assert unread(account) == [(10, 20, "a coupon that is missing or cannot be read", ["odd", "sub"])]


def test_lines_of_tiers_that_cost_no_quantity(account: Account) -> None:
    tiers = [{"up_to": 10, "unit": "500", "flat": "900"}, {"up_to": None, "unit": "400", "flat": "0"}]
    account.price("tiered", billing_scheme="tiered", tiers_mode="graduated", tiers_json=json.dumps(tiers))
    account.subscription()
    account.item("si", "tiered", "12")
    account.invoice("in1", 0, line("si", "tiered", "10", 0, 30, 5000), line("si", "tiered", "2", 0, 30, 801))
    account.invoice(
        "in2",
        30,
        line("si", "tiered", "10", 30, 60, 5000),
        line("si", "tiered", "2", 30, 60, 800),
        line("si", "tiered", "0", 30, 60, 900),
    )
    assert unread(account) == [
        (0, 30, "lines of one item and period that no quantity of its price costs", ["in1_0", "si"])
    ]
    assert story(account) == [("si", 30, None, "12")]


def test_a_negative_usage(account: Account) -> None:
    account.price("calls", unit_amount_decimal="3", usage_type="metered")
    account.subscription()
    account.item("si", "calls", None)
    account.invoice("in1", 30, line("si", "calls", "-100", 0, 30))
    account.invoice("in2", 60, line("si", "calls", "100", 30, 60))
    assert unread(account)[0] == (0, 30, "a negative quantity", ["in1_0", "si"])
    assert all(start >= 30 for _, start, _, _ in story(account))


@pytest.mark.parametrize("listed", [True, False])
def test_a_bill_that_names_an_item_of_another_subscription(account: Account, listed: bool) -> None:
    """An item never moves, so nobody knows what the line speaks of: the bill's stretch is set apart, and the
    item is told once.
    """
    account.subscription()
    account.subscription(id="other")
    if listed:
        account.item("si", "basic", "5")
    account.item("si_other", "basic", "2", subscription="other")
    account.invoice("in1", 0, line("si", "basic", "5", 0, 30))
    account.invoice("in2", 30, line("si", "basic", "5", 30, 60))
    account.invoice("in3", 40, line("si", "basic", "9", 40, 60, subscription="other"))
    assert sorted((item, quantity) for item, *_, quantity in story(account)) == [
        ("si", "5"),
        ("si_other", "2"),
    ]
    assert unread(account) == [
        (40, None, "an invoice that cannot be read (a line: its item is of subscription sub)", ["in3"])
    ]


def test_what_bills_no_subscription_contradicts_none() -> None:
    frame = pd.DataFrame(
        {"subscription_item": ["si", "si"], "subscription": [None, "sub"], "unreadable": [None, None]},
        dtype="object",
    )
    assert of_own_items(frame, {"si": "sub"}) is frame
    assert of_own_items(frame, {"si": "other"})["unreadable"].tolist() == [
        None,
        "its item is of subscription other",
    ]
