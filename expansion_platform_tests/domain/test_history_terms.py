"""What a subscription pays by terms that prices and coupons hold in several forms (semantics 7, cases 64 and 65).

One customer, a USD reporting currency, 1.10 USD for a euro. Not here: when discounts were in force (`test_history_discounts.py`).
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from expansion_platform.domain.history import rebuild
from expansion_platform.domain.policy import Policy
from expansion_platform.domain.valuation import value_states
from expansion_platform_tests.domain.history_rows import Account, discount, line, shown

RATES = {"eur": "1.10", "jpy": "0.01"}


def options(**units: str | None) -> str:
    return json.dumps({currency: {"unit": unit, "tiers": None} for currency, unit in units.items()})


def mrr(account: Account) -> dict[str, int]:
    """MRR of each item now, minor units of USD."""
    states = account.states()
    now = states[states["valid_to"].isna()]
    valued = value_states(now, RATES, Policy(), "usd")
    return dict(zip(valued["item"], valued["mrr_minor"].tolist(), strict=True))


def unread(account: Account) -> list[tuple[str, list[str]]]:
    """(problem, objects) of what cannot be read."""
    found = rebuild(account.staged()).quarantine
    return [(row.problem, json.loads(row.objects_json)) for row in found.itertuples()]


@pytest.fixture
def account() -> Account:
    account = Account()
    account.price("seat", unit_amount_decimal="1000", currency_options_json=options(eur="900", jpy="150.5"))
    account.coupon("five", amount=500, currency="usd", currency_options_json='{"eur":450}')
    account.coupon("usd_only", amount=500, currency="usd")
    return account


@pytest.mark.parametrize(("currency", "expected"), [("usd", 10_000), ("eur", 9_900), ("jpy", 1505)])
def test_price_in_the_currency_of_its_subscription(account: Account, currency: str, expected: int) -> None:
    """10 seats of 10.00 USD, 9.00 EUR or 150.5 JPY."""
    account.subscription(currency=currency)
    account.item("si", "seat", "10")
    assert mrr(account) == {"si": expected}
    assert set(account.states()["currency"]) == {currency}


def test_tiers_and_packages_in_another_currency(account: Account) -> None:
    """12 units in tiers of EUR: 10 x 9.00 + 2 x 7.50 + 20.00 = 125.00; 250 in packages of 100: 3 x 4.50 = 13.50."""
    tiers = [{"up_to": 10, "unit": "900", "flat": "0"}, {"up_to": None, "unit": "750", "flat": "2000"}]
    in_euros = json.dumps({"eur": {"unit": None, "tiers": tiers}})
    dollars = json.dumps([{"up_to": None, "unit": "1000", "flat": "0"}])
    tiered = {"billing_scheme": "tiered", "tiers_mode": "graduated", "tiers_json": dollars, "unit_amount_decimal": None}
    account.price("tiered", **tiered, currency_options_json=in_euros)
    account.price("packs", unit_amount_decimal="500", divide_by=100, round="up", currency_options_json=options(eur="450"))
    account.subscription(currency="eur")
    account.item("si_a", "tiered", "12")
    account.item("si_b", "packs", "250")
    assert mrr(account) == {"si_a": 13_750, "si_b": 1485}


@pytest.mark.parametrize("offered", [None, options(gbp="800"), options(eur=None)])
def test_price_without_an_amount_in_the_currency_cannot_be_read(account: Account, offered: str | None) -> None:
    account.price("seat_usd", unit_amount_decimal="1000", currency_options_json=offered)
    account.subscription(currency="eur")
    account.item("si", "seat_usd", "10")
    assert unread(account) == [("a price without an amount in the currency of its subscription", ["seat_usd", "si", "sub"])]


def test_an_option_changed_by_the_catalogue_changes_what_is_read(account: Account) -> None:
    account.subscription(currency="eur")
    account.item("si", "seat", "10")
    account.rows["prices"][-1]["currency_options_json"] = options(eur="1000")
    assert mrr(account) == {"si": 11_000}


@pytest.mark.parametrize(("currency", "expected"), [("usd", 9_500), ("eur", 9_405)])
def test_amount_off_in_the_currency_of_its_subscription(account: Account, currency: str, expected: int) -> None:
    """10 x 9.00 - 4.50 EUR is 85.50 EUR, 94.05 USD; 10 x 10.00 - 5.00 USD is 95.00."""
    given: Any = discount("di", "five", 0)
    account.subscription(currency=currency, discounts=(shown(given),))
    account.item("si", "seat", "10")
    account.invoice("in", 0, line("si", "seat", "10", 0, 30), discounts=(given,))
    assert mrr(account) == {"si": expected}


def test_amount_off_is_shared_in_the_currency_of_its_subscription(account: Account) -> None:
    """4.50 EUR over 90.00 and 18.00: 3.75 and 0.75."""
    account.price("extra_any", unit_amount_decimal="500", currency_options_json=options(eur="450"))
    account.subscription(currency="eur", discounts=(shown(discount("di", "five", 0)),))
    account.item("si_a", "seat", "10")
    account.item("si_b", "extra_any", "4")
    assert [json.loads(text)[0]["value"] for text in account.states()["discounts_json"]] == ["375", "75"]


def test_amount_off_without_an_amount_in_the_currency_cannot_be_read(account: Account) -> None:
    """On a subscription somebody gave it; a customer's lowers only subscriptions of its own currency."""
    account.subscription(currency="eur", discounts=(shown(discount("di", "usd_only", 0)),))
    account.item("si", "seat", "10")
    assert unread(account) == [("a coupon without an amount in the currency of its subscription", ["sub", "usd_only"])]


def test_customers_amount_off_in_another_currency_lowers_nothing(account: Account) -> None:
    account.customer(discount("di", "usd_only", 0, subscription=None))
    account.subscription(currency="eur")
    account.item("si", "seat", "10")
    assert mrr(account) == {"si": 9_900}
