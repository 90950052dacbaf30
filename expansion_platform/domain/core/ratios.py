"""Ratios as decimal text, rounded half to even once: ten places (semantics 4), six in `signals` (6.7).

Here: the text of a quotient. Not here: which sums are divided (`metrics/`).
"""

from __future__ import annotations

from fractions import Fraction

PLACES = 10
SIGNAL_PLACES = 6


def ratio_text(numerator: int, denominator: int, places: int = PLACES) -> str | None:
    """Quotient as decimal text with so many places, half-even.

    None when the denominator is zero (never 0, never infinity).
    """
    if denominator == 0:
        return None
    above, below = (numerator, denominator) if denominator > 0 else (-numerator, -denominator)
    scaled, rest = divmod(above * 10**places, below)
    return _decimal(scaled + (2 * rest > below or (2 * rest == below and scaled % 2 == 1)), places)


def decimal_text(value: Fraction) -> str:
    """A rational as decimal text with 10 places, rounded half-even once."""
    return _decimal(round(value * 10**PLACES), PLACES)


def _decimal(scaled: int, places: int) -> str:
    digits = f"{abs(scaled):0{places + 1}d}"
    return f"{'-' if scaled < 0 else ''}{digits[:-places]}.{digits[-places:]}"
