"""History of everybody at once, as the assets make it of shards: for tests of what the facts tell."""

from __future__ import annotations

import pandas as pd

from expansion_platform.domain.history.changes import changes
from expansion_platform.domain.history.item_states import History, states_of
from expansion_platform.domain.history.log import entered, unlogged
from expansion_platform.domain.history.records import Staged


def rebuild(staged: Staged, timezone: str = "UTC") -> History:
    """The history that the staged tables tell, all of it at once."""
    return states_of(changes(staged, timezone), staged.prices, staged.coupons)


def news(found: pd.DataFrame, held: pd.DataFrame, *, known_at: pd.Timestamp, entry: int) -> pd.DataFrame:
    """Rows to append to the log so that `found` holds of it."""
    return entered([unlogged(found, held)], known_at=known_at, entry=entry)
