"""Calendar months of the reporting time zone (semantics 1.1).

`YYYY-MM` text, and the instants that bound them.

Here: month arithmetic and the opening and closing instants. Not here: a clock; the current instant is always
an argument.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pandas as pd

_MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")


def parse(month: str) -> tuple[int, int]:
    """`2026-03` -> (2026, 3). ValueError names anything else."""
    match = _MONTH.fullmatch(month)
    if match is None:
        raise ValueError(f"not a month: {month!r} (expected YYYY-MM)")
    return int(match[1]), int(match[2])


def shift(month: str, by: int) -> str:
    """The month `by` months later (earlier when negative)."""
    year, number = parse(month)
    index = year * 12 + number - 1 + by
    return f"{index // 12:04d}-{index % 12 + 1:02d}"


def between(first: str, last: str) -> list[str]:
    """Months from first to last, both included; empty when last is before first."""
    count = distance(first, last) + 1
    return [shift(first, offset) for offset in range(max(0, count))]


def distance(first: str, last: str) -> int:
    """Months from first to last."""
    (year_a, month_a), (year_b, month_b) = parse(first), parse(last)
    return (year_b - year_a) * 12 + month_b - month_a


def opening(month: str, timezone: str = "UTC") -> pd.Timestamp:
    """The instant the month begins: local midnight of its first day, in UTC.

    It belongs to this month (half-open).
    """
    year, number = parse(month)
    return pd.Timestamp(datetime(year, number, 1, tzinfo=ZoneInfo(timezone))).tz_convert("UTC").as_unit("us")


def closing(month: str, timezone: str = "UTC") -> pd.Timestamp:
    """The instant the month ends, exclusive: the opening of the next one."""
    return opening(shift(month, 1), timezone)


def closes(month: str, timezone: str = "UTC", lag_days: int = 0) -> pd.Timestamp:
    """When the month's figures are first reported.

    Its end and the days that late usage and webhooks are waited for (semantics 1.8).
    """
    return closing(month, timezone) + pd.Timedelta(days=lag_days)


def of(instant: datetime, timezone: str = "UTC") -> str:
    """The month an instant falls in. The instant must carry a time zone."""
    if instant.tzinfo is None:
        raise ValueError(f"an instant without a time zone: {instant}")
    local = instant.astimezone(UTC).astimezone(ZoneInfo(timezone))
    return f"{local.year:04d}-{local.month:02d}"


def newest_closed(as_of: datetime, timezone: str = "UTC") -> str:
    """The latest month that has wholly passed at `as_of`."""
    return shift(of(as_of, timezone), -1)
