"""Instants that users write."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from expansion_platform.domain.catalog.instants import INSTANT_PATTERN, instants


def read(text: str | None, timezone: str = "UTC") -> str | None:
    found = instants(pd.Series([text], dtype="str"), timezone)
    assert str(found.dtype) == "datetime64[us, UTC]"
    return None if found.isna()[0] else found[0].isoformat()


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-03-05T10:30:00Z", "2026-03-05T10:30:00+00:00"),
        ("2026-03-05 10:30", "2026-03-05T10:30:00+00:00"),
        ("2026-03-05T10:30:00.123456789Z", "2026-03-05T10:30:00.123456+00:00"),
        ("2026-03-05T10:30:00+02:00", "2026-03-05T08:30:00+00:00"),
        ("2026-03-05 10:30:00 +0200", "2026-03-05T08:30:00+00:00"),
        ("2026-03-05 10:30:00-05", "2026-03-05T15:30:00+00:00"),
        ("2026-03-05", "2026-03-06T00:00:00+00:00"),
        ("2026-12-31", "2027-01-01T00:00:00+00:00"),
    ],
)
def test_what_may_be_written(text: str, instant: str) -> None:
    assert re.fullmatch(INSTANT_PATTERN, text)
    assert read(text) == instant


@pytest.mark.parametrize("text", ["2026-02-30", "2026-13-01T00:00", "2026-03-05T25:00", "9999-12-31", None])
def test_what_is_no_instant(text: str | None) -> None:
    assert read(text) is None


@pytest.mark.parametrize("text", ["5.3.2026", "2026-3-5", "yesterday", "1772706600", "2026-03-05T10"])
def test_what_the_pattern_refuses(text: str) -> None:
    assert not re.fullmatch(INSTANT_PATTERN, text)


def test_a_day_ends_in_the_time_zone_also_when_clocks_change() -> None:
    assert read("2026-03-29", "Europe/Berlin") == "2026-03-29T22:00:00+00:00"
    assert read("2026-03-28", "Europe/Berlin") == "2026-03-28T23:00:00+00:00"
    assert read("2026-03-05T10:30:00", "Europe/Berlin") == "2026-03-05T10:30:00+00:00"
