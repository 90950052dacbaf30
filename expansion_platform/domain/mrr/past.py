"""What all customers of a book show before any month is compared, from what some customers each do.

Here: plans sold side by side, and when the first state begins. Not here: which prices are plans
(`catalog/plans.py`), what waits until months are compared (`parts.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.catalog.plans import Beginnings, beginnings_of_some, of_all


@dataclass(frozen=True)
class Past:
    """Plans sold side by side, and when the first state begins, None without states."""

    begun: Beginnings
    first: pd.Timestamp | None


def past_of_some(states: pd.DataFrame, catalog: Catalog) -> Past:
    """What some customers show, from their item states without excluded customers."""
    return Past(beginnings_of_some(states, catalog), None if states.empty else states["valid_from"].min())


def past_of_all(parts: Sequence[Past]) -> Past:
    """What all customers show; the parts share none."""
    return Past(
        of_all([part.begun for part in parts]),
        min((part.first for part in parts if part.first is not None), default=None),
    )
