import json

import pandas as pd
import pytest

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.catalog.suggestions import guesses, offers
from expansion_platform.domain.core import canonical
from expansion_platform.domain.pricing.terms import Price

NOBODY = pd.DataFrame({"customer": [], "product": [], "quantity": []}, dtype="str")


def price(identity, product, unit, *, currency="usd", interval="month", usage_type="licensed", scheme=None):
    terms = scheme or {"type": "per_unit", "unit": unit}
    return Price(identity, product, currency, usage_type, interval, 1, terms, canonical.dumps(terms))


def guessed(named, prices, held=NOBODY, metadata=None):
    """Product id -> field -> (value, reason); `named` is name by id."""
    rows = pd.DataFrame({"id": list(named), "name": list(named.values()), "metadata_json": json.dumps({})})
    catalog = Catalog.from_dict({}, metadata or {})
    offered = offers(
        rows,
        {one.id: one for one in prices},
        frozenset(one.id for one in prices if not one.id.endswith("old")),
        catalog,
    )
    return {
        product: {guess.field: (guess.value, guess.reason) for guess in told}
        for product, told in guesses(offered, held, "usd").items()
    }


def values(told):
    return {
        product: {field: value for field, (value, _) in fields.items()} for product, fields in told.items()
    }


def test_plans_named_alike_are_a_family_ranked_by_price():
    named = {"a": "Acme Enterprise", "b": "Acme Basic (monthly)", "c": "Acme Pro", "d": "Reports"}
    told = guessed(
        named,
        [
            price("p1", "a", "5000"),
            price("p2", "b", "1000"),
            price("p3", "c", "2000"),
            price("p4", "d", "700"),
        ],
    )
    assert values(told) == {
        "a": {"family": "acme", "tier_rank": "3", "kind": "base", "unit": "seat"},
        "b": {"family": "acme", "tier_rank": "1", "kind": "base", "unit": "seat"},
        "c": {"family": "acme", "tier_rank": "2", "kind": "base", "unit": "seat"},
        "d": {"kind": "base", "unit": "seat"},
    }
    assert told["c"]["family"][1] == "named like Acme Basic (monthly), Acme Enterprise"
    assert told["a"]["tier_rank"][1] == "highest by price: 500.00 USD a month for 10 units"


def test_prices_rank_against_what_the_names_say():
    told = guessed({"a": "Pro", "b": "Basic"}, [price("p1", "a", "1000"), price("p2", "b", "2000")])
    assert values(told) == {
        "a": {"family": "plans", "tier_rank": "1", "kind": "base", "unit": "seat"},
        "b": {"family": "plans", "tier_rank": "2", "kind": "base", "unit": "seat"},
    }


def test_names_rank_where_no_price_list_has_them_all():
    told = guessed(
        {"a": "Acme Pro", "b": "Acme Basic"}, [price("p1", "a", "1", currency="eur"), price("p2", "b", "2")]
    )
    assert [told[product]["tier_rank"][0] for product in "ab"] == ["2", "1"]
    assert (
        "tier_rank"
        not in guessed(
            {"a": "Acme", "b": "Acme Basic"}, [price("p1", "a", "1", currency="eur"), price("p2", "b", "2")]
        )["a"]
    )


def test_monthly_prices_in_the_reporting_currency_come_first():
    prices = [
        *(price("p1", "a", "1000"), price("p2", "b", "2000")),
        *(price("p3", "a", "99", currency="eur"), price("p4", "b", "9", currency="eur")),
        *(price("p5", "a", "99", interval="year"), price("p6", "b", "9", interval="year")),
    ]
    assert [
        guessed({"a": "X Pro", "b": "X Max Pro X", "c": "X"}, prices)[name].get("tier_rank") for name in "ab"
    ] == [None, None]
    told = guessed({"a": "X Basic", "b": "X Pro"}, prices)
    assert told["b"]["tier_rank"] == ("2", "highest by price: 200.00 USD a month for 10 units")


@pytest.mark.parametrize("name", ["Extra storage", "SSO", "Analytics add-on", "Priority Support"])
def test_an_add_on_by_its_name(name):
    told = guessed({"a": name}, [price("p1", "a", "500")])
    assert values(told)["a"] == {"kind": "addon", "unit": "flat"}
    assert told["a"]["kind"][1].startswith("its name has `")


def test_metered_is_usage():
    assert values(guessed({"a": "API calls"}, [price("p1", "a", "5", usage_type="metered")]))["a"] == {
        "kind": "usage",
        "unit": "meter",
    }


def test_one_each_is_flat_from_five_customers_on():
    held = pd.DataFrame({"customer": list("vwxyz"), "product": "a", "quantity": "1"})
    assert guessed({"a": "Suite"}, [price("p1", "a", "5")], held)["a"]["unit"] == (
        "flat",
        "all 5 customers hold exactly 1",
    )
    for fewer in (held.iloc[:4], held.assign(quantity=["1", "1", "1", "1", "2"])):
        assert guessed({"a": "Suite"}, [price("p1", "a", "5")], fewer)["a"]["unit"][0] == "seat"


def test_metadata_is_what_holds_already():
    metadata = {"a": {"family": "main", "tier_rank": "7", "kind": "hardware"}}
    told = guessed(
        {"a": "Acme Pro", "b": "Acme Basic"},
        [price("p1", "a", "2"), price("p2", "b", "1")],
        metadata=metadata,
    )
    assert told["a"]["tier_rank"] == ("7", "as Stripe's metadata says, which is followed already")
    assert told["a"]["kind"][0] == "base"
    assert told["b"]["family"][0] == "main"


def test_retired_prices_and_those_that_cannot_be_had_in_tens_do_not_rank():
    small = {"type": "volume", "tiers": [{"up_to": 5, "unit": "1", "flat": "0"}]}
    prices = [
        price("p1", "a", "2"),
        price("p1old", "a", "9"),
        price("p2", "b", "3"),
        price("p3", "b", "", scheme=small),
    ]
    assert [guessed({"a": "Acme Basic", "b": "Acme Pro"}, prices)[name]["tier_rank"][0] for name in "ab"] == [
        "1",
        "2",
    ]
    assert guessed({"a": "Acme Basic"}, [price("p1old", "a", "9")])["a"]["kind"][0] == "base"
