"""Versions of product usage: what a reading adds, and what was known at an instant."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expansion_platform.domain.catalog.inputs import Inputs
from expansion_platform.domain.core.table import table_name
from expansion_platform.domain.signals.product_usage import (
    ACCOUNT_GRAIN,
    FEATURE_GRAIN,
    columns_of,
    compute_usage,
    known_usage,
    typed,
    with_reading,
)
from expansion_platform.domain.signals.tables import AccountUsage, FeatureUsage, UsageMonths

START = pd.Timestamp("2026-04-01", tz="UTC").as_unit("us")
FIGURES = [name for name in columns_of(AccountUsage) if name not in {"account", "known_at"}]
Versions = list[tuple[str, int, int]]
"""Account, hour at which it is known, active users."""


def hour(number: int) -> pd.Timestamp:
    return START + pd.Timedelta(hours=number)


def usage(rows: Versions, **others: Any) -> pd.DataFrame:
    """Rows as a source gives them: what is not said is 0."""
    frame = pd.DataFrame(rows, columns=["account", "known_at", "active_users"])
    frame["known_at"] = [hour(number) for number in frame["known_at"]]
    said = {"mean_daily_users": "0.000000", **others}
    for name in FIGURES:
        if name != "active_users":
            frame[name] = said.get(name, 0)
    return typed(frame[columns_of(AccountUsage)], AccountUsage)


def plain(frame: pd.DataFrame) -> Versions:
    return sorted(
        (account, int((known_at - START) // pd.Timedelta(hours=1)), users)
        for account, known_at, users in frame[["account", "known_at", "active_users"]].itertuples(index=False)
    )


def stored_after(*readings: tuple[int, Versions]) -> pd.DataFrame:
    """What is stored after readings at hours."""
    stored = usage([])
    for at, rows in readings:
        stored = with_reading(stored, usage(rows), ACCOUNT_GRAIN, hour(at))
    return stored


def test_the_first_reading_is_stored_as_it_is() -> None:
    assert plain(stored_after((10, [("a", 3, 5), ("b", 2, 1)]))) == [("a", 3, 5), ("b", 2, 1)]


def test_of_two_versions_that_say_the_same_the_first_is_stored() -> None:
    assert plain(stored_after((10, [("a", 3, 5), ("a", 8, 5), ("b", 3, 5), ("b", 8, 6)]))) == [
        ("a", 3, 5),
        ("b", 3, 5),
        ("b", 8, 6),
    ]


def test_reading_the_same_again_adds_nothing() -> None:
    rows: Versions = [("a", 3, 5), ("a", 8, 6)]
    assert plain(stored_after((10, rows), (20, rows))) == rows


def test_a_late_event_is_known_since_it_arrived() -> None:
    after = stored_after((10, [("a", 3, 5)]), (20, [("a", 12, 6)]))
    assert plain(after) == [("a", 3, 5), ("a", 12, 6)]


@pytest.mark.parametrize("known_at", [2, 3])
def test_other_figures_without_a_newer_event_are_known_since_the_reading(known_at: int) -> None:
    """Two people were merged: nothing arrived, and what closes knew before stays."""
    after = stored_after((10, [("a", 3, 5)]), (20, [("a", known_at, 4)]))
    assert plain(after) == [("a", 3, 5), ("a", 20, 4)]


def test_of_two_versions_read_the_one_before_what_is_stored_is_left() -> None:
    after = stored_after((10, [("a", 3, 5), ("a", 8, 6)]), (20, [("a", 4, 7), ("a", 15, 9)]))
    assert plain(after) == [("a", 3, 5), ("a", 8, 6), ("a", 15, 9)]


def test_what_is_gone_is_zero_since_the_reading() -> None:
    first = usage(
        [("a", 3, 5), ("b", 3, 5)], logins=4, mean_daily_users="1.500000", new_users=pd.NA, active_days=3
    )
    stored = with_reading(first, first[first["account"] == "b"], ACCOUNT_GRAIN, hour(20))
    assert plain(stored) == [("a", 3, 5), ("a", 20, 0), ("b", 3, 5)]
    gone = stored.set_index(["account", "known_at"]).loc[("a", hour(20))]
    assert (gone["logins"], gone["active_days"], gone["mean_daily_users"]) == (0, 0, "0.000000")
    assert pd.isna(gone["new_users"])  # was not known, and is not zero now
    # It is gone once, and may come again.
    again = with_reading(stored, first[first["account"] == "b"], ACCOUNT_GRAIN, hour(30))
    assert plain(again) == plain(stored)
    back = with_reading(stored, first, ACCOUNT_GRAIN, hour(30))
    assert plain(back) == [("a", 3, 5), ("a", 20, 0), ("a", 30, 5), ("b", 3, 5)]


def test_a_month_without_events_leaves_zeros_of_all() -> None:
    assert plain(stored_after((10, [("a", 3, 5)]), (20, []))) == [("a", 3, 5), ("a", 20, 0)]
    assert stored_after((10, []), (20, [])).empty


def test_a_new_account_beside_stored_ones() -> None:
    after = stored_after((10, [("b", 3, 5)]), (20, [("a", 2, 1), ("b", 3, 5)]))
    assert plain(after) == [("a", 2, 1), ("b", 3, 5)]


def test_another_reading_at_the_same_instant_takes_the_place_of_the_first() -> None:
    """As where the platform's clock is set to one instant: a version has one set of figures."""
    after = stored_after((10, [("a", 3, 5)]), (20, [("a", 3, 4)]), (20, [("a", 3, 6)]))
    assert plain(after) == [("a", 3, 5), ("a", 20, 6)]


