"""Many events of a run in one transaction of Dagster's event log.

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
from sqlalchemy.pool import NullPool

WAIT_SECONDS = 60
"""For another process that writes to the log."""


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
    engine = sqlalchemy.create_engine(
        storage.conn_string_for_shard(shard), poolclass=NullPool, connect_args={"timeout": WAIT_SECONDS}
    )
    with engine.begin() as connection:
        yield connection
    engine.dispose()


@contextmanager
def _replaced(storage: Any, name: str, opens: Any) -> Iterator[None]:
    setattr(storage, name, opens)
    try:
        yield
    finally:
        delattr(storage, name)
