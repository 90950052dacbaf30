"""One small account a rule: what the facts must be read as (reference 2.5)."""

from __future__ import annotations

import json

import pytest

from expansion_platform_tests.domain.history_rows import NOW, Account, day, line, proration


@pytest.fixture
def account() -> Account:
    return Account()


def held(item: str, price: str, quantity: str, **fields: object) -> dict[str, object]:
    return {
        "id": item,
        "price": price,
        "product": f"prod_{price}",
        "quantity": quantity,
        "discounts": [],
        **fields,
    }


def test_renewals_without_change_are_one_open_row(account: Account) -> None:
    account.subscription()
    account.item("si", "basic", "5")
    account.invoice("in1", 0, line("si", "basic", "5", 0, 30))
    account.invoice("in2", 30, line("si", "basic", "5", 30, 60))
    (row,) = account.states().to_dict("records")
    assert account.story() == [("si", 0, None, "basic", "5")]
    assert (row["status"], row["source"], row["confidence"]) == ("active", "invoice_line", "exact")
    assert row["scheme_json"] == '{"type":"per_unit","unit":"1000"}'
    assert json.loads(row["evidence_json"]) == ["in1_0", "in2_0"]


def test_prorated_seats_billed_with_the_next_renewal(account: Account) -> None:
    account.subscription()
    account.item("si", "basic", "8")
    account.invoice("in1", 0, line("si", "basic", "5", 0, 30))
    change = proration("si", "basic", "5", 10, 30, -3333), proration("si", "basic", "8", 10, 30, 5333)
    account.invoice("in2", 30, line("si", "basic", "8", 30, 60), *change)
    assert account.story() == [("si", 0, 10, "basic", "5"), ("si", 10, None, "basic", "8")]
    assert account.states()["source"].tolist() == ["invoice_line", "proration"]


def test_pending_proration_dates_a_change_no_invoice_has_yet(account: Account) -> None:
    account.subscription()
    account.item("si", "pro", "5")
    account.invoice("in1", 0, line("si", "basic", "5", 0, 30))
    account.pending("ii1", proration("si", "basic", "5", 12, 30, -3000))
    account.pending("ii2", proration("si", "pro", "5", 12, 30, 6000))
    assert account.story() == [("si", 0, 12, "basic", "5"), ("si", 12, None, "pro", "5")]


def test_two_changes_in_one_period(account: Account) -> None:
    account.subscription()
    account.item("si", "basic", "9")
    account.invoice("in1", 0, line("si", "basic", "5", 0, 30))
    first = proration("si", "basic", "5", 10, 30, -3333), proration("si", "basic", "8", 10, 30, 5333)
    second = proration("si", "basic", "8", 20, 30, -2667), proration("si", "basic", "9", 20, 30, 3000)
    account.invoice("in2", 30, line("si", "basic", "9", 30, 60), *first, *second)
    assert account.story() == [
        ("si", 0, 10, "basic", "5"),
        ("si", 10, 20, "basic", "8"),
        ("si", 20, None, "basic", "9"),
    ]


def test_two_changes_in_one_second_leave_the_one_not_credited(account: Account) -> None:
    account.subscription()
    account.item("si", "basic", "9")
    account.invoice("in1", 0, line("si", "basic", "5", 0, 30))
    lines = [
        proration("si", "basic", quantity, 10, 30, amount)
        for quantity, amount in (("9", 9), ("8", 8), ("5", -5), ("8", -8))
    ]
    account.invoice("in2", 10, *lines)
    assert account.story() == [("si", 0, 10, "basic", "5"), ("si", 10, None, "basic", "9")]


def test_prorations_of_nothing_are_told_apart_by_what_was_there(account: Account) -> None:
    account.subscription()
    account.item("si", "basic", "8")
    account.invoice("in1", 0, line("si", "basic", "5", 0, 30))
    account.invoice(
        "in2", 10, proration("si", "basic", "8", 10, 30, 0), proration("si", "basic", "5", 10, 30, 0)
    )
    assert account.story() == [("si", 0, 10, "basic", "5"), ("si", 10, None, "basic", "8")]


def test_change_without_proration_is_dated_by_the_renewal(account: Account) -> None:
    account.subscription()
    account.item("si", "basic", "8")
    account.invoice("in1", 0, line("si", "basic", "5", 0, 30))
    account.invoice("in2", 30, line("si", "basic", "8", 30, 60))
    assert account.story() == [("si", 0, 30, "basic", "5"), ("si", 30, None, "basic", "8")]
    assert account.states()["confidence"].tolist() == ["exact", "renewal"]


