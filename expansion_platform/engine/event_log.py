"""Dagster's event log, faster: connections that stay open, and many events of a run in one transaction.

Here: what has to know how Dagster's storages open connections. Not here: which events there are
(`events.py`).

Dagster opens a connection and a transaction for each statement of each event, several an event: 10 ms of CPU
for a materialization and 12 for a check on SQLite, of which a refresh over 36 months reports 2,100. In one
transaction they take 2 and 3. With each event it also says anew which is the newest of its asset: once is
enough. Other storages keep their own way.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from functools import cache
from typing import Any

import dagster as dg
import sqlalchemy
from dagster._core.storage.event_log.in_memory import InMemoryEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from dagster._serdes import ConfigurableClassData

WAIT_SECONDS = 60
"""For another process that writes to the log."""


class EventLog(SqliteEventLogStorage):
    """Keeps the connections to the newest run's log and to the index of all runs open.

    Dagster opens one for each statement, and SQLite empties its write-ahead log whenever the last one is
    closed: a quarter of the CPU of a refresh over three months of 50 customers.
    """

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: dict[str, sqlalchemy.Engine] = {}
        self._tables: set[str] = set()
        super().__init__(base_dir, inst_data)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[sqlalchemy.Connection]:
        if shard not in self._initialized_dbs:
            with super()._connect(shard):
                pass  # makes the tables
        with self._db_lock, self._engine(shard).begin() as connection:
            yield connection

    def _engine(self, shard: str) -> sqlalchemy.Engine:
        if shard not in self._engines:
            for other in set(self._engines) - {INDEX_SHARD_NAME, shard}:
                self._engines.pop(other).dispose()
            self._engines[shard] = _opened(self, shard)
        return self._engines[shard]

    def has_table(self, table_name: str) -> bool:
        """Whether the index has this table, asked with each check: a table stays."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def dispose(self) -> None:
        """Closes the connections."""
        for engine in self._engines.values():
            engine.dispose()
        self._engines.clear()
        super().dispose()


@contextmanager
def one_transaction(storage: Any, run_id: str) -> Iterator[None]:
    """What is stored inside, all of it of one run, is committed at once; nothing of it after an exception."""
    with ExitStack() as opened:
        if isinstance(storage, SqliteEventLogStorage):
            of_run, index = (
                opened.enter_context(_connection(storage, shard)) for shard in (run_id, INDEX_SHARD_NAME)
            )
        elif isinstance(storage, InMemoryEventLogStorage):
            connect: Any = storage.index_connection
            of_run = index = opened.enter_context(connect())
        else:
            yield
            return
        opened.enter_context(_replaced(storage, "run_connection", lambda *_, **__: nullcontext(of_run)))
        opened.enter_context(_replaced(storage, "index_connection", lambda: nullcontext(index)))
        # Asked with each check.
        opened.enter_context(_replaced(storage, "has_table", cache(storage.has_table)))
        with _newest_of_assets(storage, index):
            yield


@contextmanager
def announced_at_once(instance: dg.DagsterInstance) -> Iterator[None]:
    """Of a run that is created inside, every month of every table and check is announced in one transaction.

    A run over 36 months of 22 tables announces 800.
    """
    runs: Any = instance.run_domain
    announce = runs._log_asset_planned_events

    def at_once(run: dg.DagsterRun, *given: Any, **named: Any) -> None:
        storage = instance.event_log_storage
        if isinstance(storage, SqliteEventLogStorage):
            with storage.run_connection(run.run_id):
                pass  # makes the run's own log
        with one_transaction(storage, run.run_id):
            announce(run, *given, **named)

    with _replaced(runs, "_log_asset_planned_events", at_once):
        yield


@contextmanager
def _newest_of_assets(storage: Any, index: sqlalchemy.Connection) -> Iterator[None]:
    """Stores at the end which event of each kind is the newest of its asset, instead of with each event."""
    newest: dict[tuple[Any, Any], tuple[Any, int]] = {}

    def keep(_index: sqlalchemy.Connection, event: Any, event_id: int) -> None:
        newest[event.dagster_event.asset_key, event.dagster_event_type] = event, event_id

    with _replaced(storage, "_store_asset_event", keep):
        yield
    for event, event_id in newest.values():
        storage._store_asset_event(index, event, event_id)


@contextmanager
def _connection(storage: SqliteEventLogStorage, shard: str) -> Iterator[sqlalchemy.Connection]:
    engine = _opened(storage, shard)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def _opened(storage: SqliteEventLogStorage, shard: str) -> sqlalchemy.Engine:
    return sqlalchemy.create_engine(
        storage.conn_string_for_shard(shard), connect_args={"timeout": WAIT_SECONDS}
    )


@contextmanager
def _replaced(storage: Any, name: str, opens: Any) -> Iterator[None]:
    setattr(storage, name, opens)
    try:
        yield
    finally:
        delattr(storage, name)
