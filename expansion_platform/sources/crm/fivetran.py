"""Tables of a CRM that Fivetran wrote into a schema of the warehouse, as rows of plain values.

Here: which table and column is meant, however it is spelled; values as text, instants and flags. Not here:
what they mean (`hubspot.py`, `salesforce.py`, `zendesk.py`).

Only the columns asked for are selected: names, e-mail addresses and texts that people wrote never leave the
warehouse. Errors name tables and columns, never a value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from functools import cached_property
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from expansion_platform.domain.core.errors import ConfigurationError, DataQualityError
from expansion_platform.sources.warehouse.tables import ROWS_AT_A_TIME, WarehouseError, engine_of
from expansion_platform.sources.warehouse.values import flag

DELETED = ("_fivetran_deleted", "is_deleted")
ACTIVE = "_fivetran_active"
_MILLISECONDS = 100_000_000_000
"""Epoch numbers from here on count milliseconds: as seconds they would be in the year 5138."""
_LONGEST_LABEL = 120

Row = dict[str, Any]
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class _Wanted:
    """A column asked for: `name`, `name|another name`, either with `?` where the table may lack it."""

    names: tuple[str, ...]
    optional: bool

    @classmethod
    def of(cls, text: str) -> _Wanted:
        return cls(tuple(text.removesuffix("?").split("|")), text.endswith("?"))


class Schema:
    """One schema of the warehouse.

    Args:
        url: SQLAlchemy URL.
        name: The schema; empty for the connection's own.
        where: How errors call it, such as `fivetran_hubspot:crm`.
    """

    def __init__(self, url: str, name: str, where: str) -> None:
        self.where = where
        self._name = name or None
        self._engine = engine_of(url)
        self._tables: dict[str, sa.Table] = {}

    def has(self, table: str) -> bool:
        """Whether there is such a table."""
        return self._found(table) is not None

    def columns(self, table: str) -> list[str]:
        """Names of a table's columns as they are spelled there.

        Raises:
            ConfigurationError: there is no such table.
        """
        return list(self._table(table).columns.keys())

    def rows(
        self,
        table: str,
        wanted: Mapping[str, str],
        *,
        instants: Sequence[str] = (),
        only: Mapping[str, Sequence[str]] | None = None,
        history: bool = False,
        deleted: bool = False,
    ) -> Iterator[Row]:
        """Rows with the columns asked for under the names of `wanted`.

        Args:
            table: Its name in snake_case; with `?` where it may be missing: then there are no rows.
            wanted: By field, the column in snake_case (`_Wanted`). Rows lack the field of an optional column
                that is missing.
            instants: Fields to be read as instants (`instant`).
            only: By field, the texts that it may have, in lower case; compared in the warehouse.
            history: Rows that are past (`_fivetran_active` false) count, too.
            deleted: Rows that are deleted count, too.

        Raises:
            ConfigurationError: the table or a column is missing; names the nearest.
            WarehouseError: the warehouse cannot be read.
            DataQualityError: a timestamp or a deletion flag cannot be read; names the column.
        """
        if table.endswith("?") and not self.has(table.removesuffix("?")):
            return
        source = self._table(table.removesuffix("?"))
        chosen = {field: self._column(source, _Wanted.of(text)) for field, text in wanted.items()}
        named = [*(() if deleted else DELETED), *(() if history else (ACTIVE,))]
        flags = {name: self._column(source, _Wanted((name,), optional=True)) for name in named}
        there = {name: column for name, column in (chosen | flags).items() if column is not None}
        query = sa.select(*(column.label(f"c{at}") for at, column in enumerate(there.values())))
        for field, texts in (only or {}).items():
            query = query.where(sa.func.lower(there[field]).in_(list(texts)))
        read_as = [field for field in instants if field in there]
        for values in self._stream(query):
            row = dict(zip(there, values, strict=True))
            if not _is_past(row, flags, source.name):
                for field in read_as:
                    row[field] = _read(instant, row[field], source.name, wanted[field])
                yield row

    def _stream(self, query: sa.Select[Any]) -> Iterator[Sequence[Any]]:
        with self._reading() as connection:
            yield from connection.execution_options(yield_per=ROWS_AT_A_TIME).execute(query)

    def _table(self, name: str) -> sa.Table:
        found = self._found(name)
        if found is None:
            near = get_close_matches(_plain(name), [_plain(each) for each in self._names], n=1)
            named = next((each for each in self._names if near and _plain(each) == near[0]), None)
            raise ConfigurationError(
                f"{self.where}: there is no table {name}: Fivetran has to sync it, or the schema is another "
                f"one{_meant(named)}"
            )
        if found not in self._tables:
            with self._translated():
                self._tables[found] = sa.Table(
                    found,
                    sa.MetaData(),
                    schema=self._name,
                    autoload_with=self._engine,
                    resolve_fks=False,
                )
        return self._tables[found]

    def _found(self, name: str) -> str | None:
        return _one([each for each in self._names if _plain(each) == _plain(name)], name, self.where)

    def _column(self, table: sa.Table, wanted: _Wanted) -> sa.Column[Any] | None:
        for name in wanted.names:
            same = [each for each in table.columns.keys() if _plain(each) == _plain(name)]  # noqa: SIM118
            found = _one(same, name, f"{self.where}, table {table.name}")
            if found is not None:
                return table.columns[found]
        if wanted.optional:
            return None
        near = get_close_matches(wanted.names[0], list(table.columns.keys()), n=1)
        raise ConfigurationError(
            f"{self.where}: table {table.name} has no column {' nor '.join(wanted.names)}: Fivetran has to "
            f"sync it{_meant(near[0] if near else None)}"
        )

    @cached_property
    def _names(self) -> list[str]:
        with self._translated():
            inspector = sa.inspect(self._engine)
            schemas = inspector.get_schema_names()
            if self._name is not None and "." not in self._name and self._name not in schemas:
                near = get_close_matches(self._name, schemas, n=1)
                raise ConfigurationError(
                    f"{self.where}: the warehouse has no schema {self._name}"
                    f"{_meant(near[0] if near else None)}"
                )
            names = inspector.get_table_names(schema=self._name)
            return [*names, *inspector.get_view_names(schema=self._name)]

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with self._translated(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Errors of the database by their kind: what it says of a row may quote the row."""
        try:
            yield
        except sa.exc.SQLAlchemyError as error:
            kind = type(getattr(error, "orig", None) or error).__name__
            raise WarehouseError(
                f"{self.where}: the warehouse {self._engine.url.host or self._engine.url.database} cannot be "
                f"read ({kind}); `expansion doctor` shows whether it can be reached"
            ) from None


