"""Intervals of differences: against enumeration by hand, in the edges, and how often they cover."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expansion_platform.domain.signals.programmes.intervals import (
    DRAWS,
    Difference,
    mean_difference,
    permuted,
    share_difference,
    winsorised,
)
from expansion_platform.domain.signals.programmes.sample_ratio import INVALID_UNDER, sample_ratio_p
from expansion_platform_tests.domain.signals.programmes.programme_inputs import MEAN, heavy

SIZES = pytest.mark.parametrize(("treated", "control"), [(200, 200), (360, 40)])


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_newcombes_own_example() -> None:
    """Newcombe 1998, table II, example (a): 56/70 - 48/80 has 0.0524 to 0.3339 by method 10."""
    found = share_difference((56, 48), (70, 80))
    assert found.low == pytest.approx(0.0524, abs=5e-5)
    assert found.high == pytest.approx(0.3339, abs=5e-5)
    assert found.shown


def test_an_empty_arm_says_nothing() -> None:
    assert share_difference((0, 0), (5, 0)) == Difference()
    assert mean_difference(np.ones(3), np.array([True, True, False]), permuted(np.ones(3, bool), rng())) == (
        Difference()
    )


def test_permuted_keeps_the_size_of_the_arms() -> None:
    treated = np.arange(50) < 7
    labels = permuted(treated, rng())
    assert labels.shape == (DRAWS, 50)
    assert (labels.sum(axis=1) == 7).all()
    # Each customer is dealt into treatment in 14 % of draws; 1999 draws are within 4 standard errors of it.
    assert np.abs(labels.mean(axis=0) - 0.14).max() < 4 * np.sqrt(0.14 * 0.86 / DRAWS)


def test_p_is_that_of_enumeration() -> None:
    """All 70 ways of dealing four of eight labels, by Welch's t worked out one by one."""
    values = np.array([900.0, 400, 0, 1200, 0, 100, 0, 50])
    treated = np.arange(8) < 4
    every = np.zeros((70, 8), dtype=np.int8)
    for row, chosen in enumerate(combinations(range(8), 4)):
        every[row, list(chosen)] = 1

    def t(mask: np.ndarray) -> float:
        one, other = values[mask], values[~mask]
        error = np.sqrt(one.var(ddof=1) / 4 + other.var(ddof=1) / 4)
        return float((one.mean() - other.mean()) / error)

    seen = t(treated)
    above = sum(t(row.astype(bool)) >= seen - 1e-12 for row in every)
    found = mean_difference(values, treated, every)
    assert found.value == pytest.approx(2500 / 4 - 150 / 4)
    assert found.p == pytest.approx(2 * (1 + above) / 71)


def test_nobody_expanded_bounds_nothing() -> None:
    treated = np.arange(40) < 20
    found = mean_difference(np.zeros(40), treated, permuted(treated, rng()))
    assert (found.value, found.low, found.high, found.p) == (0.0, None, None, None)
    assert not found.shown


def test_too_few_to_refuse_anything_have_no_bounds() -> None:
    """Three against three can be dealt in 20 ways: nothing is rarer than one in twenty on a side."""
    values, treated = np.array([10.0, 20, 30, 0, 0, 0]), np.arange(6) < 3
    found = mean_difference(values, treated, permuted(treated, rng()))
    assert found.low is None
    assert found.high is None
    assert not found.shown


@given(
    amounts=st.lists(st.integers(0, 10**9), min_size=8, max_size=60),
    treated=st.integers(2, 6),
    seed=st.integers(0, 9),
)
def test_the_difference_is_within_its_interval(amounts: list[int], treated: int, seed: int) -> None:
    values, arm = np.array(amounts, dtype=float), np.arange(len(amounts)) < treated
    found = mean_difference(values, arm, permuted(arm, rng(seed), 199))
    assert found.value is not None
    slack = 1e-6 * (1 + abs(found.value))
    assert found.low is None or found.low <= found.value + slack
    assert found.high is None or found.high >= found.value - slack


@pytest.mark.parametrize("factor", [0.01, 100.0])
def test_the_interval_follows_the_unit(factor: float) -> None:
    """In another currency's minor units everything is that many times as much."""
    treated = np.arange(400) < 360
    values, labels = heavy(rng(4), treated, (0.15, 0.1)), permuted(treated, rng(5))
    one, other = mean_difference(values, treated, labels), mean_difference(values * factor, treated, labels)
    assert one.low is not None
    assert one.high is not None
    assert other.low == pytest.approx(one.low * factor, rel=1e-6)
    assert other.high == pytest.approx(one.high * factor, rel=1e-6)
    assert other.p == one.p


