"""Product usage from tables of events in the user's warehouse.

Segment's, RudderStack's, Snowplow's, or others, by a mapping.

Here: a month's question to the warehouse and its answer, and what can go wrong with it. Not here: the mapping
(`tracks_mapping.py`), tables and columns (`tracks_tables.py`), the statement (`tracks_events.py` and
`tracks_sql.py`).

Events are counted in the warehouse; only rows of an account and month leave it, never a person.

What was run: Postgres and SQLite. The statement is plain SQLAlchemy, so the dialects of BigQuery and
Snowflake can write it, with JSON_VALUE and GET_PATH for places in JSON; neither was at hand to run it. In
SQLite, instants have to be as SQLAlchemy writes them.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from types import TracebackType
from typing import Any, Self

import pandas as pd
import sqlalchemy as sa

from expansion_platform.domain.core import months
from expansion_platform.domain.core.errors import ConfigurationError, ExpansionError
from expansion_platform.domain.signals.definition import SignalDefinition
from expansion_platform.sources.analytics.counting import SIGN_UPS, account_versions, feature_versions
from expansion_platform.sources.analytics.tracks_events import Question
from expansion_platform.sources.analytics.tracks_mapping import TracksMapping
from expansion_platform.sources.analytics.tracks_sql import (
    ACCOUNTS,
    COLUMNS,
    FEATURES,
    TOTALS,
    month_statement,
    newest_arrival,
)
from expansion_platform.sources.analytics.tracks_tables import Tables, bound
from expansion_platform.sources.analytics.usage import ACCOUNT_COUNTS, Asked, MonthUsage
from expansion_platform.sources.warehouse.tables import engine_of

FIRST_EVENT = "first event with the account"
_ADDRESS = re.compile(r"[^\s'\"(=]*@[^\s'\")]*")
_NOT_LET_IN = re.compile(
    r"authentication failed|no pg_hba\.conf entry|role .* does not exist|database .* does not exist"
    r"|access denied|permission denied|incorrect username or password",
    re.IGNORECASE,
)


class TracksError(ExpansionError):
    """The tables of events could not be read; the text says why, as far as that names no person."""


class Tracks:
    """Tables of events in one warehouse, read only.

    Args:
        url: SQLAlchemy URL.
        mapping: What is where.
        schema: The tables' schema; None for the connection's own.
        definition: What events mean.
    """

    name = "warehouse"

    def __init__(
        self, url: str, mapping: TracksMapping, schema: str | None, definition: SignalDefinition
    ) -> None:
        self._mapping = mapping
        self._schema = schema
        self._definition = definition
        self._engine = engine_of(url)

    def __enter__(self) -> Self:
        """The adapter itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes connections."""
        self.close()

    def close(self) -> None:
        """Closes connections."""
        self._engine.dispose()

    @property
    def account_by(self) -> str:
        """How an event's account is known, in words. Errors as `month`."""
        return self._tables.account_by

    def month(self, asked: Asked) -> MonthUsage:
        """The usage of one month, as of one instant of the warehouse.

        Incomplete while nothing has arrived after the end of the month.

        Raises:
            ConfigurationError: the URL, the mapping or the signals file is wrong, or the user may not read.
            TracksError: the warehouse could not be read.
        """
        question = Question(asked, self._definition, self._tables, self._mapping.first_seen)
        with self._reading() as connection:
            incomplete = _incomplete(self._newest(connection, asked), asked)
            rows = [] if incomplete else connection.execute(month_statement(question)).all()
        found = pd.DataFrame([tuple(row) for row in rows], columns=list(COLUMNS))
        totals = found[found["part"] == TOTALS]
        accounts = _typed(found[found["part"] == ACCOUNTS], ["account"], (*ACCOUNT_COUNTS, "person_days"))
        features = _typed(
            found[found["part"] == FEATURES], ["account", "feature"], ("active_users", "events")
        )
        days = calendar.monthrange(*months.parse(asked.month))[1]
        known = self._new_users_by is not None
        return MonthUsage(
            accounts=account_versions(accounts, days, new_users_known=known),
            features=feature_versions(features),
            events=int(totals["events"].sum()),
            events_without_account=int(totals["without_account"].sum()),
            new_users_by=self._new_users_by,
            incomplete=incomplete,
        )

    @property
    def _new_users_by(self) -> str | None:
        if self._definition.events.sign_ups:
            return SIGN_UPS
        return FIRST_EVENT if self._mapping.first_seen else None

    @cached_property
    def _tables(self) -> Tables:
        with self._reading() as connection:
            return bound(connection, self._mapping, self._schema, self._definition)

    def _newest(self, connection: sa.Connection, asked: Asked) -> datetime | None:
        """The newest arrival; of all rows only where the month's do not say that it is over."""
        newest: datetime | None = None
        for since in (asked.begins, None):
            newest = connection.execute(newest_arrival(self._tables, since)).scalar()
            if newest is not None and _utc(newest) >= asked.ends:
                break
        return None if newest is None else _utc(newest)

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        """A connection that cannot write, and sees one state of the warehouse where that can be asked for."""
        try:
            with self._engine.connect() as connection:
                if self._engine.dialect.name == "postgresql":
                    connection = connection.execution_options(
                        isolation_level="REPEATABLE READ", postgresql_readonly=True
                    )
                    # Columns with a zone may be compared with others without one, which are UTC.
                    connection.execute(sa.text("SET LOCAL TIME ZONE 'UTC'"))
                elif self._engine.dialect.name == "sqlite":
                    connection.execute(sa.text("PRAGMA query_only = ON"))
                yield connection
        except sa.exc.SQLAlchemyError as error:
            # Not `from error`: what a database says of a value may name a person.
            raise self._problem(error) from None
        except ValueError:
            raise TracksError(
                f"the events in the warehouse {self._place} cannot be read: a column of instants holds "
                "something else; its text is left out, as it may name a person"
            ) from None

    def _problem(self, error: sa.exc.SQLAlchemyError) -> ExpansionError:
        original: Any = getattr(error, "orig", None) or error
        state = str(getattr(original, "sqlstate", None) or "")
        what = f"the events in the warehouse {self._place} cannot be read"
        if isinstance(error, sa.exc.DataError) or state.startswith("22"):
            return TracksError(
                f"{what}: a value is not of the form that the mapping ({self._mapping.called}) asks for"
                f"{f' (SQLSTATE {state})' if state else ''}; its text is left out, as it may name a person. "
                "Look at places in JSON first"
            )
        lines = str(original).strip().splitlines()
        reason = _ADDRESS.sub("[left out]", lines[0]) if lines else type(original).__name__
        if (password := self._engine.url.password) is not None:
            reason = reason.replace(str(password), "[left out]")
        if _NOT_LET_IN.search(reason):
            return ConfigurationError(
                f"{what}: {reason}. Check user, password and database of EXPANSION_WAREHOUSE_URL, and give "
                "the user SELECT on the tables of events"
            )
        return TracksError(f"{what}: {reason}")

    @property
    def _place(self) -> str:
        """Host, database and schema, without user and password."""
        url = self._engine.url
        return "/".join(filter(None, (url.host, url.database, self._schema)))


def _incomplete(newest: datetime | None, asked: Asked) -> str | None:
    if newest is None:
        return f"the tables of events are empty, so nothing says that {asked.month} has been loaded"
    if newest >= asked.ends:
        return None
    return (
        f"the newest event in the warehouse arrived at {newest:%Y-%m-%d %H:%M:%S} UTC, and {asked.month} "
        f"ends at {asked.ends:%Y-%m-%d %H:%M:%S} UTC: its events may not all have been loaded"
    )


def _typed(rows: pd.DataFrame, grain: list[str], counts: tuple[str, ...]) -> pd.DataFrame:
    """Grain, late, known_at and counts, of the types that a MonthUsage has."""
    types = {**dict.fromkeys(grain, "str"), "late": "bool", **dict.fromkeys(counts, "int64")}
    known_at = pd.to_datetime(rows["known_at"], utc=True)
    return rows[[*grain, "late", "known_at", *counts]].assign(known_at=known_at).astype(types)


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
