"""EventCounter against a plain count of the same random events."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from expansion_platform.domain.signals.definition import SignalDefinition
from expansion_platform_tests.sources.plain_count import (
    Event,
    at,
    count,
    definition,
    found,
    plain_count,
    question,
)

INSTANTS = st.datetimes(
    pd.Timestamp("2026-02-28").to_pydatetime(), pd.Timestamp("2026-04-02").to_pydatetime()
).map(lambda instant: at(str(instant)))
EVENTS = st.builds(
    Event,
    event=st.sampled_from(["opened", "joined", "viewed", "heartbeat"]),
    happened=INSTANTS,
    accounts=st.lists(st.sampled_from(["org_a", "org_b", "us"]), max_size=3).map(tuple),
    person=st.sampled_from(["p1", "p2", "p3", None]),
    arrived=st.one_of(st.none(), INSTANTS, INSTANTS.map(lambda instant: instant + pd.Timedelta(days=30))),
    named=st.sampled_from([None, None, "Reports", "Costs"]),
    id=st.one_of(st.none(), st.uuids().map(str)),
    began=st.one_of(st.none(), INSTANTS),
)
MEANINGS = st.builds(
    definition,
    events=st.sampled_from(
        [{}, {"logins": ["opened", "joined"], "milestones": ["joined"], "sign_ups": ["joined"]}]
    ),
    features=st.sampled_from([None, ["Reports", "viewed"]]),
    excluded_events=st.sampled_from([[], ["heartbeat"]]),
    internal_accounts=st.sampled_from([[], ["us"]]),
)


@settings(max_examples=40)
@given(
    st.lists(EVENTS, max_size=25),
    MEANINGS,
    st.sampled_from(["UTC", "America/New_York", "Asia/Kolkata"]),
    st.data(),
)
def test_random_events_are_counted_as_one_by_one(
    events: list[Event], meaning: SignalDefinition, timezone: str, data: st.DataObject
) -> None:
    asked = question(timezone=timezone)
    copied = data.draw(st.lists(st.sampled_from(events), max_size=5)) if events else []
    copies = [
        replace(event, arrived=event.known + (number + 1) * pd.Timedelta(seconds=1))
        for number, event in enumerate(copied)
    ]
    assert found(count([*copies, *events], asked, meaning)) == plain_count([*events, *copies], asked, meaning)
