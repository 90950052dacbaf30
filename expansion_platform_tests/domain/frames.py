"""Item states as frames, from the dictionaries of `books.py`."""

from __future__ import annotations

from typing import Any

import pandas as pd

from expansion_platform.domain import canonical
from expansion_platform.domain.valuation import STATE

_DEFAULTS = {"collection_paused": None, "livemode": True, "usage_type": "licensed", "interval": "month", "interval_count": 1}


def states(items: list[dict[str, Any]]) -> pd.DataFrame:
    """One row an item, the columns of `billing/item_states` that rules read."""
    texts = [{"scheme_json": canonical.dumps(row["scheme"]), "discounts_json": canonical.dumps(row.get("discounts", []))} for row in items]
    rows = [_DEFAULTS | row | text for row, text in zip(items, texts, strict=True)]
    return pd.DataFrame(rows, columns=STATE).astype({"livemode": "bool", "interval_count": "int64"})
