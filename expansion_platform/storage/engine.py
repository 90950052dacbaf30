"""SQL over tables: DuckDB in memory, reading lake tables as Arrow.

Any number of processes can query at once.

Here: the read-only session behind `expansion sql`. Not here: the SQL of the rules (`domain/core/queries.py`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress

import duckdb
import pyarrow as pa

from expansion_platform.domain.core.errors import ExpansionError
from expansion_platform.domain.tables import TABLES
from expansion_platform.storage.lake import Lake

_LISTS = re.compile(r"information_schema|pg_|duckdb_|show|describe|summarize", re.IGNORECASE)
"""What a statement says that asks which tables or columns there are."""


def select(lake: Lake, statement: str) -> pa.Table:
    """Runs one SELECT over lake tables as `floor.table`.

    Nothing can be written, and no file or network is reachable.

    Only tables whose names are in the statement are opened, and all of them where it asks what tables there
    are.

    Raises:
        ExpansionError: more than one statement, anything but a SELECT, or what DuckDB says is wrong with it.
    """
    words = set(re.findall(r"\w+", statement.lower()))
    named = [name for name in TABLES if words.issuperset(name.split("/"))]
    try:
        with suppress(duckdb.CatalogException):
            return _selected(lake, statement, list(TABLES) if _LISTS.search(statement) else named)
        # Whose error suggests the names that are like the wrong one.
        return _selected(lake, statement, list(TABLES))
    except duckdb.Error as error:
        raise ExpansionError(str(error)) from error


def _selected(lake: Lake, statement: str, tables: Sequence[str]) -> pa.Table:
    with duckdb.connect(":memory:") as connection:
        connection.execute("set timezone = 'UTC'")
        for name in tables:
            floor, table = name.split("/")
            connection.execute(f"create schema if not exists {floor}")
            connection.register(f"_{floor}_{table}", lake.dataset(TABLES[name]))
            connection.execute(f'create view {floor}."{table}" as select * from _{floor}_{table}')  # noqa: S608
        connection.execute("set enable_external_access = false")
        connection.execute("set lock_configuration = true")
        statements = connection.extract_statements(statement)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise ExpansionError("`expansion sql` takes one SELECT statement")
        return connection.sql(statements[0].query).to_arrow_table()
