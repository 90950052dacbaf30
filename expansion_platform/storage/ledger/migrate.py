"""Brings a ledger to the newest schema, once, whoever opens it first.

Here: which schema a ledger has, the lock, running the migrations. Not here: what a migration does
(`migrations/versions/`).

Alembic is imported only where there is something to do: every command opens the ledger, and importing it
takes longer than many of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

import sqlalchemy as sa

from expansion_platform.domain.core.errors import ExpansionError
from expansion_platform.storage.ledger.schema import REVISION, VERSION_TABLE

MIGRATIONS = Path(__file__).parent / "migrations"
_POSTGRES_LOCK = 7_310_118
"""The number of the advisory lock under which a ledger is migrated: any, as long as it is always the same."""
_ONE_THREAD = Lock()
"""Alembic's `context` and `op` are global in a process."""


def migrate(engine: sa.Engine) -> None:
    """Makes the tables of a new ledger, and brings those of an older version to the newest schema.

    All of it or nothing.

    Raises:
        ExpansionError: a newer version of the package made the ledger.
    """
    with engine.connect() as connection:
        if revision(connection) == REVISION:
            return
    with _ONE_THREAD, _alone(engine) as connection:
        found = revision(connection)  # again: another process may have migrated meanwhile
        if found is not None and found > REVISION:
            raise ExpansionError(
                f"the ledger {engine.url.render_as_string(hide_password=True)} has schema {found}, and "
                f"this version knows schemas up to {REVISION}: a newer version of expansion-platform "
                "has opened it. Nothing was changed. Install that version (or a later one), or restore "
                "a copy of the ledger from before it was upgraded"
            )
        if found != REVISION:
            _upgrade(connection)


def revision(connection: sa.Connection) -> str | None:
    """The schema a ledger has, None for a new one and for one made before schemas were numbered."""
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.scalar(sa.select(sa.column("version_num")).select_from(sa.table(VERSION_TABLE)))


@contextmanager
def _alone(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction that only one process at a time can have, since several may open a new ledger at once."""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("begin immediate")
        elif engine.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_POSTGRES_LOCK)))
        yield connection
        connection.commit()


def _upgrade(connection: sa.Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    command.upgrade(config, "head")