def test_item_that_is_gone_and_first_billed_by_a_renewal_was_added_some_time_before(account: Account) -> None:
    account.subscription()
    account.item("si_3", "extra", "1", created=40)
    account.invoice("in1", 0, line("si_1", "basic", "5", 0, 30))
    account.invoice("in2", 30, line("si_2", "pro", "5", 30, 60))
    account.invoice(
        "in3", 40, proration("si_2", "pro", "5", 40, 60, -6667), proration("si_3", "extra", "1", 40, 60, 333)
    )
    assert account.story() == [
        ("si_1", 0, 30, "basic", "5"),
        ("si_2", 30, 40, "pro", "5"),
        ("si_3", 40, None, "extra", "1"),
    ]
    assert account.states()["confidence"].tolist() == ["exact", "renewal", "exact"]


@pytest.mark.parametrize(
    ("price", "confidence"), [("basic", "renewal"), ("pro", "renewal"), ("yearly", "exact")]
)
def test_cycle_begun_anew_dates_another_interval_but_not_another_plan_or_quantity(
    account: Account, price: str, confidence: str
) -> None:
    """The credit gives back the five seats that were billed; whether there were three, or of another plan, on
    the day before, it does not say.
    """
    account.price("yearly", unit_amount_decimal="10000", interval="year")
    account.subscription()
    account.item("si", price, "3")
    account.invoice("in1", 0, line("si", "basic", "5", 0, 30))
    account.invoice("in2", 10, proration("si", "basic", "5", 10, 30, -3333), line("si", price, "3", 10, 40))
    assert account.story() == [("si", 0, 10, "basic", "5"), ("si", 10, None, price, "3")]
    assert account.states()["confidence"].tolist() == ["exact", confidence]


def test_change_without_proration_is_dated_by_its_event(account: Account) -> None:
    account.subscription()
    account.item("si", "basic", "8")
    account.invoice("in1", 0, line("si", "basic", "5", 0, 30))
    account.event("evt", 17, {"items": [held("si", "basic", "8")]}, {"items": [held("si", "basic", "5")]})
    account.invoice("in2", 30, line("si", "basic", "8", 30, 60))
    assert account.story() == [("si", 0, 17, "basic", "5"), ("si", 17, None, "basic", "8")]
    assert account.states()[["source", "confidence"]].iloc[1].tolist() == ["event", "exact"]


def test_change_only_today_shows_is_dated_by_when_it_was_first_seen(account: Account) -> None:
    account.subscription()
    account.item("si", "basic", "8", observed_at=day(25))
    account.invoice("in1", 0, line("si", "basic", "5", 0, 30, observed_at=day(2)))
    assert account.story() == [("si", 0, 25, "basic", "5"), ("si", 25, None, "basic", "8")]
    assert account.states()[["source", "confidence"]].iloc[1].tolist() == ["snapshot", "snapshot"]


def test_event_is_believed_over_a_proration_of_the_same_instant(account: Account) -> None:
    account.subscription()
    account.item("si", "basic", "8")
    account.invoice("in1", 0, line("si", "basic", "5", 0, 30))
    account.invoice(
        "in2", 10, proration("si", "basic", "5", 10, 30, -3333), proration("si", "basic", "7", 10, 30, 4333)
    )
    account.event("evt", 10, {"items": [held("si", "basic", "8")]}, {"items": [held("si", "basic", "5")]})
    assert account.story() == [("si", 0, 10, "basic", "5"), ("si", 10, None, "basic", "8")]


def test_tier_change_that_deletes_and_adds_an_item(account: Account) -> None:
    account.subscription()
    account.item("si_new", "pro", "5", created=10)
    account.invoice("in1", 0, line("si_old", "basic", "5", 0, 30))
    account.invoice(
        "in2",
        10,
        proration("si_old", "basic", "5", 10, 30, -3333),
        proration("si_new", "pro", "5", 10, 30, 6667),
    )
    assert account.story() == [("si_new", 10, None, "pro", "5"), ("si_old", 0, 10, "basic", "5")]


def test_added_item_begins_when_stripe_created_it(account: Account) -> None:
    account.subscription()
    account.item("si", "basic", "5")
    account.item("si_added", "extra", "1", created=12)
    account.invoice("in1", 0, line("si", "basic", "5", 0, 30))
    account.invoice("in2", 30, line("si", "basic", "5", 30, 60), line("si_added", "extra", "1", 30, 60))
    assert account.story() == [("si", 0, None, "basic", "5"), ("si_added", 12, None, "extra", "1")]


