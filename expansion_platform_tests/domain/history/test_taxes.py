"""Prices with tax inside count without it (semantics 7, case 60): the rate of each item over time, and what
it does to MRR and its causes.
"""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expansion_platform.domain.history.taxes import _bounds, _plainest, _Tax
from expansion_platform.domain.mrr.conformance import classify_month
from expansion_platform.domain.mrr.valuation import value_states
from expansion_platform.domain.pricing.policy import Policy
from expansion_platform.simulator.truth import reference
from expansion_platform_tests.domain.books import catalog
from expansion_platform_tests.domain.history_rows import Account, day, discount, line, shown

INCLUSIVE, EXCLUSIVE = "inclusive", "exclusive"


def taxes(*amounts: int, behavior: str = INCLUSIVE, rates: tuple[str, ...] = ("vat", "other")) -> str:
    return json.dumps(
        [
            {"rate": rate, "behavior": behavior, "amount": amount}
            for rate, amount in zip(rates, amounts, strict=False)
        ]
    )


def billed(
    start: float, end: float, amount: int, taxes_json: str | None, item: str = "si", **fields: Any
) -> dict[str, Any]:
    return line(item, "plan", "1", start, end, amount, taxes_json=taxes_json, **fields)


def account(
    *lines: dict[str, Any],
    unit: str = "12000",
    behavior: str | None = INCLUSIVE,
    known: str | None = None,
    **item: Any,
) -> Account:
    """One item at 120.00 with tax inside, billed by each line; `known` is the percentage of the tax rate
    `vat`.
    """
    found = Account()
    found.price("plan", unit_amount_decimal=unit, tax_behavior=behavior)
    if known is not None:
        found._add("tax_rates", {"id": "vat", "percentage": known, "inclusive": True})
    found.subscription()
    found.item("si", "plan", "1", **item)
    for number, one in enumerate(lines):
        found.invoice(f"in{number}", (one["period_start"] - day(0)).days, one)
    return found


def rates(found: Account) -> list[tuple[str | None, int]]:
    """(percentage inside, MRR) of each state, in order of time."""
    states = found.states()
    valued = value_states(states, {}, Policy(), "usd")["mrr_minor"].tolist()
    return [
        (json.loads(text).get("tax", "0"), amount)
        for text, amount in zip(states["scheme_json"], valued, strict=True)
    ]


def test_a_price_with_tax_inside_counts_without_it() -> None:
    """120.00 inclusive of 20 % is 100.00."""
    assert rates(account(billed(0, 31, 12_000, taxes(2_000)))) == [("20", 10_000)]


@pytest.mark.parametrize("behavior", [None, "unspecified", EXCLUSIVE])
def test_bills_tell_it_whatever_the_price_says(behavior: str | None) -> None:
    assert rates(account(billed(0, 31, 12_000, taxes(2_000)), behavior=behavior)) == [("20", 10_000)]


@pytest.mark.parametrize("behavior", [None, "unspecified", EXCLUSIVE])
def test_tax_on_top_does_not_matter(behavior: str | None) -> None:
    assert rates(account(billed(0, 31, 12_000, taxes(2_400, behavior=EXCLUSIVE)), behavior=behavior)) == [
        ("0", 12_000)
    ]


@pytest.mark.parametrize("line_taxes", [None, "missing"])
def test_a_rate_nobody_knows_is_marked(line_taxes: str | None) -> None:
    """Stripe computed no tax for the bill, or there is no bill: 120.00, and the state says that there is tax
    in it.
    """
    lines = [billed(0, 31, 12_000, None)] if line_taxes is None else []
    assert rates(account(*lines)) == [(None, 12_000)]


def test_nothing_inside_is_known_where_stripe_computed_none() -> None:
    """A reverse charge is a tax of nothing; a bill whose tax was computed without any has an empty list."""
    assert rates(account(billed(0, 31, 12_000, taxes(0)), known="20")) == [("0", 12_000)]
    assert rates(account(billed(0, 31, 12_000, "[]"))) == [("0", 12_000)]


def test_several_taxes_inside() -> None:
    """5 % and 9.975 % in 114.98: 5.00 and 9.98; only the tax rate itself says that it is not 9.98 %."""
    two = taxes(500, 998)
    assert rates(account(billed(0, 31, 11_498, two), unit="11498")) == [("14.98", 10_000)]
    found = account(billed(0, 31, 11_498, two), unit="11498", known="5")
    found._add("tax_rates", {"id": "other", "percentage": "9.975", "inclusive": True})
    assert rates(found) == [("14.975", 10_000)]


