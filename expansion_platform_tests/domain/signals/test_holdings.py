"""What customers hold at month ends, through the features that say it."""

from __future__ import annotations

from typing import Any

import pytest

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.history import tables as billing
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.signals import tables as signals
from expansion_platform.domain.signals.holdings import ending, included_units, ladders, next_edge
from expansion_platform.domain.stripe.tables import Coupons
from expansion_platform_tests.domain.signals.company import (
    MARCH,
    Row,
    company,
    discount,
    graduated,
    paid,
    state,
)

PLANS = {
    "free": {"family": "main", "tier_rank": 0},
    "pro": {"family": "main", "tier_rank": 1},
    "team": {"family": "main", "tier_rank": 2},
    "giant": {"family": "main", "tier_rank": 3},
    "crm": {"family": "crm", "tier_rank": 1},
    "crm_plus": {"family": "crm", "tier_rank": 3},
    "sso": {"kind": "addon"},
}
METERED = {"item": "si_m", "product": "api", "price": "api_month", "usage_type": "metered"}


def held(*states: Row, month: str = MARCH, timezone: str = "UTC", **values: Any) -> Row:
    """Features of a customer that holds these."""
    plans = Catalog.from_dict({"products": {**PLANS, **values.pop("products", {})}})
    coupons = [{"id": name, "duration_in_months": lasts} for name, lasts in values.pop("lasts", {}).items()]
    rows = {billing.ItemStates: states, Coupons: coupons, mrr.CustomerMonths: [paid(month)]}
    return company(rows, timezone=timezone, values={"catalog": plans}).features(month)


@pytest.mark.parametrize(
    ("change", "seats"),
    [
        ({}, 25),
        ({"status": "trialing"}, 10),
        ({"collection_paused": "void"}, 10),
        ({"livemode": False}, 10),
        ({"valid_to": None, "product": "sso"}, 10),
        ({"status": "past_due"}, 25),
    ],
    ids=["sum", "trial", "paused", "test mode", "add-on", "late"],
)
def test_seats_are_of_items_that_count(change: Row, seats: int) -> None:
    second = {**state("2025-06-01", item="si_2", quantity="15"), **change}
    assert held(state("2025-01-10"), second)["seats"] == seats


def test_products_are_counted_once() -> None:
    states = [
        state("2025-01-10"),
        state("2025-01-10", item="si_2", subscription="sub_2"),
        state("2025-01-10", item="si_3", product="sso"),
        state("2025-01-10", item="si_4", product="crm", status="trialing"),
    ]
    assert held(*states)["products_held"] == 2


@pytest.mark.parametrize(
    ("products", "rank", "headroom"),
    [
        (["free"], 0, 3),
        (["pro"], 1, 2),
        (["giant"], 3, 0),
        (["pro", "team"], 2, 1),
        (["sso"], None, None),
        (["unknown"], None, None),
        (["pro", "sso"], 1, 2),
        # The highest plan is of another family, with its own ladder.
        (["pro", "crm_plus"], 3, 0),
        (["team", "crm"], 2, 1),
        # Of two of one rank the one with more above it.
        (["pro", "crm"], 1, 2),
    ],
)
def test_the_highest_plan_and_what_is_above_it(
    products: list[str], rank: int | None, headroom: int | None
) -> None:
    states = [
        state("2025-01-10", item=f"si_{place}", product=name, price=f"{name}_month")
        for place, name in enumerate(products)
    ]
    row = held(*states)
    assert (row["tier_rank"], row["tier_headroom"]) == (rank, headroom)


def test_plans_above_are_the_catalog_s_whoever_holds_them() -> None:
    """Sold to nobody here, they are above all the same."""
    one = held(state("2025-01-10"))
    other = state("2025-01-10", item="si_9", customer="c9", product="giant", price="giant_month")
    assert one["tier_headroom"] == held(state("2025-01-10"), other)["tier_headroom"] == 2


def test_ladders_of_the_catalog() -> None:
    found = ladders(
        Catalog.from_dict({"products": PLANS}, {"old": {"family": "main", "tier_rank": "7"}, "odd": {}})
    )
    assert found == {"main": {0, 1, 2, 3, 7}, "crm": {1, 3}}


