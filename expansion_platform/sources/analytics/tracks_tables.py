"""A warehouse's tables of events, as SQLAlchemy expressions of the mapped fields.

Here: which tables and columns are there, and what stands for one that is not. Not here: the mapping's form
(`tracks_mapping.py`), what is counted (`tracks_sql.py`).

Segment and RudderStack make a column only when its first value arrives, so a column may be missing without a
mistake of anybody.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NoReturn

import sqlalchemy as sa

from expansion_platform.domain.core.errors import ConfigurationError
from expansion_platform.domain.signals.definition import SignalDefinition
from expansion_platform.sources.analytics.tracks_mapping import GroupCalls, Place, TracksMapping, place

Expression = sa.ColumnElement[Any]
_OF_SIGNALS = ("account.property", "feature_property")
_INSTANTS = (sa.DateTime, sa.types.NullType)  # a dialect's type that SQLAlchemy does not know may be one, too


@dataclass(frozen=True)
class EventTable:
    """One table of events. Texts that are missing or empty are null."""

    table: sa.Table
    id: Expression
    event: Expression
    happened: Expression
    arrived: Expression
    person: Expression
    account: Expression
    named: Expression
    prune: Expression | None
    conditions: tuple[sa.ColumnElement[bool], ...]


@dataclass(frozen=True)
class GroupTable:
    """The table of group calls: from `happened` on, the person is in the account."""

    table: sa.Table
    person: Expression
    account: Expression
    happened: Expression
    arrived: Expression


@dataclass(frozen=True)
class Tables:
    """What a mapping finds in a warehouse. `groups` where no table of events has the account itself."""

    events: tuple[EventTable, ...]
    groups: GroupTable | None
    account_by: str


def bound(
    connection: sa.Connection, mapping: TracksMapping, schema: str | None, definition: SignalDefinition
) -> Tables:
    """The tables and columns that a mapping names.

    Raises:
        ConfigurationError: a table or a needed column is not there, or is of another type; names it, the
            nearest there is, and the key of the mapping.
        sqlalchemy.exc.SQLAlchemyError: the warehouse cannot be read.
    """
    return _Binding(connection, mapping, schema, definition).tables()


class _Binding:
    def __init__(
        self,
        connection: sa.Connection,
        mapping: TracksMapping,
        schema: str | None,
        definition: SignalDefinition,
    ) -> None:
        self._connection = connection
        self._inspector = sa.inspect(connection)
        self._dialect = connection.dialect.name
        self._mapping = mapping
        self._schema = schema
        self._account, self._account_key = mapping.account, "account"
        self._feature, self._feature_key = mapping.feature, "feature"
        if definition.account.group is not None:
            raise ConfigurationError(
                f"signals: account.group is {definition.account.group!r}, but tables of events have no group "
                "types: give account.property, or leave both out and map `account`"
            )
        if (written := definition.account.property) is not None:
            self._account, self._account_key = (_of_signals(written, "account.property"),), "account.property"
        if not self._feature and (written := definition.feature_property) is not None:
            self._feature = (_of_signals(written, "feature_property"),)
            self._feature_key = "feature_property"

    def tables(self) -> Tables:
        mapping = self._mapping
        found = [table for name in mapping.tables if (table := self._table(name, "tables")) is not None]
        if not found:
            raise ConfigurationError(
                f"warehouse: there is none of the tables {_or(mapping.tables)} in {self._where} "
                f"(mapping {mapping.called}, tables)"
            )
        self._somewhere(found, mapping.person, "person", needed=True)
        self._somewhere(found, self._feature, self._feature_key, needed=False)
        by_column = self._somewhere(found, self._account, self._account_key, needed=mapping.groups is None)
        groups = None if by_column or mapping.groups is None else self._groups(found, mapping.groups)
        written = " or ".join(str(each) for each in self._account)
        return Tables(
            events=tuple(self._events(table) for table in found),
            groups=groups,
            account_by=f"{written} of the event"
            if groups is None
            else f"the person's last row of {groups.table.name} before the event",
        )

    def _events(self, table: sa.Table) -> EventTable:
        mapping = self._mapping
        event = self._text(table, mapping.event, "event")
        return EventTable(
            table=table,
            id=_no_text() if not mapping.id else self._needed(table, mapping.id, "id"),
            event=sa.literal(table.name, sa.Text()) if event is None else event,
            happened=self._instant(table, mapping.happened, "happened"),
            arrived=self._instant(table, mapping.arrived, "arrived"),
            person=self._text_or_null(table, mapping.person),
            account=self._text_or_null(table, self._account),
            named=self._text_or_null(table, self._feature),
            prune=self._instant(table, mapping.prune, "prune") if mapping.prune else None,
            conditions=tuple(self._conditions(table)),
        )

    def _groups(self, events: Sequence[sa.Table], calls: GroupCalls) -> GroupTable:
        table = self._table(calls.table, "groups.table")
        if table is None:
            absent = _or([str(each) for each in self._account]) or "of the account"
            raise ConfigurationError(
                f"warehouse: no account is known: {_or([self._shown(each) for each in events])} has no "
                f"column {absent}, and there is no table {calls.table.removesuffix('?')} in {self._where} "
                f"(mapping {self._mapping.called}, account and groups.table)"
            )
        account = self._text(table, calls.account, "groups.account", missing_is_error=not calls.account_else)
        if account is None:
            account = self._needed(table, calls.account_else or calls.account, "groups.account")
        return GroupTable(
            table=table,
            person=self._needed(table, calls.person, "groups.person"),
            account=account,
            happened=self._instant(table, calls.happened, "groups.happened"),
            arrived=self._instant(table, calls.arrived, "groups.arrived"),
        )

    def _table(self, written: str, key: str) -> sa.Table | None:
        """A table; None where one that may be missing is not there."""
        own, _, name = written.removesuffix("?").rpartition(".")
        schema = own or self._schema
        if not self._inspector.has_table(name, schema=schema):
            if written.endswith("?"):
                return None
            there = [
                *self._inspector.get_table_names(schema=schema),
                *self._inspector.get_view_names(schema=schema),
            ]
            where = f"schema {schema}" if schema else "the connection's own schema"
            raise ConfigurationError(
                f"warehouse: there is no table {name} in {where}{_nearest(name, there)} (mapping "
                f"{self._mapping.called}, {key})"
            )
        return sa.Table(name, sa.MetaData(), schema=schema, autoload_with=self._connection, resolve_fks=False)

    def _somewhere(
        self, tables: Sequence[sa.Table], places: Sequence[Place], key: str, *, needed: bool
    ) -> bool:
        """Whether one of the tables has one of the places."""
        for each in places:
            if not each.optional and not any(each.column in table.columns for table in tables):
                self._refuse(tables, [each], key)
        found = any(each.column in table.columns for table in tables for each in places)
        if needed and not found:
            if not places:
                raise ConfigurationError(
                    f"mapping {self._mapping.called}: nothing says which account an event is of: map "
                    "`account`, or give account.property in the signals file"
                )
            self._refuse(tables, places, key)
        return found

    def _needed(self, table: sa.Table, places: Sequence[Place], key: str) -> Expression:
        found = self._text(table, places, key)
        return self._refuse([table], places, key) if found is None else found

    def _text_or_null(self, table: sa.Table, places: Sequence[Place]) -> Expression:
        found = self._text(table, places, None)
        return _no_text() if found is None else found

    def _text(
        self, table: sa.Table, places: Sequence[Place], key: str | None, *, missing_is_error: bool = True
    ) -> Expression | None:
        """The first of the places that holds a text; None where the table has no such column.

        A `key` says that each of them that is not optional must be there.
        """
        there = [each for each in places if each.column in table.columns]
        if key is not None and missing_is_error:
            for each in places:
                if each not in there and not each.optional:
                    self._refuse([table], [each], key)
        found = [sa.func.nullif(self._as_text(table.columns[each.column], each), "") for each in there]
        return None if not found else found[0] if len(found) == 1 else sa.func.coalesce(*found)

    def _as_text(self, column: sa.Column[Any], at: Place) -> Expression:
        if at.path:
            return json_text(column, at.path, self._dialect)
        is_text = isinstance(column.type, sa.String) and not isinstance(column.type, sa.Enum)
        return column if is_text else sa.cast(column, sa.Text())

    def _instant(self, table: sa.Table, places: Sequence[Place], key: str) -> Expression:
        found = []
        for each in places:
            if (column := table.columns.get(each.column)) is None:
                if not each.optional:
                    self._refuse([table], [each], key)
                continue
            if not isinstance(column.type, _INSTANTS):
                raise ConfigurationError(
                    f"warehouse: {self._shown(table)}.{each.column} is of type {column.type}; it has to be a "
                    f"timestamp (mapping {self._mapping.called}, {key})"
                )
            found.append(column)
        if not found:
            self._refuse([table], places, key)
        return found[0] if len(found) == 1 else sa.func.coalesce(*found, type_=found[0].type)

    def _conditions(self, table: sa.Table) -> Iterator[sa.ColumnElement[bool]]:
        for written, values in self._mapping.where.items():
            column = self._filter(table, written, "where")
            yield sa.false() if column is None else column.in_(values)
        for written, values in self._mapping.excluding.items():
            column = self._filter(table, written, "excluding")
            if column is not None:
                yield sa.or_(column.is_(None), column.not_in(values))

    def _filter(self, table: sa.Table, written: str, key: str) -> sa.Column[Any] | None:
        at = place(written)
        if at.column not in table.columns and not at.optional:
            self._refuse([table], [at], key)
        return table.columns.get(at.column)

    def _refuse(self, tables: Sequence[sa.Table], places: Sequence[Place], key: str) -> NoReturn:
        """Raises that the tables have none of the columns."""
        there = sorted({name for table in tables for name in table.columns.keys()})  # noqa: SIM118
        near = _nearest(places[0].column, there) if len(places) == 1 else ""
        source = f"mapping {self._mapping.called}, {key}"
        if key in _OF_SIGNALS:
            source = f"signals, {key}; Segment and RudderStack have properties only in the events' own tables"
        tables_text = _or([self._shown(table) for table in tables])
        columns = " nor ".join(dict.fromkeys(each.column for each in places))
        raise ConfigurationError(f"warehouse: table {tables_text} has no column {columns}{near} ({source})")

    @property
    def _where(self) -> str:
        return f"schema {self._schema}" if self._schema else "the connection's own schema"

    @staticmethod
    def _shown(table: sa.Table) -> str:
        return table.fullname


def json_text(column: sa.Column[Any], path: Sequence[str | int], dialect: str) -> Expression:
    """The text at a place inside a column of JSON, which may be kept as text; null where there is none."""
    is_text = isinstance(column.type, sa.String)
    written: Expression = sa.func.nullif(column, "") if is_text else column
    steps = "".join(f"[{step}]" if isinstance(step, int) else f'."{step}"' for step in path)
    if dialect == "postgresql":
        keys = [sa.literal(str(step), sa.Text()) for step in path]
        return sa.func.json_extract_path_text(sa.cast(written, sa.JSON()), *keys, type_=sa.Text())
    if dialect == "sqlite":
        return sa.cast(sa.func.json_extract(written, f"${steps}"), sa.Text())
    if dialect == "snowflake":
        value = sa.func.try_parse_json(written) if is_text else written
        return sa.cast(sa.func.get_path(value, steps.removeprefix(".")), sa.Text())
    if dialect == "bigquery" and not isinstance(column.type, sa.String | sa.JSON):
        written = sa.func.to_json_string(column)  # an array of structs
    return sa.func.json_value(written, f"${steps}", type_=sa.Text())


def _of_signals(written: str, key: str) -> Place:
    try:
        return place(written)
    except ValueError as error:
        raise ConfigurationError(f"signals, {key}: {error}") from error


def _no_text() -> Expression:
    return sa.cast(sa.null(), sa.Text())


def _nearest(name: str, there: Sequence[str]) -> str:
    near = get_close_matches(name, there, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _or(names: Sequence[str] | Mapping[str, Any]) -> str:
    return " or ".join(name.removesuffix("?") for name in names)
