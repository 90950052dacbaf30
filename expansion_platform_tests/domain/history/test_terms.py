"""What a subscription pays by terms that prices and coupons hold in several forms, or that only bills tell
(semantics 7, cases 64 to 66).

One customer, a USD reporting currency, 1.10 USD for a euro. Not here: when discounts were in force
(`test_discounts.py`).
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from expansion_platform.domain.mrr.valuation import value_states
from expansion_platform.domain.pricing.policy import Policy
from expansion_platform_tests.domain.history_rows import Account, discount, line, shown
from expansion_platform_tests.domain.whole_history import rebuild

RATES = {"eur": "1.10", "jpy": "0.01"}


def options(**units: str | None) -> str:
    return json.dumps(
        {currency: {"unit": unit, "tiers": None, "tax": None} for currency, unit in units.items()}
    )


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
    """12 units in tiers of EUR: 10 x 9.00 + 2 x 7.50 + 20.00 = 125.00; 250 in packages of 100: 3 x 4.50 =
    13.50.
    """
    tiers = [{"up_to": 10, "unit": "900", "flat": "0"}, {"up_to": None, "unit": "750", "flat": "2000"}]
    in_euros = json.dumps({"eur": {"unit": None, "tiers": tiers, "tax": None}})
    dollars = json.dumps([{"up_to": None, "unit": "1000", "flat": "0"}])
    tiered = {
        "billing_scheme": "tiered",
        "tiers_mode": "graduated",
        "tiers_json": dollars,
        "unit_amount_decimal": None,
    }
    account.price("tiered", **tiered, currency_options_json=in_euros)
    account.price(
        "packs",
        unit_amount_decimal="500",
        divide_by=100,
        round="up",
        currency_options_json=options(eur="450"),
    )
    account.subscription(currency="eur")
    account.item("si_a", "tiered", "12")
    account.item("si_b", "packs", "250")
    assert mrr(account) == {"si_a": 13_750, "si_b": 1485}


@pytest.mark.parametrize("offered", [None, options(gbp="800"), options(eur=None)])
def test_price_without_an_amount_in_the_currency_cannot_be_read(
    account: Account, offered: str | None
) -> None:
    account.price("seat_usd", unit_amount_decimal="1000", currency_options_json=offered)
    account.subscription(currency="eur")
    account.item("si", "seat_usd", "10")
    assert unread(account) == [
        ("a price without an amount in the currency of its subscription", ["seat_usd", "si", "sub"])
    ]


def test_an_option_changed_by_the_catalogue_changes_what_is_read(account: Account) -> None:
    account.subscription(currency="eur")
    account.item("si", "seat", "10")
    account.rows["prices"][-1]["currency_options_json"] = options(eur="1000")
    assert mrr(account) == {"si": 11_000}


@pytest.mark.parametrize(("currency", "expected"), [("usd", 9_500), ("eur", 9_405)])
def test_amount_off_in_the_currency_of_its_subscription(
    account: Account, currency: str, expected: int
) -> None:
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
    assert unread(account) == [
        ("a coupon without an amount in the currency of its subscription", ["sub", "usd_only"])
    ]


def test_customers_amount_off_in_another_currency_lowers_nothing(account: Account) -> None:
    account.customer(discount("di", "usd_only", 0, subscription=None))
    account.subscription(currency="eur")
    account.item("si", "seat", "10")
    assert mrr(account) == {"si": 9_900}


# What Stripe does not have any more


def billed(
    item: str, price: str, quantity: str, start: float, end: float, unit: str | None = "1000", **fields: Any
) -> dict[str, Any]:
    amount = fields.pop("amount", None)
    amount = int(float(unit or 0) * float(quantity)) if amount is None else amount
    return line(
        item,
        price,
        quantity,
        start,
        end,
        amount,
        unit_amount_decimal=unit,
        currency=fields.pop("currency", "usd"),
        **fields,
    )


def team_and_crm(
    *lines: dict[str, Any], coupon: str = "half", given: dict[str, Any] | None = None, status: str = "paid"
) -> Account:
    """10 seats of Team at 1000 and a CRM at 9900, and a coupon that was deleted before anybody read it."""
    account = Account()
    account.price("team", unit_amount_decimal="1000")
    account.price("crm", unit_amount_decimal="9900")
    account.coupon("half", percent="50", embedded=True)
    account.coupon("twenty", amount=2000, currency="usd", embedded=True)
    account.coupon("listed", percent="50")
    given = given or discount("di", coupon, 0)
    account.subscription(discounts=(shown(given),))
    account.item("si_team", "team", "10")
    account.item("si_crm", "crm", "1")
    if lines:
        account.invoice("in", 0, *lines, discounts=(given,), status=status)
    return account


TEAM_HALF = line("si_team", "team", "10", 0, 31, 10_000, off={"di": 5000})


@pytest.mark.parametrize("off", [{}, {"off": {"di": 0}}])
def test_products_a_deleted_coupon_leaves_out_are_told_by_bills(off: dict[str, Any]) -> None:
    account = team_and_crm({**TEAM_HALF}, line("si_crm", "crm", "1", 0, 31, 9900, **off))
    assert mrr(account) == {"si_team": 5_000, "si_crm": 9_900}
    assert set(account.states()["confidence"]) == {"exact"}


def test_a_coupon_that_is_there_is_not_read_from_bills() -> None:
    account = team_and_crm({**TEAM_HALF}, line("si_crm", "crm", "1", 0, 31, 9900), coupon="listed")
    assert mrr(account) == {"si_team": 5_000, "si_crm": 4_950}


@pytest.mark.parametrize(
    "crm",
    [
        line("si_crm", "crm", "1", 0, 31, 9900, off={"di": 4950}),
        line("si_crm", "crm", "1", 0, 31, 0),
        line("si_crm", "crm", "1", 0, 31, 9900, off={"other": 9900}),
        line("si_crm", "crm", "1", 0, 31, 1),
        line("si_crm", "crm", "1", 10, 31, 6600, proration=True),
    ],
    ids=["taken", "nothing to take from", "another took all", "half a cent", "proration"],
)
def test_a_line_that_shows_no_limit_leaves_nothing_out(crm: dict[str, Any]) -> None:
    assert mrr(team_and_crm({**TEAM_HALF}, {**crm})) == {"si_team": 5_000, "si_crm": 4_950}


@pytest.mark.parametrize("status", [None, "void"])
def test_a_deleted_coupon_no_bill_tells_of_is_taken_for_one_without_limits(status: str | None) -> None:
    """Its states say that they are known only from today's subscription."""
    account = (
        team_and_crm()
        if status is None
        else team_and_crm({**TEAM_HALF}, line("si_crm", "crm", "1", 0, 31, 9900), status=status)
    )
    assert mrr(account) == {"si_team": 5_000, "si_crm": 4_950}
    assert set(account.states()["confidence"]) == {"snapshot"}