@pytest.mark.parametrize(
    ("interval", "count", "months"), [("month", 1, 1), ("month", 3, 3), ("year", 1, 12), ("week", 2, 0)]
)
def test_billing_period(interval: str, count: int, months: int) -> None:
    # Two weeks are 0.46 months.
    assert held(state("2025-01-10", interval=interval, interval_count=count))["interval_months"] == months


def test_the_longest_period_counts() -> None:
    row = held(state("2025-01-10"), state("2025-05-10", item="si_2", interval="year"))
    # Since May 2025: renews in May 2026, two months after March.
    assert (row["interval_months"], row["months_to_renewal"]) == (12, 2)


@pytest.mark.parametrize(
    ("month", "left"),
    [("2025-01", 12), ("2025-02", 11), ("2025-12", 1), ("2026-01", 12), ("2026-03", 10)],
)
def test_months_to_renewal(month: str, left: int) -> None:
    assert held(state("2025-01-10", interval="year"), month=month)["months_to_renewal"] == left


def test_renewals_are_counted_from_the_interval_s_beginning() -> None:
    states = [
        state("2024-11-10", "2025-02-10"),
        state("2025-02-10", "2025-08-10", interval="year"),
        state("2025-08-10", interval="year", quantity="12"),  # another quantity is no other period
    ]
    assert held(*states)["months_to_renewal"] == 11


def test_what_begins_later_changes_no_earlier_renewal() -> None:
    now, later = state("2025-05-10", "2026-04-20", interval="year"), state("2026-04-20")
    assert held(now, later)["months_to_renewal"] == 2


def test_of_a_period_of_weeks_no_renewal_is_known() -> None:
    row = held(state("2025-01-10", interval="week"))
    assert row["months_to_renewal"] is None
    assert "months_to_renewal" in row["missing_json"]


@pytest.mark.parametrize(
    ("timezone", "begins", "left"),
    [
        ("UTC", "2025-04-30T23:30Z", 1),
        # Half past one on 1 May in Berlin.
        ("Europe/Berlin", "2025-04-30T23:30Z", 2),
        ("UTC", "2025-05-01T03:00Z", 2),
        # Eleven in the evening of 30 April in New York.
        ("America/New_York", "2025-05-01T03:00Z", 1),
    ],
)
def test_months_are_those_of_the_time_zone(timezone: str, begins: str, left: int) -> None:
    assert held(state(begins, interval="year"), timezone=timezone)["months_to_renewal"] == left


SCHEME = graduated((100, "0"), (1000, "0"), (5000, "2"), (None, "1"))


@pytest.mark.parametrize(
    ("scheme", "quantity", "included", "edge"),
    [
        (SCHEME, "0", 1000, 100),
        (SCHEME, "100", 1000, 100),
        (SCHEME, "101", 1000, 1000),
        (SCHEME, "5000", 1000, 5000),
        (SCHEME, "5001", 1000, None),
        (graduated((10, "1"), (None, "2")), "5", None, 10),
        (graduated((None, "0")), "5", None, None),
        ({"type": "per_unit", "unit": "1"}, "5", None, None),
    ],
)
def test_what_a_price_includes_and_where_the_next_tier_begins(
    scheme: Row, quantity: str, included: int | None, edge: int | None
) -> None:
    metered = state("2026-03-01", scheme=scheme, quantity=quantity, **METERED)
    rows = {billing.ItemStates: [state("2025-01-10"), metered]}
    found = company(rows).signals(MARCH)[signals.Utilisation].set_index("limit")
    unit = None if included is None else f"{included}.000000"
    tier = None if edge is None else f"{edge}.000000"
    assert found["available"].get("unit") == unit
    assert found["available"].get("tier") == tier


def test_the_catalog_s_word_comes_before_the_free_tiers() -> None:
    metered = state("2026-03-01", scheme=SCHEME, quantity="600", **METERED)
    assert held(metered)["unit_utilisation"] == "0.600000"
    assert held(metered, products={"api": {"included": "1200"}})["unit_utilisation"] == "0.500000"
    assert (
        held(metered, products={"api": {"included": "1200"}, "api_month": {"included": "300"}})[
            "unit_utilisation"
        ]
        == "2.000000"
    )


