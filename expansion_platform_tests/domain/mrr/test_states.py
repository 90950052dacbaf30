"""Which item states hold at an instant."""

from __future__ import annotations

import pandas as pd

from expansion_platform.domain.mrr.states import covers


def test_states_at_an_instant_are_those_before_it() -> None:
    """A change exactly at the instant belongs to the later month (semantics 7, case 56)."""
    at = [pd.Timestamp(day, tz="UTC") for day in ("2026-01-01", "2026-02-01", "2026-03-01")]
    states = pd.DataFrame(
        {
            "customer": "c",
            "subscription": "s",
            "item": ["old", "new", "lasting"],
            "valid_from": [at[0], at[1], at[1] - pd.Timedelta(seconds=1)],
            "valid_to": [at[1], at[2], None],
        }
    )
    assert [set(states.loc[covers(states, instant), "item"]) for instant in at] == [
        set(),
        {"old", "lasting"},
        {"new", "lasting"},
    ]