def text(value: Any) -> str | None:
    """A value as text without surrounding blanks; a whole number without a fraction. None when empty."""
    if isinstance(value, float | Decimal) and value % 1 == 0:
        value = int(value)
    return None if value is None else str(value).strip() or None


def label(value: Any) -> str | None:
    """A name that the company gave to something, such as a stage.

    None when it is empty, holds an address, or is too long for a name.
    """
    found = text(value)
    return None if found is None or "@" in found or len(found) > _LONGEST_LABEL else found


def amount(value: Any) -> str | None:
    """A number that is not negative as decimal text, in one spelling; None for anything else."""
    try:
        found = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    if not found.is_finite() or found < 0 or abs(found.adjusted()) > 30:
        return None
    shortest = f"{found:f}"
    return (shortest.rstrip("0").rstrip(".") if "." in shortest else shortest) or "0"


def currency(value: Any) -> str | None:
    """A currency code in lower case; None for anything else."""
    found = (text(value) or "").lower()
    return found if len(found) == 3 and found.isascii() and found.isalpha() else None


def is_true(value: Any) -> bool:
    """Whether a flag is set; an empty one, and what cannot be read, is not."""
    try:
        return bool(flag(value))
    except ValueError:
        return False


def instant(value: Any) -> datetime | None:
    """A timestamp (UTC without a zone), ISO text, or epoch seconds or milliseconds; None when empty.

    ValueError for anything else.
    """
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    written = text(value)
    if written is None:
        return None
    if not written.lstrip("-").isdigit():
        return instant(datetime.fromisoformat(written))
    number = int(written)
    return datetime.fromtimestamp(number / 1000 if abs(number) >= _MILLISECONDS else number, UTC)


def day_of(moment: datetime, zone: ZoneInfo) -> str:
    """The day of an instant in a time zone, YYYY-MM-DD."""
    return moment.astimezone(zone).date().isoformat()


def _is_past(row: Row, flags: Mapping[str, sa.Column[Any] | None], table: str) -> bool:
    """Whether a row is deleted, or an earlier version of one in a table in history mode."""
    there = [name for name, column in flags.items() if column is not None]
    return any(_read(flag, row[name], table, name) is (name != ACTIVE) for name in there)


def _read(convert: Callable[[Any], _Value], value: Any, table: str, column: str) -> _Value:
    try:
        return convert(value)
    except (ValueError, OverflowError, OSError):
        raise DataQualityError(
            f"warehouse table {table}: a value of {column.removesuffix('?')} cannot be read as "
            f"{'true or false' if convert is flag else 'a timestamp'}"
        ) from None


def _plain(name: str) -> str:
    """A name without case and underscores: snake_case, camelCase and neither are one."""
    return name.replace("_", "").lower()


def _one(names: Sequence[str], asked: str, where: str) -> str | None:
    """The one of several spellings that is there; of several, the one that is asked for."""
    if asked in names:
        return asked
    if len(names) > 1:
        raise ConfigurationError(f"{where}: {' and '.join(sorted(names))} both spell {asked}: leave one")
    return names[0] if names else None


def _meant(name: str | None) -> str:
    return f"; did you mean {name}?" if name else ""