def test_a_product_added_beside_a_limited_one_is_left_out_like_the_others() -> None:
    account = team_and_crm({**TEAM_HALF}, line("si_crm", "crm", "1", 0, 31, 9900))
    account.item("si_extra", "extra", "2", 20)
    assert mrr(account) == {"si_team": 5_000, "si_crm": 9_900, "si_extra": 1_000}


def test_amount_off_of_a_deleted_coupon() -> None:
    """20.00 off Team alone; in EUR, where the embedded coupon says only what it is in USD, 18.00 as the bill
    shows.
    """
    account = team_and_crm(
        line("si_team", "team", "10", 0, 31, 10_000, off={"di": 2000}),
        line("si_crm", "crm", "1", 0, 31, 9900),
        coupon="twenty",
    )
    assert mrr(account) == {"si_team": 8_000, "si_crm": 9_900}
    account = Account()
    account.price("seat", unit_amount_decimal="1000", currency_options_json=options(eur="900"))
    account.coupon("twenty", amount=2000, currency="usd", embedded=True)
    given = discount("di", "twenty", 0)
    account.subscription(currency="eur", discounts=(shown(given),))
    account.item("si", "seat", "10")
    assert unread(account) == [
        ("a coupon without an amount in the currency of its subscription", ["sub", "twenty"])
    ]
    account.invoice(
        "in", 0, line("si", "seat", "10", 0, 31, 9000, currency="eur", off={"di": 1800}), discounts=(given,)
    )
    assert mrr(account) == {"si": 7_920}