def test_a_rate_that_changes_holds_from_the_bill_that_has_it() -> None:
    """And the first one before its bill; a rate set on the subscription since does not count until it is
    billed.
    """
    found = account(
        billed(0, 31, 12_000, taxes(2_000)), billed(31, 59, 12_000, taxes(2_083)), inclusive_tax="25"
    )
    assert rates(found) == [("20", 10_000), ("21", 9_917)]
    assert found.states()["valid_from"].tolist() == [day(0), day(31)]
    assert set(found.states()["confidence"]) == {"exact"}


def test_a_rate_set_on_an_item_that_no_bill_charged_yet() -> None:
    assert rates(account(inclusive_tax="20")) == [("20", 10_000)]
    assert rates(account(inclusive_tax="0")) == [("0", 12_000)]
    assert {rate for rate, _ in rates(account(billed(0, 14, 0, taxes(0)), inclusive_tax="20"))} == {"20"}


def test_an_item_never_billed_is_taxed_as_its_siblings() -> None:
    found = account(billed(0, 31, 12_000, taxes(2_000)))
    found.item("si_new", "plan", "1", 10)
    assert rates(found) == [("20", 10_000), ("20", 10_000)]


def two_items(
    own: str | None, behavior: str | None, *, together: bool = True
) -> list[tuple[str | None, int]]:
    """A taxed item, and another without tax at the same price, on one bill or on two."""
    found = account(behavior=behavior)
    found.item("si_untaxed", "plan", "1")
    lines = billed(0, 31, 12_000, taxes(2_000)), billed(0, 31, 12_000, own, "si_untaxed")
    if together:
        found.invoice("in", 0, *lines)
    else:
        found.invoice("in", 0, lines[0])
        found.invoice("in_other", 1, lines[1])
    return rates(found)


def test_a_tax_rate_set_on_one_item_says_nothing_of_the_others() -> None:
    """Their lines have no taxes at all; only where a price is said to have tax inside, and nothing was
    computed for its bill, it is unknown.
    """
    for behavior in (None, "unspecified", INCLUSIVE):
        assert two_items(None, behavior) == [("20", 10_000), ("0", 12_000)]
    assert two_items(None, None, together=False) == [("20", 10_000), ("0", 12_000)]
    assert two_items(None, INCLUSIVE, together=False) == [("20", 10_000), ("20", 10_000)]


def test_an_old_price_without_tax_says_nothing_of_the_one_that_follows() -> None:
    """Nobody computes tax in Stripe: the old price has none inside, of the new one it is unknown."""
    found = account(behavior=None)
    found.price("next", unit_amount_decimal="15000", tax_behavior=INCLUSIVE)
    found.invoice("in", 0, billed(0, 31, 12_000, None))
    found.invoice("in_next", 31, billed(31, 59, 15_000, None) | {"price": "next", "product": "prod_next"})
    assert rates(found)[:2] == [("0", 12_000), (None, 15_000)]


def test_a_tax_of_an_unknown_kind_tells_nothing() -> None:
    assert two_items(taxes(2_000, behavior="somewhere"), None) == [("20", 10_000), ("20", 10_000)]


def test_an_amount_off_is_taken_off_with_its_tax() -> None:
    """(120.00 - 12.00) / 1.2 = 90.00, and the bill's tax is of 108.00."""
    found = Account()
    given_off = discount("di", "twelve", 0)
    found.price("plan", unit_amount_decimal="12000", tax_behavior=INCLUSIVE)
    found.coupon("twelve", amount=1200, currency="usd")
    found.subscription(discounts=(shown(given_off),))
    found.item("si", "plan", "1")
    found.invoice("in", 0, billed(0, 31, 12_000, taxes(1_800), off={"di": 1200}), discounts=(given_off,))
    assert rates(found) == [("20", 9_000)]


def test_a_small_line_is_read_by_what_a_large_one_allows() -> None:
    """8.1 % of 3.70 in 4.00 is 0.30, which 8 % is, too; of 100.00 it is 7.49."""
    small, large = billed(0, 31, 400, taxes(30)), billed(31, 59, 10_000, taxes(749))
    assert rates(account(small))[0][0] == "8"
    assert [rate for rate, _ in rates(account(small, large))] == ["8.1"]
    assert rates(account(small, known="8.1"))[0][0] == "8.1"


