"""The ledger's tables as they are now.

Here: columns and their types. Not here: what the rows are for (`pulls.py`, `builds.py`, `alerts.py`), or how
the tables of an older version become these: a change here needs a migration (`migrations/versions/`) and its
number in `REVISION`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

REVISION = "0002"
"""The newest migration: the one that leads to these tables."""
VERSION_TABLE = "ledger_version"
"""Where a ledger keeps its revision. Not Alembic's usual name, which Dagster's tables use: the two may share
a database.
"""


class Instant(sa.types.TypeDecorator[datetime]):
    """An instant, in UTC. SQLite knows no time zones, so there it is kept without one."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """The instant in UTC; one without a time zone is refused."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone, so it is no instant")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """The instant in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Every table of the ledger."""


class CursorRow(Base):
    """How far a source was read: a document whose form is the source's own."""

    __tablename__ = "cursors"
    source: Mapped[str] = mapped_column(sa.String(100), primary_key=True)
    state: Mapped[dict[str, Any]] = mapped_column(sa.JSON)


class WindowRow(Base):
    """A window of a pull under way whose rows are committed; bounds are Stripe's, in Unix seconds."""

    __tablename__ = "pull_windows"
    source: Mapped[str] = mapped_column(sa.String(100), primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(100), primary_key=True)
    gte: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True)
    lt: Mapped[int] = mapped_column(sa.BigInteger)


class BuildRow(Base):
    """What a month of a table was last built from, and the stored state that build left."""

    __tablename__ = "builds"
    table_name: Mapped[str] = mapped_column(sa.String(100), primary_key=True)
    month: Mapped[str] = mapped_column(sa.String(7), primary_key=True)
    inputs: Mapped[str] = mapped_column(sa.String(64))
    state: Mapped[str] = mapped_column(sa.String(64))


class CloseRow(Base):
    """A month that has closed."""

    __tablename__ = "closes"
    month: Mapped[str] = mapped_column(sa.String(7), primary_key=True)
    closed_at: Mapped[datetime] = mapped_column(Instant)
    content: Mapped[str] = mapped_column(sa.String(64))


class DigestRow(Base):
    """A month's fingerprint that is expensive to compute, valid as long as its basis is the same."""

    __tablename__ = "digests"
    name: Mapped[str] = mapped_column(sa.String(100), primary_key=True)
    month: Mapped[str] = mapped_column(sa.String(7), primary_key=True)
    basis: Mapped[str] = mapped_column(sa.String(64))
    digest: Mapped[str] = mapped_column(sa.String(64))


class CheckpointRow(Base):
    """How far a table that is brought up to date step by step has read its inputs."""

    __tablename__ = "checkpoints"
    table_name: Mapped[str] = mapped_column(sa.String(100), primary_key=True)
    rules: Mapped[str] = mapped_column(sa.String(64))
    until: Mapped[datetime | None] = mapped_column(Instant)
    stored: Mapped[list[str]] = mapped_column(sa.JSON)
    points: Mapped[dict[str, Any]] = mapped_column(sa.JSON)


class JudgementRow(Base):
    """A month whose alerts were decided."""

    __tablename__ = "judgements"
    month: Mapped[str] = mapped_column(sa.String(7), primary_key=True)
    policy_hash: Mapped[str] = mapped_column(sa.String(64))


class AlertRow(Base):
    """An alert of the outbox."""

    __tablename__ = "alerts"
    key: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    rule: Mapped[str] = mapped_column(sa.String(50))
    scope: Mapped[str] = mapped_column(sa.String(100))
    month: Mapped[str] = mapped_column(sa.String(7))
    severity: Mapped[str] = mapped_column(sa.String(20))
    message: Mapped[dict[str, Any]] = mapped_column(sa.JSON)
    event: Mapped[str] = mapped_column(sa.String(20))
    thread: Mapped[str | None] = mapped_column(sa.String(64))
    status: Mapped[str] = mapped_column(sa.String(20), index=True)


class DeliveryRow(Base):
    """The delivery of an alert to one channel."""

    __tablename__ = "alert_deliveries"
    key: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    channel: Mapped[str] = mapped_column(sa.String(100), primary_key=True)
    attempts: Mapped[int]
    last_error: Mapped[str | None] = mapped_column(sa.Text)
    posted_as: Mapped[str | None] = mapped_column(sa.String(100))
    sent_at: Mapped[datetime | None] = mapped_column(Instant)


class AlertStateRow(Base):
    """The state of one fingerprint (`domain/alerts/lifecycle.State`); limits are exact fractions as text."""

    __tablename__ = "alert_states"
    fingerprint: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    rule: Mapped[str] = mapped_column(sa.String(50))
    scope: Mapped[str] = mapped_column(sa.String(100))
    state: Mapped[str] = mapped_column(sa.String(20))
    month: Mapped[str] = mapped_column(sa.String(7))
    severity: Mapped[str] = mapped_column(sa.String(20))
    since: Mapped[str | None] = mapped_column(sa.String(7))
    recovers_at: Mapped[str | None] = mapped_column(sa.Text)
    baseline: Mapped[str | None] = mapped_column(sa.Text)
    clear_months: Mapped[int]
    entry: Mapped[str | None] = mapped_column(sa.String(64))
