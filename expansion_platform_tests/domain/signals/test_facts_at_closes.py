"""Facts as many closes knew them at once, against a look at each close alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expansion_platform.domain.core import months
from expansion_platform.domain.core.table import Table, to_pandas
from expansion_platform.domain.signals import tables as signals
from expansion_platform.domain.signals.facts import known_facts
from expansion_platform.domain.signals.facts_at_closes import FactsAtCloses, facts_digest, superseded_at
from expansion_platform.domain.signals.tables.facts import Fact
from expansion_platform_tests.domain.signals.company import Row, answer, calendar, own, ticket, touch
from expansion_platform_tests.domain.signals.rule_inputs import arrow, inputs

MONTHS = calendar("2026-01", "2026-04")
CUSTOMERS = pd.Index(["c1", "c2"], dtype="str")


def closes(timezone: str = "UTC", lag: int = 5) -> pd.DatetimeIndex:
    return pd.DatetimeIndex([months.closes(month, timezone, lag) for month in MONTHS]).as_unit("us")


def frame(model: type[Table], rows: list[Row]) -> pd.DataFrame:
    return to_pandas(arrow(model, rows))


def known(
    model: type[Fact], rows: list[Row], aliases: Mapping[str, str] | None = None, timezone: str = "UTC"
) -> FactsAtCloses:
    return FactsAtCloses(frame(model, rows), model, CUSTOMERS, closes(timezone), aliases or {}, timezone)


def first(matrix: Any) -> list[Any]:
    """The row of c1."""
    return list(matrix[0])


def test_a_close_sees_the_newest_version_it_knew() -> None:
    rows = [
        ticket("2026-01-10", id="k1", severity="low", version=1),
        ticket("2026-01-10", "2026-03-06", id="k1", severity="critical", version=2),
        ticket("2026-01-10", "2026-04-20", id="k1", severity="high", version=3),
    ]
    facts = known(signals.SupportTickets, rows)
    for severity, seen in (("low", [1, 0, 0, 0]), ("critical", [0, 1, 1, 0]), ("high", [0, 0, 0, 1])):
        assert first(facts.count(facts.by("opened"), facts.equal("severity", severity))) == seen


def test_of_two_versions_known_at_once_the_higher_counts() -> None:
    rows = [answer("2026-02-01", 2, version=2), answer("2026-02-01", 9, version=1)]
    facts = known(signals.NpsAnswers, rows)
    assert first(facts.newest("date", facts.by("date"), "score")) == [2, 2, 2, 2]


def test_what_is_gone_is_seen_until_then() -> None:
    rows = [touch("2026-01-01", id="t"), touch("2026-01-01", "2026-03-10", id="t", version=2, gone=True)]
    facts = known(signals.Activity, rows)
    assert first(facts.count(facts.by("date"))) == [1, 1, 0, 0]


def test_a_fact_of_another_customer_now_is_no_longer_this_one_s() -> None:
    rows = [
        ticket("2026-01-10", id="k1"),
        ticket("2026-01-10", "2026-03-10", id="k1", version=2, customer="c9"),
        ticket("2026-01-10", "2026-04-10", id="k1", version=3, customer="c2"),
    ]
    facts = known(signals.SupportTickets, rows)
    assert facts.count(facts.by("opened")).tolist() == [[1, 1, 0, 0], [0, 0, 0, 1]]


def test_merged_customers_are_one() -> None:
    rows = [touch("2026-01-01"), touch("2026-01-02", customer="c7"), touch("2026-01-03", customer="c8")]
    facts = known(signals.Activity, rows, {"c7": "c1"})
    assert facts.count(facts.by("date"))[:, 0].tolist() == [2, 0]


@pytest.mark.parametrize(
    ("day", "timezone", "by"),
    [
        # January closes on 6 February, midnight: with the end of the fifth.
        ("2026-02-05", "UTC", [1, 1, 1, 1]),
        ("2026-02-06", "UTC", [0, 1, 1, 1]),
        ("2026-02-05", "Asia/Tokyo", [1, 1, 1, 1]),
        ("2026-02-06", "Asia/Tokyo", [0, 1, 1, 1]),
        ("2026-02-05", "America/New_York", [1, 1, 1, 1]),
        ("2026-02-06", "America/New_York", [0, 1, 1, 1]),
        ("2026-05-06", "UTC", [0, 0, 0, 0]),
    ],
)
def test_a_close_is_the_end_of_a_day_of_the_time_zone(day: str, timezone: str, by: list[int]) -> None:
    facts = known(signals.Activity, [touch(day, known_at="2026-01-01")], timezone=timezone)
    assert first(facts.count(facts.by("date"))) == by
    assert first(facts.count(facts.before("date"))) == [1 - each for each in by]


def test_a_day_that_is_null_is_never_reached() -> None:
    facts = known(signals.SupportTickets, [ticket("2026-01-10", closed=None)])
    assert first(facts.count(facts.by("closed"))) == [0, 0, 0, 0]
    assert first(facts.count(facts.before("closed"))) == [1, 1, 1, 1]


def test_within_some_months() -> None:
    # Three months up to 5 February begin on 6 November.
    days = ["2025-11-05", "2025-11-06", "2026-02-05", "2026-02-06"]
    rows = [touch(day, known_at="2025-01-01") for day in days]
    facts = known(signals.Activity, rows)
    assert first(facts.count(facts.within("date", 3))) == [2, 2, 2, 1]
    one = [known(signals.Activity, [row]) for row in rows]
    assert [first(each.count(each.within("date", 3))) for each in one] == [
        [0, 0, 0, 0],
        [1, 0, 0, 0],
        [1, 1, 1, 0],
        [0, 1, 1, 1],
    ]


def test_the_newest_by_its_day_and_not_by_when_it_was_known() -> None:
    rows = [
        answer("2026-02-01", 4, known_at="2026-02-01", id="n1"),
        answer("2026-01-01", 9, known_at="2026-03-20", id="n2"),
        answer("2026-02-01", 7, known_at="2026-02-02", id="n3"),
    ]
    facts = known(signals.NpsAnswers, rows)
    assert first(facts.newest("date", facts.by("date"), "score")) == [7, 7, 7, 7]
    assert first(facts.newest_day("date", facts.by("date"))) == ["2026-02-01"] * 4
    nobody = facts.newest("date", facts.by("date"), "score")[1]
    assert list(nobody) == [None] * 4


def test_the_newest_of_each_signal() -> None:
    rows = [
        own("2026-01-01", "fit", "1"),
        own("2026-02-20", "fit", "2"),
        own("2026-01-01", "budget", "3"),
        own("2026-01-01", "budget", "4", "2026-03-20", version=2),
    ]
    facts = known(signals.SignalValues, rows)
    found = facts.newest_of_each("date", facts.by("date"), "signal")
    values = [[None if row < 0 else facts.rows["value"][row] for row in of_kind] for of_kind in found[0]]
    assert values == [["3", "3", "4", "4"], ["1", "2", "2", "2"]]
    assert (found[1] == -1).all()


def test_no_facts_and_no_customers() -> None:
    for model in (signals.Activity, signals.SupportTickets, signals.NpsAnswers, signals.SignalValues):
        facts = known(model, [])
        day = "opened" if model is signals.SupportTickets else "date"
        assert facts.count(facts.within(day, 3)).tolist() == [[0] * 4] * 2
        assert facts.newest(day, facts.by(day), "customer").tolist() == [[None] * 4] * 2
    nobody = pd.Index([], dtype="str")
    none = FactsAtCloses(
        frame(signals.Activity, [touch("2026-01-01")]), signals.Activity, nobody, closes(), {}, "UTC"
    )
    assert none.count(none.by("date")).shape == (0, 4)


DAYS = st.dates(pd.Timestamp("2025-11-01").date(), pd.Timestamp("2026-05-20").date()).map(str)
TICKETS = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.sampled_from(["k1", "k2", "k3"]),
            "customer": st.sampled_from(["c1", "c2", "c3"]),
            "known_at": DAYS,
            "opened": DAYS,
            "closed": st.none() | DAYS,
            "severity": st.none() | st.sampled_from(["low", "critical"]),
            "gone": st.booleans(),
        }
    ),
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(TICKETS, st.randoms(use_true_random=False))
def test_all_closes_at_once_are_each_close_alone(drawn: list[Row], random: Any) -> None:
    """Against `known_facts` of each close, and plain Python over what it says."""
    rows = [
        ticket(**{**row, "version": 1 + sum(other["id"] == row["id"] for other in drawn[:place])})
        for place, row in enumerate(drawn)
    ]
    table = frame(signals.SupportTickets, rows)
    order = list(range(len(rows)))
    random.shuffle(order)
    facts = FactsAtCloses(table.iloc[order], signals.SupportTickets, CUSTOMERS, closes(), {"c3": "c2"}, "UTC")
    critical = facts.equal("severity", "critical")
    still_open = facts.count(facts.by("opened") & facts.before("closed"))
    lately = facts.count(facts.within("opened", 2), critical)
    newest = facts.newest_day("opened", facts.by("opened"))
    for place, close in enumerate(closes()):
        seen = known_facts(table, signals.SupportTickets, close)
        seen = seen.assign(customer=seen["customer"].replace({"c3": "c2"}))
        last = str((close - pd.Timedelta(days=1)).date())
        begins = str((close - pd.Timedelta(days=1) - pd.DateOffset(months=2)).date())
        for at, customer in enumerate(CUSTOMERS):
            theirs = seen[(seen["customer"] == customer) & (seen["opened"] <= last)]
            open_then = theirs[theirs["closed"].isna() | (theirs["closed"] > last)]
            grave = theirs[(theirs["opened"] > begins) & (theirs["severity"] == "critical").fillna(False)]
            assert still_open[at, place] == len(open_then)
            assert lately[at, place] == len(grave)
            assert newest[at, place] == (max(theirs["opened"]) if len(theirs) else None)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["n1", "n2", "n3"]), DAYS, DAYS, st.integers(0, 10), st.sampled_from(["c1", "c2"])
        ),
        max_size=8,
        unique_by=lambda row: (row[0], row[1], row[2], row[4]),
    ),
    st.randoms(use_true_random=False),
)
def test_the_newest_answer_is_that_of_each_close_alone(drawn: list[Any], random: Any) -> None:
    rows = [
        answer(day, score, known_at=at, id=name, customer=customer, version=1 + place)
        for place, (name, day, at, score, customer) in enumerate(drawn)
    ]
    table = frame(signals.NpsAnswers, rows)
    order = list(range(len(rows)))
    random.shuffle(order)
    facts = FactsAtCloses(table.iloc[order], signals.NpsAnswers, CUSTOMERS, closes(), {}, "UTC")
    found = facts.newest("date", facts.within("date", 12), "score")
    for place, close in enumerate(closes()):
        seen = known_facts(table, signals.NpsAnswers, close)
        last = str((close - pd.Timedelta(days=1)).date())
        for at, customer in enumerate(CUSTOMERS):
            theirs = seen[(seen["customer"] == customer) & (seen["date"] <= last)]
            ordered = theirs.sort_values(["date", "known_at", "version", "id"])
            assert found[at, place] == (ordered["score"].iloc[-1] if len(ordered) else None)


def test_when_versions_are_superseded() -> None:
    rows = [
        ticket("2026-01-10", "2026-03-10", id="k1", version=2),
        ticket("2026-01-10", "2026-01-11", id="k1"),
        ticket("2026-01-10", "2026-02-11", id="k2"),
    ]
    table = frame(signals.SupportTickets, rows)
    until = superseded_at(table, signals.SupportTickets)
    assert until.isna().tolist() == [True, False, True]
    assert until[1] == pd.Timestamp("2026-03-10", tz="UTC")


class TestDigests:
    def digest(self, rows: list[Row], timezone: str = "UTC") -> dict[str, str]:
        return facts_digest(signals.Activity, MONTHS, inputs({signals.Activity: rows}, timezone=timezone))

    def test_of_what_a_close_knew_alone(self) -> None:
        early, late = touch("2026-02-01"), touch("2026-03-20")
        before, after = self.digest([early]), self.digest([late, early])
        assert {month for month in MONTHS if before[month] != after[month]} == {"2026-03", "2026-04"}

    def test_of_content_and_not_of_order(self) -> None:
        rows = [touch("2026-02-01"), touch("2026-02-01", id="t2"), touch("2026-01-20", customer="c2")]
        assert self.digest(rows) == self.digest(rows[::-1])
        other = [*rows[:2], {**rows[2], "customer": "c1"}]
        assert all(self.digest(rows)[month] != self.digest(other)[month] for month in MONTHS)

    def test_of_nothing(self) -> None:
        assert len(set(self.digest([]).values())) == 1
        assert np.all([text.startswith("0 ") for text in self.digest([]).values()])
