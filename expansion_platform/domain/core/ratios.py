"""Ratios as decimal text with ten places, rounded half to even once (semantics 4).

Here: the text of a quotient. Not here: which sums are divided (`metrics/`).
"""

from __future__ import annotations

from fractions import Fraction

PLACES = 10
_SCALE = 10**PLACES


def ratio_text(numerator: int, denominator: int) -> str | None:
    """Quotient as decimal text with 10 places, half-even.

    None when the denominator is zero (never 0, never infinity).
    """
    if denominator == 0:
        return None
    above, below = (numerator, denominator) if denominator > 0 else (-numerator, -denominator)
    scaled, rest = divmod(above * _SCALE, below)
    return _decimal(scaled + (2 * rest > below or (2 * rest == below and scaled % 2 == 1)))


def decimal_text(value: Fraction) -> str:
    """A rational as decimal text with 10 places, rounded half-even once."""
    return _decimal(round(value * _SCALE))


def _decimal(scaled: int) -> str:
    digits = f"{abs(scaled):0{PLACES + 1}d}"
    return f"{'-' if scaled < 0 else ''}{digits[:-PLACES]}.{digits[-PLACES:]}"
