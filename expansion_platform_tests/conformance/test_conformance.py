"""The vectorised rules against the plain reference: the same row for every customer of every random book
(semantics 8.1).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings

from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.mrr.conformance import classify_month
from expansion_platform.simulator.truth import reference
from expansion_platform_tests.conformance.books import MonthSnapshot, Row, books, random_book
from expansion_platform_tests.conformance.examples import EXAMPLES, catalog, line, off


def differences(expected: Any, actual: Any, path: str = "") -> Iterator[str]:
    """Paths at which two results differ, with both values; a missing key is a difference."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key in sorted(expected.keys() | actual.keys()):
            yield from differences(
                expected.get(key, "(no key)"), actual.get(key, "(no key)"), f"{path}/{key}"
            )
    elif expected != actual or type(expected) is not type(actual):
        yield f"{path}: reference {expected!r}, domain {actual!r}"


def assert_same(book: MonthSnapshot, name: str) -> None:
    expected, actual = reference.classify_month(*copy.deepcopy(book)), classify_month(*book)
    first = next(differences(expected, actual), None)
    assert first is None, f"book {name}: {first}"


def assert_same_seeds(first: int, count: int) -> None:
    for seed in range(first, first + count):
        assert_same(random_book(seed), f"random_book({seed})")


@pytest.mark.parametrize("name", EXAMPLES)
def test_worked_examples_agree(name: str) -> None:
    prev, curr, book_catalog, _ = EXAMPLES[name]
    assert_same((prev, curr, book_catalog), name)


@pytest.mark.parametrize("block", range(6))
def test_random_books_agree(block: int) -> None:
    assert_same_seeds(block * 50, 50)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(2))  # a minute a block; the suite has fifteen in all
def test_many_random_books_agree(block: int) -> None:
    assert_same_seeds(10_000 + block * 400, 400)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_large_books_agree(seed: int) -> None:
    assert_same(random_book(seed, customers=400), f"random_book({seed}, customers=400)")


@settings(max_examples=50, deadline=None)
@given(books())
def test_shrinkable_books_agree(book: MonthSnapshot) -> None:
    assert_same(book, "drawn")


def metered_once() -> MonthSnapshot:
    prev = [line("basic", 1), line("api", 9, "si_2", usage_type="metered", unit="100")]
    curr = [
        line("basic", 1),
        line("api", 9, "si_2", usage_type="metered", unit="100", discounts=off("50", "once")),
    ]
    return prev, curr, catalog() | {"policy": {"once_discount_min_months": 1}}


# Coincidences that random amounts do not meet.
RARE: dict[str, MonthSnapshot] = {
    "two gains tie for the odd cent": (
        [line("basic", 2, unit="1")],
        [line("basic", 1, unit="1"), line("crm", 1, "si_2", unit="101"), line("sso", 1, "si_3", unit="101")],
        catalog(),
    ),
    "two losses tie for the odd cent": (
        [line("basic", 1, unit="1"), line("crm", 1, "si_2", unit="101"), line("sso", 1, "si_3", unit="101")],
        [line("basic", 2, unit="1")],
        catalog(),
    ),
    "two concessions tie for the odd cent": (
        [line("basic", 1, unit="100"), line("crm", 1, "si_2", unit="100")],
        [
            line("basic", 1, unit="50"),
            line("crm", 1, "si_2", unit="100", discounts=off("50")),
            line("sso", 1, "si_3", unit="51"),
        ],
        catalog(),
    ),
    "a flat plan replaced by a flat add-on of its group": (
        [line("hall", 1, unit="1000")],
        [line("room", 3, "si_2", unit="1000")],
        catalog()
        | {
            "products": {
                "hall": {"unit": "flat", "group": "house"},
                "room": {"kind": "addon", "group": "house"},
            }
        },
    ),
    "a once coupon on usage": metered_once(),
}


@pytest.mark.parametrize("name", RARE)
def test_rare_books_agree(name: str) -> None:
    assert_same(RARE[name], name)


def test_an_empty_month_has_every_key() -> None:
    assert_same(([], [], catalog()), "empty")


