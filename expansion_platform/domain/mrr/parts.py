"""The rows of floor `mrr`: what waits for all customers of the book, from what some customers each show.

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
from expansion_platform.domain.core.money import Bools, Ints
from expansion_platform.domain.core.table import Table
from expansion_platform.domain.mrr import flags
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.mrr.migrations import PriceMoves, headline_expansion, price_migrations


@dataclass(frozen=True)
class Unflagged:
    """Rows of mrr/movements and mrr/causes of some customers, beside them the flags of their own history.

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
    expansion = headline_expansion(parts)
    migrations = price_migrations(parts, expansion, catalog)
    return Shown(migrations[migrations["month"].isin(wanted)].reset_index(drop=True), expansion)


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
