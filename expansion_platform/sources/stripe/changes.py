"""What a pull hands to the lake.

Rows to write per table, which stored rows they stand for, and where the next pull begins.

Here: the result's types, how a change applies to a stored table, and several changes as one. Not here:
reading Stripe (`pull.py`, `full.py`), reading or writing tables (`storage/`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import reduce
from operator import or_

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds


@dataclass(frozen=True)
class PullState:
    """Where the last pull ended; the default is an account never pulled.

    Stored only after that pull's rows are.
    """

    last_pull_at: int | None = None  # its `as_of`, epoch seconds
    recent_events: tuple[str, ...] = ()  # ids seen in the overlap that the next pull reads again

    def moved(self, as_of: datetime, recent_events: Iterable[str]) -> PullState:
        """After a pull at an instant; it never moves back."""
        return PullState(max(int(as_of.timestamp()), self.last_pull_at or 0), tuple(sorted(recent_events)))


@dataclass(frozen=True)
class TableChange:
    """Rows of one table and the stored rows they replace.

    A stored row goes when one of the `replaces` columns has one of its values (an item removed from a
    subscription that was read, a line of an invoice that was), or when the change is the `whole` table and it
    is not in it. `windows` are the ranges [from, to) of `created` in which the rows were read: they bound
    `whole`, and where to look for stored rows; none means everywhere. `if_absent` are rows known second-hand,
    for ids the table lacks.
    """

    rows: pd.DataFrame
    replaces: Mapping[str, frozenset[str]] = field(default_factory=dict)
    whole: bool = False
    windows: tuple[tuple[int, int], ...] = ()
    if_absent: pd.DataFrame | None = None

    def against(self, stored: pd.DataFrame) -> tuple[pd.DataFrame, set[str]]:
        """Rows to merge by id into the stored table, and ids to delete from it.

        Of the table it needs the rows it `concerns`.
        """
        goes = (
            self._in_windows(stored) if self.windows else pd.Series(True, index=stored.index)
        ) & self.whole
        for column, values in self.replaces.items():
            goes |= stored[column].isin(values)
        rows = self.rows
        if self.if_absent is not None:
            known = set(stored.loc[~goes, "id"]) | set(rows["id"])
            rows = pd.concat([rows, self.if_absent[~self.if_absent["id"].isin(known)]], ignore_index=True)
        return rows, set(stored.loc[goes, "id"]) - set(rows["id"])

    @property
    def concerns(self) -> ds.Expression | None:
        """Which stored rows it may touch, None for all.

        What was read in windows is looked for in them, because that skips whole files.
        """
        if self.whole and not self.windows:
            return None
        named = set(self.rows.loc[~self._in_windows(self.rows), "id"]) | self.replaces.get("id", frozenset())
        named |= set() if self.if_absent is None else set(self.if_absent["id"])
        wanted = [_any_of("id", named)]
        wanted += [
            (pc.field("created") >= _instant(start)) & (pc.field("created") < _instant(end))
            for start, end in self.windows
        ]
        wanted += [
            _any_of(column, values) for column, values in self.replaces.items() if column != "id" and values
        ]
        return reduce(or_, wanted)

    def _in_windows(self, rows: pd.DataFrame) -> pd.Series[bool]:
        inside = pd.Series(False, index=rows.index)
        for start, end in self.windows:
            inside |= (rows["created"] >= _instant(start)) & (rows["created"] < _instant(end))
        return inside


def merged(changes: Sequence[TableChange]) -> TableChange:
    """Changes of one table as one, for windows read apart.

    Of two rows with one id the later given is kept.
    """
    if len(changes) == 1:
        return changes[0]
    some = [change.rows for change in changes if len(change.rows)]
    rows = (
        pd.concat(some, ignore_index=True)
        .drop_duplicates("id", keep="last")
        .sort_values("id", ignore_index=True)
        if some
        else changes[0].rows
    )
    absent = [change.if_absent for change in changes if change.if_absent is not None]
    columns = {column for change in changes for column in change.replaces}
    return TableChange(
        rows=rows,
        replaces={
            column: frozenset().union(*(change.replaces.get(column, frozenset()) for change in changes))
            for column in columns
        },
        whole=any(change.whole for change in changes),
        windows=tuple(window for change in changes for window in change.windows),
        if_absent=pd.concat(absent, ignore_index=True)
        .drop_duplicates("id")
        .sort_values("id", ignore_index=True)
        if absent
        else None,
    )


def _any_of(column: str, values: Collection[str]) -> ds.Expression:
    return pc.field(column).isin(pa.array(sorted(values), pa.string()))


def _instant(seconds: int) -> pd.Timestamp:
    return pd.Timestamp(datetime.fromtimestamp(seconds, UTC)).as_unit("us")
