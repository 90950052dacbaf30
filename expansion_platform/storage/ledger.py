"""The operational ledger: pull cursors, what was built from what, the states of alerts and their outbox.

SQLAlchemy over SQLite (WAL) or the user's database.

Here: small transactional state. Not here: tables of rows (`lake.py`), or when an alert is due (`domain/detection/`).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from expansion_platform.domain.detection.lifecycle import State

SLACK = "slack"
"""The channel of Slack, by token or webhook; other channels have names of their own."""
_MAKING = 7_310_118
"""The number of Postgres's advisory lock under which a ledger's tables are made: any, as long as it is always the same."""
SQLITE_BUSY_SECONDS = 30  # a second run waits this long for the first one's short transactions


class _Base(DeclarativeBase):
    pass


class _Cursor(_Base):
    __tablename__ = "cursors"
    source: Mapped[str] = mapped_column(sa.String(100), primary_key=True)
    state: Mapped[str] = mapped_column(sa.Text)


class _Window(_Base):
    __tablename__ = "pull_windows"
    source: Mapped[str] = mapped_column(sa.String(100), primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(100), primary_key=True)
    gte: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True)
    lt: Mapped[int] = mapped_column(sa.BigInteger)


class _Build(_Base):
    __tablename__ = "builds"
    table_name: Mapped[str] = mapped_column(sa.String(100), primary_key=True)
    month: Mapped[str] = mapped_column(sa.String(7), primary_key=True)
    inputs: Mapped[str] = mapped_column(sa.String(64))
    state: Mapped[str] = mapped_column(sa.String(64))


class _Alert(_Base):
    __tablename__ = "alerts"
    key: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    rule: Mapped[str] = mapped_column(sa.String(50))
    scope: Mapped[str] = mapped_column(sa.String(100))
    month: Mapped[str] = mapped_column(sa.String(7))
    severity: Mapped[str] = mapped_column(sa.String(20))
    message: Mapped[str] = mapped_column(sa.Text)
    event: Mapped[str | None] = mapped_column(sa.String(20))
    thread: Mapped[str | None] = mapped_column(sa.String(64))
    status: Mapped[str] = mapped_column(sa.String(20), default="pending", index=True)
    # Of ledgers made before deliveries had a table; read once, when such a ledger is opened.
    attempts: Mapped[int] = mapped_column(default=0)
    last_error: Mapped[str | None] = mapped_column(sa.Text)
    posted_as: Mapped[str | None] = mapped_column(sa.String(100))
    sent_at: Mapped[str | None] = mapped_column(sa.String(32))


class _Delivery(_Base):
    __tablename__ = "alert_deliveries"
    key: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    channel: Mapped[str] = mapped_column(sa.String(100), primary_key=True)
    attempts: Mapped[int] = mapped_column(default=0)
    last_error: Mapped[str | None] = mapped_column(sa.Text)
    posted_as: Mapped[str | None] = mapped_column(sa.String(100))
    sent_at: Mapped[str | None] = mapped_column(sa.String(32))


class _AlertState(_Base):
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
    clear_months: Mapped[int] = mapped_column(default=0)
    entry: Mapped[str | None] = mapped_column(sa.String(64))


@dataclass(frozen=True)
class Alert:
    """An alert in the outbox: `pending` until every channel took it, then `sent`.

    `message` holds {text, blocks}; of a recovery also `entry`, what the message of the entry becomes. `thread` is the key of the alert whose
    message it is a reply to. `attempts`, `last_error` and `posted_as` (the channel's id of the message) are of the channel it was read for.
    """

    key: str
    rule: str
    scope: str
    month: str
    severity: str
    message: dict[str, Any]
    status: str = "pending"
    attempts: int = 0
    last_error: str | None = None
    posted_as: str | None = None
    event: str = "entry"
    thread: str | None = None


class Ledger:
    """Opens (and creates on first use) the ledger at a SQLAlchemy URL."""

    def __init__(self, url: str) -> None:
        self.url = sa.make_url(url)
        if self.url.get_backend_name() == "sqlite" and self.url.database:
            Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)
        self._engine = sa.create_engine(self.url, connect_args={"timeout": SQLITE_BUSY_SECONDS} if self._sqlite else {}, poolclass=self._pool)
        if self._sqlite:
            sa.event.listen(self._engine, "connect", _write_ahead)
        with self._alone() as connection:
            _Base.metadata.create_all(connection)
            self._add_missing_columns(connection)
            self._adopt_deliveries(connection)

    @contextmanager
    def _alone(self) -> Iterator[sa.Connection]:
        """A transaction of which there is one at a time over all processes: two may open a new ledger at once."""
        with self._engine.connect() as connection:
            if self._sqlite:
                connection.exec_driver_sql("begin immediate")
            elif self.url.get_backend_name() == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MAKING)))
            yield connection
            connection.commit()

    @property
    def _sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    @property
    def _pool(self) -> type[sa.Pool] | None:
        return sa.NullPool if self._sqlite else None  # no connection outlives its transaction, so no file handle leaks

    def cursor(self, source: str) -> dict[str, Any] | None:
        """Where the last complete pull of `source` ended, None before the first."""
        with Session(self._engine) as session:
            row = session.get(_Cursor, source)
            return None if row is None else dict(json.loads(row.state))

    def set_cursor(self, source: str, state: Mapping[str, Any]) -> None:
        """Moves the cursor; call it only after what it covers is committed."""
        with Session(self._engine) as session, session.begin():
            session.merge(_Cursor(source=source, state=json.dumps(dict(state), sort_keys=True)))

    def complete_pull(self, source: str, under_way: str, state: Mapping[str, Any]) -> None:
        """Moves the cursor of `source` and forgets the cursor and the windows of the pull that was `under_way`, all or nothing."""
        with Session(self._engine) as session, session.begin():
            session.merge(_Cursor(source=source, state=json.dumps(dict(state), sort_keys=True)))
            _forget(session, under_way)

    def begin_pull(self, under_way: str, state: Mapping[str, Any]) -> None:
        """Notes that a pull is `under_way`, with nothing of it done."""
        with Session(self._engine) as session, session.begin():
            _forget(session, under_way)
            session.add(_Cursor(source=under_way, state=json.dumps(dict(state), sort_keys=True)))

    def add_windows(self, under_way: str, windows: Iterable[tuple[str, int, int]]) -> None:
        """Notes windows (list, from, to) of a pull as done; call it only after their rows are committed."""
        with Session(self._engine) as session, session.begin():
            for name, gte, lt in windows:
                session.merge(_Window(source=under_way, name=name, gte=gte, lt=lt))

    def windows(self, under_way: str) -> list[tuple[str, int, int]]:
        """The windows done of a pull."""
        query = sa.select(_Window).where(_Window.source == under_way).order_by(_Window.name, _Window.gte)
        with Session(self._engine) as session:
            return [(row.name, row.gte, row.lt) for row in session.scalars(query)]

    def builds(self, table: str) -> dict[str, tuple[str, str]]:
        """Per month (`all` for an unpartitioned table): fingerprint of the inputs it was built from, and the stored state that build left."""
        with Session(self._engine) as session:
            rows = session.scalars(sa.select(_Build).where(_Build.table_name == table))
            return {row.month: (row.inputs, row.state) for row in rows}

    def record_builds(self, table: str, builds: Mapping[str, tuple[str, str]]) -> None:
        """Notes what each month was built from; call it after the commit (a crash between them only costs a rebuild)."""
        with Session(self._engine) as session, session.begin():
            session.execute(sa.delete(_Build).where(_Build.table_name == table, _Build.month.in_(builds)))
            session.add_all(_Build(table_name=table, month=month, inputs=inputs, state=state) for month, (inputs, state) in builds.items())

    def put_alert(self, alert: Alert) -> bool:
        """Adds an alert once per key; False when the key is already there (whatever became of it)."""
        with Session(self._engine) as session, session.begin():
            return _put(session, alert)

    def alert(self, key: str, channel: str = SLACK) -> Alert | None:
        """One alert of the outbox, as it stands with a channel."""
        with Session(self._engine) as session:
            row = session.get(_Alert, key)
            return None if row is None else _alert(row, session.get(_Delivery, (key, channel)))

    def alert_states(self) -> dict[str, State]:
        """Where each fingerprint stands."""
        with Session(self._engine) as session:
            return {
                row.fingerprint: State(**{field.name: getattr(row, field.name) for field in fields(State)})
                for row in session.scalars(sa.select(_AlertState))
            }

    def record_judgement(self, states: Iterable[State], alerts: Iterable[Alert]) -> int:
        """Notes the states after a month and what is to be told of it, all or nothing; returns how many alerts were new."""
        with Session(self._engine) as session, session.begin():
            for state in states:
                session.merge(_AlertState(**asdict(state)))
            return sum(_put(session, alert) for alert in alerts)

    def alerts(self, status: str | None = None, limit: int = 100, channel: str = SLACK) -> list[Alert]:
        """Alerts (of one status) as they stand with a channel, oldest month first, a reply after what it replies to."""
        return self._read(channel, limit, sa.true() if status is None else _Alert.status == status)

    def undelivered(self, channel: str, limit: int = 100) -> list[Alert]:
        """Pending alerts that a channel has not taken, in the same order."""
        return self._read(channel, limit, sa.and_(_Alert.status == "pending", _Delivery.sent_at.is_(None)))

    def mark_attempt(self, key: str, channel: str = SLACK) -> None:
        """It is about to be posted: an attempt that leaves no word of how it ended may have been taken."""
        with Session(self._engine) as session, session.begin():
            _delivery(session, key, channel).attempts += 1

    def mark_sent(self, key: str, posted_as: str | None, channel: str = SLACK) -> None:
        """The channel took it; call it only after its answer."""
        with Session(self._engine) as session, session.begin():
            delivery = _delivery(session, key, channel)
            delivery.posted_as, delivery.last_error = posted_as, None
            delivery.sent_at = datetime.now(UTC).isoformat(timespec="seconds")

    def mark_failed(self, key: str, error: str, channel: str = SLACK) -> None:
        """The channel did not take it: it stays pending with the reason."""
        with Session(self._engine) as session, session.begin():
            _delivery(session, key, channel).last_error = error

    def settle(self, channels: Iterable[str]) -> None:
        """Pending alerts that each of these channels took become `sent`; a channel configured later is not told of them."""
        taken = [
            sa.exists().where(_Delivery.key == _Alert.key, _Delivery.channel == channel, _Delivery.sent_at.is_not(None)) for channel in set(channels)
        ]
        if not taken:
            return
        with Session(self._engine) as session, session.begin():
            session.execute(sa.update(_Alert).where(_Alert.status == "pending", *taken).values(status="sent"))

    def _read(self, channel: str, limit: int, where: sa.ColumnElement[bool]) -> list[Alert]:
        query = (
            sa.select(_Alert, _Delivery)
            .outerjoin(_Delivery, sa.and_(_Delivery.key == _Alert.key, _Delivery.channel == channel))
            .where(where)
            .order_by(_Alert.month, _Alert.thread.is_not(None), _Alert.key)
            .limit(limit)
        )
        with Session(self._engine) as session:
            return [_alert(row, delivery) for row, delivery in session.execute(query)]

    def _adopt_deliveries(self, connection: sa.Connection) -> None:
        """What a ledger made before deliveries had a table knows of Slack's, once."""
        told = [_Alert.key, sa.literal(SLACK), _Alert.attempts, _Alert.last_error, _Alert.posted_as, _Alert.sent_at]
        known = sa.exists().where(_Delivery.key == _Alert.key, _Delivery.channel == SLACK)
        names = ["key", "channel", "attempts", "last_error", "posted_as", "sent_at"]
        connection.execute(sa.insert(_Delivery).from_select(names, sa.select(*told).where(_Alert.attempts > 0, ~known)))

    def _add_missing_columns(self, connection: sa.Connection) -> None:
        """Columns that a ledger made by an earlier version lacks; all of them may be null."""
        inspector = sa.inspect(connection)
        for table in _Base.metadata.sorted_tables:
            known = {column["name"] for column in inspector.get_columns(table.name)}
            for column in table.columns:
                if column.name not in known:
                    kind = column.type.compile(self._engine.dialect)
                    connection.execute(sa.DDL(f'alter table {table.name} add column "{column.name}" {kind}'))

    def close(self) -> None:
        """Closes the connections that wait for the next use."""
        self._engine.dispose()

    def ping(self) -> None:
        """Raises when the database cannot be reached."""
        with self._engine.connect() as connection:
            connection.execute(sa.text("select 1"))


def _forget(session: Session, under_way: str) -> None:
    session.execute(sa.delete(_Window).where(_Window.source == under_way))
    session.execute(sa.delete(_Cursor).where(_Cursor.source == under_way))


def _put(session: Session, alert: Alert) -> bool:
    if session.get(_Alert, alert.key) is not None:
        return False
    told = {name: getattr(alert, name) for name in ("key", "rule", "scope", "month", "severity", "event", "thread")}
    session.add(_Alert(**told, message=json.dumps(alert.message, sort_keys=True)))
    return True


def _delivery(session: Session, key: str, channel: str) -> _Delivery:
    found = session.get(_Delivery, (key, channel))
    if found is None:
        found = _Delivery(key=key, channel=channel, attempts=0)
        session.add(found)
    return found


def _alert(row: _Alert, delivery: _Delivery | None) -> Alert:
    told = {name: getattr(row, name) for name in ("key", "rule", "scope", "month", "severity", "status", "thread")}
    stands = {} if delivery is None else {name: getattr(delivery, name) for name in ("attempts", "last_error", "posted_as")}
    return Alert(**told, **stands, event=row.event or "entry", message=json.loads(row.message))


def _write_ahead(connection: Any, _record: Any) -> None:
    # The file keeps the mode. Where it is locked, another process is about to set it.
    with suppress(sqlite3.OperationalError):
        connection.execute("pragma journal_mode=wal")
