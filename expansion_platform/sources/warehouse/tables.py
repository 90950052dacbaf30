"""A warehouse's tables, read by a mapping as plain records.

Here: the connection, which tables and columns are there, the queries, a row as the mapped fields. Not here:
which fields there are (`columns.py`), what a record means (`objects.py`).

SQLAlchemy writes the SQL, so any database with a dialect will do. Rows are streamed; a child table comes in
its parent's order, by a join, and is then taken up parent by parent: one query a table, whatever its size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import cached_property
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from expansion_platform.domain.core.errors import ConfigurationError, DataQualityError, ExpansionError
from expansion_platform.sources.warehouse.columns import Place, Reads
from expansion_platform.sources.warehouse.mapping import Mapping as TableMappings
from expansion_platform.sources.warehouse.mapping import TableMapping
from expansion_platform.sources.warehouse.values import json_value

Record = dict[str, Any]

ROWS_AT_A_TIME = 5_000


class WarehouseError(ExpansionError):
    """The warehouse could not be read; the text says what it answered."""


@dataclass(frozen=True)
class Bound:
    """A mapped table that is there: its columns by field, in the order in which they are tried."""

    name: str
    table: sa.Table
    fields: Mapping[str, tuple[tuple[sa.Column[Any], tuple[str, ...]], ...]]
    constants: Mapping[str, Any]
    reads: Mapping[str, Reads]
    where: tuple[sa.ColumnElement[bool], ...]
    synced: sa.Column[Any] | None

    def column(self, field: str) -> sa.ColumnElement[Any]:
        """A field that is one column or the first of several, for conditions."""
        found = [column for column, path in self.fields[field] if not path]
        if not found:
            raise ConfigurationError(
                f"warehouse: {self.name}.{field} has to be a column, not a place in JSON: tables are "
                "joined by it"
            )
        return found[0] if len(found) == 1 else sa.func.coalesce(*found)

    def has(self, field: str) -> bool:
        """Whether a field comes from somewhere."""
        return bool(self.fields[field]) or self.constants.get(field) is not None


def engine_of(url: str) -> sa.Engine:
    """The warehouse of EXPANSION_WAREHOUSE_URL.

    ConfigurationError: it is no URL, or its driver is not installed.
    """
    try:
        # A connection a query: they are long, and none outlives its own.
        return sa.create_engine(sa.make_url(url), poolclass=sa.NullPool)
    except sa.exc.ArgumentError as error:
        raise ConfigurationError(
            "EXPANSION_WAREHOUSE_URL is not a SQLAlchemy URL such as "
            "postgresql+psycopg://user:password@host/database"
        ) from error
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"EXPANSION_WAREHOUSE_URL needs the driver {error.name}, which is not installed; the extra "
            "`warehouse` brings one for Postgres, as postgresql+psycopg://"
        ) from error


class Warehouse:
    """Mapped tables of one schema.

    Args:
        url: SQLAlchemy URL.
        mapping: What is where.
        name: How errors call the mapping.
        schema: The tables' schema; None for the connection's own.
    """

    def __init__(self, url: str, mapping: TableMappings, name: str, schema: str | None = None) -> None:
        self.mapping = mapping
        self._name = name
        self._schema = schema
        self._engine = engine_of(url)
        self.url = self._engine.url
        self._bound: dict[str, Bound | None] = {}

    @property
    def place(self) -> str:
        """Host, database and schema, without user and password."""
        return "/".join(filter(None, (self.url.host, self.url.database, self._schema)))

    def table(self, kind: str) -> Bound | None:
        """A mapped table, None when the mapping leaves it out or an optional one is not there.

        Raises:
            ConfigurationError: it, or a column, is not there; names both and the key of the mapping.
            WarehouseError: the warehouse cannot be read.
        """
        if kind not in self._bound:
            mapped = (
                self.mapping.change_events if kind == "change_events" else getattr(self.mapping.tables, kind)
            )
            self._bound[kind] = None if mapped is None else self._bind(kind, mapped)
        return self._bound[kind]

    def needed(self, kind: str) -> Bound:
        """A mapped table that must be there."""
        found = self.table(kind)
        if found is None:
            raise ConfigurationError(f"mapping {self._name}: {kind} is not mapped")
        return found

    def ping(self) -> None:
        """Raises WarehouseError when the database cannot be reached."""
        with self._reading() as connection:
            connection.execute(sa.text("select 1"))

    def records(
        self,
        bound: Bound,
        *conditions: sa.ColumnElement[bool],
        order_by: sa.ColumnElement[Any] | None = None,
        at_most: int | None = None,
    ) -> Iterator[Record]:
        """Rows as records of the mapped fields."""
        yield from self._stream(
            bound, sa.select(*self._columns(bound)).where(*bound.where, *conditions).limit(at_most), order_by
        )

    def children(
        self, bound: Bound, field: str, parent: Bound, *conditions: sa.ColumnElement[bool]
    ) -> Iterator[Record]:
        """Rows of a child table whose parent meets the conditions, in the parents' order.

        `field` holds the parent's id.
        """
        key = parent.column("id")
        joined = bound.table.join(parent.table, bound.column(field) == key)
        query = (
            sa.select(*self._columns(bound))
            .select_from(joined)
            .where(*bound.where, *parent.where, *conditions)
        )
        yield from self._stream(bound, query, key)

    def changed(
        self, bound: Bound, since: datetime | None, **children: tuple[Bound | None, str]
    ) -> list[sa.ColumnElement[bool]]:
        """Conditions for rows that, or whose child rows, were written at `since` or later.

        None when all count.

        Args:
            bound: The table.
            since: An instant, None for always.
            **children: Child tables, each with its field that holds the parent's id.
        """
        if since is None or bound.synced is None:
            return []
        written = [_since(bound.synced, since)]
        for child, field in children.values():
            if child is not None and child.synced is not None:
                newer = sa.select(child.column(field)).where(_since(child.synced, since))
                written.append(bound.column("id").in_(newer))
        return [sa.or_(*written)]

    def newest(self) -> datetime | None:
        """When the newest row of any mapped table was written.

        None where the mapping names no such column.
        """
        found = []
        for kind in type(self.mapping.tables).model_fields:
            bound = self.table(kind)
            if bound is not None and bound.synced is not None:
                with self._reading() as connection:
                    value = connection.execute(sa.select(sa.func.max(bound.synced))).scalar()
                if value is not None:
                    found.append(_instant(value))
        return max(found, default=None)

    def value_by(self, bound: Bound, key: str, value: str) -> dict[str, Any]:
        """The greatest value of a field by another field.

        One query, for what is the same in all of a key's rows.
        """
        by, greatest = bound.column(key), sa.func.max(bound.column(value))
        query = sa.select(by, greatest).where(by.is_not(None), *bound.where).group_by(by)
        with self._reading() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    @cached_property
    def _inspector(self) -> sa.Inspector:
        with self._translated():
            return sa.inspect(self._engine)

    def _bind(self, kind: str, mapped: TableMapping[Any]) -> Bound | None:
        name, optional = mapped.table.removesuffix("?"), mapped.table.endswith("?")
        key = f"tables.{kind}" if kind != "change_events" else kind
        with self._translated():
            if not self._inspector.has_table(name, schema=self._schema):
                if optional:
                    return None
                there = [
                    *self._inspector.get_table_names(schema=self._schema),
                    *self._inspector.get_view_names(schema=self._schema),
                ]
                shown = self._shown(name)
                raise ConfigurationError(
                    f"warehouse: there is no table {shown}{_nearest(name, there)} (mapping "
                    f"{self._name}, {key}.table); EXPANSION_WAREHOUSE_SCHEMA is "
                    f"{self._schema or 'not set'}"
                )
            table = sa.Table(
                name, sa.MetaData(), schema=self._schema, autoload_with=self._engine, resolve_fks=False
            )
        fields, constants, reads = {}, {}, {}
        for field, info in type(mapped.columns).model_fields.items():
            source = getattr(mapped.columns, field)
            reads[field] = next(each for each in info.metadata if isinstance(each, Reads))
            constants[field] = source.constant
            fields[field] = self._places(
                table,
                source.places,
                f"{key}.columns.{field}",
                needed=info.is_required() and source.constant is None,
            )
        where = tuple(
            self._place(table, Place(column), f"{key}.where") == value
            for column, value in mapped.where.items()
        )
        synced = None if self.mapping.synced is None else table.columns.get(self.mapping.synced)
        return Bound(kind, table, fields, constants, reads, where, synced)

    def _places(
        self, table: sa.Table, places: Sequence[Place], key: str, *, needed: bool
    ) -> tuple[tuple[sa.Column[Any], tuple[str, ...]], ...]:
        there = tuple(
            (self._place(table, place, key), place.path)
            for place in places
            if not place.optional or place.column in table.columns
        )
        if needed and places and not there:
            names = " nor ".join(place.column for place in places)
            raise ConfigurationError(
                f"warehouse: table {self._shown(table.name)} has no column {names} (mapping "
                f"{self._name}, {key})"
            )
        return there

    def _place(self, table: sa.Table, place: Place, key: str) -> sa.Column[Any]:
        column = table.columns.get(place.column)
        if column is None:
            near = _nearest(place.column, list(table.columns.keys()))
            raise ConfigurationError(
                f"warehouse: table {self._shown(table.name)} has no column {place.column}{near} "
                f"(mapping {self._name}, {key})"
            )
        return column

    def _shown(self, table: str) -> str:
        return table if self._schema is None else f"{self._schema}.{table}"

    def _columns(self, bound: Bound) -> list[sa.Column[Any]]:
        return list(dict.fromkeys(column for places in bound.fields.values() for column, _ in places))

    def _stream(
        self, bound: Bound, query: sa.Select[Any], order_by: sa.ColumnElement[Any] | None
    ) -> Iterator[Record]:
        ordered = query if order_by is None else query.order_by(order_by)
        position = {column: at for at, column in enumerate(self._columns(bound))}
        places = {
            field: [(position[column], path) for column, path in found]
            for field, found in bound.fields.items()
        }
        with (
            self._reading() as connection,
            closing(connection.execution_options(yield_per=ROWS_AT_A_TIME).execute(ordered)) as rows,
        ):
            for row in rows:
                yield _record(bound, places, row)

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with self._translated(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
            raise WarehouseError(f"the warehouse {self.place} cannot be read: {reason}") from error


def by_parent(
    parents: Iterator[Record], children: Iterator[Record], field: str
) -> Iterator[tuple[Record, list[Record]]]:
    """Each parent with its children, both in the same order of the parent's id.

    The children are asked for first, so that a row written meanwhile cannot be a child without a parent.

    Raises:
        WarehouseError: children whose parent did not come: it was deleted meanwhile.
    """
    groups = groupby(children, key=lambda child: child[field])
    key, group = next(groups, (None, iter(())))
    for parent in parents:
        own: list[Record] = []
        while key is not None and key == parent["id"]:
            own += group
            key, group = next(groups, (None, iter(())))
        yield parent, own
    if key is not None:
        raise WarehouseError(f"the warehouse was written to while it was read ({key} went away): run again")


def _record(
    bound: Bound, places: Mapping[str, Sequence[tuple[int, tuple[str, ...]]]], row: Sequence[Any]
) -> Record:
    record: Record = {}
    for field, found in places.items():
        try:
            value = next(
                (value for at, path in found if (value := _at(row[at], path)) not in (None, "")),
                bound.constants[field],
            )
            record[field] = bound.reads[field].convert(value)
        except ValueError as error:
            raise DataQualityError(
                f"warehouse: {bound.table.name}, {field}: {error}", [str(record.get("id") or row[0])]
            ) from error
    return record


def _at(value: Any, path: Sequence[str]) -> Any:
    """A place inside JSON; None when any key on the way is missing."""
    if not path:
        return value
    found = json_value(value)
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _since(column: sa.Column[Any], since: datetime) -> sa.ColumnElement[bool]:
    """Written at an instant or later, in the column's own kind of time."""
    if isinstance(column.type, sa.Numeric | sa.Integer):
        return column >= int(since.timestamp())
    aware = getattr(column.type, "timezone", False)
    return column >= (since if aware else since.astimezone(UTC).replace(tzinfo=None))


def _instant(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    return datetime.fromtimestamp(int(value), UTC)


def _nearest(name: str, there: Sequence[str]) -> str:
    near = get_close_matches(name, there, n=1)
    return f"; did you mean {near[0]}?" if near else ""
