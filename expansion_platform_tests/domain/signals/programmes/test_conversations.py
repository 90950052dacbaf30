"""Rows of signals/conversations from a few opportunities, as each close knew them."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from expansion_platform.domain.core.statistics import wilson
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.signals.programmes.conversations import compute_conversations
from expansion_platform.domain.signals.tables import Conversations
from expansion_platform.domain.signals.tables.facts import Activity
from expansion_platform_tests.domain.signals.programmes.programme_inputs import inputs, valid


def instant(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


def version(
    identity: str, stage: str, date: str, known: str | None = None, number: int = 1, **other: Any
) -> dict[str, Any]:
    return {
        "customer": "cus_1",
        "known_at": instant(known or f"{date}T12:00"),
        "version": number,
        "first_load": False,
        "gone": False,
        "date": date,
        "kind": "opportunity",
        "id": identity,
        "stage": stage,
        "channel": "call",
        **other,
    }


def grown(
    amount: int, changed: str | None, customer: str = "cus_1", month: str = "2026-06"
) -> dict[str, Any]:
    at = None if changed is None else instant(changed)
    return {"month": month, "customer": customer, "expansion": amount, "changed_at": at}


def rows_of(
    months: list[str], facts: list[dict[str, Any]], origins: list[dict[str, Any]] | None = None, **given: Any
) -> Any:
    seen = inputs({Activity: facts, mrr.Origins: origins or []}, **given)
    found = compute_conversations(months, seen).frames[Conversations]
    return valid(Conversations, found).set_index(["month", "channel"])


def test_stages_of_a_month_by_channel() -> None:
    """Won after 20 and 40 days, one lost, one open, one without channel."""
    facts = [
        version("a", "open", "2026-05-20"),
        version("a", "won", "2026-06-09", number=2),
        version("b", "open", "2026-05-01"),
        version("b", "won", "2026-06-10", number=2),
        version("c", "lost", "2026-06-11", channel="email"),
        version("d", "open", "2026-06-12", channel=None),
        {**version("e", "won", "2026-06-13"), "kind": "touch", "stage": None},
    ]
    found = rows_of(["2026-06"], facts)
    counts = ["opened", "open", "won", "lost", "entered_late"]
    assert found[counts].to_dict("index") == {
        ("2026-06", "all"): dict(zip(counts, [1, 1, 2, 1, 0], strict=True)),
        ("2026-06", "call"): dict(zip(counts, [0, 0, 2, 0, 0], strict=True)),
        ("2026-06", "email"): dict(zip(counts, [0, 0, 0, 1, 0], strict=True)),
        ("2026-06", "unknown"): dict(zip(counts, [1, 1, 0, 0, 0], strict=True)),
    }
    every = found.loc[("2026-06", "all")]
    assert (every["win_rate"], every["median_days"]) == ("0.666667", "30.000000")
    bounds = float(every["win_rate_low"]), float(every["win_rate_high"])
    assert bounds == pytest.approx(wilson(2 / 3, 3), abs=1e-6)
    assert pd.isna(found.loc[("2026-06", "unknown"), "win_rate"])


def test_a_close_sees_the_stage_as_it_was_known() -> None:
    """Won in June, entered on 20 July: June knows it open, July's row says that it came late."""
    facts = [
        version("a", "open", "2026-06-02"),
        version("a", "won", "2026-06-28", "2026-07-20", number=2),
    ]
    found = rows_of(["2026-06", "2026-07"], facts)
    assert found.loc[("2026-06", "all"), ["open", "won"]].tolist() == [1, 0]
    assert found.loc[("2026-07", "all"), ["open", "won", "entered_late"]].tolist() == [0, 0, 1]
    assert found.equals(pd.concat([rows_of([month], facts) for month in ("2026-06", "2026-07")]))


def test_each_expansion_goes_once_to_the_nearest_win() -> None:
    """Wins on 1 June (call) and 10 June (email). 8 June is nearer to the latter; 30 days after 1 June is in,
    15 days before a win is not; another customer's expansion has no win; usage can be of any day.
    """
    facts = [
        version("a", "won", "2026-06-01"),
        version("b", "won", "2026-06-10", channel="email"),
        version("c", "won", "2026-06-30", customer="cus_2", channel="meeting"),
    ]
    origins = [
        grown(100, "2026-06-08T09:00"),
        grown(20, "2026-06-03T09:00"),
        grown(5, "2026-06-15T09:00", "cus_2"),
        grown(7, "2026-06-16T09:00", "cus_old"),
        grown(3, "2026-06-16T09:00", "cus_3"),
        grown(1000, None),
    ]
    catalogued = [{**each, "customer": each["customer"].replace("cus_old", "cus_2")} for each in origins]
    found = rows_of(["2026-06"], facts, catalogued, aliases={"cus_old": "cus_2"})["mrr_won"]
    # Usage of June fell on both wins' days: the earlier of them has it.
    assert found.loc["2026-06"].to_dict() == {"all": 1127, "call": 1020, "email": 100, "meeting": 7}


@pytest.mark.parametrize(
    ("won", "credited"),
    [("2026-05-11", 50), ("2026-05-10", 0), ("2026-06-24", 50), ("2026-06-25", 0)],
)
def test_the_window_is_thirty_days_before_to_fourteen_after(won: str, credited: int) -> None:
    """The expansion is of 10 June."""
    found = rows_of(["2026-06"], [version("a", "won", won)], [grown(50, "2026-06-10T09:00")])
    assert found["mrr_won"].sum() == 2 * credited  # of the channel, and of all


def test_a_channel_of_the_name_of_all_is_not_added_to_itself() -> None:
    found = rows_of(["2026-06"], [version("a", "won", "2026-06-10", channel="all")])
    assert found.loc[("2026-06", "all"), "won"] == 1
    assert found.loc[("2026-06", "all (channel)"), "won"] == 1


def test_the_order_of_rows_does_not_matter() -> None:
    facts = [version(f"o{n}", ("won", "lost", "open")[n % 3], f"2026-06-{n + 1:02d}") for n in range(20)]
    origins = [grown(n, f"2026-06-{n + 1:02d}T00:00") for n in range(1, 20)]
    one = rows_of(["2026-06"], facts, origins)
    assert one.equals(rows_of(["2026-06"], facts[::-1], origins[::-1]))
    assert one.loc[("2026-06", "all"), "mrr_won"] == sum(range(1, 20))


def test_without_opportunities_there_are_no_rows() -> None:
    touch = {**version("e", "won", "2026-06-13"), "kind": "touch", "stage": None}
    assert rows_of(["2026-06"], []).empty
    assert rows_of(["2026-06"], [touch]).empty
    assert rows_of(["2026-05"], [version("a", "won", "2026-06-10")]).empty
