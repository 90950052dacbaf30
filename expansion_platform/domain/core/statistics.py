"""Is it more than noise? Permutation tests, intervals and divergences (semantics 5.4).

Here: the tests, seeded and vectorised. Not here: which rule uses which, and with what limits
(`alerts/rules.py`).

A rate's test statistic is a sum of whole minor units over whole denominators. Sums stay integers and are
compared over a common denominator, since counts tie often, and a tie lost to rounding moves a p-value. Floats
hold integers below 2**53, divergences and intervals only.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from expansion_platform.domain.core.money import Bools, Ints

DRAWS = 2000  # semantics 5.4; the smallest one-sided p is 1/2001
TWO_SIDED = 1.959964  # standard normal deviations that 95 % lie within
_CELLS = 2_000_000  # random numbers in memory at once: 8 MB
_EXACT = 2**53

Floats = npt.NDArray[np.float64]


def generator(*about: str) -> np.random.Generator:
    """A generator seeded by what is tested (scope, month, policy hash), so a repeated run says the same."""
    digest = hashlib.sha256("|".join(about).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def month_labels(
    values: Ints, opening: Ints, month: int, rng: np.random.Generator, draws: int = DRAWS
) -> tuple[Fraction, Fraction]:
    """How rarely a month would be as low as it is, were months exchangeable within a customer.

    See semantics 5.4.

    Args:
        values: (C, M) expansion in minor units, zero where not a member.
        opening: (C, M) MRR at opening; every month has some.
        month: column of the month tested; the other columns are its baseline.
        rng: source of randomness.
        draws: permutations.

    Returns:
        One-sided p of the amounts, each over its own month's opening MRR, and of the counts, each over its
        own month's members.
    """
    members = opening > 0
    here = members[:, month]  # of the others nothing can land in the month
    values, own = values[here], members[here].sum(axis=1)
    customer, column = np.nonzero(values)
    amounts = values[customer, column]
    counts = (amounts > 0).astype(np.int64)
    of_month = np.eye(values.shape[1], dtype=np.int64)[column]
    sums = landed(
        customer,
        own[customer],
        np.ones_like(customer),
        np.hstack([of_month * amounts[:, None], of_month * counts[:, None]]),
        rng,
        draws,
    )
    observed = np.zeros(2 * values.shape[1], np.int64)
    observed[month] = values[:, month].sum()
    observed[values.shape[1] + month] = (values[:, month] > 0).sum()
    months = slice(0, values.shape[1]), slice(values.shape[1], None)
    over = opening.sum(axis=0), members.sum(axis=0)
    p_amount, p_count = (
        _share_at_most(sums[:, part], observed[part], [int(whole) for whole in wholes])
        for part, wholes in zip(months, over, strict=True)
    )
    return p_amount, p_count


def customer_months(
    values: Ints, opening: Ints, month: int, rng: np.random.Generator, draws: int = DRAWS
) -> Fraction:
    """How rarely a month would be as low as it is, were all customer-months of the window exchangeable.

    For values that end a membership, such as churn: a customer that left before the month could never land in
    it, so exchanging months within customers would make every ordinary month look bad. Each customer-month
    lands in the month with the month's share of them.

    Args:
        values: (C, M) signed minor units, zero where not a member.
        opening: (C, M) MRR at opening; every month has some.
        month: column of the month tested.
        rng: source of randomness.
        draws: permutations.

    Returns:
        One-sided p of the amounts, each over its own month's opening MRR.
    """
    members = opening > 0
    customer, column = np.nonzero(values)
    amounts = values[customer, column]
    of_month = np.eye(values.shape[1], dtype=np.int64)[column]
    one_each = np.arange(len(amounts))
    all_of, here = np.full(len(amounts), members.sum()), np.full(len(amounts), members[:, month].sum())
    sums = landed(one_each, all_of, here, of_month * amounts[:, None], rng, draws)
    observed = np.zeros(values.shape[1], np.int64)
    observed[month] = values[:, month].sum()
    return _share_at_most(sums, observed, [int(whole) for whole in opening.sum(axis=0)])


def mix_labels(
    types: Ints, opening: Ints, recent: Bools, rng: np.random.Generator, draws: int = DRAWS
) -> tuple[float, Fraction]:
    """How far the shares of types moved between two blocks of months, and how rarely they would.

    How rarely: were months exchangeable within a customer.

    Args:
        types: (C, M, K) expansion by type in minor units.
        opening: (C, M) MRR at opening.
        recent: (M,) the later block; the rest is the earlier one.
        rng: source of randomness.
        draws: permutations.

    Returns:
        Jensen-Shannon divergence in bits, and its p. Zero and 1 where a block has no expansion.
    """
    everything = types.sum(axis=(0, 1))
    observed = types[:, recent].sum(axis=(0, 1))
    if observed.sum() == 0 or observed.sum() == everything.sum():
        return 0.0, Fraction(1)
    members = opening > 0
    customer, column = np.nonzero(types.any(axis=2))
    own, landing = members.sum(axis=1), members[:, recent].sum(axis=1)
    sums = landed(customer, own[customer], landing[customer], types[customer, column], rng, draws)
    divergences = divergence(sums, everything - sums)
    measured = float(
        divergence(observed[None].astype(np.float64), (everything - observed)[None].astype(np.float64))[0]
    )
    # The same sums added in another order may differ in the last bit.
    return measured, Fraction(1 + int((divergences >= measured - 1e-12).sum()), draws + 1)


def landed(
    customer: Ints, own: Ints, landing: Ints, weights: Ints, rng: np.random.Generator, draws: int
) -> Floats:
    """Sums of the values that land in a block when months are dealt at random.

    Each customer's values are dealt over its own months.

    Only values that are not zero are dealt: the r-th of a customer with `own` months lands with chance
    (places left in the block) over (own - r), which is dealing all of them.

    Args:
        customer: (n,) of each value, ascending.
        own: (n,) months of that customer.
        landing: (n,) how many of them lie in the block.
        weights: (n, W) what is summed.
        rng: source of randomness.
        draws: how often to deal.

    Returns:
        (draws, W) whole numbers.
    """
    if np.abs(weights).sum(axis=0).max(initial=0) >= _EXACT:
        raise ValueError("amounts beyond 2**53 minor units cannot be summed exactly")
    first = np.flatnonzero(np.diff(customer, prepend=-1))
    group = np.searchsorted(first, np.arange(len(customer)), side="right") - 1
    rank = np.arange(len(customer)) - first[group]
    ranks = [np.flatnonzero(rank == number) for number in range(int(rank.max(initial=-1)) + 1)]
    addends = weights.astype(np.float64)
    sums = np.zeros((draws, weights.shape[1]))
    step = max(1, _CELLS // max(1, len(first)))
    for start in range(0, draws, step):
        part = sums[start : start + step]
        left = np.repeat(landing[first].astype(np.float32)[:, None], len(part), axis=1)
        for number, at in enumerate(ranks):
            places = left if number == 0 else left[group[at]]
            lands = (
                rng.random(places.shape, dtype=np.float32) * (own[at] - number).astype(np.float32)[:, None]
                < places
            )
            if number + 1 < len(ranks):
                left[group[at]] = places - lands
            part += lands.T.astype(np.float64) @ addends[at]
    return sums


def rate_interval(
    values: Ints, opening: Ints, rng: np.random.Generator, level: float = 0.9, draws: int = DRAWS
) -> tuple[float, float]:
    """Percentile bootstrap interval of a rate over its customers.

    Approximate, and too narrow below about 1,000 of them.

    Args:
        values: (n,) minor units of each opening member.
        opening: (n,) its opening MRR, above zero.
        rng: source of randomness.
        level: probability inside.
        draws: resamples.
    """
    size = len(opening)
    rates = np.empty(draws)
    step = max(1, _CELLS // size)
    for start in range(0, draws, step):
        drawn = rng.integers(0, size, (min(step, draws - start), size), dtype=np.int32)
        rates[start : start + step] = values[drawn].sum(axis=1) / opening[drawn].sum(axis=1)
    low, high = np.quantile(rates, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def rate_limit(
    values: Ints,
    opening: Ints,
    usual: Fraction,
    rng: np.random.Generator,
    level: float = 0.95,
    draws: int = DRAWS,
) -> float:
    """The rate a month's true rate is at most with this confidence.

    By the studentised bootstrap over its customers (bootstrap-t).

    A month's expansion is a few large gains among many zeros. The percentile interval forgets how much the
    spread of such a sum moves with the sum itself: at 200 customers its 95 % limit lies below the true rate
    in 28 % of months, this one in 13 % (docs/detection-power.md has the rule's).

    Args:
        values: (n,) expansion in minor units of each opening member.
        opening: (n,) its opening MRR, above zero.
        usual: what an expander usually adds, minor units. Where nobody expanded there is nothing to resample:
            what three expanders would have added is the limit, since three that are expected fail to come in
            5 % of months (exp(-3)).
        rng: source of randomness.
        level: confidence.
        draws: resamples.

    Returns:
        Infinity where so few expanded that they bound nothing, about three or fewer.
    """
    base = int(opening.sum())
    if not values.any():
        return float(usual * Fraction(-math.log(1 - level)) / base)
    amounts, under = values.astype(np.float64), opening.astype(np.float64)
    rate = amounts.sum() / base

    def error(drawn: Floats, of: Floats, mean: Floats) -> Floats:
        spread: Floats = np.sqrt(((drawn - mean * of) ** 2).sum(axis=-1)) / of.sum(axis=-1)
        return spread

    size, step = len(opening), max(1, _CELLS // len(opening))
    far = np.empty(draws)
    for start in range(0, draws, step):
        drawn = rng.integers(0, size, (min(step, draws - start), size), dtype=np.int32)
        sums, bases = amounts[drawn], under[drawn]
        means = sums.sum(axis=1) / bases.sum(axis=1)
        errors = error(sums, bases, means[:, None])
        # Without a spread: at the rate itself, or as far below it as can be.
        with np.errstate(divide="ignore", invalid="ignore"):
            far[start : start + step] = np.where(means == rate, 0.0, (means - rate) / errors)
    own = float(error(amounts, under, rate))
    # Of whole draws, not between two of them: one may be infinitely far.
    return float(rate - own * np.quantile(far, 1 - level, method="lower")) if own else float(rate)


def robust_z(rate: Fraction, before: Sequence[Fraction]) -> float | None:
    """How many robust standard deviations a rate is from the median before it.

    None with fewer than six months (semantics 5.4).

    The median absolute deviation is floored at 10 % of the median, so that a few equal months do not make a
    small change infinite.
    """
    if len(before) < 6:
        return None
    rates = np.array([float(one) for one in before])
    median = float(np.median(rates))
    spread = max(float(np.median(np.abs(rates - median))), 0.1 * abs(median))
    return None if spread == 0 else (float(rate) - median) / (1.4826 * spread)


def divergence(one: Floats, other: Floats) -> Floats:
    """Jensen-Shannon divergence in bits, row by row, of shares made of non-negative amounts.

    0 where a row has none.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        p, q = one / one.sum(axis=1, keepdims=True), other / other.sum(axis=1, keepdims=True)
        middle = (p + q) / 2
        parts = np.where(p > 0, p * np.log2(p / middle), 0) + np.where(q > 0, q * np.log2(q / middle), 0)
    divergences: Floats = np.nan_to_num(parts.sum(axis=1) / 2)
    return divergences


def stability_index(before: Sequence[int], now: Sequence[int], floor: float = 0.005) -> float:
    """Population stability index of two mixes; shares are floored at 0.5 % and made to sum to one again."""
    p, q = (np.maximum(np.array(amounts, float) / sum(amounts), floor) for amounts in (before, now))
    p, q = p / p.sum(), q / q.sum()
    return float(((q - p) * np.log(q / p)).sum())


def holm(p_values: Sequence[Fraction]) -> list[Fraction]:
    """Holm's adjusted p-values: comparing each to 5 % keeps the chance of any false one under 5 %."""
    adjusted = [Fraction(1)] * len(p_values)
    running = Fraction(0)
    for position, index in enumerate(sorted(range(len(p_values)), key=lambda at: p_values[at])):
        running = max(running, min(Fraction(1), (len(p_values) - position) * p_values[index]))
        adjusted[index] = running
    return adjusted


def wilson(share: float, size: float, z: float = TWO_SIDED) -> tuple[float, float]:
    """Wilson's 95 % interval of a share; of weighted customers `size` is the effective sample size."""
    centre = (share + z * z / (2 * size)) / (1 + z * z / size)
    half = z * math.sqrt(share * (1 - share) / size + z * z / (4 * size * size)) / (1 + z * z / size)
    return centre - half, centre + half


def newcombe(one: float, size_one: float, other: float, size_other: float) -> tuple[float, float]:
    """Newcombe's 95 % interval of a difference of shares, one - other, from their Wilson intervals."""
    (low_one, high_one), (low_other, high_other) = wilson(one, size_one), wilson(other, size_other)
    difference = one - other
    low = difference - math.sqrt((one - low_one) ** 2 + (high_other - other) ** 2)
    return low, difference + math.sqrt((high_one - one) ** 2 + (other - low_other) ** 2)


def _share_at_most(sums: Floats, observed: Ints, wholes: Sequence[int]) -> Fraction:
    """(1 + draws with a statistic at most the observed one) / (draws + 1), exactly.

    Month j's part of a sum is over wholes[j].
    """
    common = math.lcm(*wholes)
    factors: Any = np.array([common // whole for whole in wholes], dtype=object)
    drawn: Any = np.array([[int(cell) for cell in row] for row in sums.tolist()], dtype=object) @ factors
    reached = int(np.dot(np.array(observed.tolist(), dtype=object), factors))
    return Fraction(1 + sum(value <= reached for value in drawn.tolist()), len(sums) + 1)
