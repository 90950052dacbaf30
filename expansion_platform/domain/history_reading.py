"""Frames as plain Python rows, a little at a time: history is rebuilt one subscription after another, not column by column.

Here: turning columns into rows of text and ints, grouped by one of them. Not here: what the rows are (`history_records.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

SECOND = 1_000_000
"""Microseconds."""


class Grouped:
    """Rows of a frame by the value of one column, to be asked for in ascending order: only a block of them is Python objects at a time."""

    BLOCK = 50_000
    """Rows: enough that slicing costs nothing, few enough that ten million lines need no more memory than their Arrow columns."""

    def __init__(self, frame: pd.DataFrame, by: str) -> None:
        codes, names = pd.factorize(frame[by], sort=True)
        ends = np.cumsum(np.bincount(codes + 1, minlength=len(names) + 1)).tolist()
        self._bounds = {name: (ends[place], ends[place + 1]) for place, name in enumerate(names)}
        self._frame = frame.iloc[np.argsort(codes, kind="stable")]
        self._first, self._block = 0, columns(self._frame.iloc[:0])
        self._end = 0

    def of(self, value: str) -> Iterator[dict[str, Any]]:
        """The rows of one group, in the frame's order."""
        if value not in self._bounds:
            return
        first, end = self._bounds[value]
        if first < self._first or end > self._end:
            self._first, self._end = first, max(end, first + self.BLOCK)
            self._block = columns(self._frame.iloc[self._first : self._end])
        here = slice(first - self._first, end - self._first)
        for values in zip(*(column[here] for column in self._block.values()), strict=True):
            yield dict(zip(self._block, values, strict=True))


def rows(frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Rows as dicts: instants as int microseconds, every missing value as None."""
    held = columns(frame)
    for values in zip(*held.values(), strict=True):
        yield dict(zip(held, values, strict=True))


def columns(frame: pd.DataFrame) -> dict[str, list[Any]]:
    """Columns as lists: instants as int microseconds, every missing value as None."""
    held: dict[str, list[Any]] = {}
    for name in frame.columns:
        series = frame[name]
        missing = series.isna().to_numpy()
        values = series.dt.as_unit("us").astype("int64").tolist() if isinstance(series.dtype, pd.DatetimeTZDtype) else series.tolist()
        held[str(name)] = [None if gone else value for gone, value in zip(missing, values, strict=True)] if missing.any() else values
    return held
