"""When a fall counts: a quarter against the mean of the months before, with enough of them."""

from __future__ import annotations

from fractions import Fraction

import pandas as pd
import pytest

from expansion_platform.domain import months
from expansion_platform.domain.detection import expansion_drop

MONTH = "2026-10"


def rates(newest: tuple[int, int], *before: tuple[int, int]) -> pd.DataFrame:
    """(numerator, denominator) of the newest month and of those before it, the latest first."""
    rows = [(months.shift(MONTH, -back), *rate) for back, rate in enumerate((newest, *before))]
    return pd.DataFrame(rows, columns=["month", "numerator", "denominator"]).astype({"denominator": "Int64"})


def test_a_fall_by_exactly_a_quarter_is_one() -> None:
    drop = expansion_drop(rates((15, 1000), *[(20, 1000)] * 6), MONTH)
    assert drop is not None
    assert (drop.rate, drop.baseline, drop.change) == (Fraction(15, 1000), Fraction(20, 1000), Fraction(-1, 4))
    assert drop.baseline_months == ("2026-04", "2026-05", "2026-06", "2026-07", "2026-08", "2026-09")
    assert (drop.expansion, drop.opening, drop.shortfall) == (15, 1000, 5)


def test_a_little_less_is_none() -> None:
    assert expansion_drop(rates((15_000_001, 10**9), *[(20, 1000)] * 6), MONTH) is None


def test_the_baseline_is_the_mean_of_rates_not_the_rate_of_sums() -> None:
    """Rates of 10 % and of 1 % twice average 4 %; weighted by their bases they would be 1.0 %, and 3 % no fall."""
    drop = expansion_drop(rates((30, 1000), (1, 10), (100, 10_000), (100, 10_000)), MONTH)
    assert drop is not None
    assert drop.baseline == Fraction(4, 100)


def test_months_beyond_six_do_not_count() -> None:
    assert expansion_drop(rates((15, 1000), *[(15, 1000)] * 6, *[(900, 1000)] * 6), MONTH) is None


def test_months_without_a_base_are_left_out() -> None:
    drop = expansion_drop(rates((1, 1000), (0, 0), (20, 1000), (0, 0), (20, 1000), (20, 1000)), MONTH)
    assert drop is not None
    assert drop.baseline_months == ("2026-05", "2026-06", "2026-08")


@pytest.mark.parametrize("before", [[], [(20, 1000)] * 2, [(20, 1000), (0, 0), (20, 1000), (0, 0), (0, 0), (0, 0)]])
def test_fewer_than_three_months_are_no_baseline(before: list[tuple[int, int]]) -> None:
    assert expansion_drop(rates((0, 1000), *before), MONTH) is None


def test_nothing_before_is_nothing_lost() -> None:
    assert expansion_drop(rates((0, 1000), *[(0, 1000)] * 6), MONTH) is None


def test_a_month_without_a_base_or_not_there_says_nothing() -> None:
    assert expansion_drop(rates((0, 0), *[(20, 1000)] * 6), MONTH) is None
    assert expansion_drop(rates((0, 1000), *[(20, 1000)] * 6), "2026-11") is None
    assert expansion_drop(rates((0, 1000)).iloc[:0], MONTH) is None


def test_a_month_with_no_expansion_at_all_fires() -> None:
    drop = expansion_drop(rates((0, 1000), *[(20, 1000)] * 3), MONTH)
    assert drop is not None
    assert (drop.change, drop.shortfall) == (-1, 20)


@pytest.mark.parametrize(("opening", "shortfall"), [(150, 2), (250, 2), (350, 4)])
def test_the_shortfall_is_rounded_half_to_even(opening: int, shortfall: int) -> None:
    """1 % of 150, 250 and 350 is 1.5, 2.5 and 3.5 cents."""
    drop = expansion_drop(rates((0, opening), *[(1, 100)] * 3), MONTH)
    assert drop is not None
    assert drop.shortfall == shortfall
