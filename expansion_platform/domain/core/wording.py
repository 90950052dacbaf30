"""Figures as text: the same words for an amount or a rate wherever people read it.

Here: money, percent and counts. Not here: sentences (`metrics/diagnosis.py`, `reports/`).
"""

from __future__ import annotations

from fractions import Fraction

from expansion_platform.domain.core.money import exponent


def money(minor: int, currency: str) -> str:
    """1234567 usd -> `12,345.67 USD`."""
    places = exponent(currency)
    sign, digits = ("-" if minor < 0 else ""), f"{abs(minor):0{places + 1}d}"
    whole, part = (digits[:-places], digits[-places:]) if places else (digits, "")
    return f"{sign}{int(whole):,}{'.' + part if part else ''} {currency.upper()}"


def percent(ratio: Fraction, places: int = 2) -> str:
    """1/70 -> `1.43 %`, rounded half to even."""
    scaled = round(ratio * 100 * 10**places)
    digits = f"{abs(scaled):0{places + 1}d}"
    whole, part = (digits[:-places], digits[-places:]) if places else (digits, "")
    return f"{'-' if scaled < 0 else ''}{whole}{'.' + part if part else ''} %"


def counted(number: int, noun: str) -> str:
    """1, `customer` -> `1 customer`; 1200 -> `1,200 customers`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
