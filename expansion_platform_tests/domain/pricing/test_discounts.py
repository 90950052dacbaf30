import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expansion_platform.domain.pricing.discounts import (
    allocate_amount_off,
    apply,
    parse_discounts,
    reductions,
)
from expansion_platform.domain.pricing.policy import Policy
from expansion_platform_tests.domain.books import amount, percent


def after(gross, discounts, period=1, rate=1, *, metered=False, policy=None):
    parsed = parse_discounts(json.dumps(discounts))
    return apply(
        Fraction(gross),
        reductions(parsed, Fraction(period), Fraction(rate), metered=metered, policy=policy or Policy()),
    )


def test_order_matters():
    assert after(1000, [percent("10"), amount("100")]) == 800
    assert after(1000, [amount("100"), percent("10")]) == 810


def test_never_below_zero_and_nothing_comes_back():
    assert after(1000, [amount("1500"), amount("100"), percent("10")]) == 0


def test_amount_off_is_for_the_billing_period_in_the_state_currency():
    assert after(1000, [amount("1200")], period=12) == 900
    assert after(1000, [amount("1000")], period=2, rate=Fraction(11, 10)) == 450


@pytest.mark.parametrize(
    ("duration", "period", "metered", "counts"),
    [
        ("forever", 1, False, True),
        ("repeating", 1, True, True),
        ("once", 1, False, False),
        ("once", Fraction(1199, 100), False, False),
        ("once", 12, False, True),
        ("once", 24, True, False),
    ],
)
def test_which_durations_count(duration, period, metered, counts):
    assert after(1000, [percent("50", duration)], period=period, metered=metered) == (500 if counts else 1000)


def test_repeating_by_policy():
    assert (
        after(1000, [percent("50"), percent("10", "forever")], policy=Policy(preset="stripe_parity")) == 900
    )


@pytest.mark.parametrize(
    ("discount", "problem"),
    [
        (percent("101"), "outside 0..100"),
        (percent("-1"), "negative or malformed"),
        (amount("ten"), "negative or malformed"),
        ({"type": "amount", "duration": "forever"}, "negative or malformed"),
        (percent("5", "monthly"), "unknown discount duration"),
        ({"type": "gift", "value": "1", "duration": "once"}, "unknown discount type"),
    ],
)
def test_bad_discounts_say_why(discount, problem):
    with pytest.raises(ValueError, match=problem):
        parse_discounts(json.dumps([discount]))


def test_amount_off_is_shared_pro_rata_with_ties_to_the_smaller_item_id():
    assert allocate_amount_off(1000, {"si_b": 500, "si_a": 1000, "si_c": 0}) == {
        "si_a": 667,
        "si_b": 333,
        "si_c": 0,
    }
    assert allocate_amount_off(101, {"si_b": 7, "si_a": 7}) == {"si_a": 51, "si_b": 50}
    assert allocate_amount_off(1000, {"si_a": 0}) == {"si_a": 0}


@given(st.integers(0, 10**5), st.dictionaries(st.text("abc", min_size=1), st.fractions(0, 10**4), min_size=1))
def test_amount_off_is_shared_whole(amount_off, bases):
    shares = allocate_amount_off(amount_off, bases)
    assert shares.keys() == bases.keys()
    assert sum(shares.values()) == (amount_off if any(bases.values()) else 0)
