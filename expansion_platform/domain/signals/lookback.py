"""The customers and closes that a month looks back on, and whether they expanded afterwards (semantics 6.7).

Here: which closes, and the figures of signals/features by row. Not here: what is compared (`indicators.py`,
`practices.py`, `feature_adoption.py`), the outcome (`outcomes.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from expansion_platform.domain.catalog.inputs import Inputs
from expansion_platform.domain.core import months
from expansion_platform.domain.core.money import Bools
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.signals.outcomes import HORIZON, Outcomes, outcomes_of
from expansion_platform.domain.signals.tables import Features
from expansion_platform.domain.signals.texts import number

Floats = npt.NDArray[np.float64]
CLOSES = 12
"""Closes that are looked back on."""
BACK = HORIZON + CLOSES
"""Months before a month that are read: the closes, and one before them, to see what is new at the first."""


@dataclass(frozen=True)
class Lookback:
    """Customers at closes, by month and customer.

    Args:
        rows: signals/features.
        outcomes: by row.
    """

    rows: pd.DataFrame
    outcomes: Outcomes

    def figure(self, name: str) -> Floats:
        """A feature by row; NaN where it is not known."""
        values = self.rows[name]
        if pd.api.types.is_string_dtype(values.dtype):
            return number(values)
        return np.asarray(values.astype("float64"), dtype=float)

    def windows(self, wanted: Sequence[str]) -> Iterator[tuple[str, Bools]]:
        """Each month, and which rows are of the closes that it looks back on."""
        for month in wanted:
            last = months.shift(month, -HORIZON)
            yield month, self.outcomes.within(months.shift(last, 1 - CLOSES), last)

    @cached_property
    def matrix(self) -> npt.NDArray[np.int64]:
        """The row of each customer and month of the calendar, -1 for none."""
        found = np.full((len(self.outcomes.customers), len(self.outcomes.calendar)), -1, dtype=np.int64)
        found[self.outcomes.customer, self.outcomes.month] = np.arange(len(self.rows))
        return found

    @cached_property
    def before(self) -> npt.NDArray[np.int64]:
        """By row, the customer's row of the month before, -1 for none."""
        earlier = np.maximum(self.outcomes.month - 1, 0)
        found = self.matrix[self.outcomes.customer, earlier]
        return np.where(self.outcomes.month > 0, found, -1)


def lookback(wanted: Sequence[str], inputs: Inputs) -> Lookback:
    """What some months look back on."""
    rows = inputs.frame(Features).sort_values(["month", "customer"], ignore_index=True)
    movements = inputs.frame(mrr.Movements)
    return Lookback(rows, outcomes_of(rows, movements, max(wanted), inputs.value("exponent")))
