"""Frames as plain Python values, a little at a time.

History is rebuilt one subscription after another, not column by column.

Here: turning columns into texts and ints, and rows into records grouped by one column. Not here: what the
records are (`history/records.py`).
"""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import Any, Generic, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

Record = TypeVar("Record")
Named = TypeVar("Named", bound=tuple[Any, ...])

SECOND = 1_000_000
"""Microseconds."""


class Grouped(Generic[Record]):
    """Records of a frame by the value of one column, to be asked for in ascending order.

    Only a block of them is Python objects at a time.
    """

    BLOCK = 50_000
    """Rows: enough that slicing costs nothing, few enough that ten million lines need no more memory than
    their Arrow columns.
    """

    def __init__(
        self,
        frame: pd.DataFrame,
        by: str,
        make: Callable[[pd.DataFrame], list[Record]],
        columns: list[str] | None = None,
        where: pd.Series[bool] | None = None,
    ) -> None:
        """`make` turns rows of the frame into as many records.

        Of some columns, and of those rows where one is true.
        """
        places = np.arange(len(frame)) if where is None else np.flatnonzero(where)
        codes, names = pd.factorize(frame[by].iloc[places], sort=True)
        ends = np.cumsum(np.bincount(codes + 1, minlength=len(names) + 1)).tolist()
        self._bounds = {name: (ends[place], ends[place + 1]) for place, name in enumerate(names)}
        self._order = places[np.argsort(codes, kind="stable")]
        self._frame = frame if columns is None else frame[columns]
        self._make = make
        self._first, self._end, self._block = 0, 0, list[Record]()

    def __iter__(self) -> Iterator[list[Record]]:
        """The records of every group, in ascending order."""
        return map(self.of, self._bounds)

    def of(self, value: str) -> list[Record]:
        """The records of one group, in the frame's order."""
        first, end = self._bounds.get(value, (0, 0))
        if first == end:
            return []
        if first < self._first or end > self._end:
            self._first, self._end = first, max(end, first + self.BLOCK)
            self._block = self._make(self._frame.iloc[self._order[self._first : self._end]])
        return self._block[first - self._first : end - self._first]


@contextmanager
def uncollected() -> Iterator[None]:
    """Nothing looks for garbage meanwhile.

    No record is in a cycle, and looking through hundreds of thousands of them was a fifth of history.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def among(series: pd.Series, values: Iterable[str]) -> pd.Series[bool]:
    """Which texts are among some: pandas makes a Python object of each of them first."""
    found = pc.is_in(
        pa.array(series.array, pa.string(), from_pandas=True),
        value_set=pa.array(values, pa.string(), from_pandas=True),
    )
    return pd.Series(found.to_numpy(zero_copy_only=False), index=series.index)


def rows(frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Rows as dicts: instants as int microseconds, every missing value as None."""
    by_column = columns(frame)
    for values in zip(*by_column.values(), strict=True):
        yield dict(zip(by_column, values, strict=True))


def records(kind: type[Named], *fields: Iterable[Any]) -> list[Named]:
    """Named tuples of their fields, every one in its place: the default `__new__` is a Python call each."""
    return list(map(partial(tuple.__new__, kind), zip(*fields, strict=True)))


def columns(frame: pd.DataFrame) -> dict[str, list[Any]]:
    """Columns as lists: instants as int microseconds, every missing value as None."""
    return {str(name): _values(frame[name]) for name in frame.columns}


def _values(series: pd.Series) -> list[Any]:
    if isinstance(series.dtype, pd.StringDtype):  # Arrow makes texts of them three times as fast as pandas
        return list(pa.array(series.array, from_pandas=True).to_numpy(zero_copy_only=False).tolist())
    missing = series.isna().to_numpy()
    values = (
        series.dt.as_unit("us").astype("int64").tolist()
        if isinstance(series.dtype, pd.DatetimeTZDtype)
        else series.tolist()
    )
    return (
        [None if gone else value for gone, value in zip(missing, values, strict=True)]
        if missing.any()
        else values
    )


@lru_cache(maxsize=1 << 16)
def parse(text: str) -> Any:
    """JSON text as values. Shared between callers: never change what it returns."""
    return json.loads(text)