def test_a_figure_that_was_not_known_and_is_known_now_is_a_version() -> None:
    unknown, known = usage([("a", 3, 5)], new_users=pd.NA), usage([("a", 3, 5)], new_users=0)
    after = with_reading(unknown, known, ACCOUNT_GRAIN, hour(20))
    assert after["new_users"].tolist() == [pd.NA, 0]
    assert len(with_reading(unknown, unknown, ACCOUNT_GRAIN, hour(20))) == 1


def test_features_have_versions_each() -> None:
    def features(*rows: tuple[str, str, int, int]) -> pd.DataFrame:
        frame = pd.DataFrame(rows, columns=["account", "feature", "known_at", "events"])
        frame["known_at"] = [hour(number) for number in frame["known_at"]]
        return typed(frame.assign(active_users=1)[columns_of(FeatureUsage)], FeatureUsage)

    first = features(("a", "export", 3, 5), ("a", "reports", 3, 5))
    second = features(("a", "export", 12, 6))
    after = with_reading(
        with_reading(features(), first, FEATURE_GRAIN, hour(10)), second, FEATURE_GRAIN, hour(20)
    )
    assert after[["feature", "events"]].to_numpy().tolist() == [
        ["export", 5],
        ["export", 6],
        ["reports", 5],
        ["reports", 0],
    ]
    assert after["known_at"].tolist() == [hour(3), hour(12), hour(3), hour(20)]


def test_the_version_known_at_an_instant() -> None:
    rows = pd.concat(
        [
            usage([("a", 3, 5), ("a", 8, 6), ("b", 9, 1)]).assign(month="2026-03"),
            usage([("a", 9, 7)]).assign(month="2026-04"),
        ],
        ignore_index=True,
    )
    assert known_usage(rows, ACCOUNT_GRAIN, hour(2)).empty
    assert plain(known_usage(rows, ACCOUNT_GRAIN, hour(3))) == [("a", 3, 5)]
    assert plain(known_usage(rows, ACCOUNT_GRAIN, hour(9))) == [("a", 8, 6), ("a", 9, 7), ("b", 9, 1)]


def test_the_rows_of_the_months_that_are_computed() -> None:
    frames = {
        table_name(model): pd.DataFrame({"month": ["2026-03", "2026-04"], "row": [1, 2]})
        for model in (AccountUsage, FeatureUsage, UsageMonths)
    }
    found = compute_usage(
        ["2026-04"], Inputs("the test", {}, lambda _: frozenset(), {"product_usage": lambda: frames})
    )
    for model in (AccountUsage, FeatureUsage, UsageMonths):
        assert found.frames[model]["row"].tolist() == [2]


@st.composite
def readings(draw: st.DrawFn) -> list[tuple[int, Versions]]:
    """Up to four readings, each of accounts with one or two versions known before it."""
    found = []
    for number in range(draw(st.integers(1, 4))):
        at = 10 * (number + 1)
        rows: Versions = []
        for account in draw(st.lists(st.sampled_from("abc"), unique=True, max_size=3)):
            known = sorted(draw(st.sets(st.integers(0, at), min_size=1, max_size=2)))
            rows.extend((account, each, draw(st.integers(0, 3))) for each in known)
        found.append((at, rows))
    return found


@settings(max_examples=40)
@given(readings())
def test_after_each_reading_the_table_says_what_the_source_says(read: list[tuple[int, Versions]]) -> None:
    for number, (at, rows) in enumerate(read, start=1):
        stored = stored_after(*read[:number])
        now = {account: users for account, _, users in sorted(rows)}
        known = {
            account: users
            for account, _, users in plain(known_usage(month_of(stored), ["account"], hour(at)))
        }
        assert known == {**dict.fromkeys(known, 0), **now}


@settings(max_examples=40)
@given(readings(), st.integers(0, 40), st.randoms(use_true_random=False))
def test_a_reading_changes_no_version_that_is_stored(
    read: list[tuple[int, Versions]], close: int, shuffle: Any
) -> None:
    """So a close keeps what it knew, but for events that had arrived by then and were read only later."""
    before = stored_after(*read[:-1])
    after = stored_after(*read)
    assert set(plain(before)) <= set(plain(after))
    assert not after.duplicated(["account", "known_at"]).any()
    newest = before.groupby("account")["known_at"].max()
    for account, known_at in newest.items():
        old, new = (each[each["account"] == account] for each in (before, after))
        at = min(hour(close), known_at)
        pd.testing.assert_frame_equal(
            known_usage(month_of(old), ACCOUNT_GRAIN, at).reset_index(drop=True),
            known_usage(month_of(new), ACCOUNT_GRAIN, at).reset_index(drop=True),
        )


@settings(max_examples=40)
@given(readings(), st.integers(0, 1000))
def test_the_order_of_rows_does_not_matter(read: list[tuple[int, Versions]], seed: int) -> None:
    stored = stored_after(*read[:-1])
    at, rows = read[-1]
    after = with_reading(stored, usage(rows), ACCOUNT_GRAIN, hour(at))
    mixed = with_reading(
        stored.sample(frac=1, random_state=seed),
        usage(rows).sample(frac=1, random_state=seed),
        ACCOUNT_GRAIN,
        hour(at),
    )
    pd.testing.assert_frame_equal(mixed, after)


def month_of(versions: pd.DataFrame) -> pd.DataFrame:
    return versions.assign(month="2026-03")
