"""How far each source was read.

Here: cursors of complete pulls, and the finished windows of one under way. Not here: what a cursor says,
which is the source's own (`sources/`), or when it may move (`ingestion/pulling.py`,
`ingestion/importing.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from expansion_platform.storage.ledger.schema import CursorRow, WindowRow


class Pulls:
    """Cursors and windows of pulls; a cursor is a JSON document."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def cursor(self, source: str) -> dict[str, Any] | None:
        """Where the last complete pull of `source` ended, None before the first."""
        with Session(self._engine) as session:
            row = session.get(CursorRow, source)
            return None if row is None else row.state

    def set_cursor(self, source: str, state: Mapping[str, Any]) -> None:
        """Moves the cursor; call it only after what it covers is committed."""
        with Session(self._engine) as session, session.begin():
            session.merge(CursorRow(source=source, state=dict(state)))

    def begin(self, under_way: str, state: Mapping[str, Any]) -> None:
        """Notes that a pull is `under_way`, with nothing of it done."""
        with Session(self._engine) as session, session.begin():
            _forget(session, under_way)
            session.add(CursorRow(source=under_way, state=dict(state)))

    def add_windows(self, under_way: str, windows: Iterable[tuple[str, int, int]]) -> None:
        """Notes windows (list, from, to) of a pull as done; call it only after their rows are committed."""
        with Session(self._engine) as session, session.begin():
            for name, gte, lt in windows:
                session.merge(WindowRow(source=under_way, name=name, gte=gte, lt=lt))

    def windows(self, under_way: str) -> list[tuple[str, int, int]]:
        """The windows done of a pull."""
        query = (
            sa.select(WindowRow).where(WindowRow.source == under_way).order_by(WindowRow.name, WindowRow.gte)
        )
        with Session(self._engine) as session:
            return [(row.name, row.gte, row.lt) for row in session.scalars(query)]

    def complete(self, source: str, under_way: str, state: Mapping[str, Any]) -> None:
        """Moves the cursor of `source`, and forgets the pull that was `under_way`.

        Its cursor and its windows, all or nothing.
        """
        with Session(self._engine) as session, session.begin():
            session.merge(CursorRow(source=source, state=dict(state)))
            _forget(session, under_way)


def _forget(session: Session, under_way: str) -> None:
    session.execute(sa.delete(WindowRow).where(WindowRow.source == under_way))
    session.execute(sa.delete(CursorRow).where(CursorRow.source == under_way))