TIERS = [{"up_to": "5", "unit": "10", "flat": "0"}, {"up_to": "8", "unit": "5", "flat": "0"}]
BROKEN: dict[str, Callable[[Row], Any]] = {
    "negative quantity": lambda row: row.update(quantity="-1"),
    "malformed quantity": lambda row: row.update(quantity="ten"),
    "infinite quantity": lambda row: row.update(quantity="Infinity"),
    "negative unit": lambda row: row.update(scheme={"type": "per_unit", "unit": "-10"}),
    "malformed unit": lambda row: row.update(scheme={"type": "per_unit", "unit": "1,000"}),
    "malformed tier unit": lambda row: row.update(
        scheme={"type": "graduated", "tiers": [{"up_to": None, "unit": "x", "flat": "0"}]}
    ),
    "negative flat": lambda row: row.update(
        scheme={"type": "volume", "tiers": [{"up_to": None, "unit": "1", "flat": "-1"}]}
    ),
    "negative minimum": lambda row: row["scheme"].update(minimum="-1"),
    "malformed minimum": lambda row: row["scheme"].update(minimum="NaN"),
    "above the last graduated tier": lambda row: row.update(scheme={"type": "graduated", "tiers": TIERS}),
    "above the last volume tier": lambda row: row.update(scheme={"type": "volume", "tiers": TIERS}),
    "unknown scheme": lambda row: row["scheme"].update(type="stairstep"),
    "unknown round": lambda row: row["scheme"].update(divide_by="5", round="nearest"),
    "unknown interval": lambda row: row.update(interval="quarter"),
    "unknown status": lambda row: row.update(status="alive"),
    "unknown pause": lambda row: row.update(collection_paused="later"),
    "unknown usage type": lambda row: row.update(usage_type="prepaid"),
    "unknown discount type": lambda row: row.update(
        discounts=[{"type": "free", "value": "1", "duration": "once"}]
    ),
    "unknown discount duration": lambda row: row.update(
        discounts=[{"type": "percent", "value": "1", "duration": "always"}]
    ),
    "interval_count zero": lambda row: row.update(interval_count=0),
    "interval_count text": lambda row: row.update(interval_count="1"),
    "interval_count fraction": lambda row: row.update(interval_count=1.5),
    "percent above 100": lambda row: row.update(
        discounts=[{"type": "percent", "value": "100.01", "duration": "once"}]
    ),
    "negative percent": lambda row: row.update(
        discounts=[{"type": "percent", "value": "-1", "duration": "once"}]
    ),
    "negative amount off": lambda row: row.update(
        discounts=[{"type": "amount", "value": "-1", "duration": "once"}]
    ),
    "no rate": lambda row: row.update(currency="chf"),
} | {
    f"no {field}": lambda row, field=field: row.pop(field)
    for field in (
        "customer",
        "subscription",
        "item",
        "status",
        "currency",
        "product",
        "price",
        "scheme",
        "quantity",
    )
}


@pytest.mark.parametrize("status", ["active", "canceled"])
@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("classify", [reference.classify_month, classify_month], ids=["reference", "domain"])
def test_invalid_items_stop_the_month(classify: Callable[..., Any], name: str, status: str) -> None:
    row = line("basic", 10, status=status)
    BROKEN[name](row)
    for prev, curr in (([row], []), ([], [row])):
        with pytest.raises(DataQualityError):
            classify(prev, curr, catalog())


@pytest.mark.parametrize("classify", [reference.classify_month, classify_month], ids=["reference", "domain"])
def test_an_item_twice_on_one_side_stops_the_month(classify: Callable[..., Any]) -> None:
    with pytest.raises(DataQualityError):
        classify([], [line("basic", 1), line("crm", 1, customer="other")], catalog())


@pytest.mark.parametrize("classify", [reference.classify_month, classify_month], ids=["reference", "domain"])
def test_a_new_customer_needs_no_opening_rate(classify: Callable[..., Any]) -> None:
    book_catalog = catalog(curr={"eur": "1.1"})
    assert (
        classify([], [line("basic", 1, currency="eur", unit="1000")], book_catalog)["total"]["closing"]
        == 1100
    )


def test_all_segments_are_there_without_any_customer() -> None:
    empty = {"reporting_currency": "usd"}
    result = classify_month([], [], empty)
    assert result == reference.classify_month([], [], empty)
    assert set(result["segments"]) == {"enterprise", "mid_market", "smb"}
    assert not result["customers"]
