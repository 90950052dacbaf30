"""From which month on something has to be computed, so that a run covers no more months than it has to.

Here: one look at all declarations before a run. Not here: the run (`automation/run.py`), what is current
(`monthly.py` asks again, table by table).

Dagster announces each month of each table of a run, 8 ms of CPU each on SQLite: a run over 24 months in which
nothing had changed began with 8 s of that.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import dagster as dg

from expansion_platform.domain.core.table import Table, table_name
from expansion_platform.engine import checks
from expansion_platform.engine.declaration import Declaration
from expansion_platform.engine.fingerprints import fingerprints
from expansion_platform.engine.monthly import stale_months
from expansion_platform.engine.reading import Reading
from expansion_platform.resources import Platform


def first_stale(
    declarations: Sequence[Declaration],
    platform: Platform,
    instance: dg.DagsterInstance,
    months: Sequence[str],
    tables: Collection[str],
) -> str | None:
    """The first month of which some table is not current, or unknown to this Dagster instance.

    None where there is none.

    What follows from a month is in that month or after it, so all that may have to be computed is from there
    on.

    Args:
        declarations: in any order.
        platform: lake, ledger, catalog, settings.
        instance: whose history shows which months are there.
        months: those of the run.
        tables: names of the tables to look at.
    """
    reading = Reading(platform, months)
    return min(
        (month for each in declarations for month in _stale(each, reading, instance, tables)), default=None
    )


def _stale(
    declaration: Declaration, reading: Reading, instance: dg.DagsterInstance, tables: Collection[str]
) -> set[str]:
    models: list[type[Table]] = [model for model in declaration.models if table_name(model) in tables]
    if not models:
        return set()
    wanted = fingerprints(declaration, reading, reading.months)
    found = {month for model in models for month in stale_months(reading.platform, model, wanted)}
    for model in models:
        found |= set(reading.months) - instance.get_materialized_partitions(checks.asset_key(model))
    return found
