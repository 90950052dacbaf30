"""Numbers that are hashes of what they are for, whole columns at a time.

So a month's events stay as they are when later months, or other customers, are added.

Here: hashes of texts and numbers, and uniform and Poisson numbers and identities made of them. Not here: what
they are drawn for (`usage.py`, `usage_of_states.py`, `relationship.py`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow

Keys = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_UINT = np.uint64
_DIGITS = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
_PARTS = ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32))
_LENGTH = 36


def hashed(texts: pd.Series[Any]) -> Keys:
    """64-bit hashes of texts, the same in every process."""
    return np.asarray(pd.util.hash_array(texts.to_numpy(dtype=object)), dtype=_UINT)


def seeded(seed: int, texts: pd.Series[Any]) -> Keys:
    """Hashes of texts that are others for another seed."""
    return scrambled(hashed(texts) ^ scrambled(np.array([seed], dtype="int64").astype(_UINT)))


def scrambled(keys: Keys) -> Keys:
    """splitmix64's finalizer.

    A bijection of 64-bit integers after which neighbours have nothing in common.
    """
    keys = keys + _UINT(0x9E3779B97F4A7C15)
    keys = (keys ^ (keys >> _UINT(30))) * _UINT(0xBF58476D1CE4E5B9)
    keys = (keys ^ (keys >> _UINT(27))) * _UINT(0x94D049BB133111EB)
    mixed: Keys = keys ^ (keys >> _UINT(31))
    return mixed


def uniform(keys: Keys, stream: int) -> Floats:
    """Numbers in [0, 1), independent from stream to stream."""
    return (scrambled(keys + _UINT(stream * 0x632BE59BD9B4E019 % 2**64)) >> _UINT(11)) / float(2**53)


def normal(keys: Keys, stream: int) -> Floats:
    """Numbers of mean 0 and variance 1, nearly normal: the sum of twelve uniform ones, less 6."""
    sums: Floats = np.sum([uniform(keys, stream * 100 + part) for part in range(12)], axis=0)
    return sums - 6.0


def poisson(keys: Keys, stream: int, mean: Floats | float, most: int = 12) -> Ints:
    """Poisson numbers, none above `most`."""
    drawn, means = uniform(keys, stream), np.broadcast_to(np.asarray(mean, dtype="float64"), keys.shape)
    probability = np.exp(-means)
    below, found = probability.copy(), np.zeros(len(keys), dtype="int64")
    for number in range(1, most + 1):
        found += drawn >= below
        probability = probability * means / number
        below += probability
    return found


def uuids(keys: Keys, seed: int) -> pyarrow.Array:
    """Version 4 UUIDs of keys, as texts."""
    high = scrambled(keys + _UINT(seed % 2**32)) & _UINT(0xFFFFFFFFFFFF0FFF) | _UINT(0x4000)
    low = scrambled(high) & _UINT(0x3FFFFFFFFFFFFFFF) | _UINT(0x8000000000000000)
    whole = np.stack([high, low], axis=1).astype(">u8").view(np.uint8).reshape(len(keys), 16)
    digits = np.empty((len(keys), 32), dtype=np.uint8)
    digits[:, 0::2], digits[:, 1::2] = _DIGITS[whole >> 4], _DIGITS[whole & 15]
    texts = np.full((len(keys), _LENGTH), ord("-"), dtype=np.uint8)
    for dashes, (begin, end) in enumerate(_PARTS):
        texts[:, begin + dashes : end + dashes] = digits[:, begin:end]
    offsets = np.arange(len(keys) + 1, dtype=np.int64) * _LENGTH
    made = pyarrow.LargeStringArray.from_buffers(
        len(keys), pyarrow.py_buffer(offsets), pyarrow.py_buffer(texts.tobytes())
    )
    return made.cast(pyarrow.string())
