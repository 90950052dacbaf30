"""Instants and days that the user writes into a table of their own, such as `known_at`.

Here: text to instant. Not here: the columns that hold them (`tables.py`), what is known when
(`domain/signals/facts.py`).
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pandas as pd

INSTANT_PATTERN = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?( ?(Z|[+-]\d{2}(:?\d{2})?))?)?$"
INSTANT = (
    "YYYY-MM-DD or an instant such as 2026-03-05T10:30:00Z (UTC without a zone; a day counts from its end)"
)
"""How a description says what may be written."""
_DAY = 10
"""Letters of YYYY-MM-DD."""


def instants(texts: pd.Series[str], timezone: str) -> pd.Series[pd.Timestamp]:
    """Texts as instants (UTC, microseconds), NaT where there is none or it cannot be read.

    A day counts from its end in `timezone`: what was known some time that day is used no earlier.
    """
    zone = ZoneInfo(timezone)
    known = {text: _instant(text, zone) for text in texts.dropna().unique()}
    found = pd.Series([known.get(text) for text in texts], index=texts.index, dtype="object")
    return pd.to_datetime(found, utc=True).astype("datetime64[us, UTC]")


def _instant(text: str, zone: ZoneInfo) -> datetime | None:
    try:
        if len(text) == _DAY:
            after = date.fromisoformat(text) + timedelta(days=1)
            return datetime(after.year, after.month, after.day, tzinfo=zone).astimezone(UTC)
        found = datetime.fromisoformat(text.replace(" +", "+").replace(" -", "-").replace(" Z", "Z"))
    except (ValueError, OverflowError):
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
