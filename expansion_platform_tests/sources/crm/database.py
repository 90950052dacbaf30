"""Rows put into tables of a database, in any spelling of their names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from expansion_platform_tests.sources.crm.world import CANARY

Row = dict[str, Any]
Tables = Mapping[str, Sequence[Row]]
TYPES: list[tuple[type, Any]] = [
    (bool, sa.Boolean),
    (int, sa.BigInteger),
    (Decimal, sa.Numeric),
    (float, sa.Float),
    (datetime, sa.DateTime(timezone=True)),
    (date, sa.Date),
]
UNREAD = ["name", "email", "description", "subject", "body", "phone"]
"""Columns of every table that nothing may read; each value is the canary."""


def snake(name: str) -> str:
    return name


def camel(name: str) -> str:
    """`_fivetran_start` stays; Fivetran adds it in this spelling to tables in any other."""
    first, *others = name.split("_")
    return name if name.startswith("_") else first + "".join(part.capitalize() for part in others)


def joined(name: str) -> str:
    return name if name.startswith("_") else name.replace("_", "")


def write(
    url: str,
    schema: str | None,
    tables: Tables,
    spelled: Callable[[str], str] = snake,
    *,
    canary: bool = True,
) -> None:
    """Writes tables; one without rows has the columns of `columns` of its single None row."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        if schema is not None and engine.dialect.name == "postgresql":
            connection.execute(sa.text(f"drop schema if exists {schema} cascade"))
            connection.execute(sa.text(f"create schema {schema}"))
        for name, rows in tables.items():
            filled = [
                {**row, **({each: CANARY for each in UNREAD if each not in row} if canary else {})}
                for row in rows
            ]
            columns = {column: None for row in filled for column in row}
            table = sa.Table(
                spelled(name),
                sa.MetaData(),
                *(sa.Column(spelled(column), _type(filled, column)) for column in columns),
                schema=schema,
            )
            table.create(connection)
            kept = [row for row in filled if any(row[each] is not None for each in row if each not in UNREAD)]
            if kept:
                values = [{spelled(column): row.get(column) for column in columns} for row in kept]
                connection.execute(sa.insert(table), values)


def _type(rows: Sequence[Row], column: str) -> Any:
    found = [row[column] for row in rows if row.get(column) is not None]
    for kind, of in TYPES:
        if found and all(isinstance(value, kind) for value in found):
            return of
    return sa.Text
