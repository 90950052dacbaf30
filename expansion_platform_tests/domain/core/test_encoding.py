"""Numbering: the same content has the same code, whatever type the columns come in."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from expansion_platform.domain.core import encoding

COLUMNS = ["text", "number"]


def _frames(kind: str) -> list[pd.DataFrame]:
    every = pd.DataFrame({"text": ["b", "a", None, "b", None, "c"], "number": [1, 1, 2, 1, 2, 1]}).astype(
        {"text": "str"}
    )
    if kind == "shared categories":
        every["text"] = every["text"].astype(pd.CategoricalDtype(["unused", "c", "b", "a"]))
    frames = [every.iloc[:3], every.iloc[3:]]
    return [frame.astype({"text": "category"}) for frame in frames] if kind == "own categories" else frames


@pytest.mark.parametrize("kind", ["texts", "shared categories", "own categories"])
def test_combinations_are_numbered_by_first_appearance(kind: str) -> None:
    code, distinct = encoding.encode(_frames(kind), COLUMNS)
    assert code.tolist() == [0, 1, 2, 0, 2, 3]
    assert distinct["text"].fillna("none").tolist() == ["b", "a", "none", "c"]
    assert distinct["number"].tolist() == [1, 1, 2, 1]


@pytest.mark.parametrize("kind", ["texts", "shared categories", "own categories"])
def test_a_column_has_a_code_for_each_value_in_use(kind: str) -> None:
    code, values = encoding.number(_frames(kind), "text")
    assert sorted(values.fillna("none")) == ["a", "b", "c", "none"]
    assert values.take(code).fillna("none").tolist() == ["b", "a", "none", "b", "none", "c"]


def test_more_combinations_than_int64_holds_are_still_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(rng.integers(0, 9, (500, 4)), columns=list("abcd"))
    whole, _ = encoding.encode([frame], list("abcd"))
    monkeypatch.setattr(encoding, "_LARGEST", 100)
    assert encoding.encode([frame], list("abcd"))[0].tolist() == whole.tolist()


def test_no_rows_have_no_codes() -> None:
    code, distinct = encoding.encode([_frames("texts")[0].iloc[:0]], COLUMNS)
    assert len(code) == len(distinct) == 0


def test_categories_in_another_order_are_the_same_values():
    frames = [
        pd.DataFrame({"text": pd.Categorical(["a", "b", "b"], categories=order)})
        for order in (["a", "b"], ["b", "a"])
    ]
    assert frames[0]["text"].dtype == frames[1]["text"].dtype
    codes, values = encoding.number(frames, "text")
    assert values.take(codes).tolist() == ["a", "b", "b", "a", "b", "b"]
