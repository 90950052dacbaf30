"""What customers add to each published sum, against the same said row by row."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from expansion_platform.domain.mrr.contributions import (
    AMOUNTS,
    FIGURES,
    FROM,
    SLICED,
    TEXTS,
    contributions,
    sums,
)
from expansion_platform.domain.mrr.vocabulary import ORIGINS

KNOWN = {*FIGURES, *TEXTS}
SEGMENT = st.sampled_from(["smb", "mid_market", "enterprise"])
SLICES = st.none() | st.fixed_dictionaries(
    {"currency": st.sampled_from(["eur", "usd"])}, optional={"plan": st.sampled_from(["pro", "team"])}
).map(json.dumps)
ORIGIN = st.dictionaries(st.sampled_from(ORIGINS), st.integers(1, 10**12), max_size=2).map(json.dumps)
ROW = st.fixed_dictionaries(
    {
        **{name: st.sampled_from([0, 0, 1, -5, 2**53 + 1]) for name in FIGURES},
        **dict.fromkeys(("segment", "next_segment"), SEGMENT),
        **dict.fromkeys(("slices_json", "next_slices_json"), SLICES),
        "origins_json": st.none() | ORIGIN,
    }
)


def plainly(row: dict[str, Any], known: set[str]) -> Counter[str]:
    """What one row adds to each sum."""
    found = Counter({metric: row[column] for metric, column in AMOUNTS.items() if column in known})
    if "origins_json" in known:
        found.update({f"{FROM}{name}": n for name, n in json.loads(row["origins_json"] or "{}").items()})
    slices: dict[str, tuple[str | None, str | None]] = {"segment": (row["segment"], row["next_segment"])}
    if "slices_json" in known:
        now, following = (json.loads(row[name] or "{}") for name in ("slices_json", "next_slices_json"))
        slices |= {name: (now.get(name), following.get(name)) for name in {*now, *following}}
    for dimension, (value, then) in slices.items():
        if value is not None:
            for metric in [*SLICED, "arr"] if dimension == "segment" else SLICED:
                if AMOUNTS[metric] in known:
                    found[f"{dimension}:{value}:{metric}"] += row[AMOUNTS[metric]]
            if then is not None and then != value:
                found[f"{dimension}:{then}:transfer_in"] += row["closing"]
                found[f"{dimension}:{value}:transfer_out"] += row["closing"]
    return Counter({metric: amount for metric, amount in found.items() if amount})


def framed(rows: list[dict[str, Any]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=[*FIGURES, *TEXTS]).astype(dict.fromkeys(FIGURES, "int64"))
    return frame.assign(customer=[f"c{n}" for n in range(len(rows))])


@given(
    st.lists(ROW, max_size=6), st.sampled_from([set(), {"origins_json"}, {"slices_json"}, {"closing_arr"}])
)
def test_each_row_adds_what_it_says(rows: list[dict[str, Any]], unknown: set[str]) -> None:
    known = KNOWN - unknown
    found = contributions(framed(rows), known)
    said = {(row.customer, row.metric): row.amount for row in found.itertuples()}
    assert len(said) == len(found)
    expected = {f"c{n}": plainly(row, known) for n, row in enumerate(rows)}
    assert said == {(name, metric): n for name, added in expected.items() for metric, n in added.items()}


@given(st.lists(ROW, max_size=6))
def test_sums_are_those_of_all_rows(rows: list[dict[str, Any]]) -> None:
    found = sums(framed(rows), KNOWN)
    expected: Counter[str] = Counter()
    for row in rows:
        for metric, amount in plainly(row, KNOWN).items():
            expected[metric] += amount
    assert {k: v for k, v in found.items() if v} == {k: v for k, v in expected.items() if v}
