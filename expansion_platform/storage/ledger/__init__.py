"""The operational ledger: small transactional state, in SQLite or the user's database.

Here: opening a ledger. By concern: how far sources were read (`pulls.py`), what was made from what
(`builds.py`), alerts and their outbox (`alerts.py`); the tables (`schema.py`), and how those of an older
version become them (`migrate.py`, `migrations/`). Not here: tables of rows (`storage/lake.py`), or when an
alert is due (`domain/alerts/`).
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from expansion_platform.storage.ledger.alerts import SLACK, Alert, Alerts, Judgement
from expansion_platform.storage.ledger.builds import Build, Builds, Checkpoint, Close
from expansion_platform.storage.ledger.migrate import migrate
from expansion_platform.storage.ledger.pulls import Pulls

__all__ = ["SLACK", "Alert", "Build", "Checkpoint", "Close", "Judgement", "Ledger"]

SQLITE_BUSY_SECONDS = 30
"""A second run waits this long for the first one's short transactions."""


class Ledger:
    """The ledger at a SQLAlchemy URL, made on first use and brought to the newest schema.

    Several processes may open it at once.

    Raises:
        ExpansionError: a newer version of the package made it.
    """

    def __init__(self, url: str) -> None:
        self.url = sa.make_url(url)
        self._engine = _engine(self.url)
        try:
            migrate(self._engine)
        except BaseException:
            self.close()  # nobody else can
            raise
        self.pulls = Pulls(self._engine)
        self.builds = Builds(self._engine)
        self.alerts = Alerts(self._engine)

    def close(self) -> None:
        """Closes the connections that wait for the next use."""
        self._engine.dispose()

    def ping(self) -> None:
        """Raises when the database cannot be reached."""
        with self._engine.connect() as connection:
            connection.execute(sa.text("select 1"))


def _engine(url: sa.URL) -> sa.Engine:
    if url.get_backend_name() != "sqlite":
        return sa.create_engine(url)
    if url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    # No connection outlives its transaction, so no file handle leaks.
    engine = sa.create_engine(url, connect_args={"timeout": SQLITE_BUSY_SECONDS}, poolclass=sa.NullPool)
    sa.event.listen(engine, "connect", _write_ahead)
    return engine


def _write_ahead(connection: Any, _record: Any) -> None:
    # The file keeps the mode. Where it is locked, another process is about to set it.
    with suppress(sqlite3.OperationalError):
        connection.execute("pragma journal_mode=wal")
