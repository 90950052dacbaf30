"""No outcome of one slice reaches into the next."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from expansion_platform.domain.signals.model.splits import REACH, split_at


def test_the_slices_are_those_of_the_definition() -> None:
    """T is the last close whose three months have closed: here 26 of 29."""
    split = split_at(29)
    assert split.tested == (24, 26)
    assert split.calibrated == (18, 20)
    assert split.trained_through == 14
    assert split.trained == (-6, 14)  # 21 closes, where there are so many
    assert split.folds == [(8, (12, 14)), (5, (9, 11)), (2, (6, 8))]


@given(st.integers(10, 60), st.integers(0, 6))
def test_outcomes_of_a_slice_are_over_before_the_next_begins(newest: int, back: int) -> None:
    split = split_at(newest, back)
    assert split.tested[1] + 3 == newest
    assert split.calibrated[1] + 3 < split.tested[0]
    assert split.trained_through + 3 < split.calibrated[0]
    for last, (first, end) in split.folds:
        assert last + 3 < first <= end <= split.trained_through


@given(st.integers(0, 60))
def test_the_model_of_the_month_before_saw_the_same_closes(newest: int) -> None:
    """Made again a month later, with the calendar moved on by one."""
    then, now = split_at(newest), split_at(newest + 1, back=1)
    assert (then.trained, then.calibrated) == (now.trained, now.calibrated)
    assert REACH == 15 and newest - then.trained_through == REACH
