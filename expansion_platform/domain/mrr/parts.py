"""The rows of floor `mrr` from some customers each.

What their own history says, then what all customers of the book together show.

Here: which flags wait for the whole book: a price migration is one because many customers took it (semantics
3.3), an expansion is concentrated in the month's headline (3.5). Not here: the rows themselves and the flags
of a customer's own history (`monthly.py`, `flags.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.catalog.plans import Beginnings, beginnings_of_some, of_all
from expansion_platform.domain.core.money import Bools, Ints
from expansion_platform.domain.core.table import Table
from expansion_platform.domain.mrr import flags
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.mrr.migrations import PriceMoves, price_migrations


@dataclass(frozen=True)
class Past:
    """What all customers of a book show before any month is compared.

    Plans sold side by side, and when the first state begins.
    """

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


@dataclass(frozen=True)
class Unflagged:
    """Rows of mrr/movements and mrr/causes of some customers.

    With the flags of their own history as columns beside them.

    `movement` is by row of the causes the row of the movements that it is of.
    """

    movements: pd.DataFrame
    causes: pd.DataFrame
    of_movements: Mapping[str, Bools]
    of_causes: Mapping[str, Bools]
    movement: Ints

    def of_months(self, wanted: Collection[str]) -> Unflagged:
        """The rows of some months; the same where there are no others."""
        keep, kept = (frame["month"].isin(wanted).to_numpy() for frame in (self.movements, self.causes))
        if keep.all() and kept.all():
            return self
        return Unflagged(
            self.movements[keep].reset_index(drop=True),
            self.causes[kept].reset_index(drop=True),
            {name: found[keep] for name, found in self.of_movements.items()},
            {name: found[kept] for name, found in self.of_causes.items()},
            (np.cumsum(keep) - 1)[self.movement[kept]],
        )


@dataclass(frozen=True)
class Shown:
    """What all customers of a book show of each month: mrr/price_migrations, and the headline expansion."""

    migrations: pd.DataFrame
    expansion: Mapping[str, int]


def shown_by_all(parts: Sequence[PriceMoves], catalog: Catalog, wanted: Collection[str]) -> Shown:
    """What the parts together show of some months."""
    migrations = price_migrations(parts, catalog)
    expansion = pd.concat([part.expansion for part in parts]).groupby("month")["flow_expansion"].sum()
    return Shown(
        migrations[migrations["month"].isin(wanted)].reset_index(drop=True),
        {str(month): int(sum_) for month, sum_ in expansion.items()},
    )


def flagged(rows: Unflagged, shown: Shown) -> dict[type[Table], pd.DataFrame]:
    """The rows of mrr/movements and mrr/causes with all their flags."""
    vendor = flags.price_migration(rows.causes, shown.migrations)
    of_movements = {name: np.zeros(len(rows.movements), dtype=bool) for name in vendor}
    for name, found in vendor.items():
        of_movements[name][rows.movement[found]] = True
    of_movements |= {**rows.of_movements, "concentrated": flags.concentrated(rows.movements, shown.expansion)}
    return {
        mrr.Movements: rows.movements.assign(flags_json=flags.flags_json(of_movements, len(rows.movements))),
        mrr.Causes: rows.causes.assign(
            flags_json=flags.flags_json({**rows.of_causes, **vendor}, len(rows.causes))
        ),
    }