def test_included_units_of_licensed_items_are_no_limit() -> None:
    assert held(state("2025-01-10", scheme=SCHEME))["unit_utilisation"] is None


class TestDiscountEnds:
    """A repeating coupon of three months from 20 January ends on 20 April."""

    def test_until_the_month_it_ends_in(self) -> None:
        running = state("2026-01-20", discounts=[discount()])
        found = [
            held(running, month=month, lasts={"spring": 3})["months_to_discount_end"]
            for month in ("2026-01", "2026-02", "2026-03", "2026-04")
        ]
        assert found == [3, 2, 1, None]

    def test_one_that_is_taken_off_early_was_to_end_as_planned(self) -> None:
        """Whether somebody takes it off in April was not known in February."""
        early = [state("2026-01-20", "2026-03-25", discounts=[discount()]), state("2026-03-25")]
        planned = held(state("2026-01-20", discounts=[discount()]), month="2026-02", lasts={"spring": 6})
        removed = held(*early, month="2026-02", lasts={"spring": 6})
        assert removed["months_to_discount_end"] == planned["months_to_discount_end"] == 5
        assert held(*early, lasts={"spring": 6})["months_to_discount_end"] is None

    def test_from_when_the_subscription_first_had_it_without_a_gap(self) -> None:
        again = [
            state("2025-01-10", "2025-02-10", discounts=[discount()]),
            state("2025-02-10", "2026-01-20"),
            state("2026-01-20", "2026-02-20", discounts=[discount()]),
            state("2026-02-20", quantity="20", discounts=[discount()]),
        ]
        assert held(*again, lasts={"spring": 4})["months_to_discount_end"] == 2
        # Another item of the subscription takes over without a gap.
        moved = [
            state("2026-01-20", "2026-02-20", discounts=[discount()]),
            state("2026-02-20", item="si_2", discounts=[discount()]),
        ]
        assert held(*moved, lasts={"spring": 4})["months_to_discount_end"] == 2
        # Another subscription's is another discount.
        other = [moved[0], {**moved[1], "subscription": "sub_2"}]
        assert held(*other, lasts={"spring": 4})["months_to_discount_end"] == 3

    def test_the_one_that_ends_next(self) -> None:
        both = [
            state("2026-01-20", discounts=[discount(coupon="long"), discount(coupon="short")]),
            state("2026-01-20", item="si_2", discounts=[discount(coupon="long")]),
        ]
        assert held(*both, lasts={"long": 12, "short": 5})["months_to_discount_end"] == 3

    @pytest.mark.parametrize(
        ("change", "left"),
        [
            ({"discounts": [discount("forever")]}, None),
            ({"discounts": [discount(coupon="deleted")]}, None),
            ({"discounts": [discount("once")]}, None),
            ({"discounts": [discount("once")], "interval": "year"}, 10),
            ({"discounts": [discount("once")], "interval": "month", "interval_count": 24}, 22),
            ({"discounts": [discount()], "status": "trialing"}, None),
            ({"discounts": [discount()], "customer": "c2"}, None),
        ],
    )
    def test_which_discounts_are_to_end(self, change: Row, left: int | None) -> None:
        held_too = state("2025-01-10", item="si_2", subscription="sub_2")
        row = held(held_too, state("2026-01-20", **change), lasts={"spring": 3})
        assert row["months_to_discount_end"] == left


def test_no_terms_and_no_tiers_say_nothing() -> None:
    from expansion_platform.domain.core.canonical import dumps
    from expansion_platform.domain.mrr.valuation import Terms
    from expansion_platform.domain.pricing.schemes import parse_scheme

    scheme = parse_scheme(dumps({"type": "per_unit", "unit": "5"}))
    terms = Terms("p", "p_1", True, "usd", "month", 1, 1, scheme, 5, (), 0, 0)  # type: ignore[arg-type]
    found = (included_units(terms, Catalog.from_dict({})), next_edge(terms))
    assert all(value != value for value in found)
    assert ending("[]", terms, {}) == []
