"""Were the arms alike before the programme began (semantics 6.9)?

Here: standardised differences, and one randomisation test over all of them. Not here: the customers' figures
at assignment (`assignments.py`).

Single differences are shown and not judged: above 0.1 they happen in 71 % of fair programmes of 400.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from expansion_platform.domain.signals.programmes.intervals import Labels

FLAGGED_UNDER = 0.001
_TIE = 1e-9

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Balance:
    """Standardised differences by figure, treatment minus control, and the p of the omnibus test."""

    differences: dict[str, float]
    p: float | None

    @property
    def flagged(self) -> bool:
        """Whether the arms differ by more than a fair draw would make them."""
        return self.p is not None and self.p < FLAGGED_UNDER


def balance(units: pd.DataFrame, labels: Labels) -> Balance:
    """How alike the arms are.

    Args:
        units: a row a customer: treated, mrr, tenure_months, readiness (NaN where unknown), segment.
        labels: `permuted` of the arms.

    Returns:
        Without p and differences with fewer than two customers in an arm. A figure that all share has none.
    """
    treated = units["treated"].to_numpy(dtype=bool)
    if min(treated.sum(), (~treated).sum()) < 2:
        return Balance({}, None)
    figures = {name: column for name, column in _figures(units).items() if np.ptp(column) > 0}
    if not figures:
        return Balance({}, None)
    matrix = np.column_stack(list(figures.values()))
    one, other = matrix[treated], matrix[~treated]
    spread = np.sqrt((one.var(axis=0, ddof=1) + other.var(axis=0, ddof=1)) / 2)
    apart = one.mean(axis=0) - other.mean(axis=0)
    shown = dict(
        zip(figures, np.divide(apart, spread, out=np.zeros_like(apart), where=spread > 0), strict=True)
    )
    return Balance(
        {name: float(value) for name, value in sorted(shown.items())}, _omnibus(matrix, treated, labels)
    )


def _figures(units: pd.DataFrame) -> dict[str, Floats]:
    """One column a figure; where it is not known its mean, and a column that says so."""
    found: dict[str, Floats] = {}
    known = {
        "log_mrr": np.log(np.where(units["mrr"] > 0, units["mrr"], np.nan).astype(float)),
        "tenure_months": units["tenure_months"].to_numpy(dtype=float),
        "readiness": units["readiness"].to_numpy(dtype=float),
    }
    for name, column in known.items():
        absent = np.isnan(column)
        mean = column[~absent].mean() if (~absent).any() else 0.0
        found[name] = np.where(absent, mean, column)
        found[f"{name}_unknown"] = absent.astype(float)
    segments = units["segment"].fillna("unknown")
    return found | {
        f"segment_{name}": (segments == name).to_numpy(dtype=float) for name in sorted(segments.unique())
    }


def _omnibus(matrix: Floats, treated: npt.NDArray[np.bool_], labels: Labels) -> float:
    """How rarely labels dealt at random would set the arms as far apart, by Mahalanobis' distance.

    Its covariance is that of all customers, which labels do not change. Sums of labels that differ from the
    means are all of the distance: the sizes of the arms are the same in each draw.
    """
    centred = (matrix - matrix.mean(axis=0)) / matrix.std(axis=0)
    inverse = np.linalg.pinv(centred.T @ centred / len(centred), rcond=1e-10, hermitian=True)
    step = max(1, 4_000_000 // len(centred))
    sums = np.vstack(
        [
            np.einsum("bi,ij->bj", labels[start : start + step].astype(np.float64), centred)
            for start in range(0, len(labels), step)
        ]
    )
    own = centred[treated].sum(axis=0)
    distances = np.einsum("bi,ij,bj->b", sums, inverse, sums)
    seen = float(own @ inverse @ own)
    return (1 + int((distances >= seen * (1 - _TIE)).sum())) / (len(labels) + 1)
