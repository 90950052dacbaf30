"""The plain reference against the published examples (semantics 3.6), and the rules of the text that no
example touches.
"""

from __future__ import annotations

from typing import Any

import pytest

from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.simulator.truth.reference import CAUSES, FLOWS, ORGANIC, classify_month
from expansion_platform_tests.conformance.examples import EXAMPLES, catalog, line, off


def filled(keys: tuple[str, ...], figures: dict[str, int]) -> dict[str, int]:
    return dict.fromkeys(keys, 0) | figures


@pytest.mark.parametrize("name", EXAMPLES)
def test_worked_example(name: str) -> None:
    prev, curr, book_catalog, figures = EXAMPLES[name]
    row = classify_month(prev, curr, book_catalog)["customers"]["c"]
    types = filled(ORGANIC, figures.get("types", {}))
    opening, closing, label = figures.get("opening", 0), figures.get("closing", 0), figures["label"]
    assert (row["opening"], row["closing"], row["delta"]) == (opening, closing, closing - opening)
    assert row["label"] == label
    assert row["movement"] == (label if label in ("new", "reactivation", "churn") else "continuing")
    assert row["flows"] == filled(FLOWS, {"expansion": sum(types.values()), **figures.get("flows", {})})
    assert row["causes"] == filled(CAUSES, figures.get("causes", {}))
    assert row["expansion_by_type"] == types
    assert row["contraction_by_type"] == filled(ORGANIC, figures.get("lost", {}))
    assert (row["expansion_gross"], row["contraction_gross"]) == figures.get("gross", (0, 0))
    assert row["expansion_unadjusted"] == figures.get("unadjusted", 0)
    assert row["dormant"] == figures.get("dormant", 0)


