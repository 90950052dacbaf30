"""Who expanded within three months, worked by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from expansion_platform.domain.signals.outcomes import outcomes_of


def movements(*rows: tuple[str, str, int]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["month", "customer", "flow_expansion"])


def closes(*rows: tuple[str, str, int]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["month", "customer", "mrr"])


@pytest.mark.parametrize(
    ("moved", "ahead"),
    [
        ([], 0),
        ([("2026-01", 5000)], 0),  # in the month itself: it is known at the close
        ([("2026-02", 5000)], 1),
        ([("2026-04", 5000)], 3),
        ([("2026-05", 5000)], 0),  # too late
        ([("2026-03", 5000), ("2026-04", 9000)], 2),
        ([("2026-02", 999)], 0),  # under 10.00
        ([("2026-02", 1000)], 1),
        ([("2026-02", 600), ("2026-03", 600)], 0),  # each month for itself
    ],
)
def test_an_expansion_counts_in_the_three_months_after(moved: list[tuple[str, int]], ahead: int) -> None:
    found = outcomes_of(
        closes(("2026-01", "c", 50000)),
        movements(*((month, "c", amount) for month, amount in moved)),
        "2026-06",
        2,
    )
    assert found.ahead.tolist() == [ahead]
    assert found.expanded.tolist() == [ahead > 0]


@pytest.mark.parametrize(("amount", "counts"), [(2000, False), (2001, True)])
def test_of_large_customers_one_percent_is_the_least(amount: int, counts: bool) -> None:
    """MRR of 2,000.01: one per cent is 20.0001, so 20.01 is the least."""
    found = outcomes_of(closes(("2026-01", "c", 200001)), movements(("2026-02", "c", amount)), "2026-06", 2)
    assert found.expanded.tolist() == [counts]


def test_currencies_without_decimals_count_in_whole_units() -> None:
    rows = closes(("2026-01", "c", 500))
    assert outcomes_of(rows, movements(("2026-02", "c", 10)), "2026-06", 0).expanded.tolist() == [True]
    assert outcomes_of(rows, movements(("2026-02", "c", 9)), "2026-06", 0).expanded.tolist() == [False]


def test_others_and_the_order_of_rows_do_not_matter() -> None:
    rows = closes(("2026-02", "b", 1000), ("2026-01", "a", 1000), ("2026-01", "b", 1000))
    moved = movements(("2026-03", "b", 5000), ("2026-03", "z", 5000))
    found = outcomes_of(rows, moved.iloc[::-1], "2026-06", 2)
    assert found.ahead.tolist() == [1, 0, 2]
    assert found.within("2026-02", "2026-02").tolist() == [True, False, False]
    assert outcomes_of(rows.iloc[:0], moved, "2026-06", 2).ahead.tolist() == []
