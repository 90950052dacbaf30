"""Figures as text, and Slack's limits.

Here: money, percent, escaping. Not here: the messages made of them (`alert_messages.py`).
"""

from __future__ import annotations

from fractions import Fraction

from expansion_platform.domain.money import exponent

HEADER_LIMIT = 150  # Slack's limits: longer text is refused with msg_blocks_too_long or invalid_blocks
SECTION_LIMIT = 3000


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
    return f"{'-' if scaled < 0 else ''}{digits[:-places]}.{digits[-places:]} %"


def escape(text: str) -> str:
    """Slack's three control characters; without it a customer named <!channel> would page everyone."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
