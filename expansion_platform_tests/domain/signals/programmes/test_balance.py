"""Were the arms alike: differences by hand, and how often a fair draw is flagged."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from expansion_platform.domain.signals.programmes.balance import balance
from expansion_platform.domain.signals.programmes.intervals import permuted


def units(rng: np.random.Generator, size: int, treated: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "treated": treated,
            "mrr": np.rint(rng.lognormal(9, 1, size)),
            "tenure_months": rng.integers(0, 50, size).astype(float),
            "readiness": np.where(rng.random(size) < 0.1, np.nan, rng.integers(0, 100, size)),
            "segment": pd.Series(rng.choice(["smb", "mid_market", "enterprise"], size), dtype="str"),
        }
    )


def test_standardised_difference_by_hand() -> None:
    """Tenure 1, 3 against 5, 9: means 2 and 7, variances 2 and 8, so -5 / sqrt(5)."""
    rows = pd.DataFrame(
        {
            "treated": [True, True, False, False],
            "mrr": [100.0] * 4,
            "tenure_months": [1.0, 3.0, 5.0, 9.0],
            "readiness": [np.nan] * 4,
            "segment": pd.Series(["smb"] * 4, dtype="str"),
        }
    )
    found = balance(rows, permuted(rows["treated"].to_numpy(), np.random.default_rng(0)))
    assert found.differences == {"tenure_months": pytest.approx(-5 / np.sqrt(5))}


def test_fair_draws_are_seldom_flagged_and_picked_customers_always() -> None:
    rng = np.random.default_rng(5)
    low = fair = 0
    for _ in range(60):
        rows = units(rng, 400, rng.permutation(np.arange(400) < 200))
        treated = rows["treated"].to_numpy()
        found = balance(rows, permuted(treated, rng))
        assert found.p is not None
        low += found.p < 0.05
        fair += found.flagged
    assert fair <= 1
    assert low <= 9  # 3 are expected of 60; more than 9 come once in a thousand
    # Picked by readiness: the higher half in treatment.
    picked = units(rng, 400, np.ones(400, bool)).fillna({"readiness": 50})
    picked["treated"] = picked["readiness"] >= picked["readiness"].median()
    assert balance(picked, permuted(picked["treated"].to_numpy(), rng)).flagged


def test_one_customer_is_no_arm() -> None:
    rows = units(np.random.default_rng(1), 5, np.arange(5) < 1)
    found = balance(rows, permuted(rows["treated"].to_numpy(), np.random.default_rng(0)))
    assert (found.differences, found.p, found.flagged) == ({}, None, False)
