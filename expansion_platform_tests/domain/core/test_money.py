from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from expansion_platform.domain.core.money import (
    Exact,
    conversion,
    decimal,
    exponent,
    largest_remainder,
    round_half_even,
    settle,
    split_rows,
)

thirds = st.integers(-3000, 3000).map(lambda number: Fraction(number, 6))


@pytest.mark.parametrize(
    ("currency", "decimals"), [("jpy", 0), ("krw", 0), ("kwd", 3), ("usd", 2), ("isk", 2), ("ugx", 2)]
)
def test_exponents(currency, decimals):
    assert exponent(currency) == decimals


@pytest.mark.parametrize("text", ["-1", "1e3", "", " 1", "1.", ".5", "1,000", "NaN", "٣", None, 1.5, True])
def test_decimal_refuses(text):
    with pytest.raises(ValueError, match="not a non-negative decimal"):
        decimal(text)


def test_decimal_is_exact():
    assert decimal("0.000000000001") == Fraction(1, 10**12)
    assert decimal("1234567890123456789.5") == Fraction(2469135780246913579, 2)


short = st.fractions(min_value=0, max_value=10**9, max_denominator=10**6)
any_size = (
    short
    | st.builds(Fraction, st.integers(0, 10**40), st.integers(1, 10**40))
    | st.builds(Fraction, st.integers(0, 10**7), st.just(8))
)


@given(st.lists(st.tuples(any_size, any_size), min_size=1, max_size=20), st.sampled_from([1, 12]))
def test_many_amounts_are_rounded_as_each_alone(pairs, times):
    """Fractions that fit 64 bits together with their factor, and those that do not; halves among them."""
    values, factors = (Exact.of([pair[side] for pair in pairs]) for side in (0, 1))
    at = np.arange(len(pairs))
    expected = [min(round_half_even(value, factor, times), 2**62) for value, factor in pairs]
    assert values.rounded(at, factors, at, times).tolist() == expected
    assert values.rounded(at[::-1], factors, at[::-1], times).tolist() == expected[::-1]


def test_conversion_moves_the_minor_unit():
    assert conversion("jpy", "usd", "0.0067") == Fraction(67, 100)
    assert conversion("kwd", "usd", "3.25") == Fraction(13, 40)
    assert conversion("usd", "usd", "7") == 1
    with pytest.raises(ValueError, match="no exchange rate for eur"):
        conversion("eur", "usd", None)


@pytest.mark.parametrize(
    ("value", "rounded"),
    [("1/2", 0), ("3/2", 2), ("5/2", 2), ("-1/2", 0), ("-3/2", -2), ("2500000001/5000000000", 1)],
)
def test_half_even(value, rounded):
    assert round_half_even(Fraction(value)) == rounded


@given(st.fractions(-50, 50, max_denominator=12), st.fractions(0, 3, max_denominator=8), st.integers(1, 12))
def test_half_even_of_a_product_is_that_of_the_fraction(value, factor, times):
    assert round_half_even(value, factor, times) == round(value * factor * times)


def test_largest_remainder_gives_ties_to_the_earlier():
    assert largest_remainder(100, [1, 1, 1]) == [34, 33, 33]
    assert largest_remainder(10, [0, 3, 3]) == [0, 5, 5]
    assert largest_remainder(0, []) == []
    with pytest.raises(ValueError, match="cannot share"):
        largest_remainder(5, [0, 0])


@given(st.integers(0, 10**6), st.lists(st.integers(0, 10**6), min_size=1, max_size=6))
def test_largest_remainder_sums_and_stays_within_one(total, weights):
    assume(sum(weights) > 0)
    shares = largest_remainder(total, weights)
    assert sum(shares) == total
    assert all(
        abs(share - Fraction(total * weight, sum(weights))) < 1
        for share, weight in zip(shares, weights, strict=True)
    )


@given(st.lists(thirds, min_size=1, max_size=4))
def test_settle_is_exact_close_sign_keeping_and_antisymmetric(parts):
    parts = [*parts, Fraction(-(sum(parts) % 1))]
    settled = settle(parts)
    assert sum(settled) == sum(parts)
    assert all(abs(whole - part) < 1 for whole, part in zip(settled, parts, strict=True))
    assert all(whole * part >= 0 for whole, part in zip(settled, parts, strict=True))
    assert settle([-part for part in parts]) == [-whole for whole in settled]


def test_settle_gives_ties_to_the_earlier():
    assert settle([Fraction(3, 2), Fraction(3, 2)]) == [2, 1]
    assert settle([Fraction(-3, 2), Fraction(-3, 2)]) == [-2, -1]
    assert settle([Fraction(1, 2), Fraction(-5, 2)]) == [0, -2]


def test_settle_refuses_parts_of_a_cent():
    with pytest.raises(ValueError, match="not to a whole number"):
        settle([Fraction(1, 2)])


def test_split_rows_is_largest_remainder_by_row():
    totals = np.array([0, 70, 100, 2**62])
    weights = np.array([[5, 5], [0, 9], [2, 1], [1, 1]])
    assert split_rows(totals, weights).tolist() == [[0, 0], [0, 70], [67, 33], [2**61, 2**61]]
