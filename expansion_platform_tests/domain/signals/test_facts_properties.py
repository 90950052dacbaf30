"""What holds of versions of facts whatever is read, and in whatever order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
from hypothesis import given as strategies_of
from hypothesis import settings
from hypothesis import strategies as st

from expansion_platform.domain.catalog.tables import CrmActivity
from expansion_platform.domain.signals.facts import known_facts, versions
from expansion_platform.domain.signals.tables.facts import Activity, as_facts, content
from expansion_platform_tests.domain.signals.fact_rows import Stored, given, plain, shuffled

START = pd.Timestamp("2026-03-01", tz="UTC").as_unit("us")
HOURS = st.integers(0, 40)
"""Instants are whole hours after START, days do not matter: all facts begin long before."""
ROW = st.fixed_dictionaries(
    {
        "customer": st.sampled_from(["cus_1", "cus_2"]),
        "kind": st.just("opportunity"),
        "id": st.sampled_from(["a", "b", "c"]),
        "date": st.sampled_from(["2026-01-10", "2026-01-20"]),
        "stage": st.sampled_from(["open", "won", None]),
        "amount": st.sampled_from(["1.00", None]),
        "known_at": st.none() | HOURS,
    }
)
Row = dict[str, Any]


def examples(*strategies: st.SearchStrategy[Any]) -> Callable[..., Any]:
    """Twenty examples: each is a table of its own, read up to three times."""
    return lambda test: settings(max_examples=20)(strategies_of(*strategies)(test))


READS = st.lists(
    st.lists(ROW, max_size=8, unique_by=lambda row: (row["id"], row["known_at"])), min_size=1, max_size=3
)


def hour(number: int) -> pd.Timestamp:
    return START + pd.Timedelta(hours=number)


def text(rows: list[Row]) -> list[Row]:
    return [
        row | {"known_at": None if row["known_at"] is None else hour(row["known_at"]).isoformat()}
        for row in rows
    ]


def said(rows: list[Row], at: int) -> dict[str, tuple[Any, ...]]:
    """What a read says now of each fact: its undated row, else the newest that is known by then."""
    found: dict[str, Row] = {}
    for row in sorted(rows, key=lambda row: (row["known_at"] is None, row["known_at"] or 0)):
        if row["known_at"] is None or row["known_at"] <= at:
            found[row["id"]] = row
    return {
        identity: (row["customer"], row["date"], row["stage"] or "won", row["amount"] and 100)
        for identity, row in found.items()
    }


def seen(stored: pd.DataFrame, at: int) -> dict[str, tuple[Any, ...]]:
    facts = known_facts(stored, Activity, hour(at))
    return {row[0]: row[1:] for row in plain(facts, "id", "customer", "date", "stage", "amount")}


@examples(READS)
def test_after_each_read_the_table_says_what_the_source_says(reads: list[list[Row]]) -> None:
    stored = Stored(CrmActivity, checked=False)
    for number, rows in enumerate(reads):
        stored.read(hour(10 * number), *text(rows))
        assert seen(stored.rows, 10 * number) == said(rows, 10 * number)


@examples(READS, st.booleans())
def test_reading_the_same_twice_adds_nothing(reads: list[list[Row]], not_before_read: bool) -> None:
    stored = Stored(CrmActivity, checked=False, not_before_read=not_before_read)
    for number, rows in enumerate(reads):
        stored.read(hour(10 * number), *text(rows))
    assert stored.added(hour(10 * number), *text(rows)).empty
    again = stored.added(hour(10 * number + 9), *text(rows))
    waited = [row for row in rows if 10 * number < (row["known_at"] or 0) <= 10 * number + 9]
    assert set(again["id"]) <= {row["id"] for row in waited}


@examples(READS, st.integers(0, 100))
def test_the_order_of_rows_does_not_matter(reads: list[list[Row]], seed: int) -> None:
    stored = Stored(CrmActivity, checked=False)
    for number, rows in enumerate(reads):
        read = as_facts(given(CrmActivity, text(rows)), Activity, "usd", "UTC")
        another = versions(shuffled(stored.rows, seed), shuffled(read, seed), hour(10 * number), Activity)
        pd.testing.assert_frame_equal(another, stored.read(hour(10 * number), *text(rows)))
    for at in (0, 15, 40):
        pd.testing.assert_frame_equal(
            known_facts(shuffled(stored.rows, seed), Activity, hour(at)),
            known_facts(stored.rows, Activity, hour(at)),
        )


@examples(READS, st.lists(ROW, min_size=1, max_size=8), HOURS, st.integers(0, 100))
def test_rows_known_after_a_close_change_nothing_of_what_it_knew(
    reads: list[list[Row]], later: list[Row], close: int, seed: int
) -> None:
    stored = Stored(CrmActivity, checked=False)
    for number, rows in enumerate(reads):
        stored.read(hour(10 * number), *text(rows))
    before = known_facts(stored.rows, Activity, hour(close))
    facts = as_facts(given(CrmActivity, text(later)), Activity, "usd", "UTC")
    added = facts[content(Activity)].assign(
        known_at=[hour(close) + pd.Timedelta(microseconds=1 + (row["known_at"] or 0)) for row in later],
        version=range(100, 100 + len(later)),
        stated_at=facts["stated_at"],
        first_load=False,
        gone=[row["stage"] is None for row in later],
    )
    together = pd.concat([stored.rows, added], ignore_index=True)
    pd.testing.assert_frame_equal(known_facts(shuffled(together, seed), Activity, hour(close)), before)


@examples(READS, st.booleans(), HOURS)
def test_a_read_that_states_nothing_changes_nothing_that_an_earlier_close_knew(
    reads: list[list[Row]], not_before_read: bool, close: int
) -> None:
    """With `not_before_read`, also one that states."""
    stored = Stored(CrmActivity, checked=False, not_before_read=not_before_read)
    for number, rows in enumerate(reads):
        before = stored.rows
        mute = rows if not_before_read else [row for row in rows if row["known_at"] is None]
        stored.read(hour(10 * number), *text(mute))
        if len(before) and close < 10 * number:
            pd.testing.assert_frame_equal(
                known_facts(stored.rows, Activity, hour(close)), known_facts(before, Activity, hour(close))
            )


@examples(READS)
def test_versions_are_numbered_without_gaps_and_only_appended(reads: list[list[Row]]) -> None:
    stored = Stored(CrmActivity, checked=False)
    for number, rows in enumerate(reads):
        before = stored.rows
        stored.read(hour(10 * number), *text(rows))
        pd.testing.assert_frame_equal(stored.rows.head(len(before)), before)
    for _, numbers in stored.rows.groupby("id")["version"]:
        assert sorted(numbers) == list(range(1, len(numbers) + 1))
