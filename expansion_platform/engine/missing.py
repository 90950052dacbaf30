"""What a table is computed from must have been computed: a table that was never made is not an empty one.

Here: which inputs of a month are missing, from what its declaration reads. Not here: computing
(`monthly.py`), what an input means (its floor).

Tables that come with the run and are not there are an error by name; without this a rate over them reads 0 /
0. Files and tables of the user, and product analytics, are not read as tables: what is not given there is
left out by the rules that use it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import dagster as dg

from expansion_platform.domain.core import months
from expansion_platform.domain.core.table import Table, partitioned_by, table_name, table_names
from expansion_platform.domain.tables import TABLES
from expansion_platform.engine import checks
from expansion_platform.engine.declaration import Read
from expansion_platform.engine.reading import Reading
from expansion_platform.resources import Platform

MAKE = "run `expansion refresh`, which makes everything, or materialize them first"


def missing(reads: Iterable[Read], reading: Reading) -> Callable[[str], str | None]:
    """A function that says what is missing for a month, in words; None when everything is there.

    A monthly input begins with the first month that was ever computed of it; from there on none that a month
    looks at may be missing, since a month left out would count as one in which nobody pays.
    """
    needed = list(reads)
    lake = reading.platform.lake
    absent = dict.fromkeys(read.model for read in needed if not read.monthly and not lake.exists(read.model))
    monthly = [read for read in needed if read.monthly]

    def of(month: str) -> str | None:
        lacking = list(absent) + [
            model
            for model in dict.fromkeys(read.model for read in monthly)
            if month not in reading.states(model)
        ]
        if lacking:
            return _never_computed(lacking, " for it")
        holes = sorted({hole for read in monthly for hole in _holes(read, reading, month)})
        return f"looks back at {', '.join(holes)}, never computed: {MAKE}" if holes else None

    return of


def absent_tables(models: Iterable[type[Table]], platform: Platform) -> str | None:
    """What a table that is computed whole lacks, in words.

    Of a monthly input any month must have been computed.
    """
    lacking = [
        model
        for model in models
        if not (platform.months(model) if partitioned_by(model) else platform.lake.exists(model))
    ]
    return _never_computed(lacking) if lacking else None


def read_by(assets: dg.AssetsDefinition, models: Sequence[type[Table]]) -> list[type[Table]]:
    """The tables that the assets of some tables declare to read, without these tables themselves."""
    specs = assets.specs_by_key
    names = {"/".join(dep.asset_key.path) for model in models for dep in specs[checks.asset_key(model)].deps}
    return [model for name, model in TABLES.items() if name in names and model not in models]


def _never_computed(lacking: Sequence[type[Table]], of_what: str = "") -> str:
    which = "which was" if len(lacking) == 1 else "which were"
    return f"needs {table_names(lacking)}, {which} never computed{of_what}: {MAKE}"


def _holes(read: Read, reading: Reading, month: str) -> Iterator[str]:
    known = reading.states(read.model)
    earliest = max(min(known), read.window.earliest(month, list(known)))
    yield from (
        f"{table_name(read.model)} of {name}" for name in months.between(earliest, month) if name not in known
    )
