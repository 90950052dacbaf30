"""SQL of the rules: DuckDB in memory over named tables.

Here: running a query. Not here: the queries (`sql/`), the statements of `expansion sql` (`storage/engine.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa

from expansion_platform.domain.schemas.base import to_pandas


def query(name: str, inputs: Mapping[str, Any]) -> pd.DataFrame:
    """Runs `domain/sql/NAME.sql` over named inputs (frames or Arrow tables); the file's head names them."""
    return to_pandas(_run(name, inputs))


def query_arrow(name: str, inputs: Mapping[str, Any]) -> pa.Table:
    """`query` as an Arrow table."""
    return _run(name, inputs)


def _run(name: str, inputs: Mapping[str, Any]) -> pa.Table:
    text = resources.files("expansion_platform.domain.sql").joinpath(f"{name}.sql").read_text()
    with duckdb.connect(":memory:") as connection:
        connection.execute("set timezone = 'UTC'")
        for table, rows in inputs.items():
            connection.register(table, rows)
        return connection.sql(text).to_arrow_table()
