"""Item states as frames, from the dictionaries of `books.py`, at an instant and over a month."""

from __future__ import annotations

from typing import Any

import pandas as pd

from expansion_platform.domain import canonical
from expansion_platform.domain.flags import Month
from expansion_platform.domain.valuation import STATE

_DEFAULTS = {"collection_paused": None, "livemode": True, "usage_type": "licensed", "interval": "month", "interval_count": 1}


def states(items: list[dict[str, Any]]) -> pd.DataFrame:
    """One row an item, the columns of `billing/item_states` that rules read."""
    texts = [{"scheme_json": canonical.dumps(row["scheme"]), "discounts_json": canonical.dumps(row.get("discounts", []))} for row in items]
    rows = [_DEFAULTS | row | text for row, text in zip(items, texts, strict=True)]
    return pd.DataFrame(rows, columns=STATE).astype({"livemode": "bool", "interval_count": "int64"})


def month(
    before: pd.DataFrame, after: pd.DataFrame, *, history: pd.DataFrame | None = None, rates: Any = None, rates_close: Any = None, deleted: Any = ()
) -> Month:
    """March 2026 with these states at its ends; without `history`, every change is in its middle."""
    if history is None:
        history = pd.concat([dated(before, "2026-01-01", "2026-03-15"), dated(after, "2026-03-15", None)], ignore_index=True)
    return Month("2026-03", "UTC", history, before, after, rates or {}, rates_close or rates or {}, deleted)


def dated(rows: pd.DataFrame, start: str, end: str | None, source: str = "event") -> pd.DataFrame:
    """The rows as states from `start` to `end`, ISO dates."""
    bounds = {"valid_from": start, "valid_to": end}
    return rows.assign(
        source=source, **{name: pd.Series(pd.to_datetime([at] * len(rows), utc=True).as_unit("us"), index=rows.index) for name, at in bounds.items()}
    )
