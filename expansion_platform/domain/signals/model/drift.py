"""How far the customers of a month are from those that the model learned from (semantics 6.3).

Here: the population stability index of each figure. Not here: what follows from it.

Under 0.1 little moved, above 0.25 the model knows other customers than these.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from expansion_platform.domain.core.statistics import stability_index

Floats = npt.NDArray[np.float64]
BANDS = 10
MOVED = 0.25


def stability(training: Floats, now: Floats) -> float:
    """Population stability index of one figure over ten bands of training, and one of what is not known.

    NaN where there are no rows on a side.
    """
    if not len(training) or not len(now):
        return np.nan
    known = training[~np.isnan(training)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, BANDS + 1)[1:-1])) if len(known) else np.empty(0)
    before, after = (
        np.append(
            np.bincount(
                np.searchsorted(edges, values[~np.isnan(values)], side="right"), minlength=len(edges) + 1
            ),
            np.isnan(values).sum(),
        )
        for values in (training, now)
    )
    return stability_index(before.tolist(), after.tolist())
