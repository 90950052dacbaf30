import json
from fractions import Fraction

import pytest

from expansion_platform.domain.pricing.schemes import AboveLastTierError, gross, parse_scheme, period_months

TIERS = [
    {"up_to": 10, "unit": "100", "flat": "500"},
    {"up_to": "20", "unit": "80", "flat": "0"},
    {"up_to": None, "unit": "50", "flat": "300"},
]
CLOSED = TIERS[:2]


def price(scheme, quantity):
    return gross(parse_scheme(json.dumps(scheme)), Fraction(quantity))


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [("0", 500), ("10", 1500), ("11", 1580), ("20", 2300), ("20.5", 2625), ("21", 2650)],
)
def test_graduated(quantity, expected):
    assert price({"type": "graduated", "tiers": TIERS}, quantity) == expected


@pytest.mark.parametrize(
    ("quantity", "expected"), [("0", 500), ("10", 1500), ("10.5", 840), ("20", 1600), ("21", 1350)]
)
def test_volume(quantity, expected):
    assert price({"type": "volume", "tiers": TIERS}, quantity) == expected


@pytest.mark.parametrize("absent", [{}, {"unit": None, "flat": None}])
@pytest.mark.parametrize(("amounts", "expected"), [({"unit": "5"}, 15), ({"flat": "7"}, 7), ({}, 0)])
def test_a_tier_may_have_either_amount_alone(amounts, absent, expected):
    assert price({"type": "graduated", "tiers": [{"up_to": None, **absent, **amounts}]}, "3") == expected


def test_per_unit_is_exact_and_the_default():
    assert price({"unit": "0.333333333333"}, "3") == Fraction(999999999999, 10**12)


@pytest.mark.parametrize(
    ("rounding", "quantity", "expected"),
    [("up", "0", 0), ("up", "1001", 1400), ("down", "1999", 700), ("down", "999.9", 0)],
)
def test_packages(rounding, quantity, expected):
    assert price({"unit": "700", "divide_by": 1000, "round": rounding}, quantity) == expected


def test_tiers_hold_packages_not_units():
    assert price({"type": "volume", "tiers": CLOSED, "divide_by": 10}, "200") == 1600
    with pytest.raises(AboveLastTierError):
        price({"type": "volume", "tiers": CLOSED, "divide_by": 10}, "200.5")


def test_minimum_is_a_floor():
    assert price({"unit": "10", "minimum": "500"}, "20") == 500
    assert price({"unit": "10", "minimum": "500"}, "60") == 600


@pytest.mark.parametrize("kind", ["graduated", "volume"])
def test_above_a_finite_last_tier(kind):
    assert price({"type": kind, "tiers": CLOSED}, "20") > 0
    with pytest.raises(AboveLastTierError, match="ends at 20"):
        price({"type": kind, "tiers": CLOSED}, "20.1")


@pytest.mark.parametrize(
    ("scheme", "problem"),
    [
        ({}, "unit is missing"),
        ({"unit": "-1"}, "unit is negative or malformed"),
        ({"unit": "1e3"}, "unit is negative or malformed"),
        ({"unit": [1]}, "unit is negative or malformed"),
        ({"unit": 1.5}, "write amounts as decimal text"),
        ({"unit": "1", "minimum": "-5"}, "minimum is negative"),
        ({"unit": "1", "divide_by": "0"}, "divide_by is not an integer"),
        ({"unit": "1", "divide_by": "2.5"}, "divide_by is not an integer"),
        ({"unit": "1", "round": "nearest"}, "unknown rounding"),
        ({"type": "stairstep"}, "unknown price scheme"),
        ({"unit": "1", "cap": "9"}, "unknown fields"),
        ({"type": "volume"}, "without tiers"),
        ({"type": "volume", "tiers": [{"unit": "1", "flat": "0"}]}, "without up_to"),
        ({"type": "volume", "tiers": [{"up_to": None, "unit": "1", "flat": "-1"}]}, "flat is negative"),
        ({"type": "volume", "tiers": [*CLOSED, CLOSED[0]]}, "do not ascend"),
        ({"type": "volume", "tiers": [TIERS[2], TIERS[0]]}, "do not ascend"),
        ([], "not an object"),
    ],
)
def test_bad_schemes_say_why(scheme, problem):
    with pytest.raises(ValueError, match=problem):
        parse_scheme(json.dumps(scheme))


@pytest.mark.parametrize(
    ("scheme", "chargeable"),
    [
        ({"unit": "0"}, False),
        ({"unit": "0", "minimum": "1"}, True),
        ({"type": "volume", "tiers": [{"up_to": None, "unit": "0", "flat": "9"}]}, True),
    ],
)
def test_chargeable(scheme, chargeable):
    assert parse_scheme(json.dumps(scheme)).chargeable is chargeable


def test_periods():
    conventions = {"week": Fraction("84/365"), "day": Fraction("12/365")}
    assert period_months("month", 3, metered=False, **conventions) == 3
    assert period_months("year", 2, metered=False, **conventions) == 24
    assert period_months("day", 365, metered=False, **conventions) == 12
    assert period_months("week", 1, metered=False, **conventions) == Fraction(84, 365)
    assert period_months("year", 1, metered=True, **conventions) == 1
    with pytest.raises(ValueError, match="unknown interval"):
        period_months("decade", 1, metered=True, **conventions)
    with pytest.raises(ValueError, match="interval_count"):
        period_months("month", 0, metered=False, **conventions)