def test_item_removed_without_proration_ends_with_its_last_billed_period(account: Account) -> None:
    account.subscription()
    account.item("si", "basic", "5")
    account.invoice("in1", 0, line("si", "basic", "5", 0, 30), line("si_gone", "extra", "1", 0, 30))
    account.invoice("in2", 30, line("si", "basic", "5", 30, 60))
    assert account.story() == [("si", 0, None, "basic", "5"), ("si_gone", 0, 30, "extra", "1")]


def test_item_found_gone_within_its_billed_period_ends_when_that_was_seen(account: Account) -> None:
    account.subscription()
    account.item("si", "basic", "5")
    account.invoice("in1", 80, line("si", "basic", "5", 80, 110), line("si_gone", "extra", "1", 80, 110))
    assert account.story() == [("si", 0, None, "basic", "5"), ("si_gone", 0, NOW, "extra", "1")]


def test_interval_switch_resets_the_billing_cycle(account: Account) -> None:
    account.price("yearly", unit_amount_decimal="10000", interval="year", product="prod_basic")
    account.subscription()
    account.item("si", "yearly", "5")
    account.invoice("in1", 0, line("si", "basic", "5", 0, 30))
    account.invoice(
        "in2", 10, line("si", "yearly", "5", 10, 375), proration("si", "basic", "5", 10, 30, -3333)
    )
    assert account.story() == [("si", 0, 10, "basic", "5"), ("si", 10, None, "yearly", "5")]
    assert account.states()["confidence"].tolist() == ["exact", "exact"]


def test_credit_without_debit_of_an_item_still_there_left_a_debit_of_nothing_out(account: Account) -> None:
    account.price("free", unit_amount_decimal="0", product="prod_basic")
    account.subscription()
    account.item("si", "free", "5")
    account.invoice("in1", 0, line("si", "basic", "5", 0, 30))
    account.invoice("in2", 10, proration("si", "basic", "5", 10, 30, -3333))
    assert account.story() == [("si", 0, 10, "basic", "5"), ("si", 10, None, "free", "5")]


@pytest.mark.parametrize("credits", [True, False])
def test_cancel_at_once_ends_every_item_with_the_subscription(account: Account, credits: bool) -> None:
    account.subscription(status="canceled", ended_at=day(10))
    account.item("si", "basic", "5")
    account.invoice("in1", 0, line("si", "basic", "5", 0, 30))
    if credits:
        account.invoice("in2", 10, proration("si", "basic", "5", 10, 30, -3333))
    assert account.story() == [("si", 0, 10, "basic", "5")]


def test_set_to_end_is_not_ended(account: Account) -> None:
    account.subscription(cancel_at_period_end=True, cancel_at=day(30), canceled_at=day(5))
    account.item("si", "basic", "5")
    account.invoice("in1", 0, line("si", "basic", "5", 0, 30))
    assert account.story() == [("si", 0, None, "basic", "5")]


def test_backdated_subscription_begins_at_its_start_date(account: Account) -> None:
    account.subscription(start=-40, created=day(0))
    account.item("si", "basic", "5")
    account.invoice("in1", 0, line("si", "basic", "5", 0, 30))
    assert account.story() == [("si", -40, None, "basic", "5")]


def test_no_bill_yet_begins_with_the_subscription(account: Account) -> None:
    account.subscription()
    account.item("si", "basic", "5")
    account.invoice("in1", 98, line("si", "basic", "9", 0, 30), status="draft")
    assert account.story() == [("si", 0, None, "basic", "5")]


def test_void_invoice_is_weak_evidence(account: Account) -> None:
    account.subscription()
    account.item("si", "basic", "5")
    account.invoice("in1", 0, line("si", "basic", "3", 0, 30), status="void")
    account.invoice("in2", 1, line("si", "basic", "4", 0, 30))
    account.invoice("in3", 30, line("si", "basic", "5", 30, 60), status="void")
    assert account.story() == [("si", 0, 30, "basic", "4"), ("si", 30, None, "basic", "5")]


@pytest.mark.parametrize("status", ["incomplete", "incomplete_expired"])
def test_subscription_that_never_started_has_no_rows(account: Account, status: str) -> None:
    account.subscription(status=status)
    account.item("si", "basic", "5")
    assert account.states().empty


