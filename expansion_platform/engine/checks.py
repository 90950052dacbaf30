"""Pandera models and reconciliations as Dagster asset checks, evaluated before anything is written.

Here: turning a validation into an `AssetCheckResult` with the failing rows, and the list of checks a table
declares. Not here: the validation (`domain/core/validation.py`), the rules (the models,
`domain/metrics/reconciliation_totals.py`). A failed check is yielded and then the step fails, so it shows in
the UI and nothing is published; a blocking `@asset_check` would run after the data is stored.
"""

from __future__ import annotations

import dagster as dg

from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.core.table import Table, table_name
from expansion_platform.domain.core.validation import RECONCILED_CHECK, SCHEMA_CHECK

SHOWN_ROWS = 20


def asset_key(model: type[Table]) -> dg.AssetKey:
    """`floor/table` as an asset key."""
    return dg.AssetKey(table_name(model).split("/"))


def schema_spec(model: type[Table], partitions: dg.PartitionsDefinition | None = None) -> dg.AssetCheckSpec:
    """Declares the check that every row satisfies the table's model; by month where the table is."""
    return check_spec(
        model, SCHEMA_CHECK, f"Columns, types, keys and invariants of {table_name(model)} hold.", partitions
    )


def reconciled_spec(model: type[Table], rule: str) -> dg.AssetCheckSpec:
    """Declares a check of the table against its neighbours; `rule` says it in words."""
    return check_spec(model, RECONCILED_CHECK, rule)


def check_spec(
    model: type[Table], check: str, rule: str, partitions: dg.PartitionsDefinition | None = None
) -> dg.AssetCheckSpec:
    """Declares a check of a table; `rule` says in words what holds."""
    return dg.AssetCheckSpec(check, asset=asset_key(model), description=rule, partitions_def=partitions)


def passed(model: type[Table], check: str, note: str, **numbers: int) -> dg.AssetCheckResult:
    """A check that passed; numbers become plots."""
    return dg.AssetCheckResult(
        asset_key=asset_key(model),
        check_name=check,
        passed=True,
        metadata={"note": note, "failed_rows": 0, **numbers},
    )


def failed(
    model: type[Table],
    check: str,
    error: DataQualityError,
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
) -> dg.AssetCheckResult:
    """A check that did not hold, with the ids it is about."""
    return dg.AssetCheckResult(
        asset_key=asset_key(model),
        check_name=check,
        passed=False,
        severity=severity,
        description=str(error),
        metadata={
            "problem": error.problem,
            "failed_rows": len(error.objects) or 1,
            "objects": dg.MetadataValue.json(error.objects[:SHOWN_ROWS]),
        },
    )
