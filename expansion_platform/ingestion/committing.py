"""Changes of the `stripe/*` tables into the lake.

The same for a pull from the API and an import from a warehouse.

Here: validate all, then write what differs. Not here: what changed (`pulling.py`, `importing.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from expansion_platform.domain.core import validation
from expansion_platform.domain.core.table import Table, table_name
from expansion_platform.domain.tables import TABLES
from expansion_platform.sources.stripe.changes import TableChange
from expansion_platform.storage.lake import Lake

MODELS = [model for name, model in TABLES.items() if name.startswith("stripe/")]


def commit_changes(
    lake: Lake, changes: Mapping[str, TableChange], info: dict[str, Any]
) -> dict[type[Table], int]:
    """Writes the changes of a batch; returns the rows written by table.

    All tables are validated before the first is written.

    Raises:
        DataQualityError: rows that break a table's model; nothing was written.
    """
    applied = []
    for model in MODELS:
        change = changes[table_name(model)]
        rows, gone = change.against(lake.read(model, where=change.concerns))
        if len(rows) or gone or not lake.exists(model):
            applied.append((model, validation.validate(model, rows), gone, change.concerns))
    return {
        model: lake.upsert(model, rows, delete=gone, among=concerns, info=info).rows
        for model, rows, gone, concerns in applied
    }


def compact(lake: Lake) -> None:
    """Makes the many small files of many pulls few."""
    for model in MODELS:
        lake.compact(model)
