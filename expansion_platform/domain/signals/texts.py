"""Columns of signals as they are stored: shares as decimal text, lists as JSON.

Here: whole columns at once. Not here: any figure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from expansion_platform.domain.core.canonical import dumps
from expansion_platform.domain.core.money import Bools
from expansion_platform.domain.core.ratios import SIGNAL_PLACES

_STORED = pa.decimal128(38, SIGNAL_PLACES)


def fixed(values: npt.NDArray[np.float64]) -> pd.Series[str]:
    """Numbers as decimal text with 6 places; null for NaN and infinity.

    Shares are no money: floats hold them to 15 digits, of which these are six after the point.
    """
    known = np.isfinite(values)
    rounded = np.round(np.where(known, values, 0.0), SIGNAL_PLACES) + 0.0  # no negative zero
    texts = pc.cast(pa.array(rounded, mask=~known).cast(_STORED), pa.string())
    return pd.Series(texts.to_pandas(), dtype="str")


def number(texts: pd.Series[str]) -> npt.NDArray[np.float64]:
    """The numbers of decimal texts; NaN for null."""
    return np.asarray(
        pc.cast(pa.array(texts, pa.string(), from_pandas=True), pa.float64()).to_numpy(zero_copy_only=False),
        dtype=float,
    )


def listed(named: Mapping[str, Bools]) -> pd.Series[str]:
    """By row the sorted names that are true, as JSON."""
    names = sorted(named)
    if not names:
        raise ValueError("no names to list")
    bits = np.zeros(len(named[names[0]]), dtype=np.int64)
    for position, name in enumerate(names):
        bits |= np.where(named[name], np.int64(1) << position, 0)
    code, distinct = pd.factorize(bits)
    texts: Sequence[str] = [
        dumps([name for position, name in enumerate(names) if each >> position & 1])
        for each in distinct.tolist()
    ]
    return pd.Series(pd.Categorical.from_codes(code, dtype=pd.CategoricalDtype(list(texts)))).astype("str")


def joined(parts: Sequence[pa.Array], brackets: str) -> pd.Series[str]:
    """By row its texts that are not null, with commas between them and brackets around."""
    nothing = reduce(pc.and_, [pc.is_null(part) for part in parts])
    # Arrow leaves a row out of the result in which everything is skipped.
    first = pc.if_else(nothing, "", parts[0])
    inside = pc.binary_join_element_wise(first, *parts[1:], ",", null_handling="skip")
    return pd.Series(
        pc.binary_join_element_wise(brackets[0], inside, brackets[1], "").to_pandas(), dtype="str"
    )