@given(
    st.integers(300, 10**7),
    st.sampled_from(["5", "7.7", "8.1", "10", "19", "20", "21.5", "22", "25.5", "27"]),
)
def test_the_plainest_percentage_is_within_what_rounding_allows(base: int, percent: str) -> None:
    """And is the right one from bills of 50.00 on, for percentages of one decimal."""
    rate = Fraction(percent)
    tax = round(base * rate / (100 + rate))
    low, high = _bounds(_Tax(tax, 1, ("vat",), base))
    found = _plainest(low, high)
    assert low <= rate <= high
    assert low <= found <= high
    assert base < 5_000 or found == rate


def item(**fields: Any) -> dict[str, Any]:
    plain = {
        "customer": "cus",
        "subscription": "sub",
        "item": "si",
        "status": "active",
        "currency": "usd",
        "product": "prod",
        "price": "plan",
    }
    return {**plain, "quantity": "10", "scheme": {"type": "per_unit", "unit": "1200"}, **fields}


def taxed(tax: str | None, unit: str = "1200", **fields: Any) -> dict[str, Any]:
    return item(scheme={"type": "per_unit", "unit": unit, "tax": tax}, **fields)


@pytest.mark.parametrize(
    ("before", "after", "causes", "expansion"),
    [
        (taxed("20"), taxed("25"), {"price": -400}, 0),
        (taxed("20"), taxed("0"), {"price": 2_000}, 0),
        (taxed("20"), taxed("20", quantity="12"), {"seat": 2_000}, 2_000),
        (taxed("20"), taxed("25", quantity="12"), {"seat": 1_960, "price": -440}, 1_520),
        (taxed(None), taxed("20"), {"price": -2_000}, 0),
        (taxed("20"), taxed("20", unit="1320"), {"price": 1_000}, 0),
    ],
    ids=["higher rate", "reverse charge", "seats", "seats and rate", "rate known", "price rise"],
)
def test_a_change_of_the_rate_is_price_and_never_expansion(
    before: Any, after: Any, causes: dict[str, int], expansion: int
) -> None:
    for rules in (classify_month, reference.classify_month):
        row = rules([before], [after], catalog(ever_paid=["cus"]))["customers"]["cus"]
        assert {name: amount for name, amount in row["causes"].items() if amount} == causes
        assert row["flows"]["expansion"] == expansion
        assert row["closing"] - row["opening"] == sum(causes.values())


def test_a_list_price_is_taxed_as_the_plan_it_stands_for() -> None:
    """Basic 12.00 monthly to Pro 240.00 yearly, 20 % inside, ten seats: without the list price of Pro monthly
    all of it would be tier.
    """
    listed = [
        {
            "price": "pro_m",
            "product": "pro",
            "currency": "usd",
            "interval": "month",
            "interval_count": 1,
            "scheme": {"unit": "2400"},
        }
    ]
    products = {"prod": {"family": "f", "tier_rank": 1}, "pro": {"family": "f", "tier_rank": 2}}
    after = taxed("20", "24000", product="pro", price="pro_y", interval="year")
    found = [
        rules([taxed("20")], [after], catalog(list_prices=listed, products=products, ever_paid=["cus"]))[
            "customers"
        ]["cus"]
        for rules in (classify_month, reference.classify_month)
    ]
    assert found[0]["causes"] == found[1]["causes"]
    assert {name: amount for name, amount in found[0]["causes"].items() if amount} == {
        "tier": 10_000,
        "interval": -3_333,
    }


def test_a_line_too_small_to_show_its_tax_changes_nothing() -> None:
    """6 cents hold no whole cent of 20 %. A line of 60 cents would: without any it says that nothing is
    inside.
    """
    small = [
        billed(0, 31, 12_000, taxes(2_000)),
        billed(31, 59, 6, taxes(0)),
        billed(59, 90, 12_000, taxes(2_000)),
    ]
    assert rates(account(*small)) == [("20", 10_000)]
    seen = [
        billed(0, 31, 12_000, taxes(2_000)),
        billed(31, 59, 60, taxes(0)),
        billed(59, 90, 12_000, taxes(2_000)),
    ]
    assert rates(account(*seen)) == [("20", 10_000), ("0", 12_000), ("20", 10_000)]


def test_a_line_too_small_for_one_of_two_taxes_changes_nothing() -> None:
    """6 cents hold a whole cent of 9.975 %, and none of 5 %, which is in them all the same."""
    two = [
        billed(0, 31, 11_497, taxes(500, 997)),
        billed(31, 59, 6, taxes(0, 1)),
        billed(59, 90, 11_497, taxes(500, 997)),
    ]
    assert rates(account(*two, unit="11497")) == [("14.97", 10_000)]
