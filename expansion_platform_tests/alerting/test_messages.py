"""Figures as text."""

from __future__ import annotations

from fractions import Fraction

import pytest

from expansion_platform.alerting.limits import escape
from expansion_platform.domain.core.wording import money, percent


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (123_456_789, "usd", "1,234,567.89 USD"),
        (0, "usd", "0.00 USD"),
        (-5, "eur", "-0.05 EUR"),
        (1_234, "jpy", "1,234 JPY"),
        (1_234_567, "kwd", "1,234.567 KWD"),
        (9_007_199_254_740_993, "usd", "90,071,992,547,409.93 USD"),  # beyond 2^53: no float on the way
    ],
)
def test_money(minor: int, currency: str, text: str) -> None:
    assert money(minor, currency) == text


@pytest.mark.parametrize(
    ("ratio", "places", "text"),
    [
        (Fraction(7, 500), 2, "1.40 %"),
        (Fraction(1, 3), 2, "33.33 %"),
        (Fraction(0), 2, "0.00 %"),
        (Fraction(-1, 4), 1, "-25.0 %"),
        (Fraction(1, 2), 0, "50 %"),
        (Fraction(1, 20_000), 2, "0.00 %"),  # half to even: 0.005 % down,
        (Fraction(3, 20_000), 2, "0.02 %"),  # 0.015 % up
    ],
)
def test_percent(ratio: Fraction, places: int, text: str) -> None:
    assert percent(ratio, places) == text


def test_escape_leaves_nothing_that_slack_would_read_as_a_command() -> None:
    assert escape("<!channel> R&D <https://x|y>") == "&lt;!channel&gt; R&amp;D &lt;https://x|y&gt;"
    assert escape("&lt;") == "&amp;lt;"  # the ampersand first, or the others would be escaped twice
