"""What a pull hands to the lake: rows to write per table, which stored rows they stand for, and where the next pull begins.

Here: the result's types and how a change applies to a stored table. Not here: reading Stripe (`pull.py`), reading or writing tables (`storage/`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd


@dataclass(frozen=True)
class PullState:
    """Where the last pull ended; the default is an account never pulled. Stored only after that pull's rows are."""

    last_pull_at: int | None = None  # its `as_of`, epoch seconds
    recent_events: tuple[str, ...] = ()  # ids seen in the overlap that the next pull reads again


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
        """Rows to merge by id into the stored table, and ids to delete from it."""
        goes = pd.Series(self.whole, index=stored.index)
        for column, values in self.replaces.items():
            goes |= stored[column].isin(values)
        rows = self.rows
        if self.if_absent is not None:
            known = set(stored.loc[~goes, "id"]) | set(rows["id"])
            rows = pd.concat([rows, self.if_absent[~self.if_absent["id"].isin(known)]], ignore_index=True)
        return rows, set(stored.loc[goes, "id"]) - set(rows["id"])


@dataclass(frozen=True)
class PullResult:
    """A pull: a change for each table of the floor (`stripe/customers` ...), the state to store after them, and what was read."""

    changes: dict[str, TableChange]
    state: PullState
    counts: dict[str, int]  # objects read per resource
    full: bool
    reason: str  # why everything was read, or since when
