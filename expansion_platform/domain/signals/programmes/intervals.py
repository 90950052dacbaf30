"""How far apart two arms are, and within which bounds: shares and means per customer (semantics 6.9).

Here: Newcombe's interval of shares, the inverted permutation test of means. Not here: whose values these are
(`outcomes.py`), what they are worth (`roi.py`).

A month's expansion is a few large gains among many zeros, and the arms differ in size. So a difference is
refused only where it is under both of two models: an amount that each treated customer adds (values are
shifted, the statistic is studentised), and a factor on what it buys (values are scaled and zeros stay zeros;
those labelled treated are scaled back, so that each arm has its own spread). A factor above 4 is not
considered: with four expanders in a control group of 40 almost none could be refused.

Measured over 1,000 programmes a case, 200/200 and 360/40, 10 % expanders in control, lognormal amounts (sigma
1 and 1.25), effects from a half to 3.25 times: the shift alone covers in 78 to 97 %, both together in 92 to
98 %, and in 95 to 98 % with effects up to 2 times. With sigma 1.5 and 3.25 times, where half of a sum is a
handful of customers, both cover in 88 to 93 %.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from expansion_platform.domain.core.statistics import newcombe

DRAWS = 1999
"""Permutations; the smallest two-sided p is 0.001."""
TAIL = 0.025
WINSORISED_AT = 0.99
_CELLS = 4_000_000
"""Labels in memory at once: 4 MB."""
_DOUBLINGS, _HALVINGS = 60, 50
LARGEST_FACTOR = 4.0
_TIE = 1e-9
"""The same sums added in another order may differ in the last bits."""

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Difference:
    """Treatment minus control, its 95 % interval, and the p of no difference; None for not known.

    Of an interval without bound on one side that end is None.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None

    @property
    def shown(self) -> bool:
        """Whether the interval excludes zero."""
        return (self.low is not None and self.low > 0) or (self.high is not None and self.high < 0)

    def times(self, factor: float) -> Difference:
        """The difference of sums, from that of means over `factor` customers."""
        value, low, high = (
            None if each is None else each * factor for each in (self.value, self.low, self.high)
        )
        return Difference(value, low, high, self.p)


def share_difference(expanders: tuple[int, int], sizes: tuple[int, int]) -> Difference:
    """Difference of two shares, treatment first, with Newcombe's interval; unknown where an arm is empty."""
    if min(sizes) == 0:
        return Difference()
    one, other = (count / size for count, size in zip(expanders, sizes, strict=True))
    return Difference(one - other, *newcombe(one, sizes[0], other, sizes[1]))