@pytest.mark.parametrize(
    ("end", "period", "expected"),
    [
        (31, ("month", 1), 5_000),
        (365, ("year", 1), 417),
        (90, ("month", 3), 1_667),
        (28, ("week", 4), 5_432),
        (7, ("week", 1), 21_726),
    ],
)
def test_a_deleted_price_is_told_by_its_bills(end: int, period: tuple[str, int], expected: int) -> None:
    """5 at 10.00; 28 days from 1 January are four weeks."""
    account = Account()
    account.subscription()
    account.item("si", "gone", "5")
    account.invoice("in", 0, billed("si", "gone", "5", 0, end))
    assert mrr(account) == {"si": expected}
    row = account.states().iloc[0]
    assert (row["interval"], row["interval_count"], row["product"], row["currency"]) == (
        *period,
        "prod_gone",
        "usd",
    )


def test_a_february_is_a_month() -> None:
    account = Account()
    account.subscription(31)
    account.item("si", "gone", "5", 31)
    account.invoice("in", 31, billed("si", "gone", "5", 31, 59))
    assert account.states()["interval"].tolist() == ["month"]


def test_a_deleted_price_left_behind_and_one_never_billed_for_a_whole_period() -> None:
    """`was` is left on day 31; `short` was there for ten days of a period that the renewal after it bills for
    another price.
    """
    account = Account()
    account.subscription()
    account.item("si", "basic", "5")
    account.invoice("in1", 0, billed("si", "was", "4", 0, 31, "700"))
    account.invoice("in2", 31, billed("si", "basic", "5", 31, 59))
    prorations = (
        ("basic", "5", 40, -3393, "1000"),
        ("short", "5", 40, 4071, "1200"),
        ("short", "5", 50, -1929, "1200"),
        ("basic", "5", 50, 1607, "1000"),
    )
    account.invoice(
        "in3",
        50,
        *(
            billed("si", price, quantity, at, 59, unit, amount=amount, proration=True)
            for price, quantity, at, amount, unit in prorations
        ),
    )
    assert account.story() == [
        ("si", 0, 31, "was", "4"),
        ("si", 31, 40, "basic", "5"),
        ("si", 40, 50, "short", "5"),
        ("si", 50, None, "basic", "5"),
    ]
    schemes = dict(zip(account.states()["price"], account.states()["scheme_json"], strict=True))
    assert schemes["was"] == '{"type":"per_unit","unit":"700"}'
    assert schemes["short"] == '{"type":"per_unit","unit":"1200"}'


def test_a_negative_quantity_of_a_deleted_price_in_tiers_is_named() -> None:
    account = Account()
    account.subscription()
    account.item("si", "gone", "10")
    account.invoice("in1", 0, billed("si", "gone", "-1", 0, 31, None, amount=10_000))
    account.invoice("in2", 31, billed("si", "gone", "10", 31, 59, None, amount=10_000))
    found = rebuild(account.staged())
    assert list(found.quarantine["problem"]) == ["a negative quantity"]
    assert list(found.states["quantity"]) == ["10"]


def test_a_deleted_price_in_tiers_costs_what_was_billed_and_nothing_else() -> None:
    account = Account()
    account.subscription()
    account.item("si", "gone", "12")
    account.invoice("in1", 0, billed("si", "gone", "10", 0, 31, None, amount=10_000))
    account.invoice("in2", 31, billed("si", "gone", "12", 31, 59, None, amount=11_500))
    assert mrr(account) == {"si": 11_500}
    account.rows["subscription_items"][0]["quantity"] = "11"
    problem = "a price that is missing, and a quantity of it that no bill charges for a whole period"
    assert [each[0] for each in unread(account)] == [problem]


@pytest.mark.parametrize("lines", [(), (("si", 0, 45.5),)])
def test_a_deleted_price_whose_terms_nothing_tells_cannot_be_read(lines: tuple[Any, ...]) -> None:
    account = Account()
    account.subscription()
    account.item("si", "gone", "5")
    for item, start, end in lines:
        account.invoice("in", 0, billed(item, "gone", "5", start, end))
    (problem, objects), *_ = unread(account)
    assert problem == "a price that is missing"
    assert "gone" in objects


def test_a_deleted_price_of_packages_in_another_currency() -> None:
    """The item embeds it in USD, packages and interval included; the bill shows what a package costs
    in EUR.
    """
    account = Account()
    account.price("packs", unit_amount_decimal="500", divide_by=100, round="up", embedded=True)
    account.subscription(currency="eur")
    account.item("si", "packs", "250")
    account.invoice("in", 0, billed("si", "packs", "250", 0, 31, "450", amount=1350, currency="eur"))
    assert mrr(account) == {"si": 1_485}
    assert account.states()["scheme_json"].tolist() == [
        '{"divide_by":100,"round":"up","type":"per_unit","unit":"450"}'
    ]
