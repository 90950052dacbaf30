"""What the tables of the lake were made from.

Here: builds by month, closes of months, fingerprints that are expensive to compute, and how far incremental
tables have read. Not here: when a build is current or a month closes (`engine/`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from expansion_platform.storage.ledger.schema import BuildRow, CheckpointRow, CloseRow, DigestRow


class Build(NamedTuple):
    """What a month was built from."""

    inputs: str
    """Fingerprint of everything its rows depend on."""
    state: str
    """The stored state that the build left (`Lake.states`)."""


class Close(NamedTuple):
    """The close of a month."""

    at: datetime
    content: str
    """Hash of the rows that were reported."""


@dataclass(frozen=True)
class Checkpoint:
    """How far an incremental table has read its inputs."""

    rules: str
    """Fingerprint of the rules it was made by."""
    stored: tuple[str, ...]
    """The stored states that the tables had afterwards (`Lake.state`)."""
    points: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    """Input table -> its identity and version (`Lake.point`); an input without a commit is absent."""
    until: datetime | None = None
    """When the source of the inputs had been read."""


class Builds:
    """Builds, closes, digests and checkpoints."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def of(self, table: str) -> dict[str, Build]:
        """The builds of a table by month (`all` for an unpartitioned table)."""
        with Session(self._engine) as session:
            rows = session.scalars(sa.select(BuildRow).where(BuildRow.table_name == table))
            return {row.month: Build(row.inputs, row.state) for row in rows}

    def record(self, table: str, builds: Mapping[str, tuple[str, str]]) -> None:
        """Notes what each month was built from.

        Call it after the commit (a crash between them only costs a rebuild).
        """
        with Session(self._engine) as session, session.begin():
            session.execute(
                sa.delete(BuildRow).where(BuildRow.table_name == table, BuildRow.month.in_(builds))
            )
            session.add_all(
                BuildRow(table_name=table, month=month, inputs=inputs, state=state)
                for month, (inputs, state) in builds.items()
            )

    def closes(self) -> dict[str, Close]:
        """The months that have closed."""
        with Session(self._engine) as session:
            return {
                row.month: Close(row.closed_at, row.content) for row in session.scalars(sa.select(CloseRow))
            }

    def record_closes(self, closes: Mapping[str, Close]) -> None:
        """Notes months as closed; call it after their rows are committed."""
        with Session(self._engine) as session, session.begin():
            for month, close in closes.items():
                session.merge(CloseRow(month=month, closed_at=close.at, content=close.content))

    def digests(self, name: str, basis: str) -> dict[str, str]:
        """The fingerprints by month that were recorded under a name, without those of another basis."""
        with Session(self._engine) as session:
            rows = session.scalars(
                sa.select(DigestRow).where(DigestRow.name == name, DigestRow.basis == basis)
            )
            return {row.month: row.digest for row in rows}

    def record_digests(self, name: str, basis: str, digests: Mapping[str, str]) -> None:
        """Keeps fingerprints by month; the basis is the fingerprint of all that they depend on."""
        with Session(self._engine) as session, session.begin():
            session.execute(sa.delete(DigestRow).where(DigestRow.name == name, DigestRow.month.in_(digests)))
            session.add_all(
                DigestRow(name=name, month=month, basis=basis, digest=digest)
                for month, digest in digests.items()
            )

    def checkpoint(self, table: str) -> Checkpoint | None:
        """How far a table has read its inputs, None before the first time."""
        with Session(self._engine) as session:
            row = session.get(CheckpointRow, table)
            if row is None:
                return None
            points = {name: (identity, version) for name, (identity, version) in row.points.items()}
            return Checkpoint(row.rules, tuple(row.stored), points, row.until)

    def record_checkpoint(self, table: str, checkpoint: Checkpoint) -> None:
        """Notes how far a table has read its inputs; call it after the commit."""
        with Session(self._engine) as session, session.begin():
            session.merge(
                CheckpointRow(
                    table_name=table,
                    rules=checkpoint.rules,
                    until=checkpoint.until,
                    stored=list(checkpoint.stored),
                    points=dict(checkpoint.points),
                )
            )
