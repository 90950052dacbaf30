"""Intervals of shares, of their differences and of their quotients (semantics 6.7, 6.9).

Here: Wilson's interval of a share, Newcombe's of a difference, the same method for a quotient, and how many
independent observations rows of the same customers are worth. Not here: what is counted.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from expansion_platform.domain.core.money import Bools, Ints

Floats = npt.NDArray[np.float64]
Z95 = 1.959963984540054
"""The standard normal's quantile of 97.5 %: every interval is a 95 % one."""


class Interval(NamedTuple):
    """An estimate between its 95 % limits; all NaN where there is nothing to estimate."""

    value: float
    low: float
    high: float


NOTHING = Interval(np.nan, np.nan, np.nan)


class Share(NamedTuple):
    """A share and the number of independent observations it rests on."""

    value: float
    size: float

    @property
    def interval(self) -> Interval:
        """Wilson's score interval; it never leaves 0 to 1."""
        if not self.size > 0:
            return NOTHING
        squared = Z95**2
        centre = (self.value + squared / (2 * self.size)) / (1 + squared / self.size)
        spread = self.value * (1 - self.value) / self.size + squared / (4 * self.size**2)
        half = Z95 * np.sqrt(spread) / (1 + squared / self.size)
        return Interval(self.value, max(centre - half, 0.0), min(centre + half, 1.0))


def difference(one: Share, other: Share) -> Interval:
    """One - other, by Newcombe's method 10 (Statistics in Medicine 1998): from the limits of both shares."""
    first, second = one.interval, other.interval
    found = first.value - second.value
    down = np.hypot(first.value - first.low, second.high - second.value)
    up = np.hypot(first.high - first.value, second.value - second.low)
    return Interval(found, found - down, found + up)


def quotient(one: Share, other: Share) -> Interval:
    """One / other, from the limits of both shares as Newcombe's difference is (Donner and Zou 2012).

    Without upper limit where the other may be 0; NaN where it is.
    """
    first, second = one.interval, other.interval
    if not second.value > 0 or np.isnan(first.value):
        return NOTHING
    product = first.value * second.value
    low_root = product**2 - first.low * second.high * (2 * first.value - first.low) * (
        2 * second.value - second.high
    )
    low = (product - np.sqrt(max(low_root, 0.0))) / (second.high * (2 * second.value - second.high))
    if second.high >= 2 * second.value:
        low = first.low / second.high  # so few of the other that its limits are far apart
    high = np.inf
    if second.low > 0:
        high_root = product**2 - first.high * second.low * (2 * first.value - first.high) * (
            2 * second.value - second.low
        )
        high = (product + np.sqrt(max(high_root, 0.0))) / (second.low * (2 * second.value - second.low))
    return Interval(product / second.value**2, max(low, 0.0), high)


def share_of(customer: Ints, outcome: Bools, customers: int) -> Share:
    """The share of rows with an outcome, where one customer may have several rows.

    Rows of a customer are alike, so they are worth fewer observations than they are: as many as give the
    variance of the share over customers (a design effect of at least 1).

    Args:
        customer: by row, its number.
        outcome: by row.
        customers: how many numbers there are.
    """
    rows = len(customer)
    if rows == 0:
        return Share(np.nan, 0.0)
    value = float(outcome.mean())
    distinct = float(np.count_nonzero(np.bincount(customer, minlength=customers)))
    if value in (0.0, 1.0):
        return Share(value, distinct)
    apart = np.bincount(customer, weights=outcome - value, minlength=customers)
    variance = float(np.square(apart).sum()) / rows**2
    effect = max(variance * rows / (value * (1 - value)), 1.0)
    return Share(value, rows / effect)
