"""Tables of the user's own.

A CSV, or a table of the warehouse, read as the text columns of a model of `domain/catalog/tables.py`.

Here: reading them, and refusing a row that cannot be, by file and line. Not here: what a column means.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pandera.pandas as pa
import sqlalchemy as sa

from expansion_platform.domain.core.errors import ConfigurationError
from expansion_platform.domain.core.table import Table, columns, empty, key, table_name
from expansion_platform.sources.warehouse.tables import engine_of

IN_WAREHOUSE = "warehouse:"
SHOWN_PROBLEMS = 5
_INSTANT = "known_at"
"""The column whose time of day counts: of every other one only the day does."""
_Row = tuple[str, dict[str, str | None]]
"""What a row is called (`line 3`), and its values."""


def read_given(where: str | None, model: type[Table], warehouse_url: str | None = None) -> pd.DataFrame:
    """The rows of one of the user's tables, values as text without surrounding blanks.

    None when it is not given.

    Args:
        where: Path of a CSV in UTF-8, or `warehouse:table` or `warehouse:schema.table`. Columns the model
            does not have are ignored; one that may be empty may be missing.
        model: Its columns.
        warehouse_url: SQLAlchemy URL of the warehouse.

    Raises:
        ConfigurationError: It cannot be read, lacks a column, or has rows that cannot be: names the file and
            the rows.
    """
    if where is None:
        return empty(model)
    rows = (
        _of_warehouse(where, model, warehouse_url)
        if where.startswith(IN_WAREHOUSE)
        else _of_file(Path(where).expanduser(), model)
    )
    names = [name for name, _ in rows]
    frame = pd.DataFrame([values for _, values in rows], columns=list(columns(model))).astype("str")
    if len(frame):
        _refuse(model, frame, names, where)
    return frame


def _of_file(path: Path, model: type[Table]) -> list[_Row]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            _check_header([name.strip() for name in reader.fieldnames or []], model, f"{path}, line 1")
            reader.fieldnames = [name.strip() for name in reader.fieldnames or []]
            rows = []
            for row in reader:
                if None in row:  # a comma in a value that is not quoted would move every value after it
                    raise ConfigurationError(
                        f"{path}, line {reader.line_num}: more values than the header has columns"
                    )
                rows.append((f"line {reader.line_num}", _text(row, model)))
            return rows
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(f"{path} cannot be read as a CSV of {table_name(model)}: {error}") from error


def _of_warehouse(where: str, model: type[Table], url: str | None) -> list[_Row]:
    if url is None:
        raise ConfigurationError(f"{where} is in a warehouse: EXPANSION_WAREHOUSE_URL is needed")
    schema, _, name = where.removeprefix(IN_WAREHOUSE).rpartition(".")
    try:
        with engine_of(url).connect() as connection:
            table = sa.Table(name, sa.MetaData(), schema=schema or None, autoload_with=connection)
            _check_header(list(table.columns.keys()), model, where)
            wanted = [column for column in table.columns if column.name in columns(model)]
            found = [dict(row) for row in connection.execute(sa.select(*wanted)).mappings()]
    except sa.exc.NoSuchTableError as error:
        raise ConfigurationError(f"{where}: the warehouse has no such table") from error
    except sa.exc.SQLAlchemyError as error:
        raise ConfigurationError(f"{where} cannot be read: {error}") from error
    rows = sorted(
        (_text(row, model) for row in found), key=lambda row: [value or "" for value in row.values()]
    )
    return [(f"row {', '.join(_shown(value or '-') for value in row.values())}", row) for row in rows]


def _check_header(names: list[str], model: type[Table], where: str) -> None:
    missing = [name for name, column in columns(model).items() if not column.nullable and name not in names]
    if missing:
        raise ConfigurationError(
            f"{where}: no column {', '.join(missing)}; {table_name(model)} are {','.join(columns(model))}"
        )


def _text(row: Mapping[Any, Any], model: type[Table]) -> dict[str, str | None]:
    return {name: _value(row.get(name), whole=name == _INSTANT) for name in columns(model)}


def _value(value: Any, *, whole: bool = False) -> str | None:
    if isinstance(value, datetime | date):
        return value.isoformat() if whole else value.isoformat()[:10]
    return None if value is None else str(value).strip() or None


def _refuse(model: type[Table], frame: pd.DataFrame, names: list[str], where: str) -> None:
    """Raises when a row cannot be, or is there twice."""
    problems: dict[int, str] = {}
    try:
        model.validate(frame, lazy=True)
    except pa.errors.SchemaErrors as error:
        cases = error.failure_cases
        known = columns(model)
        for row, name, value in zip(cases["index"], cases["column"], cases["failure_case"], strict=True):
            fault = "is empty" if pd.isna(value) else f"{_shown(value)!r} cannot be"
            problems.setdefault(int(row), f"{name} {fault}: it is {known[name].description}")
    for row in frame.index[frame.duplicated(key(model))]:
        problems.setdefault(
            int(row),
            f"there is a row of {', '.join(frame.loc[row, key(model)].dropna())} already",
        )
    if problems:
        raise ConfigurationError(
            f"{where}: {_several(f'{names[row]}: {problems[row]}' for row in sorted(problems))}"
        )


def _shown(value: Any) -> str:
    """A value as messages show it: they are kept in logs, which addresses of people are not for."""
    return "...@..." if "@" in str(value) else str(value)


def _several(texts: Iterable[str]) -> str:
    every = list(texts)
    more = f"; and {len(every) - SHOWN_PROBLEMS} more" if len(every) > SHOWN_PROBLEMS else ""
    return "; ".join(every[:SHOWN_PROBLEMS]) + more
