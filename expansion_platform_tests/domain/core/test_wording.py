"""Figures as text."""

from __future__ import annotations

from expansion_platform.domain.core.wording import counted


def test_one_is_singular() -> None:
    assert [counted(number, "month") for number in (0, 1, 2, 1200)] == [
        "0 months",
        "1 month",
        "2 months",
        "1,200 months",
    ]