def permuted(treated: npt.NDArray[np.bool_], rng: np.random.Generator, draws: int = DRAWS) -> Labels:
    """Labels dealt again at random: (draws, n) of 0 and 1, each row with as many ones as `treated`."""
    labels = np.empty((draws, len(treated)), dtype=np.int8)
    step = max(1, _CELLS // max(1, len(treated)))
    own = treated.astype(np.int8)
    for start in range(0, draws, step):
        part = labels[start : start + step]
        part[:] = own
        rng.permuted(part, axis=1, out=part)
    return labels


def mean_difference(values: Floats, treated: npt.NDArray[np.bool_], labels: Labels) -> Difference:
    """Difference of means per customer, with the interval of the inverted permutation test.

    Args:
        values: (n,) of each customer, not negative; zero of those that did not expand.
        treated: (n,) its arm.
        labels: `permuted` of it.

    Returns:
        Unknown with fewer than two customers in an arm; without interval where nobody expanded, which bounds
        nothing.
    """
    size, of_treated = len(values), int(treated.sum())
    if min(of_treated, size - of_treated) < 2:
        return Difference()
    value = float(values[treated].mean() - values[~treated].mean())
    if not values.any():
        return Difference(value)
    tests = _Tests(values, treated, labels)
    low, high = (_limit(tests.kept, value, tests.step, side) for side in (-1, 1))
    return Difference(value, low, high, tests.p(value))


def winsorised(values: Floats) -> Floats:
    """Values, none above the 99th percentile of all."""
    return np.minimum(values, np.quantile(values, WINSORISED_AT)) if len(values) else values


class _Tests:
    """The two tests of a difference, from sums over the labels that are made once for all differences."""

    def __init__(self, values: Floats, treated: npt.NDArray[np.bool_], labels: Labels) -> None:
        self._sizes = len(values), int(treated.sum())
        here = np.flatnonzero(values)
        amounts, own = values[here], treated[here]
        squares = amounts * amounts
        columns = np.stack([amounts * own, amounts * ~own, squares * own, squares * ~own], axis=1)
        # einsum adds in one order whatever the number of threads.
        sums = np.einsum("bi,ij->bj", labels[:, here].astype(np.float64), columns)
        stays = labels[:, treated].sum(axis=1, dtype=np.int64).astype(np.float64)
        self._drawn = np.column_stack([sums, stays])
        totals = columns.sum(axis=0)
        self._own = np.array([[totals[0], 0.0, totals[2], 0.0, float(self._sizes[1])]])
        self._all = np.array([*totals, float(self._sizes[1])])
        self._mean = float(totals[0]) / self._sizes[1]
        difference, error = self._statistic(self._own, 0.0, 1.0)
        self.step = float(error[0]) or abs(float(difference[0])) or 1.0

    def kept(self, value: float, difference: float, side: int) -> bool:
        """Whether a difference is refused by neither model, or by one only; -1 tests it as too low."""
        for scaled in (False, True):
            if scaled and not (self._mean > 0 and 0 < 1 - difference / self._mean <= LARGEST_FACTOR):
                continue
            if self.tails(value, difference, scaled=scaled)[side > 0] > TAIL:
                return True
        return False

    def p(self, value: float) -> float:
        """Two-sided p of no difference: the larger one of both models."""
        models = [True, False] if self._mean > 0 else [False]
        above, below = zip(*(self.tails(value, 0.0, scaled=each) for each in models), strict=True)
        return float(min(1.0, 2 * min(max(above), max(below))))

    def tails(self, value: float, difference: float, *, scaled: bool) -> tuple[float, float]:
        """How rarely the difference seen would be as high, and as low, were this the true one."""
        if scaled:
            statistics, _ = self._statistic(self._drawn, 0.0, 1 - difference / self._mean)
            own = value - difference
        else:
            drawn, errors = self._statistic(self._drawn, difference, 1.0)
            seen, error = self._statistic(self._own, difference, 1.0)
            statistics, own = drawn / errors, float(seen[0] / error[0])
        tie = _TIE * (abs(own) + (self.step if scaled else 1.0))
        size = len(statistics) + 1
        return (
            (1 + int((statistics >= own - tie).sum())) / size,
            (1 + int((statistics <= own + tie).sum())) / size,
        )

    def _statistic(self, sums: Floats, shift: float, factor: float) -> tuple[Floats, Floats]:
        """Differences and their standard errors of labels, the treated's values shifted down or scaled.

        Of scaled values those labelled treated are scaled back, so that spreads are those of the arms; what
        that adds to the difference is taken off it.
        """
        n, n_treated = self._sizes
        n_control = n - n_treated

        def moments(part: Floats) -> tuple[Floats, Floats]:
            kept = part[..., 4]
            total = factor * part[..., 0] + part[..., 1] - shift * kept
            squares = factor * factor * part[..., 2] + part[..., 3]
            return total, squares - 2 * shift * part[..., 0] + shift * shift * kept

        (one, squares_one), (every, squares_every) = moments(sums), moments(self._all)
        other, squares_other = every - one, squares_every - squares_one
        spread_one = np.maximum(squares_one - one * one / n_treated, 0) / (n_treated - 1) / n_treated
        spread_other = np.maximum(squares_other - other * other / n_control, 0) / (n_control - 1) / n_control
        difference = one / n_treated / factor - other / n_control - (1 / factor - 1) * every / n
        floor = 1e-12 * (np.abs(one / n_treated) + np.abs(other / n_control)) + 1e-12
        return difference, np.maximum(np.sqrt(spread_one / factor**2 + spread_other), floor)


def _limit(kept: Callable[[float, float, int], bool], value: float, step: float, side: int) -> float | None:
    """The farthest difference on one side that is kept; None where every one is."""
    inside, far = value, step
    for _ in range(_DOUBLINGS):
        outside = value + side * far
        if not kept(value, outside, side):
            break
        inside, far = outside, 2 * far
    else:
        return None
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        if kept(value, middle, side):
            inside = middle
        else:
            outside = middle
    return None if math.isinf(inside) else inside
