"""What was known of a customer at a close, and what a new read adds to it (semantics 6.6).

Here: the versions of facts. Not here: the tables (`tables/facts.py`), reading (`sources/crm/`), features made
of facts.

A version has an instant from which it is known. A close sees of each fact the newest version known by then,
so a stage, an owner or a priority that changed afterwards, a deal entered late with an early date, and a
ticket closed since, are invisible to it. Versions are appended and never changed: nothing read later takes
away what a close saw. Only a source that states an earlier `known_at` can add to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pandas as pd

from expansion_platform.domain.core.table import columns, key
from expansion_platform.domain.signals.tables.facts import (
    BEGUN,
    OWN,
    STATED,
    Fact,
    SupportTickets,
    content,
    fact_key,
)

_FACT, _SAME = "_fact", "_same"
"""Numbers of the fact that a row is about, and of what it says."""
_NEWEST = ["known_at", "version"]


def known_facts(frame: pd.DataFrame, model: type[Fact], close: datetime) -> pd.DataFrame:
    """The facts that were known at an instant: of each the newest version, without those gone by then.

    Args:
        frame: Rows of the table, in any order.
        model: The table.
        close: The instant; what is known exactly then counts.

    Returns:
        Columns of the table, in the order of its key.
    """
    by_then = frame[frame["known_at"] <= pd.Timestamp(close)]
    newest = by_then.sort_values(_NEWEST).drop_duplicates(fact_key(model), keep="last")
    return _ordered(newest[~newest["gone"].astype(bool)], model)


def versions(
    stored: pd.DataFrame,
    read: pd.DataFrame,
    read_at: datetime,
    model: type[Fact],
    *,
    own_dates: bool = True,
    not_before_read: bool = False,
) -> pd.DataFrame:
    """The rows that a read adds to those stored. Reading the same again adds none.

    What it adds:

    * each version whose `known_at` the source states and that is not stored yet, known since then;
    * what the source says now of a fact, where the newest version stored says something else, known since
      the read. At the first load it is known since the end of the fact's own day, where the source states
      nothing; of a closed ticket, that it was opened is known since the day it was opened;
    * that a fact is gone, known since the read.

    A version that the source says is known only after the read, such as a meeting that is planned, waits for
    a later read.

    Args:
        stored: Every row of the table, in any order.
        read: `as_facts` of everything that the source has now. A source that could not be read must not come
            here without rows: every fact would be gone.
        read_at: When it was read.
        model: The table.
        own_dates: Whether a first load may date facts by their own day. False where rows without `known_at`
            are today's state of something older (`Facts.own_dates`).
        not_before_read: After the first load nothing is known before the read that first had it, whatever the
            source states. Of several new versions of a fact only the newest is then added.

    Returns:
        Rows of the table, in the order of its key.
    """
    at = pd.Timestamp(read_at).tz_convert("UTC").as_unit("us")
    first = stored.empty
    read = read[~(read[STATED] > at)].reset_index(drop=True)
    stored, read = _numbered(_typed(stored, model).reset_index(drop=True), read, model)
    stated = _stated(stored, read if first or not not_before_read else read.head(0))
    now = read.sort_values(STATED, kind="stable").drop_duplicates(_FACT, keep="last")
    newest = _newest(stored[stored["known_at"] <= at], stated)
    said = now[_FACT].map(newest[_SAME].mask(newest["gone"]))
    changed = now[said != now[_SAME]].assign(known_at=at, gone=False)
    if first and own_dates:
        changed = _by_own_dates(changed, set(stated[_FACT]), at, model)
    absent = newest[~newest.index.isin(now[_FACT]) & ~newest["gone"]].reset_index()
    never = pd.Series(pd.NaT, index=absent.index, dtype="datetime64[us, UTC]")
    gone = absent.assign(known_at=at, stated_at=never, first_load=False, gone=True)
    added = _together(
        [stated, changed, gone], [*content(model), _FACT, "known_at", STATED, "first_load", "gone"]
    )
    added = added.sort_values([_FACT, "known_at"], kind="stable", ignore_index=True)
    before = added[_FACT].map(stored.groupby(_FACT)["version"].max()).fillna(0).astype("int64")
    added["version"] = before + added.groupby(_FACT).cumcount() + 1
    return _ordered(added, model)


def _numbered(
    stored: pd.DataFrame, read: pd.DataFrame, model: type[Fact]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both with the numbers _FACT and _SAME, equal where facts and contents are."""
    both = _together([stored, read], content(model))
    numbers = {
        name: both.groupby(by, dropna=False, sort=False).ngroup().to_numpy()
        for name, by in ((_FACT, fact_key(model)), (_SAME, content(model)))
    }
    size = len(stored)
    return (
        stored.assign(**{name: each[:size] for name, each in numbers.items()}),
        read.assign(first_load=False, **{name: each[size:] for name, each in numbers.items()}),
    )


def _stated(stored: pd.DataFrame, read: pd.DataFrame) -> pd.DataFrame:
    """The versions read that state since when they are known, without those stored.

    A version stored with that instant stays as it is, also where the source says something else of it now.
    """
    rows = read[read[STATED].notna()]
    places = [pd.MultiIndex.from_frame(each[[_FACT, STATED]]) for each in (stored, rows)]
    return rows[~places[1].isin(places[0])].assign(known_at=lambda new: new[STATED], gone=False)


def _newest(stored: pd.DataFrame, stated: pd.DataFrame) -> pd.DataFrame:
    """The newest version by fact, of those stored and those that come to them."""
    rows = pd.concat([stored.assign(new=False), stated.assign(new=True, version=0)], ignore_index=True)
    newest = rows.sort_values(["known_at", "new", "version"]).drop_duplicates(_FACT, keep="last")
    return newest.assign(gone=newest["gone"].astype(bool)).set_index(_FACT)


def _by_own_dates(rows: pd.DataFrame, stated: set[int], at: pd.Timestamp, model: type[Fact]) -> pd.DataFrame:
    """Facts of a first load, known since their own days and never after the read."""
    dated = rows[STATED].isna() & rows[OWN].notna() & ~rows[_FACT].isin(stated)
    own = rows[dated].assign(first_load=True, known_at=lambda each: each[OWN].where(each[OWN] < at, at))
    early = own[own[BEGUN] < own["known_at"]]
    if model is SupportTickets:
        early = early.assign(closed=pd.Series(index=early.index, dtype="str"))
    return pd.concat([rows[~dated], early.assign(known_at=early[BEGUN]), own], ignore_index=True)


def _together(frames: Sequence[pd.DataFrame], names: list[str]) -> pd.DataFrame:
    """Rows one below the other; frames without rows say nothing of types."""
    parts = [frame[names] for frame in frames if len(frame)]
    return pd.concat(parts, ignore_index=True) if parts else frames[0][names].head(0)


def _ordered(frame: pd.DataFrame, model: type[Fact]) -> pd.DataFrame:
    """The columns of the table in its types, rows in the order of its key."""
    return _typed(frame[list(columns(model))], model).sort_values(key(model), ignore_index=True)


def _typed(frame: pd.DataFrame, model: type[Fact]) -> pd.DataFrame:
    """Columns in the types of the table: from Arrow, whole numbers with nulls come as floats."""
    kinds = {name: column.dtype.replace("text", "str") for name, column in columns(model).items()}
    return frame.astype(kinds)
