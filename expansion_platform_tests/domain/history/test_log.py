"""The log of changes: whatever was read before, what holds of it is what the facts tell now."""

from __future__ import annotations

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from expansion_platform.domain.core.table import empty
from expansion_platform.domain.history.changes import changes
from expansion_platform.domain.history.log import holding
from expansion_platform.domain.history.log_rows import COLUMNS
from expansion_platform.domain.history.tables import ItemChanges
from expansion_platform_tests.domain.history_rows import Account, day, line
from expansion_platform_tests.domain.whole_history import news

NOTHING = empty(ItemChanges)


def said(**evidence: str) -> pd.DataFrame:
    """Changes by name, each with the evidence it has."""
    row = {
        "customer": "cus",
        "subscription": "sub",
        "item": None,
        "kind": "status",
        "effective_at": day(0),
        "until": pd.NaT,
        "value": "active",
    }
    row |= {
        "price": None,
        "quantity": None,
        "coupon": None,
        "source": "event",
        "rank": 4,
        "confidence": "exact",
    }
    texts = {
        name: "[" + ",".join(f'["{one}",1,2]' for one in sorted(told)) + "]"
        for name, told in evidence.items()
    }
    rows = [{**row, "change": f"{name:0>16}", "evidence_json": text} for name, text in sorted(texts.items())]
    return pd.DataFrame(rows, columns=COLUMNS)


def logged(*readings: pd.DataFrame) -> pd.DataFrame:
    """The log after some readings, one a day."""
    log = NOTHING
    for number, found in enumerate(readings):
        more = news(found, holding(log), known_at=day(number), entry=len(log))
        log = pd.concat([log, more], ignore_index=True) if len(log) else more
    return log


def ops(log: pd.DataFrame) -> list[tuple[str, str, str]]:
    return [(row.op, row.change[-1], row.evidence_json) for row in log.itertuples()]


def test_what_is_new_is_told_and_what_is_known_is_not_told_again():
    log = ItemChanges.validate(logged(said(a="x"), said(a="x", b="y")))
    assert ops(log) == [("told", "a", '[["x",1,2]]'), ("told", "b", '[["y",1,2]]')]
    assert news(said(a="x"), holding(logged(said(a="x"))), known_at=day(1), entry=1).empty


def test_more_evidence_confirms_and_less_is_told_again():
    log = logged(said(a="x"), said(a="xy"), said(a="y"), said(a="yz"))
    assert [op for op, _, _ in ops(log)] == ["told", "confirmed", "told", "confirmed"]
    assert ops(log)[1][2] == '[["y",1,2]]'
    assert list(holding(log)["evidence_json"]) == ['[["y",1,2],["z",1,2]]']


def test_what_nobody_tells_any_more_is_withdrawn_and_may_come_back():
    log = logged(said(a="x"), said(), said(a="x"))
    assert [op for op, _, _ in ops(log)] == ["told", "withdrawn", "told"]
    assert holding(log.head(2)).empty
    assert len(holding(log)) == 1


READING = st.dictionaries(st.sampled_from("abc"), st.sets(st.sampled_from("xyz"), min_size=1), max_size=3)


@settings(max_examples=30)
@given(st.lists(READING, min_size=1, max_size=6))
def test_what_holds_is_the_newest_reading_and_each_earlier_one_can_be_had_again(
    readings: list[dict[str, set[str]]],
):
    found = [said(**{name: "".join(told) for name, told in reading.items()}) for reading in readings]
    log = logged(*found)
    assert list(log["entry"]) == list(range(len(log)))
    for number, reading in enumerate(found):
        held = holding(log[log["known_at"] <= day(number)])
        assert list(zip(held["change"], held["evidence_json"], strict=True)) == list(
            zip(reading["change"], reading["evidence_json"], strict=True)
        )


def account(seats: str) -> Account:
    told = Account()
    told.subscription()
    told.item("si", "basic", seats)
    told.invoice("in_1", 0, line("si", "basic", "3", 0, 30))
    return told


def test_a_further_bill_confirms_what_was_held_and_changes_nothing():
    log = logged(changes(account("3").staged()))
    later = account("3")
    later.invoice("in_2", 30, line("si", "basic", "3", 30, 60))
    more = news(changes(later.staged()), holding(log), known_at=day(31), entry=len(log))
    assert [(row.op, row.kind) for row in more.itertuples()] == [("confirmed", "held")]
    assert "in_2_0" in more["evidence_json"].iloc[0]


def test_a_change_dated_better_withdraws_what_was_thought():
    """Seen first without a bill, and then dated by its event: one change, said twice."""
    seen = changes(account("5").staged())
    dated = account("5")
    dated.event(
        "evt",
        20,
        {"items": [{"id": "si", "price": "basic", "quantity": 5}]},
        {"items": [{"id": "si", "price": "basic", "quantity": 3}]},
    )
    more = news(changes(dated.staged()), holding(logged(seen)), known_at=day(100), entry=9)
    told = sorted((row.op, row.source, row.confidence) for row in more[more["kind"] == "held"].itertuples())
    assert told == [("told", "event", "exact"), ("withdrawn", "snapshot", "snapshot")]
