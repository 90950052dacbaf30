"""What a table is computed from must have been computed: a table that was never made is not an empty one.

Here: which inputs of a table are missing, from the inputs its asset declares. Not here: computing (`build.py`), what an input means (its floor).

Tables that come with the run and are not there are an error by name; without this a rate over them reads 0 / 0. Files and tables of the user, and
product analytics, are no declared inputs: what is not given there is left out by the rules that read it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import dagster as dg

from expansion_platform import checks
from expansion_platform.domain import months
from expansion_platform.domain.schemas import TABLES, Table, table_name
from expansion_platform.domain.schemas.base import partitioned_by
from expansion_platform.resources import Platform

MAKE = "run `expansion refresh`, which makes everything, or materialize them first"


class Inputs:
    """The tables that some tables are computed from, and which of them are there.

    Args:
        context: the step: its assets declare what they read.
        platform: lake and ledger.
        models: the tables to compute.
    """

    def __init__(self, context: dg.AssetExecutionContext, platform: Platform, models: Sequence[type[Table]]) -> None:
        declared = read_by(context.assets_def, models)
        self._platform = platform
        self._months = {model: set(platform.months(model)) for model in declared if partitioned_by(model) is not None}
        self._absent = [table_name(model) for model in declared if model not in self._months and not platform.lake.exists(model)]

    def missing(self, month: str | None = None, looks_back_to: str | None = None) -> str | None:
        """What is missing, in words; None when everything is there.

        Args:
            month: the month to compute; None for a table that is computed whole, for which a monthly input must have any month.
            looks_back_to: the earliest month the rule reads. An input begins with the first month that was ever computed of it; from there on
                none may be missing, since a month left out would count as one in which nobody pays.
        """
        monthly = [model for model, known in self._months.items() if not (known if month is None else month in known)]
        if lacking := [*self._absent, *map(table_name, monthly)]:
            which = "which was" if len(lacking) == 1 else "which were"
            return f"needs {', '.join(lacking)}, {which} never computed{'' if month is None else ' for it'}: {MAKE}"
        holes = [] if month is None else sorted(self._holes(month, looks_back_to or month))
        return f"looks back at {', '.join(holes)}, never computed: {MAKE}" if holes else None

    def _holes(self, month: str, earliest: str) -> Iterator[str]:
        for model, known in self._months.items():
            wanted = months.between(max(min(known), earliest), month)
            yield from (f"{table_name(model)} of {name}" for name in wanted if name not in known)


def read_by(assets: dg.AssetsDefinition, models: Sequence[type[Table]]) -> list[type[Table]]:
    """The tables that the assets of some tables declare to read, without these tables themselves."""
    specs = assets.specs_by_key
    names = {"/".join(dep.asset_key.path) for model in models for dep in specs[checks.asset_key(model)].deps}
    return [model for name, model in TABLES.items() if name in names and model not in models]
