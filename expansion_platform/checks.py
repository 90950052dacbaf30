"""Pandera models and reconciliations as Dagster asset checks, evaluated before anything is written.

Here: turning a validation into an `AssetCheckResult` with the failing rows, and the list of checks a table declares. Not here: the rules
(`domain/schemas/`, `domain/reconciliation.py`). A failed check is yielded and then the step fails, so it shows in the UI and nothing is
published; a blocking `@asset_check` would run after the data is stored.
"""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg
import pandas as pd
import pandera.pandas as pa

from expansion_platform.domain.errors import DataQualityError
from expansion_platform.domain.schemas import Table, table_name
from expansion_platform.domain.schemas.base import key

SCHEMA_CHECK = "schema"
RECONCILED_CHECK = "reconciled"
SHOWN_ROWS = 20


def asset_key(model: type[Table]) -> dg.AssetKey:
    """`floor/table` as an asset key."""
    return dg.AssetKey(table_name(model).split("/"))


def schema_spec(model: type[Table], partitions: dg.PartitionsDefinition | None = None) -> dg.AssetCheckSpec:
    """Declares the check that every row satisfies the table's model; by month where the table is."""
    return check_spec(model, SCHEMA_CHECK, f"Columns, types, keys and invariants of {table_name(model)} hold.", partitions)


def reconciled_spec(model: type[Table], rule: str) -> dg.AssetCheckSpec:
    """Declares a check of the table against its neighbours; `rule` says it in words."""
    return check_spec(model, RECONCILED_CHECK, rule)


def check_spec(model: type[Table], check: str, rule: str, partitions: dg.PartitionsDefinition | None = None) -> dg.AssetCheckSpec:
    """Declares a check of a table; `rule` says in words what holds."""
    return dg.AssetCheckSpec(check, asset=asset_key(model), description=rule, partitions_def=partitions)


def passed(model: type[Table], check: str, note: str, **numbers: int) -> dg.AssetCheckResult:
    """A check that held; numbers become plots."""
    return dg.AssetCheckResult(asset_key=asset_key(model), check_name=check, passed=True, metadata={"note": note, "failed_rows": 0, **numbers})


def failed(
    model: type[Table], check: str, error: DataQualityError, severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR
) -> dg.AssetCheckResult:
    """A check that did not hold, with the ids it is about."""
    return dg.AssetCheckResult(
        asset_key=asset_key(model),
        check_name=check,
        passed=False,
        severity=severity,
        description=str(error),
        metadata={"problem": error.problem, "failed_rows": len(error.objects) or 1, "objects": dg.MetadataValue.json(error.objects[:SHOWN_ROWS])},
    )


def validate(model: type[Table], frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with the model's types.

    Raises:
        DataQualityError: rows that break the model, named by their keys, with the rule and the value.
    """
    try:
        return model.validate(frame, lazy=True)
    except pa.errors.SchemaErrors as error:
        raise DataQualityError(f"{table_name(model)} breaks {_rules(error.failure_cases)}", _culprits(model, frame, error.failure_cases)) from error


def _rules(cases: pd.DataFrame) -> str:
    columns = cases["column"].mask(_of_rows(cases), None)
    pairs = dict.fromkeys(zip(columns, cases["check"], strict=True))
    rules = [f"`{check}` on {column}" if isinstance(column, str) else f"`{check}`" for column, check in pairs]
    return ", ".join(rules[:5])


def _of_rows(cases: pd.DataFrame) -> pd.Series[bool]:
    """Failures of a rule about whole rows, of which pandera tells each cell."""
    return cases["schema_context"].eq("DataFrameSchema") & cases["index"].notna()


def _culprits(model: type[Table], frame: pd.DataFrame, cases: pd.DataFrame) -> Sequence[str]:
    known = [name for name in key(model) if name in frame.columns]
    culprits = []
    for at, column, value, whole in zip(cases["index"], cases["column"], cases["failure_case"], _of_rows(cases), strict=True):
        if pd.isna(at) or at not in frame.index:
            culprits.append(f"{column}={value}")
        else:
            named = "/".join(str(frame.at[at, name]) for name in known)
            culprits.append(named if whole else f"{named} ({value})")
    return list(dict.fromkeys(culprits))