def test_a_large_effect_is_shown_and_named() -> None:
    treated = np.arange(400) < 200
    values = heavy(rng(1), treated, (0.5, 0.1))
    found = mean_difference(values, treated, permuted(treated, rng(2)))
    assert found.shown
    assert found.p == 0.001
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.4 * MEAN < found.high


def test_no_interval_runs_away_with_few_expanders_in_control() -> None:
    """About four of 40: its low end stays within some times what the treated expand by."""
    treated, generator = np.arange(400) < 360, rng(8)
    for _ in range(30):
        values = heavy(generator, treated, (0.1, 0.1))
        found = mean_difference(values, treated, permuted(treated, generator, 999))
        assert found.value is not None
        assert found.low is not None
        assert found.value - found.low < 12 * values[treated].mean()


def test_the_interval_and_p_mostly_agree() -> None:
    """Each excludes no difference where the other does, but for the few near 5 %."""
    treated, generator = np.arange(400) < 200, rng(9)
    agree = 0
    for _ in range(60):
        values = heavy(generator, treated, (0.2, 0.1))
        found = mean_difference(values, treated, permuted(treated, generator, 999))
        assert found.p is not None
        agree += found.shown == (found.p <= 0.05)
    assert agree >= 58


def test_winsorised_at_the_99th_percentile() -> None:
    values = np.arange(101, dtype=float)
    assert winsorised(values).max() == 99.0
    assert (winsorised(values)[:100] == values[:100]).all()
    assert winsorised(np.empty(0)).size == 0


def test_sample_ratio_by_hand() -> None:
    """340 of 400 at 0.9: deviation -20 / 6 = 3.3333 standard errors, two-sided 0.000858; 341 is 0.001541."""
    assert sample_ratio_p(340, 60, 0.9) == pytest.approx(0.000858, abs=1e-6)
    assert sample_ratio_p(341, 59, 0.9) == pytest.approx(0.001541, abs=1e-6)
    assert sample_ratio_p(0, 0, 0.9) is None
    assert sample_ratio_p(360, 40, 0.9) == 1.0


@pytest.mark.parametrize(("size", "planned"), [(400, 0.5), (400, 0.9), (5000, 0.9)])
def test_sample_ratio_flags_the_unfair_and_not_the_fair(size: int, planned: float) -> None:
    """Off by 5.7 standard errors: those of the plan or of what was done, whichever are larger."""

    def error(share: float) -> float:
        return float(np.sqrt(share * (1 - share) / size))

    def flagged(share: float) -> float:
        drawn = rng(7).binomial(size, share, 4000)
        p = [sample_ratio_p(int(each), size - int(each), planned) for each in drawn]
        return float(np.mean([each is not None and each < INVALID_UNDER for each in p]))

    fewer = planned
    for _ in range(50):
        fewer = planned - 5.7 * max(error(planned), error(fewer))
    assert flagged(planned) <= 0.01
    assert flagged(fewer) >= 0.99
    assert flagged(planned + 5.7 * error(planned)) >= 0.99


@pytest.mark.slow
@SIZES
@pytest.mark.parametrize("share", [0.1, 0.15, 0.2])
def test_intervals_cover(treated: int, control: int, share: float) -> None:
    """400 programmes a case, 10 % of control expand; without effect 5 % are called shown, 7.5 % at most."""
    arm = np.arange(treated + control) < treated
    covered, shown = np.zeros(2), np.zeros(2)
    generator = rng(round(100 * share) + treated)
    for _ in range(400):
        values = heavy(generator, arm, (share, 0.1))
        expanders = int((values[arm] > 0).sum()), int((values[~arm] > 0).sum())
        found = (
            share_difference(expanders, (treated, control)),
            mean_difference(values, arm, permuted(arm, generator, 999)),
        )
        for at, (each, true) in enumerate(zip(found, (share - 0.1, (share - 0.1) * MEAN), strict=True)):
            low = -np.inf if each.low is None else each.low
            high = np.inf if each.high is None else each.high
            covered[at] += low <= true <= high
            shown[at] += each.shown
    assert (covered >= 0.93 * 400).all(), covered
    assert (covered <= 0.99 * 400).all(), covered
    if share == 0.1:
        assert (shown <= 0.075 * 400).all(), shown
