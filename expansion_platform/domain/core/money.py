"""Exact money: exponents, decimal text, rounding, and sharing whole minor units out.

Here: arithmetic that knows nothing of subscriptions. Not here: prices (`pricing/schemes.py`), discounts,
movements. No float anywhere: amounts are `int` minor units, everything between is `fractions.Fraction`,
rounded half to even once (semantics 1.4).

Thousands of amounts are rounded at once in 64-bit integers (`Exact`), where the product fits; the result is
the same to the unit.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_BITS = 62
"""Products below it, and twice a remainder, fit int64."""
_LARGEST = 2**62

ZERO_DECIMALS = frozenset(
    ["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"]
)
THREE_DECIMALS = frozenset(["bhd", "jod", "kwd", "omr", "tnd"])

_DECIMAL = re.compile(r"[0-9]+(?:\.[0-9]+)?")


def exponent(currency: str) -> int:
    """Decimals of a currency's minor unit in Stripe's API: 0, 2 or 3.

    ISK and UGX keep two (semantics 1.4).
    """
    if currency in ZERO_DECIMALS:
        return 0
    return 3 if currency in THREE_DECIMALS else 2


@lru_cache(maxsize=1 << 16, typed=True)
def decimal(value: str | int) -> Fraction:
    """A non-negative decimal text (or int) as an exact fraction.

    ValueError for a sign, an exponent, a float or anything else.
    """
    text = str(value) if type(value) in (str, int) else ""
    if _DECIMAL.fullmatch(text) is None:
        raise ValueError(f"not a non-negative decimal: {value!r}")
    whole, _, places = text.partition(".")
    return Fraction(int(whole + places), 10 ** len(places))


def conversion(currency: str, reporting_currency: str, rate: str | None) -> Fraction:
    """Reporting minor units for one minor unit of `currency`; `rate` is major for major.

    ValueError when the rate is missing or not positive.
    """
    if currency == reporting_currency:
        return Fraction(1)
    if rate is None:
        raise ValueError(f"no exchange rate for {currency}")
    factor = decimal(rate)
    if factor == 0:
        raise ValueError(f"exchange rate of {currency} is zero")
    return factor * Fraction(10) ** (exponent(reporting_currency) - exponent(currency))


def round_half_even(value: Fraction, factor: Fraction = Fraction(1), times: int = 1) -> int:
    """Nearest integer to value * factor * times, ties to the even one.

    The product is never built: reducing it would cost more than rounding.
    """
    numerator, denominator = (
        value.numerator * factor.numerator * times,
        value.denominator * factor.denominator,
    )
    whole, rest = divmod(numerator, denominator)
    return whole + (2 * rest > denominator or (2 * rest == denominator and whole % 2 == 1))


@dataclass(frozen=True)
class Exact:
    """Non-negative fractions as arrays, to multiply and round many at once.

    int64 where both parts are short enough, else looked up one by one.
    """

    values: Sequence[Fraction]
    above: Ints
    """Numerators, zero where they are too long."""
    below: Ints
    bits_above: Ints
    bits_below: Ints

    @classmethod
    def of(cls, values: Sequence[Fraction]) -> Exact:
        """Takes the fractions apart."""
        parts = [(value.numerator, value.denominator) for value in values]
        above, below = ([part[side] for part in parts] for side in (0, 1))
        bits = [np.array([number.bit_length() for number in side], dtype=np.int64) for side in (above, below)]
        short = [
            np.array([number if number.bit_length() < _BITS else 0 for number in side], dtype=np.int64)
            for side in (above, below)
        ]
        return cls(values, *short, *bits)

    def rounded(self, at: Ints, factors: Exact, of: Ints, times: int = 1) -> Ints:
        """`round_half_even` of the fractions at some positions, each times the factor at its own position."""
        fits = self.bits_above[at] + factors.bits_above[of] + times.bit_length() < _BITS
        fits &= self.bits_below[at] + factors.bits_below[of] < _BITS
        numerator = np.where(fits, self.above[at] * factors.above[of] * times, 0)
        denominator = np.where(fits, self.below[at] * factors.below[of], 1)
        whole, rest = np.divmod(numerator, denominator)
        found = whole + ((2 * rest > denominator) | ((2 * rest == denominator) & (whole % 2 == 1)))
        for place in np.flatnonzero(~fits).tolist():
            found[place] = min(
                round_half_even(self.values[at[place]], factors.values[of[place]], times), _LARGEST
            )
        return np.asarray(found, dtype=np.int64)


def largest_remainder(total: int, weights: Sequence[int | Fraction]) -> list[int]:
    """Shares a non-negative integer pro rata to non-negative weights.

    Left-over units go to the largest fractions, ties to the earlier one.

    The shares sum to `total` and each lies within one of its exact part. ValueError when there is something
    to share and no weight.
    """
    if total == 0:
        return [0] * len(weights)
    base = sum(weights)
    if total < 0 or base <= 0 or min(weights) < 0:
        raise ValueError(f"cannot share {total} over weights {list(weights)}")
    parts = [Fraction(total * weight) / base for weight in weights]
    shares = [int(part) for part in parts]
    order = sorted(range(len(parts)), key=lambda index: (shares[index] - parts[index], index))
    for index in order[: total - sum(shares)]:
        shares[index] += 1
    return shares


def settle(parts: Sequence[Fraction]) -> list[int]:
    """Whole units for signed exact parts whose sum is whole (semantics 3.4).

    Truncates toward zero, then gives the remaining units one by one to the largest left-over fraction in the
    direction of the remainder; ties go to the earlier part, so callers pass the fixed cause order. The sum is
    exact, every result is within one of its part and keeps its sign, and `settle` of the negated parts is the
    negated result.
    """
    total = sum(parts, Fraction(0))
    if total.denominator != 1:
        raise ValueError(f"parts sum to {total}, not to a whole number")
    settled = [int(part) for part in parts]
    remainder = int(total) - sum(settled)
    sign = 1 if remainder > 0 else -1
    order = sorted(range(len(parts)), key=lambda index: (-sign * (parts[index] - settled[index]), index))
    for index in order[: abs(remainder)]:
        settled[index] += sign
    return settled


def split_rows(totals: Ints, weights: Ints) -> Ints:
    """`largest_remainder` for each row: totals (n,), weights (n, k), shares (n, k).

    Rows with one weight need no division and no loop.
    """
    shares = np.where(weights > 0, totals[:, None], 0)
    for row in np.flatnonzero((totals > 0) & ((weights > 0).sum(axis=1) > 1)):
        shares[row] = largest_remainder(int(totals[row]), [int(weight) for weight in weights[row]])
    return shares