def month(prev: list[dict[str, Any]], curr: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    """The row of customer `c`, who paid before, with parts of the catalog replaced."""
    return classify_month(prev, curr, catalog(paid=True) | changes)["customers"]["c"]


def causes(prev: list[dict[str, Any]], curr: list[dict[str, Any]], **changes: Any) -> dict[str, int]:
    return {cause: amount for cause, amount in month(prev, curr, **changes)["causes"].items() if amount}


def tiered(kind: str, **changes: Any) -> dict[str, Any]:
    tiers = [{"up_to": "10", "unit": "100", "flat": "500"}, {"up_to": None, "unit": "50", "flat": "0"}]
    return {"scheme": {"type": kind, "tiers": tiers, **changes}}


def package(rounding: dict[str, str]) -> dict[str, Any]:
    return {"scheme": {"unit": "100", "divide_by": 5, **rounding}}


def amount_off(value: str, duration: str = "forever") -> list[dict[str, str]]:
    return [{"type": "amount", "value": value, "duration": duration}]


@pytest.mark.parametrize(
    ("expected", "item"),
    [
        (30417, line("x", 1, unit="7000", interval="week")),
        (30417, line("x", 1, unit="1000", interval="day")),
        (15208, line("x", 1, unit="7000", interval="week", interval_count=2)),
        (1600, line("x", 12, **tiered("graduated"))),
        (600, line("x", 12, **tiered("volume"))),
        (1500, line("x", 10, **tiered("volume"))),
        (500, line("x", 0, **tiered("graduated"))),
        (500, line("x", 0, **tiered("volume"))),
        (4000, line("x", 12, **tiered("graduated", minimum="4000"))),
        (300, line("x", 11, **package({}))),
        (200, line("x", 11, **package({"round": "down"}))),
        (0, line("x", 1, unit="0.5")),
        (2, line("x", 1, unit="1.5")),
        (2, line("x", 1, unit="2.5")),
        (8500, line("x", 1, unit="10000", discounts=off("10") + amount_off("500"))),
        (8550, line("x", 1, unit="10000", discounts=amount_off("500") + off("10"))),
        (0, line("x", 1, unit="10000", discounts=amount_off("10001"))),
        (9000, line("x", 1, unit="120000", interval="year", discounts=amount_off("12000"))),
        (10000, line("x", 1, unit="10000", discounts=off("50", "once"))),
        (5000, line("x", 1, unit="120000", interval="year", discounts=off("50", "once"))),
        (
            10000,
            line("x", 1, unit="10000", interval="year", usage_type="metered", discounts=off("50", "once")),
        ),
        (325, line("x", 1, unit="1000", currency="kwd")),
        (1080, line("x", 1, unit="150000", currency="isk")),
    ],
)
def test_price_of_an_item(expected: int, item: dict[str, Any]) -> None:
    """Semantics 1.4 and 1.6, worked by hand."""
    assert month([], [item], fx={"curr": {"kwd": "3.25", "isk": "0.0072"}})["closing"] == expected


@pytest.mark.parametrize(
    ("counts", "changes"),
    [
        (True, {"status": "past_due"}),
        (False, {"status": "trialing"}),
        (False, {"status": "unpaid"}),
        (False, {"collection_paused": "void"}),
        (False, {"collection_paused": "mark_uncollectible"}),
        (True, {"collection_paused": "keep_as_draft"}),
        (False, {"livemode": False}),
    ],
)
def test_what_counts(counts: bool, changes: dict[str, Any]) -> None:
    """Semantics 1.3; a customer of whom nothing counts is there all the same."""
    row = month([], [line("basic", 10, **changes)])
    assert (row["closing"], row["movement"]) == ((10000, "reactivation") if counts else (0, "none"))


def test_arr_is_rounded_on_its_own() -> None:
    """10,000,000.00 cents a year is 833,333 a month, and still an enterprise contract."""
    row = month([], [line("ent", 1, unit="10000000", interval="year")])
    assert (row["closing"], row["closing_arr"], row["segment"]) == (833333, 10000000, "enterprise")


def test_no_usage_this_month_is_dormant_churn() -> None:
    assert month([line("basic", 3)], [line("basic", 0)])["dormant"] == 1
    assert month([line("basic", 3)], [line("basic", 3, status="canceled")])["dormant"] == 0


def test_merged_customers_move_nothing() -> None:
    """Case 18: both ends carry the customer of today, also through two merges."""
    prev = [line("basic", 3, customer="older"), line("crm", 1, "si_2")]
    row = month(prev, [line("basic", 3), line("crm", 1, "si_2")], aliases={"older": "old", "old": "c"})
    assert (row["label"], row["opening"]) == ("flat", 12900)


def test_item_that_moved_to_another_product() -> None:
    """Case 51: a plan swap, unless the catalog places both products in families of their own."""
    moved = [line("north", 1, unit="1000")], [line("south", 1, unit="1500")]
    assert causes(*moved) == {"tier": 500}
    assert causes(*moved, products={"north": {"family": "north"}}) == {"tier": 500}
    apart = {"north": {"family": "north"}, "south": {"family": "south"}}
    assert causes(*moved, products=apart) == {"cross_sell": 500}
    assert month(*moved, products=apart)["contraction_gross"] == 1000


def test_matching_pairs_by_rank() -> None:
    """The largest line meets the largest: 10 seats become 12, 2 become 1, whatever the ids."""
    prev = [line("basic", 2, "si_a"), line("pro", 10, "si_b")]
    curr = [line("pro", 12, "si_x", price="pro_new"), line("basic", 1, "si_y", price="basic_new")]
    rows = classify_month(prev, curr, catalog(), evidence=True)["customers"]["c"]["cause_rows"]
    assert {(row["from_item"], row["to_item"], row["cause"], row["amount"]) for row in rows} == {
        ("si_b", "si_x", "seat", 4000),
        ("si_a", "si_y", "seat", -1000),
    }


def test_unmatched_items() -> None:
    """Semantics 3.2: further seats of a held family, usage of a held family, add-ons, and everything else is
    cross-sell.
    """
    base = line("basic", 1)
    metered = {"usage_type": "metered", "unit": "5"}
    assert causes([base], [base, line("pro", 1, "si_2")]) == {"seat": 2000}
    assert causes([base], [base, line("api", 100, "si_2", **metered)]) == {"usage": 500}
    assert causes([base], [base, line("sms", 100, "si_2", **metered)]) == {"cross_sell": 500}
    assert causes([base, line("sso", 1, "si_2")], [base]) == {"addon": -5000}
    assert causes([base, line("crm", 1, "si_2")], [base]) == {"cross_sell": -9900}


def test_units_that_cannot_be_compared() -> None:
    """Ten seats against one flat fee: no seat was sold or lost, the plan changed."""
    flat = {
        "products": {
            "basic": {"family": "core", "tier_rank": 1},
            "solo": {"family": "core", "tier_rank": 2, "unit": "flat"},
        }
    }
    assert causes([line("basic", 10)], [line("solo", 1, unit="25000")], **flat) == {"tier": 15000}
    flat["products"]["solo"]["tier_rank"] = 1
    assert causes([line("basic", 10)], [line("solo", 1, unit="25000")], **flat) == {"price": 15000}


def test_smallest_list_price_wins_a_tie() -> None:
    """E14 with a second, dearer list price of the old plan at the new interval."""
    prev, curr, book_catalog, _ = EXAMPLES["E14"]
    dearer = {
        "price": "a_first",
        "product": "pro",
        "currency": "usd",
        "interval": "year",
        "scheme": {"unit": "24000"},
    }
    book_catalog = book_catalog | {"list_prices": [*book_catalog["list_prices"], dearer]}
    # Corners 200.00, 200.00 (a_first), 300.00, 250.00: interval first 0 and +50, tier first +100 and -50.
    assert classify_month(prev, curr, book_catalog)["customers"]["c"]["causes"] == dict.fromkeys(
        CAUSES, 0
    ) | {"tier": 7500, "interval": -2500}


def test_one_missing_corner_leaves_one_path() -> None:
    """Only "old plan at new interval" is listed (166.67): interval first -33.33, then tier +83.33."""
    prev, curr, book_catalog, _ = EXAMPLES["E14"]
    listed = [price for price in book_catalog["list_prices"] if price["price"] == "pro_year_usd"]
    row = classify_month(prev, curr, book_catalog | {"list_prices": listed})["customers"]["c"]
    assert (row["causes"]["tier"], row["causes"]["interval"]) == (8333, -3333)


def test_unchanged_coupon_follows_the_price() -> None:
    """5.00 off each bill, monthly then yearly: the coupon list did not change, so all of the difference is
    the interval's.
    """
    prev, curr = (
        line("basic", 10, discounts=amount_off("500")),
        line("basic", 10, interval="year", discounts=amount_off("500")),
    )
    assert causes([prev], [curr]) == {"interval": 8292 - 9500}


def test_changed_coupon_keeps_its_own_period() -> None:
    """12.00 off a month becomes 12.00 off a year while the price goes yearly: 100.00 - 12.00 to 83.33
    - 1.00.
    """
    prev, curr = (
        line("basic", 10, discounts=amount_off("1200")),
        line("basic", 10, interval="year", discounts=amount_off("1200", "once")),
    )
    assert causes([prev], [curr]) == {"interval": -1667, "discount": 1100}


def test_a_hybrid_above_the_last_tier_is_left_out() -> None:
    """12 seats cannot be priced on a plan that ends at 10: only the path through the new plan counts."""
    small = {"scheme": {"type": "volume", "tiers": [{"up_to": "10", "unit": "1000", "flat": "0"}]}}
    assert causes([line("basic", 10, **small)], [line("pro", 12)]) == {"tier": 10000, "seat": 4000}


def test_an_opening_rate_is_needed_to_value_a_closing_item() -> None:
    with pytest.raises(DataQualityError, match="eur"):
        month(
            [line("basic", 1)],
            [line("basic", 1), line("pro", 1, "si_2", currency="eur")],
            fx={"curr": {"eur": "1.1"}},
        )


def test_aliases_in_a_circle_are_refused() -> None:
    with pytest.raises(DataQualityError, match="circle"):
        month([], [line("basic", 1)], aliases={"c": "d", "d": "c"})
