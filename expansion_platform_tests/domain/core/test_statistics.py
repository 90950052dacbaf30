"""The tests themselves: against enumeration of all permutations, under the null, and at their edges."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from expansion_platform.domain.core import statistics
from expansion_platform.domain.core.statistics import generator


def exact_p(values: np.ndarray, opening: np.ndarray, month: int) -> Fraction:
    """Share of all permutations, each customer's months permuted on their own, in which the month is as low
    as it is.
    """
    dealt = []
    for row, held in zip(values.tolist(), opening.tolist(), strict=True):
        own = [column for column, amount in enumerate(held) if amount]
        dealt.append(
            [Fraction(row[column], int(opening[:, column].sum())) for column in own]
            if month in own
            else [Fraction(0)]
        )
    observed = Fraction(int(values[:, month].sum()), int(opening[:, month].sum()))
    every = [sum(chosen) for chosen in itertools.product(*dealt)]
    return Fraction(sum(total <= observed for total in every), len(every))


def test_the_p_value_is_the_share_of_all_permutations() -> None:
    """Five customers, one of whom joined late and one of whom left before: 4 * 4 * 4 * 2 * 1 permutations of
    what lands in the month.
    """
    opening = np.array(
        [[100, 110, 120, 130], [200, 200, 200, 200], [50, 50, 60, 70], [0, 0, 80, 80], [90, 90, 0, 0]]
    )
    values = np.array([[10, 0, 10, 0], [0, 30, 0, 20], [5, 0, 0, 0], [0, 0, 8, 0], [9, 9, 0, 0]])
    drawn, _ = statistics.month_labels(values, opening, 3, generator("x"), draws=20_000)
    assert float(drawn) == pytest.approx(float(exact_p(values, opening, 3)), abs=0.01)


def test_equal_counts_are_ties_whatever_the_order_they_are_summed_in() -> None:
    """Everybody expands every month: any permutation is as low as what is, so p is 1 and not a matter of
    rounding.
    """
    values, opening = np.full((97, 7), 13), np.tile(np.arange(1, 98)[:, None] * 7, (1, 7))
    assert statistics.month_labels(values, opening, 6, generator("x"), draws=200) == (1, 1)


def test_p_values_are_uniform_where_nothing_changed() -> None:
    """300 bases of 60 customers: about a tenth of the one-sided p-values lies under 10 %, about half under 50
    %.
    """
    rng = np.random.default_rng(3)
    opening = np.full((60, 7), 1000)
    found = []
    for number in range(300):
        values = np.where(rng.random((60, 7)) < 0.2, rng.integers(1, 10_000, (60, 7)), 0)
        found.append(float(statistics.month_labels(values, opening, 6, generator(str(number)), draws=199)[0]))
    assert np.mean(np.array(found) <= 0.1) == pytest.approx(0.1, abs=0.05)
    assert np.mean(np.array(found) <= 0.5) == pytest.approx(0.5, abs=0.09)


def test_churn_does_not_make_every_month_look_bad() -> None:
    """Who left earlier can never land in the month: exchanged within customers, ordinary churn would be
    called significant nearly always.
    """
    rng = np.random.default_rng(4)
    within, across = [], []
    for number in range(60):
        left = rng.random((300, 7)) < 0.03
        gone = np.cumsum(left, axis=1) - left > 0
        opening = np.where(gone, 0, 1000)
        values = np.where(left & ~gone, -1000, 0)
        within.append(
            float(statistics.month_labels(values, opening, 6, generator(str(number)), draws=199)[0]) < 0.05
        )
        across.append(
            float(statistics.customer_months(values, opening, 6, generator(str(number)), draws=199)) < 0.05
        )
    assert np.mean(within) > 0.8
    assert np.mean(across) < 0.15


def test_a_loss_in_the_month_is_seen_across_customers() -> None:
    values, opening = np.zeros((300, 7), np.int64), np.full((300, 7), 1000)
    values[:40, 6] = -1000
    values[40:60, :6] = -10
    assert statistics.customer_months(values, opening, 6, generator("x")) < Fraction(1, 100)


def test_the_same_seed_says_the_same_and_another_something_else() -> None:
    rng = np.random.default_rng(1)
    values, opening = rng.integers(0, 3, (50, 7)) * 100, np.full((50, 7), 1000)
    first, again, other = (
        statistics.month_labels(values, opening, 6, generator("total", seed)) for seed in ("a", "a", "b")
    )
    assert first == again != other


@pytest.mark.parametrize("draws", [50, 2000])
def test_as_many_land_as_there_are_places(draws: int) -> None:
    """A customer with values in all its nine months has three land in a block of three, always."""
    customer = np.repeat(np.arange(20), 9)
    sums = statistics.landed(
        customer,
        np.full(180, 9),
        np.full(180, 3),
        np.eye(20, dtype=np.int64)[customer],
        generator("x"),
        draws,
    )
    assert (sums == 3).all()


def test_nothing_to_deal() -> None:
    none = np.zeros(0, np.int64)
    assert (
        statistics.landed(none, none, none, np.zeros((0, 3), np.int64), generator("x"), 10).tolist()
        == [[0, 0, 0]] * 10
    )


def test_amounts_that_floats_cannot_hold_are_refused() -> None:
    one = np.ones(1, np.int64)
    with pytest.raises(ValueError, match="2\\*\\*53"):
        statistics.landed(one, one, one, np.array([[2**53]]), generator("x"), 1)


def test_a_mix_that_moved_and_one_that_did_not() -> None:
    rng = np.random.default_rng(2)
    opening, recent = np.full((200, 9), 1000), np.arange(9) >= 6
    kinds = rng.integers(0, 2, (200, 9))
    same = np.eye(5, dtype=np.int64)[kinds] * 100
    moved = np.eye(5, dtype=np.int64)[np.where(recent, 2, kinds)] * 100
    assert statistics.mix_labels(same, opening, recent, generator("x"), draws=200)[1] > Fraction(1, 20)
    divergence, p = statistics.mix_labels(moved, opening, recent, generator("x"), draws=200)
    assert divergence == pytest.approx(1.0)  # no type in common: one whole bit
    assert p == Fraction(1, 201)


def test_no_expansion_on_one_side_is_no_mix() -> None:
    types, recent = np.zeros((3, 9, 5), np.int64), np.arange(9) >= 6
    types[:, :3] = 1
    assert statistics.mix_labels(types, np.ones((3, 9), np.int64), recent, generator("x")) == (0.0, 1)


def test_divergence_by_hand() -> None:
    """Shares (1/2, 1/2) against (1, 0): middle (3/4, 1/4), so half of [1/2 log2(2/3) + 1/2 log2(2)] +
    [log2(4/3)].
    """
    expected = (0.5 * math.log2(2 / 3) + 0.5 + math.log2(4 / 3)) / 2
    assert statistics.divergence(np.array([[5.0, 5.0]]), np.array([[7.0, 0.0]]))[0] == pytest.approx(expected)


def test_stability_index_by_hand() -> None:
    assert statistics.stability_index([50, 50], [50, 50]) == 0
    assert statistics.stability_index([50, 50], [75, 25]) == pytest.approx(
        0.25 * math.log(1.5) - 0.25 * math.log(0.5)
    )
    assert math.isfinite(statistics.stability_index([100, 0], [0, 100]))


def test_holm_by_hand() -> None:
    """Sorted 0.01, 0.03, 0.04: 3 * 0.01, 2 * 0.03, and at least what came before."""
    assert statistics.holm([Fraction(4, 100), Fraction(1, 100), Fraction(3, 100)]) == [
        Fraction(6, 100),
        Fraction(3, 100),
        Fraction(6, 100),
    ]
    assert statistics.holm([Fraction(1), Fraction(1, 2)]) == [1, 1]
    assert statistics.holm([]) == []


def test_robust_z_by_hand() -> None:
    """Median 2 %, deviations of 0 to 0.2 points, whose median 0.1 is floored at 10 % of 2 %."""
    before = [Fraction(rate, 1000) for rate in (18, 19, 20, 20, 21, 22)]
    assert statistics.robust_z(Fraction(10, 1000), before) == pytest.approx(-0.010 / (1.4826 * 0.002))
    assert statistics.robust_z(Fraction(10, 1000), before[:5]) is None
    assert statistics.robust_z(Fraction(1), [Fraction(0)] * 6) is None


def test_intervals_hold_what_they_are_about() -> None:
    low, high = statistics.newcombe(0.5, 100, 0.5, 100)
    assert low == pytest.approx(-high)
    assert statistics.newcombe(0.3, 1000, 0.1, 1000)[0] > 0.15
    assert statistics.wilson(0.0, 10)[0] == pytest.approx(0.0)
    assert 0.2 < statistics.wilson(0.0, 10)[1] < 0.4
    values, opening = np.array([100] * 50 + [0] * 50), np.full(100, 1000)
    low, high = statistics.rate_interval(values, opening, generator("x"))
    assert low < 0.05 < high
    assert high - low == pytest.approx(2 * 1.645 * 0.1 * 0.5 / 10, rel=0.2)


def test_the_limit_of_a_rate_holds_where_the_percentile_interval_does_not() -> None:
    """200 customers of whom 6 % gain a lognormal share: the true rate is above the limit in an eighth of
    bases, above the other in a quarter.
    """
    rng = np.random.default_rng(5)
    true = 0.06 * 0.1 * math.exp(0.9**2 / 2)
    wrong = []
    for number in range(200):
        opening = np.exp(rng.normal(10, 1.2, 200)).astype(np.int64) + 1
        gains = (opening * 0.1 * np.exp(rng.normal(0, 0.9, 200))).astype(np.int64)
        values = np.where(rng.random(200) < 0.06, gains, 0)
        limit = statistics.rate_limit(values, opening, Fraction(1), generator(str(number)), draws=300)
        wrong.append(
            (
                limit < true,
                statistics.rate_interval(values, opening, generator(str(number)), draws=300)[1] < true,
            )
        )
    studentised, percentile = np.mean(wrong, axis=0)
    assert studentised < 0.16
    assert percentile > 0.22


def test_the_limit_of_a_rate_at_its_edges() -> None:
    opening = np.full(100, 1000)
    few = np.array([500, 500, 0] + [0] * 97)
    # One draw in eight has none of the two.
    assert statistics.rate_limit(few, opening, Fraction(500), generator("x")) == math.inf
    nobody = statistics.rate_limit(few * 0, opening, Fraction(500), generator("x"))
    # Three expanders that were expected fail to come in 5 % of months.
    assert nobody == pytest.approx(3 * 500 / 100_000, rel=0.01)
    everybody = statistics.rate_limit(np.full(100, 20), opening, Fraction(20), generator("x"))
    assert everybody == 0.02
    half = np.array([100] * 50 + [0] * 50)
    assert statistics.rate_limit(half, opening, Fraction(100), generator("x")) == pytest.approx(
        0.05 + 1.66 * 0.1 * 0.5 / 10, rel=0.05
    )
    assert statistics.rate_limit(half, opening, Fraction(100), generator("x")) == statistics.rate_limit(
        half, opening, Fraction(100), generator("x")
    )
