"""What a pull hands to the lake: rows to write per table, which stored rows they stand for, and where the next pull begins.

Here: the result's types and how a change applies to a stored table. Not here: reading Stripe (`pull.py`), reading or writing tables (`storage/`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd


@dataclass(frozen=True)
class PullState:
    """Where the last pull ended; the default is an account never pulled. Stored only after that pull's rows are."""

    last_pull_at: int | None = None  # its `as_of`, epoch seconds
    recent_events: tuple[str, ...] = ()  # ids seen in the overlap that the next pull reads again

    def to_json(self) -> str:
        """The state as text."""
        return json.dumps({"last_pull_at": self.last_pull_at, "recent_events": list(self.recent_events)})

    @classmethod
    def from_json(cls, text: str | None) -> PullState:
        """The state from `to_json`'s text; None is an account never pulled."""
        if text is None:
            return cls()
        stored = json.loads(text)
        return cls(last_pull_at=stored["last_pull_at"], recent_events=tuple(stored["recent_events"]))


@dataclass(frozen=True)
class TableChange:
    """Rows of one table and the stored rows they replace.

    A stored row goes when one of the `replaces` columns has one of its values (an item removed from a subscription that was read, a line of an
    invoice that was), or always when the change is the `whole` table. `if_absent` are rows known second-hand, for ids the table lacks.
    """

    rows: pd.DataFrame
    replaces: Mapping[str, frozenset[str]] = field(default_factory=dict)
    whole: bool = False
    if_absent: pd.DataFrame | None = None

    def against(self, stored: pd.DataFrame) -> tuple[pd.DataFrame, set[str]]:
        """Rows to write and ids to delete, against the stored table."""
        goes = pd.Series(self.whole, index=stored.index)
        for column, values in self.replaces.items():
            goes |= stored[column].isin(values)
        rows = self.rows
        if self.if_absent is not None:
            known = set(stored.loc[~goes, "id"]) | set(rows["id"])
            rows = pd.concat([rows, self.if_absent[~self.if_absent["id"].isin(known)]], ignore_index=True)
        return rows, set(stored.loc[goes, "id"]) - set(rows["id"])

    def applied_to(self, stored: pd.DataFrame) -> pd.DataFrame:
        """The table after the change, sorted by id. A row whose content did not change keeps the `observed_at` of its first sight."""
        goes = pd.Series(self.whole, index=stored.index)
        for column, values in self.replaces.items():
            goes |= stored[column].isin(values)
        result = pd.concat([stored[~goes], _first_sight_kept(self.rows, stored)], ignore_index=True)
        if self.if_absent is not None:
            result = pd.concat([result, self.if_absent[~self.if_absent["id"].isin(result["id"])]], ignore_index=True)
        return result.sort_values("id", ignore_index=True)


@dataclass(frozen=True)
class PullResult:
    """A pull: a change for each table of the floor (`stripe/customers` ...), the state to store after them, and what was read."""

    changes: dict[str, TableChange]
    state: PullState
    counts: dict[str, int]  # objects read per resource
    full: bool
    reason: str  # why everything was read, or since when


def _first_sight_kept(rows: pd.DataFrame, stored: pd.DataFrame) -> pd.DataFrame:
    before = stored.set_index("id").reindex(rows["id"]).reset_index()
    same = before["observed_at"].notna()
    for column in rows.columns.difference(["id", "observed_at"]):
        same &= ((before[column] == rows[column]).fillna(False) | (before[column].isna() & rows[column].isna())).astype(bool)
    return rows.assign(observed_at=before["observed_at"].where(same, rows["observed_at"]))
