"""Values as whole numbers.

Equal content gets equal codes, so that finding what changed is comparing integers.

Here: numbering the values of a column, and the distinct combinations of several, over frames laid end to end.
Not here: what they mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from expansion_platform.domain.core.money import Ints

# Combinations are numbered by position in a mixed radix, which must fit int64.
_LARGEST = 2**62


def number(frames: Sequence[pd.DataFrame], column: str) -> tuple[Ints, pd.Index]:
    """The code of each row's value, int64, and the values by code, each in use.

    Null is a value like any other.

    Categoricals that share their categories are numbered by the codes they have: no text is looked at, and
    frames of a million items cost a hundredth of a second a column where texts cost a tenth. Pandas calls
    them of one kind whatever the order of their categories, and the order is what codes mean.
    """
    kind = frames[0][column].dtype
    if not isinstance(kind, pd.CategoricalDtype) or not all(
        _shares(frame[column], kind.categories) for frame in frames
    ):
        codes, values = pd.factorize(
            pd.concat([frame[column] for frame in frames], ignore_index=True), use_na_sentinel=False
        )
        return codes, pd.Index(values)
    all_codes = np.concatenate([frame[column].cat.codes.to_numpy() for frame in frames], dtype=np.int64)
    used = np.bincount(all_codes + 1, minlength=len(kind.categories) + 1) > 0
    position = np.flatnonzero(used) - 1
    return (np.cumsum(used) - 1)[all_codes + 1], kind.categories.take(
        position, allow_fill=True, fill_value=np.nan
    )


def _shares(values: pd.Series[Any], categories: pd.Index[Any]) -> bool:
    return isinstance(values.dtype, pd.CategoricalDtype) and values.dtype.categories.equals(categories)


def encode(frames: Sequence[pd.DataFrame], columns: Sequence[str]) -> tuple[Ints, pd.DataFrame]:
    """Numbers the distinct combinations of `columns` over frames laid end to end.

    Returns:
        The code of each row, int64 in order of first appearance, and a frame with one row per code. Nulls are
        a value like any other.
    """
    code = np.zeros(sum(len(frame) for frame in frames), dtype=np.int64)
    size = 1
    for column in columns:
        following, values = number(frames, column)
        if size * len(values) > _LARGEST:
            code, distinct = pd.factorize(code)
            size = len(distinct)
        code *= len(values)
        code += following
        size *= len(values)
    code = pd.factorize(code)[0]
    first = np.zeros(code.max() + 1 if len(code) else 0, dtype=np.int64)
    first[code[::-1]] = np.arange(len(code))[::-1]
    parts, start = [], 0
    for frame in frames:
        here = first[(first >= start) & (first < start + len(frame))] - start
        part = frame[list(columns)].iloc[here]
        parts.append(
            part.astype(
                {
                    name: kind.categories.dtype
                    for name, kind in part.dtypes.items()
                    if isinstance(kind, pd.CategoricalDtype)
                }
            )
        )
        start += len(frame)
    return code, pd.concat(parts, ignore_index=True)
