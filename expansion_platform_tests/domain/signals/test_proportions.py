"""Intervals against published examples."""

from __future__ import annotations

import numpy as np
import pytest

from expansion_platform.domain.signals.proportions import Share, difference, quotient, share_of


def test_wilson_and_newcombe_of_the_first_example_of_newcombe_1998() -> None:
    """56 of 70 against 48 of 80: method 10 gives 0.0524 to 0.3339."""
    found = difference(Share(56 / 70, 70), Share(48 / 80, 80))
    assert found.value == pytest.approx(0.2)
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_wilson_of_newcombe_1998() -> None:
    """81 of 263: 0.2553 to 0.3662; 0 of 20: 0 to 0.1611."""
    assert Share(81 / 263, 263).interval[1:] == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert Share(0.0, 20).interval[1:] == pytest.approx((0.0, 0.1611), abs=5e-5)


def test_the_quotient_contains_1_exactly_where_the_difference_contains_0() -> None:
    rng = np.random.default_rng(1)
    for _ in range(300):
        sizes = rng.integers(20, 400, 2)
        one, other = (Share(int(rng.binomial(size, 0.2)) / size, float(size)) for size in sizes)
        ratio, apart = quotient(one, other), difference(one, other)
        if np.isnan(ratio.value):
            assert other.value == 0
            continue
        assert ratio.value == pytest.approx(one.value / other.value)
        assert ratio.low <= ratio.value + 1e-12 and ratio.high >= ratio.value - 1e-12
        assert (ratio.low > 1) == (apart.low > 0)
        assert (ratio.high < 1) == (apart.high < 0)


def test_a_quotient_covers_what_it_estimates() -> None:
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(1000):
        one = Share(rng.binomial(300, 0.12) / 300, 300.0)
        other = Share(rng.binomial(900, 0.06) / 900, 900.0)
        found = quotient(one, other)
        covered += found.low <= 2.0 <= found.high
    assert 930 <= covered <= 975


def test_rows_of_one_customer_are_worth_one() -> None:
    """Ten customers with ten equal rows each say what ten rows say."""
    outcome = np.repeat(np.arange(10) < 3, 10)
    customer = np.repeat(np.arange(10), 10)
    found = share_of(customer, outcome, 10)
    assert found.value == pytest.approx(0.3)
    assert found.size == pytest.approx(10)
    apart = share_of(np.arange(100), outcome, 100)
    assert apart.size == pytest.approx(100)
    assert share_of(customer, np.zeros(100, dtype=bool), 10) == Share(0.0, 10.0)
    assert np.isnan(share_of(np.empty(0, dtype=int), np.empty(0, dtype=bool), 3).value)
