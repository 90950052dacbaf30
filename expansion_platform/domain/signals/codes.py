"""Columns of texts as whole numbers, so that millions of rows are compared and looked up by number.

Here: places in an index, ranks, instants. Not here: rows numbered by several columns
(`domain/core/encoding.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from expansion_platform.domain.core.money import Ints


def places(values: pd.Series[Any], index: pd.Index[str], renamed: Mapping[str, str] | None = None) -> Ints:
    """By row the place of its text in an index, -1 for one that is not there or null.

    Args:
        values: texts or categoricals; each distinct one is looked up once.
        index: each text once.
        renamed: other names, under which texts are looked up.
    """
    code, distinct = _distinct(values)
    names = pd.Index([renamed.get(each, each) for each in distinct], dtype="str") if renamed else distinct
    return np.append(index.get_indexer(pd.Index(names)), -1).astype(np.int64)[code]


def ranks(values: pd.Series[Any]) -> tuple[Ints, pd.Index[Any]]:
    """By row the rank of its value among those that occur, -1 for null; and these, sorted."""
    code, distinct = _distinct(values)
    order = pd.Index(distinct).argsort()
    rank = np.full(len(distinct) + 1, -1, dtype=np.int64)
    rank[order] = np.arange(len(distinct))
    return rank[code], pd.Index(distinct).take(order)


def micros(instants: pd.Series[pd.Timestamp]) -> Ints:
    """Microseconds since 1970, and the largest number for none."""
    found = pd.DatetimeIndex(instants).as_unit("us").asi8
    return np.where(instants.isna().to_numpy(), np.iinfo(np.int64).max, found)


def _distinct(values: pd.Series[Any]) -> tuple[Ints, Any]:
    if isinstance(values.dtype, pd.CategoricalDtype):
        return values.cat.codes.to_numpy().astype(np.int64), values.cat.categories
    code, distinct = pd.factorize(values)
    return code.astype(np.int64), distinct
