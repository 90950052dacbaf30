"""SQL of the rules: DuckDB in memory over named tables.

Here: running a query. Not here: the queries (beside their rules), the statements of `expansion sql`
(`storage/engine.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any, Protocol, runtime_checkable

import duckdb
import pandas as pd
import pyarrow as pa

from expansion_platform.domain.core.table import to_pandas


@runtime_checkable
class Stored(Protocol):
    """Rows that a query reads where they are stored, as far as it needs them."""

    def register(self, connection: duckdb.DuckDBPyConnection, name: str) -> None:
        """Puts the rows under a name that the connection's statements can read."""


def query(name: str, inputs: Mapping[str, Any]) -> pd.DataFrame:
    """Runs `domain/NAME.sql` over named inputs (frames or Arrow tables).

    NAME is `metrics/slice_sums`, say: the file lies beside its rule, and its head names the inputs.
    """
    return to_pandas(_run(name, inputs))


def query_arrow(name: str, inputs: Mapping[str, Any]) -> pa.Table:
    """`query` as an Arrow table."""
    return _run(name, inputs)


def _run(name: str, inputs: Mapping[str, Any]) -> pa.Table:
    text = _text(name)
    with duckdb.connect(":memory:") as connection:
        connection.execute("set timezone = 'UTC'")
        for table, rows in inputs.items():
            if isinstance(rows, Stored):
                rows.register(connection, table)
            else:
                connection.register(table, rows)
        return connection.sql(text).to_arrow_table()


def _text(name: str) -> str:
    return resources.files("expansion_platform.domain").joinpath(f"{name}.sql").read_text()
