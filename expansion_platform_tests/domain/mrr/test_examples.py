"""The worked examples of semantics 3.6, all columns of its table."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from expansion_platform.domain.mrr.conformance import classify_month
from expansion_platform_tests.domain.books import catalog, item, per_unit, percent

MINOR = Decimal(100)

CALLS = {
    "type": "graduated",
    "tiers": [{"up_to": 1000, "unit": "0", "flat": "0"}, {"up_to": None, "unit": "4", "flat": "0"}],
}
LISTED = [
    {
        "price": f"{product}_{interval}",
        "product": product,
        "currency": "usd",
        "interval": interval,
        "interval_count": 1,
        "scheme": per_unit(unit),
    }
    for product, interval, unit in (
        ("pro", "month", "2000"),
        ("pro", "year", "20000"),
        ("ent", "month", "3000"),
        ("ent", "year", "30000"),
    )
]


def basic(quantity: str, name: str = "i1", **more: Any) -> dict[str, Any]:
    return item(name, "basic", "1000", quantity, **more)


def pro(quantity: str, name: str = "i1", **more: Any) -> dict[str, Any]:
    return item(name, "pro", "2000", quantity, **more)


def basic_2025(quantity: str) -> dict[str, Any]:
    return item("i1", "basic", "1200", quantity, price="basic_2025")


def euro(quantity: str) -> dict[str, Any]:
    return item("i1", "basic", "900", quantity, currency="eur")


def yen(quantity: str) -> dict[str, Any]:
    return item("i1", "basic", "1500", quantity, currency="jpy")


ANNUAL = item("i1", "basic", "10000", "10", interval="year")
ENT_ANNUAL = item("i1", "ent", "30000", "10", interval="year")
FREE = item("i1", "free", "0", "1")
BASE = [basic("10")]
SEATS_5 = [pro("5", name="i2", subscription="sub_2")]


def fx(prev: str, curr: str, currency: str = "eur") -> dict[str, Any]:
    return {"fx": {"prev": {currency: prev}, "curr": {currency: curr}}}


# name: opening items, closing items, catalog, opening, closing, label, expansion by type, other flows,
# causes, gross up, gross down, unadjusted
CASES: dict[str, tuple[Any, ...]] = {
    "E1": ([], BASE, {}, "0", "100", "new", {}, {"new": "100"}, {}, "0", "0", "0"),
    "E2": (
        [],
        BASE,
        {"ever_paid": ["c1"]},
        "0",
        "100",
        "reactivation",
        {},
        {"reactivation": "100"},
        {},
        "0",
        "0",
        "0",
    ),
    "E3": (BASE, [], {}, "100", "0", "churn", {}, {"churn": "-100"}, {}, "0", "0", "0"),
    "E4": (
        BASE,
        [basic("15")],
        {},
        "100",
        "150",
        "expansion",
        {"seat": "50"},
        {},
        {"seat": "50"},
        "50",
        "0",
        "50",
    ),
    "E5": (
        BASE,
        [pro("10")],
        {},
        "100",
        "200",
        "expansion",
        {"tier": "100"},
        {},
        {"tier": "100"},
        "100",
        "0",
        "100",
    ),
    "E6": (
        *(BASE, [pro("15")], {}, "100", "300", "expansion", {"seat": "75", "tier": "125"}, {}),
        *({"seat": "75", "tier": "125"}, "200", "0", "200"),
    ),
    "E7": (
        BASE,
        [basic_2025("10")],
        {},
        "100",
        "120",
        "repriced",
        {},
        {"price": "20"},
        {"price": "20"},
        "0",
        "0",
        "20",
    ),
    "E8": (
        *(BASE, [basic_2025("12")], {}, "100", "144", "expansion", {"seat": "22"}, {"price": "22"}),
        *({"seat": "22", "price": "22"}, "22", "0", "44"),
    ),
    "E9": (
        *(
            [basic("10", discounts=[percent("20")])],
            BASE,
            {},
            "80",
            "100",
            "repriced",
            {},
            {"discount": "20"},
        ),
        *({"discount": "20"}, "0", "0", "20"),
    ),
    "E10": (
        *(BASE, [basic("20", discounts=[percent("50")])], {}, "100", "100", "flat", {}, {}),
        *({"seat": "75", "discount": "-75"}, "75", "0", "0"),
    ),
    "E11": (
        *(BASE, [basic("15", discounts=[percent("20")])], {}, "100", "120", "expansion", {"seat": "20"}, {}),
        *({"seat": "45", "discount": "-25"}, "45", "0", "20"),
    ),
    "E12": (
        BASE,
        [ANNUAL],
        {},
        "100",
        "83.33",
        "repriced",
        {},
        {"interval": "-16.67"},
        {"interval": "-16.67"},
        "0",
        "0",
        "0",
    ),
    "E13": (
        [ANNUAL],
        BASE,
        {},
        "83.33",
        "100",
        "repriced",
        {},
        {"interval": "16.67"},
        {"interval": "16.67"},
        "0",
        "0",
        "16.67",
    ),
    "E14": (
        *([pro("10")], [ENT_ANNUAL], {"list_prices": LISTED}, "200", "250", "expansion", {"tier": "50"}, {}),
        *({"tier": "91.66", "interval": "-41.66"}, "91.66", "0", "50"),
    ),
    "E15": (
        [pro("10")],
        [ENT_ANNUAL],
        {},
        "200",
        "250",
        "expansion",
        {"tier": "50"},
        {},
        {"tier": "50"},
        "50",
        "0",
        "50",
    ),
    "E16": (
        *(
            BASE,
            [basic("7"), item("i2", "crm", "9900", "1")],
            {},
            "100",
            "169",
            "expansion",
            {"cross_sell": "69"},
            {},
        ),
        *({"seat": "-30", "cross_sell": "99"}, "99", "30", "69"),
    ),
    "E17": (
        BASE,
        [*BASE, item("i2", "sso", "5000", "1")],
        {},
        "100",
        "150",
        "expansion",
        {"addon": "50"},
        {},
        {"addon": "50"},
        "50",
        "0",
        "50",
    ),
    "E18": (
        *(
            [*BASE, item("i2", "api", CALLS, "3000", usage_type="metered")],
            [*BASE, item("i2", "api", CALLS, "5500", usage_type="metered")],
            {},
        ),
        *("180", "280", "expansion", {"usage": "100"}, {}, {"usage": "100"}, "100", "0", "100"),
    ),
    "E19": (
        *(
            [euro("10")],
            [euro("12")],
            fx("1.10", "1.05"),
            "99",
            "113.40",
            "expansion",
            {"seat": "19.80"},
            {"fx": "-5.40"},
        ),
        *({"seat": "19.80", "fx": "-5.40"}, "19.80", "0", "14.40"),
    ),
    "E20": (
        BASE,
        [euro("10")],
        fx("1.10", "1.10"),
        "100",
        "99",
        "fx",
        {},
        {"fx": "-1"},
        {"fx": "-1"},
        "0",
        "0",
        "0",
    ),
    "E21": (
        *(
            BASE,
            [pro("10", name="i2", subscription="sub_2")],
            {},
            "100",
            "200",
            "expansion",
            {"tier": "100"},
            {},
        ),
        *({"tier": "100"}, "100", "0", "100"),
    ),
    "E22": (
        BASE,
        [basic("6"), basic("4", name="i2", subscription="sub_2")],
        {},
        "100",
        "100",
        "flat",
        {},
        {},
        {},
        "0",
        "0",
        "0",
    ),
    "E23": (
        *(
            BASE,
            [basic_2025("9")],
            {},
            "100",
            "108",
            "contraction",
            {},
            {"contraction": "-11", "price": "19"},
        ),
        *({"seat": "-11", "price": "19"}, "0", "11", "8"),
    ),
    "E24": (
        *(
            BASE,
            [pro("15", discounts=[percent("10")])],
            {},
            "100",
            "270",
            "expansion",
            {"seat": "63.66", "tier": "106.34"},
            {},
        ),
        *({"seat": "70.83", "tier": "118.33", "discount": "-19.16"}, "189.16", "0", "170"),
    ),
    "E25": (
        *(
            [basic("10", discounts=[percent("100")])],
            BASE,
            {"ever_paid": ["c1"]},
            "0",
            "100",
            "reactivation",
            {},
            {"reactivation": "100"},
        ),
        *({}, "0", "0", "0"),
    ),
    "E26": (
        [basic("10", discounts=[percent("100")])],
        BASE,
        {},
        "0",
        "100",
        "new",
        {},
        {"new": "100"},
        {},
        "0",
        "0",
        "0",
    ),
    "E27": ([FREE], [basic("5")], {}, "0", "50", "new", {}, {"new": "50"}, {}, "0", "0", "0"),
    "E28": (
        *(
            [item("i1", "basic", "10000", "1", interval="year")],
            [item("i1", "basic", "10000", "2", interval="year")],
            {},
            "8.33",
            "16.67",
        ),
        *("expansion", {"seat": "8.34"}, {}, {"seat": "8.34"}, "8.34", "0", "8.34"),
    ),
    "E29": (
        *(
            [yen("10")],
            [yen("12")],
            fx("0.0067", "0.0067", "jpy"),
            "100.50",
            "120.60",
            "expansion",
            {"seat": "20.10"},
            {},
        ),
        *({"seat": "20.10"}, "20.10", "0", "20.10"),
    ),
}


def cents(amounts: dict[str, str]) -> dict[str, int]:
    return {name: int(Decimal(text) * MINOR) for name, text in amounts.items()}


def nonzero(amounts: dict[str, int]) -> dict[str, int]:
    return {name: amount for name, amount in amounts.items() if amount}


@pytest.mark.parametrize("name", CASES)
def test_22_worked_example(name):
    before, after, more, opening, closing, label, types, flows, causes, gross_up, gross_down, unadjusted = (
        CASES[name]
    )
    result = classify_month(before, after, catalog(**more))
    row = result["customers"]["c1"]
    assert (row["opening"], row["closing"]) == (int(Decimal(opening) * MINOR), int(Decimal(closing) * MINOR))
    assert row["delta"] == row["closing"] - row["opening"]
    assert row["label"] == label
    assert row["movement"] == (label if label in ("new", "reactivation", "churn") else "continuing")
    assert row["dormant"] == (name == "E25")
    assert nonzero(row["expansion_by_type"]) == cents(types)
    assert row["flows"]["expansion"] == sum(cents(types).values())
    assert {flow: amount for flow, amount in nonzero(row["flows"]).items() if flow != "expansion"} == cents(
        flows
    )
    assert nonzero(row["causes"]) == cents(causes)
    assert row["expansion_gross"] == int(Decimal(gross_up) * MINOR)
    assert row["contraction_gross"] == int(Decimal(gross_down) * MINOR)
    assert row["expansion_unadjusted"] == int(Decimal(unadjusted) * MINOR)
    sums = {key: value for key, value in row.items() if key not in ("movement", "label", "segment")}
    assert result["total"] == sums
    assert result["segments"]["smb"] == sums
