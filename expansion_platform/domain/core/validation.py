"""A frame checked against the model of its table.

Here: the check, and an error that names the rows. Not here: the models (`tables` of each package), how a
check is reported (`engine/checks.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import pandas as pd
import pandera.pandas as pa

from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.core.table import Table, key, table_name

SCHEMA_CHECK = "schema"
RECONCILED_CHECK = "reconciled"


def validate(model: type[Table], frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with the model's types; texts that are categoricals stay so.

    Raises:
        DataQualityError: rows that break the model, named by their keys, with the rule and the value.
    """
    coded = tuple(name for name, kind in frame.dtypes.items() if isinstance(kind, pd.CategoricalDtype))
    try:
        return _schema(model, coded).validate(frame, lazy=True)
    except pa.errors.SchemaErrors:
        pass  # said of the texts themselves
    try:
        return model.validate(frame, lazy=True)
    except pa.errors.SchemaErrors as error:
        raise DataQualityError(
            f"{table_name(model)} breaks {_rules(error.failure_cases)}",
            _culprits(model, frame, error.failure_cases),
        ) from error


@cache
def _schema(model: type[Table], coded: tuple[str, ...]) -> pa.DataFrameSchema:
    """The model's schema, which leaves texts that are categoricals as they are.

    Those of a million rows take 0.1 GB to make.
    """
    schema = model.to_schema()
    texts = [name for name in coded if name in schema.columns and str(schema.columns[name].dtype) == "str"]
    return (
        schema.update_columns({name: {"dtype": None, "coerce": False} for name in texts}) if texts else schema
    )


def _rules(cases: pd.DataFrame) -> str:
    columns = cases["column"].mask(_of_rows(cases), None)
    pairs = dict.fromkeys(zip(columns, cases["check"], strict=True))
    rules = [f"`{check}` on {column}" if isinstance(column, str) else f"`{check}`" for column, check in pairs]
    return ", ".join(rules[:5])


def _of_rows(cases: pd.DataFrame) -> pd.Series[bool]:
    """Failures of a rule about whole rows, of which pandera reports each cell."""
    return cases["schema_context"].eq("DataFrameSchema") & cases["index"].notna()


def _culprits(model: type[Table], frame: pd.DataFrame, cases: pd.DataFrame) -> Sequence[str]:
    known = [name for name in key(model) if name in frame.columns]
    culprits = []
    for at, column, value, whole in zip(
        cases["index"], cases["column"], cases["failure_case"], _of_rows(cases), strict=True
    ):
        if pd.isna(at) or at not in frame.index:
            culprits.append(f"{column}={value}")
        else:
            named = "/".join(str(frame.at[at, name]) for name in known)
            culprits.append(named if whole else f"{named} ({value})")
    return list(dict.fromkeys(culprits))
