"""What every table model shares: its column types, its identity, and its Arrow form.

Here: the `Table` base class and the few functions that derive other forms (Arrow schema, key, partitioning)
from a model. Not here: any one table (its floor's module) and any reading or writing (`storage/lake.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any

import pandas as pd
import pyarrow

from expansion_platform.domain.core import declared as pa
from expansion_platform.domain.core.declared import Declared, declared_fields

Instant = Annotated[pd.DatetimeTZDtype, "us", "UTC"]
"""A point in time, UTC, microseconds."""

MONTH_PATTERN = r"^\d{4}-(0[1-9]|1[0-2])$"
DECIMAL_PATTERN = r"^-?\d+(\.\d+)?$"
CURRENCY_PATTERN = r"^[a-z]{3}$"

_VERSIONS = ("policy_hash", "catalog_hash")

_TYPES: dict[Any, tuple[str, pyarrow.DataType]] = {
    str: ("text", pyarrow.string()),
    int: ("int64", pyarrow.int64()),
    pd.Int64Dtype: ("Int64", pyarrow.int64()),
    bool: ("bool", pyarrow.bool_()),
    pd.BooleanDtype: ("boolean", pyarrow.bool_()),
    Instant: ("datetime64[us, UTC]", pyarrow.timestamp("us", tz="UTC")),
}
"""What a column can be annotated with -> its type by name and in Arrow."""


class Table(Declared):
    """One lake table.

    `Config.name` is `floor/table`; `Config.metadata` holds `key` (grain) and `partitioned_by` (`month` or
    None).

    A table that is written once and never computed again also names its columns `added` later: rows stored
    before them have null there.

    The class docstring begins with the grain and says what a row means; it becomes the asset's description.
    """

    class Config:
        """Unknown columns are an error; types are coerced, so a frame from any reader validates the same."""

        strict = True
        coerce = True
        ordered = False
        name: str | None = None
        metadata: dict[str, Any] | None = None


def table_name(model: type[Table]) -> str:
    """`floor/table`."""
    return str(model.Config.name)


def table_names(models: Iterable[type[Table]]) -> str:
    """`floor/table` of each, as one text."""
    return ", ".join(map(table_name, models))


def key(model: type[Table]) -> list[str]:
    """Columns that identify a row; also the order in which rows are stored."""
    return list(_metadata(model)["key"])


def partitioned_by(model: type[Table]) -> str | None:
    """`month`, or None for a table that is replaced or merged whole."""
    value = _metadata(model).get("partitioned_by")
    return None if value is None else str(value)


def added(model: type[Table]) -> list[str]:
    """Columns that rows stored by an earlier version lack, for good; null there."""
    return list(_metadata(model).get("added", []))


@dataclass(frozen=True)
class Column:
    """A column as it is stored and shown."""

    dtype: str
    """Its type as people read it: pandas' name of it, but for texts."""
    stored: pyarrow.DataType
    nullable: bool
    description: str


def columns(model: type[Table]) -> dict[str, Column]:
    """Columns by name in the order they are stored and shown: the versions a row was made with come last."""
    return dict(_columns(model))


@cache
def _columns(model: type[Table]) -> dict[str, Column]:
    found = {}
    for name, (hint, field) in sorted(
        declared_fields(model).items(), key=lambda column: column[0] in _VERSIONS
    ):
        if hint not in _TYPES:
            raise TypeError(f"{table_name(model)}.{name}: no type for {hint!r}")
        found[name] = Column(*_TYPES[hint], field.nullable, field.description)
    return found


@cache
def arrow_schema(model: type[Table]) -> pyarrow.Schema:
    """The Arrow schema the lake stores."""
    return pyarrow.schema(
        [
            pyarrow.field(name, column.stored, nullable=column.nullable)
            for name, column in _columns(model).items()
        ]
    )


def empty(model: type[Table]) -> pd.DataFrame:
    """A frame with the model's columns and types and no rows."""
    return to_pandas(arrow_schema(model).empty_table())


def to_pandas(table: pyarrow.Table) -> pd.DataFrame:
    """An Arrow table as a pandas frame that can be merged with another even when both have no rows.

    pandas 3.1 makes a text column without rows one without chunks, and cannot merge two of these on several
    columns (ArrowInvalid).
    """
    frame = table.to_pandas()
    texts = {
        name: pd.Series([], dtype="str")
        for name, kind in frame.dtypes.items()
        if isinstance(kind, pd.StringDtype)
    }
    return frame if len(frame) else frame.assign(**texts)


def _metadata(model: type[Table]) -> dict[str, Any]:
    metadata = model.Config.metadata
    if not metadata or "key" not in metadata:
        raise TypeError(f"{model.__name__}: Config.metadata must name the key")
    return dict(metadata)


class Monthly(Table):
    """Columns of every monthly table."""

    month: str = pa.Field(
        description="Calendar month in the reporting time zone, YYYY-MM", str_matches=MONTH_PATTERN
    )
    policy_hash: str = pa.Field(description="Content hash of the counting policy behind the row")
    catalog_hash: str = pa.Field(description="Content hash of the catalog behind the row")
