"""What a rule sees: the tables, settings and files that its declaration names, and nothing else.

Here: the inputs of a rule over a range of months, and what it returns. Not here: reading them (`engine/`),
declarations (`tables/`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import pyarrow as pa

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.core.errors import DataQualityError, UndeclaredReadError
from expansion_platform.domain.core.table import Table, table_name, to_pandas

Frames = Mapping[type[Table], pd.DataFrame]
Load = Callable[[Sequence[str] | None], pa.Table]
"""Reads the declared columns of a table: of the months that the range looks at, or of some of them."""
Scan = Callable[[Sequence[str] | None], Any]
"""The same for a query to read."""


@dataclass(frozen=True)
class Computed:
    """What a rule made of a range of months.

    Args:
        frames: rows of each table, without the versions they are made with.
        failures: the months it could not compute.
        rest: of a rule by customer, what becomes rows once all customers are known.
        shows: of a rule by customer, what the others' rows depend on of these customers; None where there is
            nothing.
    """

    frames: Frames
    failures: Mapping[str, DataQualityError] = field(default_factory=dict)
    rest: Any = None
    shows: Any = None


@dataclass(frozen=True)
class Together:
    """What all customers together show.

    A rule by customer sees it as a value beside its own customers' rows.
    """

    frames: Frames
    shown: Any


class Inputs:
    """The declared inputs of one rule.

    Args:
        of: the rule's tables, for messages.
        load: reads the declared columns and months of a declared table.
        computed: the months that were computed of each declared monthly table.
        values: the declared settings, files and catalog, by name; each is made when it is first asked for.
        range: the months to compute, or to check.
        scan: as `load`, of the tables that a query can read where they are stored.
    """

    def __init__(
        self,
        of: str,
        load: Mapping[type[Table], Load],
        computed: Callable[[type[Table]], frozenset[str]],
        values: Mapping[str, Callable[[], Any]],
        range: Sequence[str] = (),
        scan: Mapping[type[Table], Scan] | None = None,
    ) -> None:
        self.range = tuple(range)
        self._of, self._load, self._computed, self._values = of, load, computed, values
        self._scan: Mapping[type[Table], Scan] = load if scan is None else scan

    def arrow(self, model: type[Table], months: Sequence[str] | None = None) -> pa.Table:
        """The rows of a declared table.

        Its declared columns, in all months that the range looks at or in some of them.

        Raises:
            UndeclaredReadError: the declaration does not name the table, or none of the range's months looks
                at a month that is asked for.
        """
        load: Load = self._declared(self._load, model, table_name(model))
        return load(months)

    def scan(self, model: type[Table], months: Sequence[str] | None = None) -> Any:
        """`arrow` for a query (`queries.query`) to read.

        It takes the columns it names from the files and has no table in memory.
        """
        scan: Scan = self._declared(self._scan, model, table_name(model))
        return scan(months)

    def frame(self, model: type[Table], months: Sequence[str] | None = None) -> pd.DataFrame:
        """`arrow` as a pandas frame."""
        return to_pandas(self.arrow(model, months))

    def months(self, model: type[Table]) -> frozenset[str]:
        """The months that were computed of a declared monthly table, whether they have rows or not.

        Raises:
            UndeclaredReadError: the declaration does not name the table.
        """
        self._declared(self._load, model, table_name(model))
        return self._computed(model)

    @property
    def catalog(self) -> Catalog:
        """Policy, catalog and reporting currency."""
        catalog: Catalog = self.value("catalog")
        return catalog

    @property
    def timezone(self) -> str:
        """The reporting time zone."""
        return str(self.value("timezone"))

    def value(self, name: str) -> Any:
        """A declared setting, file or fact of the platform (`engine/uses.py` lists them).

        Raises:
            UndeclaredReadError: the declaration does not name it.
        """
        return self._declared(self._values, name, name)()

    def _declared(self, known: Mapping[Any, Any], key: object, name: str) -> Any:
        if key not in known:
            raise UndeclaredReadError(
                f"the rule of {self._of} reads {name}, which its declaration does not name: add it there"
            )
        return known[key]


def month_by_month(months: Sequence[str], compute: Callable[[str], Frames]) -> Computed:
    """The rows of months that are computed one after the other.

    One that cannot be is a failure of that month only.

    For rules that would hold every customer of every month at once, or whose months have nothing in common:
    what a month first reported and what became of it, and Stripe's own MRR beside ours.
    """
    parts: dict[type[Table], list[pd.DataFrame]] = {}
    failures: dict[str, DataQualityError] = {}
    for month in months:
        try:
            for model, frame in compute(month).items():
                parts.setdefault(model, []).append(frame)
        except DataQualityError as error:
            failures[month] = error
    return Computed({model: stacked(frames) for model, frames in parts.items()}, failures)


def stacked(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The rows of all frames.

    Frames without rows are left out: what they were made of has lost its types, and often its columns.
    """
    filled = [frame for frame in frames if len(frame)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame()
