"""Many events of a run in one transaction of Dagster's event log.

Here: what has to know how Dagster's storages open connections. Not here: which events there are
(`events.py`).

Dagster opens a connection and a transaction for each statement of each event, several an event: 10 ms of CPU
for a materialization and 12 for a check on SQLite, of which a refresh over 36 months reports 2,100. In one
transaction they take 2 and 3. Other storages keep their own way.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

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
        yield


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
