"""Months of a time zone: their bounds are instants, half-open, whatever the clocks do in between."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import pytest

from expansion_platform.domain.core import months


@pytest.mark.parametrize(
    ("month", "timezone", "opening", "hours"),
    [
        ("2026-01", "UTC", "2026-01-01T00:00Z", 31 * 24),
        ("2024-02", "UTC", "2024-02-01T00:00Z", 29 * 24),
        ("2026-03", "Europe/Berlin", "2026-02-28T23:00Z", 31 * 24 - 1),
        ("2026-10", "Europe/Berlin", "2026-09-30T22:00Z", 31 * 24 + 1),
        ("2026-11", "America/New_York", "2026-11-01T04:00Z", 30 * 24 + 1),
        ("2026-01", "Asia/Kolkata", "2025-12-31T18:30Z", 31 * 24),
        ("2026-01", "Pacific/Auckland", "2025-12-31T11:00Z", 31 * 24),
    ],
)
def test_bounds(month: str, timezone: str, opening: str, hours: int) -> None:
    assert months.opening(month, timezone) == pd.Timestamp(opening)
    assert months.closing(month, timezone) - months.opening(month, timezone) == pd.Timedelta(hours=hours)


@pytest.mark.parametrize(
    "timezone",
    ["UTC", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Asia/Kathmandu", "Pacific/Kiritimati"],
)
def test_months_meet_and_their_bounds_belong_to_the_later_one(timezone: str) -> None:
    microsecond = pd.Timedelta(microseconds=1)
    for month in months.between("2017-12", "2027-01"):
        closing = months.closing(month, timezone)
        assert closing == months.opening(months.shift(month, 1), timezone)
        assert (closing.unit, str(closing.tz)) == ("us", "UTC")
        assert months.of(closing, timezone) == months.shift(month, 1)
        assert months.of(closing - microsecond, timezone) == month
        assert months.newest_closed(closing, timezone) == month
        assert months.newest_closed(closing - microsecond, timezone) == months.shift(month, -1)


def test_arithmetic_crosses_years() -> None:
    assert months.shift("2026-01", -1) == "2025-12"
    assert months.shift("2026-12", 1) == "2027-01"
    assert months.shift("2026-05", -29) == "2023-12"
    assert months.distance("2025-11", "2026-02") == 3
    assert months.distance("2026-02", "2025-11") == -3
    assert months.between("2025-11", "2026-01") == ["2025-11", "2025-12", "2026-01"]
    assert months.between("2026-01", "2026-01") == ["2026-01"]
    assert months.between("2026-02", "2026-01") == []


@pytest.mark.parametrize(
    "text", ["2026-13", "2026-00", "2026-1", "26-01", "2026-01-01", "2026/01", "", " 2026-01", "2026-01\n"]
)
def test_anything_else_is_no_month(text: str) -> None:
    with pytest.raises(ValueError, match="not a month"):
        months.parse(text)


def test_an_instant_needs_a_time_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        months.of(datetime(2026, 1, 1))
    assert months.of(datetime(2026, 1, 1, tzinfo=UTC)) == "2026-01"