def test_gap_in_bills_keeps_the_last_known_state(account: Account) -> None:
    account.subscription()
    account.item("si", "basic", "5")
    account.invoice("in1", 0, line("si", "basic", "5", 0, 30))
    account.invoice("in3", 60, line("si", "basic", "5", 60, 90))
    assert account.story() == [("si", 0, None, "basic", "5")]


def test_schemes_are_canonical(account: Account) -> None:
    tiers = [{"up_to": 10, "unit": "500.50", "flat": None}, {"up_to": None, "unit": "400", "flat": "1000"}]
    account.price("tiered", billing_scheme="tiered", tiers_mode="graduated", tiers_json=json.dumps(tiers))
    account.price("packs", unit_amount_decimal="700", divide_by=100, round="up")
    account.subscription()
    account.item("si_a", "tiered", "12")
    account.item("si_b", "packs", "250")
    tiers = '{"flat":"0","unit":"500.5","up_to":10},{"flat":"1000","unit":"400","up_to":null}'
    graduated = f'{{"tiers":[{tiers}],"type":"graduated"}}'
    assert account.states()["scheme_json"].tolist() == [
        graduated,
        '{"divide_by":100,"round":"up","type":"per_unit","unit":"700"}',
    ]


def test_row_order_of_the_input_does_not_matter(account: Account) -> None:
    account.subscription()
    account.item("si", "basic", "9")
    account.invoice("in1", 0, line("si", "basic", "5", 0, 30))
    account.invoice(
        "in2", 10, proration("si", "basic", "5", 10, 30, -3333), proration("si", "basic", "9", 10, 30, 6000)
    )
    account.event("evt", 10, {"items": [held("si", "basic", "9")]}, {"items": [held("si", "basic", "5")]})
    before = account.states()
    for rows in account.rows.values():
        rows.reverse()
    assert before.equals(account.states())


def test_item_billed_after_the_subscription_was_first_seen_was_still_there(account: Account) -> None:
    account.subscription(observed_at=day(20))
    account.item("si", "basic", "5")
    account.invoice("in1", 0, line("si", "basic", "5", 0, 30), line("si_gone", "extra", "1", 0, 30))
    account.invoice("in2", 30, line("si", "basic", "5", 30, 60), line("si_gone", "extra", "1", 30, 60))
    assert account.story()[1] == ("si_gone", 0, 60, "extra", "1")


def test_item_swapped_for_another_without_proration_ends_when_the_other_begins(account: Account) -> None:
    account.subscription()
    account.item("si_new", "pro", "5", created=12)
    account.invoice("in1", 0, line("si_old", "basic", "5", 0, 30))
    account.invoice("in2", 30, line("si_new", "pro", "5", 30, 60))
    assert account.story() == [("si_new", 12, None, "pro", "5"), ("si_old", 0, 12, "basic", "5")]


def test_credit_tells_what_was_there_before_the_first_bill_left(account: Account) -> None:
    account.subscription()
    account.item("si", "basic", "8")
    account.invoice("in1", 0, line("si", "basic", "5", 0, 30), status="draft")
    account.invoice(
        "in2", 10, proration("si", "basic", "5", 10, 30, -3333), proration("si", "basic", "8", 10, 30, 5333)
    )
    assert account.story() == [("si", 0, 10, "basic", "5"), ("si", 10, None, "basic", "8")]


def test_subscription_canceled_in_its_first_second_has_no_rows(account: Account) -> None:
    account.subscription(status="canceled", ended_at=day(0))
    account.item("si", "basic", "5")
    account.invoice("in1", 0, line("si", "basic", "5", 0, 30))
    assert account.states().empty


def graduated(account: Account) -> None:
    tiers = [{"up_to": 10, "unit": "500", "flat": "900"}, {"up_to": None, "unit": "400", "flat": "0"}]
    account.price("tiered", billing_scheme="tiered", tiers_mode="graduated", tiers_json=json.dumps(tiers))
    account.subscription()
    account.item("si", "tiered", "12")


@pytest.mark.parametrize("fee_quantity", ["0", "1"])
def test_lines_of_each_tier_are_one_quantity(account: Account, fee_quantity: str) -> None:
    graduated(account)
    parts = ("10", 5000), ("2", 800), (fee_quantity, 900)
    account.invoice("in1", 0, *(line("si", "tiered", quantity, 0, 30, amount) for quantity, amount in parts))
    assert account.story() == [("si", 0, None, "tiered", "12")]
