"""Hashed numbers: identities by another way, and the distributions they are drawn from."""

from __future__ import annotations

import uuid

import numpy as np
import pandas as pd
import pytest

from expansion_platform.simulator.company.keys import normal, poisson, scrambled, seeded, uniform, uuids

KEYS = scrambled(np.arange(20_000, dtype=np.uint64))
MASK = 2**64 - 1


def splitmix(key: int) -> int:
    """The finalizer as its authors write it."""
    key = (key + 0x9E3779B97F4A7C15) & MASK
    key = ((key ^ (key >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    key = ((key ^ (key >> 27)) * 0x94D049BB133111EB) & MASK
    return key ^ (key >> 31)


def test_hashes_and_identities_by_plain_integers() -> None:
    keys = np.array([0, 1, 2**64 - 1, 12345], dtype=np.uint64)
    assert scrambled(keys).tolist() == [splitmix(int(each)) for each in keys]
    expected = []
    for key in keys.tolist():
        high = splitmix((key + 7) & MASK) & 0xFFFFFFFFFFFF0FFF | 0x4000
        low = splitmix(high) & 0x3FFFFFFFFFFFFFFF | 0x8000000000000000
        expected.append(str(uuid.UUID(int=(high << 64) | low)))
    assert uuids(keys, 7).to_pylist() == expected
    assert all(uuid.UUID(text).version == 4 for text in expected)
    assert uuids(keys[:0], 7).to_pylist() == []


def test_numbers_have_the_moments_of_their_distributions() -> None:
    even = uniform(KEYS, 3)
    assert (even.min() >= 0, even.max() < 1) == (True, True)
    assert even.mean() == pytest.approx(0.5, abs=0.01)
    drawn = normal(KEYS, 4)
    assert (drawn.mean(), drawn.std()) == pytest.approx((0, 1), abs=0.03)
    for mean in (0.2, 2.5):
        counts = poisson(KEYS, 5, mean)
        assert counts.mean() == pytest.approx(mean, abs=5 * np.sqrt(mean / len(KEYS)))
        assert counts.var() == pytest.approx(mean, rel=0.06)
        assert (counts == 0).mean() == pytest.approx(np.exp(-mean), abs=0.015)
    assert poisson(KEYS, 5, 50.0).max() == 12
    assert poisson(KEYS, 5, np.zeros(len(KEYS))).max() == 0


def test_another_seed_has_other_hashes() -> None:
    texts = pd.Series(["a", "b", "a"])
    first = seeded(1, texts)
    assert first[0] == first[2] != first[1]
    assert not np.isin(seeded(2, texts), first).any()
