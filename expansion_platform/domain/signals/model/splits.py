"""Which months a model is trained, calibrated and tested on (semantics 6.3).

Here: months as places in a calendar. Not here: any row.

The outcome of a close takes three months to be known. A slice may only be followed by one that begins after
all its outcomes are, four months after its last close: otherwise the same expansion would be on both sides.
"""

from __future__ import annotations

from dataclasses import dataclass

HORIZON = 3
LENGTH = 3
"""Closes of a slice that a model is judged, calibrated or chosen by."""
FOLDS = 3
LONGEST = 21
"""Closes that a model is trained on at most: what customers did two years earlier says little of today's."""


@dataclass(frozen=True)
class Split:
    """First and last close of each slice."""

    trained: tuple[int, int]
    calibrated: tuple[int, int]
    tested: tuple[int, int]

    @property
    def trained_through(self) -> int:
        """The last close of training."""
        return self.trained[1]

    @property
    def folds(self) -> list[tuple[int, tuple[int, int]]]:
        """(last close of training, closes to choose by), newest first: a rolling origin within training."""
        found = []
        for fold in range(FOLDS):
            last = self.trained_through - fold * LENGTH
            first = last - LENGTH + 1
            found.append((before(first), (first, last)))
        return found


def before(first: int) -> int:
    """The last close whose outcomes are known before another close."""
    return first - HORIZON - 1


def split_at(newest: int, back: int = 0) -> Split:
    """The slices of a closed month.

    Args:
        newest: place of the month; the last close with known outcome lies three months before it.
        back: months by which training and calibration end earlier, for the model of an earlier month.
    """
    tested = (newest - HORIZON - LENGTH + 1, newest - HORIZON)
    end = before(tested[0]) - back
    calibrated = (end - LENGTH + 1, end)
    last = before(calibrated[0])
    return Split((last - LONGEST + 1, last), calibrated, tested)


REACH = -split_at(0).trained_through
"""Months from the last close of training to the month of the model: 15."""
