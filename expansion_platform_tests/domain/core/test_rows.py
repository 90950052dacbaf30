"""Columns as records."""

from __future__ import annotations

from itertools import repeat

import pytest

from expansion_platform.domain.core.rows import records
from expansion_platform.domain.history.records import State


def test_records_are_what_each_row_makes() -> None:
    """As many as there are rows, each as its type would make it."""
    found = records(State, iter(["a", "b"]), repeat("1", 2))
    assert found == [State("a", "1"), State("b", "1")]
    assert [type(each) for each in found] == [State, State]
    assert found[1].price == "b"


def test_columns_of_other_lengths_are_refused() -> None:
    """Nothing is lost where a column is shorter."""
    with pytest.raises(ValueError, match="shorter"):
        records(State, ["a", "b"], ["1"])
