"""Rows of a table as Arrow: in its model's columns, types and order, and what distinguishes two sets of them.

Here: pure functions of Arrow tables. Not here: files and versions (`lake.py`, `since.py`).
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Collection, Iterable

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.dataset

from expansion_platform.domain.core.table import Table, arrow_schema, key


def conform(model: type[Table], rows: pd.DataFrame | pa.Table) -> pa.Table:
    """The model's columns, in its Arrow types."""
    schema = arrow_schema(model)
    if isinstance(rows, pd.DataFrame):
        return pa.Table.from_pandas(
            rows[schema.names], schema=schema, preserve_index=False
        ).replace_schema_metadata(None)
    return rows.select(schema.names).cast(schema).replace_schema_metadata(None)


def among(column: str, values: Iterable[str]) -> pyarrow.dataset.Expression:
    """Rows whose text is one of some.

    Typed, since Arrow takes an empty list for nulls and then refuses to compare.
    """
    return pc.field(column).isin(pa.array(list(values), pa.string()))


def with_dictionaries(schema: pa.Schema, names: Collection[str]) -> pa.Schema:
    """The schema with text columns as dictionaries."""
    kind = pa.dictionary(pa.int32(), pa.string())
    return pa.schema([field.with_type(kind) if field.name in names else field for field in schema])


def content_hash(table: pa.Table) -> str:
    """SHA-256 over the rows as text, in the order given."""
    buffer = io.BytesIO()
    pyarrow.csv.write_csv(table, buffer)
    return hashlib.sha256(buffer.getvalue()).hexdigest()


def ordered(model: type[Table], table: pa.Table) -> pa.Table:
    """The rows in the order of the model's key."""
    return table.sort_by([(name, "ascending") for name in key(model)]).combine_chunks()


def changed_rows(new: pa.Table, old: pa.Table, by: str, compared: list[str]) -> pa.Table:
    """Rows of `new` that are not in `old` with the same content; both in key order."""
    position = pc.index_in(new[by], value_set=old[by])
    matched = old.take(pc.fill_null(position, 0)) if old.num_rows else None
    if matched is None:
        return new
    differs = pc.is_null(position)
    for name in compared:
        left, right = new[name], matched[name]
        unequal = pc.fill_null(pc.not_equal(left, right), pc.xor(pc.is_null(left), pc.is_null(right)))
        differs = pc.or_(differs, unequal)
    return new.filter(differs)


def with_deletions(changed: pa.Table, gone: list[str], by: str) -> pa.Table:
    """Changed rows and, with their key alone, rows to be deleted; `_delete` says which."""
    nullable = pa.schema([field.with_nullable(True) for field in changed.schema])
    removed = pa.table(
        {
            name: gone if name == by else pa.nulls(len(gone), changed.schema.field(name).type)
            for name in changed.column_names
        }
    )
    rows = pa.concat_tables([changed.cast(nullable), removed.cast(nullable)])
    return rows.append_column("_delete", pa.array([False] * changed.num_rows + [True] * len(gone)))
