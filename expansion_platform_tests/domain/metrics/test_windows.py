"""Sums of windows over matrices are those of their definition, customer by customer, however many customers
are in memory at once.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expansion_platform.domain.metrics import windows
from expansion_platform.domain.metrics.windows import SLICES, SUMS

CALENDAR = [f"2026-0{month}" for month in range(1, 7)]
LONGEST = 3
NAMES = list(SLICES.itertuples(index=False, name=None))

# Of a customer's month: its slice (of three that differ in segment or model), opening and expansion; None
# where it paid at neither end.
cells = st.none() | st.tuples(st.sampled_from([0, 1, 5]), st.integers(0, 3), st.sampled_from([0, 0, 2]))
histories = st.dictionaries(
    st.sampled_from("abcd"), st.lists(cells, min_size=len(CALENDAR), max_size=len(CALENDAR)), max_size=4
)


def frames(of: dict[str, list[Any]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    held, moved = [], []
    for (customer, row), (at, month) in product(of.items(), enumerate(CALENDAR)):
        if row[at] is not None:
            code, opening, expansion = row[at]
            sliced = {"segment": NAMES[code][0], "pricing_model": NAMES[code][1]}
            ends = {"opening": opening, "closing": opening + expansion, "flow_fx": 0}
            held.append({"month": month, "customer": customer, **sliced, **ends})
            moved.append(
                {
                    "month": month,
                    "customer": customer,
                    "flow_new": 0,
                    "flow_expansion": expansion,
                    "flow_contraction": 0,
                    "flow_churn": -(opening == 3),
                }
            )
    columns = ["month", "customer", "segment", "pricing_model", "opening", "closing", "flow_fx"]
    flows = ["month", "customer", "flow_new", "flow_expansion", "flow_contraction", "flow_churn"]
    texts = {"month": "str", "customer": "str", "segment": "str", "pricing_model": "str"}
    numbers = dict.fromkeys(["opening", "closing", "flow_fx", *flows[2:]], "int64")
    kinds = texts | numbers
    return tuple(  # type: ignore[return-value]
        pd.DataFrame(rows, columns=names).astype({name: kinds[name] for name in names})
        for rows, names in ((held, columns), (moved, flows))
    )


def defined(of: dict[str, list[Any]]) -> Any:
    """One customer, window and month at a time."""
    found = np.zeros((len(CALENDAR), LONGEST, len(SLICES), len(SUMS)), dtype=np.int64)
    for row, first, after in product(of.values(), range(len(CALENDAR)), range(LONGEST)):
        if first + after >= len(CALENDAR) or row[first + after] is None:
            continue
        window = row[first : first + after + 1]
        kept = next(cell[0] for cell in window if cell is not None)
        _, opening, expansion = window[-1]
        member = window[0] is not None and window[0][1] > 0
        grew_before = any(cell is not None and cell[2] for cell in window[:-1])
        amounts = {
            "opening": opening,
            "expansion": expansion,
            "churn": -(opening == 3),
            "member_expansion": expansion if member else 0,
            "members": opening > 0,
            "expanders": expansion > 0 and not grew_before,
        }
        for name, amount in amounts.items():
            found[first, after, kept, SUMS.index(name)] += amount
    return found


@settings(max_examples=60, deadline=None)
@given(histories, st.sampled_from([1, 2, 100]))
def test_sums_are_those_of_the_definition(of: dict[str, list[Any]], at_once: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "AT_ONCE", at_once)
        sums = sum(
            (windows.window_sums(book, LONGEST) for book in windows.books(CALENDAR, *frames(of))),
            start=np.int64(0),
        )
    assert (sums == defined(of)).all()


@settings(max_examples=60, deadline=None)
@given(histories)
def test_cohorts_are_those_who_opened_the_window(of: dict[str, list[Any]]) -> None:
    lasts = range(LONGEST - 1, len(CALENDAR))
    rows = [
        row for book in windows.books(CALENDAR, *frames(of)) for row in windows.cohorts(book, lasts, LONGEST)
    ]
    for last in lasts:
        expected = dict.fromkeys(("opening", "closing", "retained", "continuous"), 0)
        for row in of.values():
            window = row[last + 1 - LONGEST : last + 1]
            if window[0] is None or not window[0][1]:
                continue
            opening, closing = window[0][1], 0 if window[-1] is None else window[-1][1] + window[-1][2]
            lost = any(cell is not None and cell[1] == 3 for cell in window)
            retained = min(opening, closing)
            for name, amount in zip(
                expected, (opening, closing, retained, 0 if lost else retained), strict=True
            ):
                expected[name] += amount
        assert {name: sum(row[name] for row in rows if row["last"] == last) for name in expected} == expected
