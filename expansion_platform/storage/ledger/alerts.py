"""Alerts: their states over months, and the outbox from which they are delivered.

Here: states, judged months, messages, deliveries by channel. Not here: when an alert is due
(`domain/alerts/`), posting it (`alerting/`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from expansion_platform.domain.alerts.lifecycle import State
from expansion_platform.storage.ledger.schema import AlertRow, AlertStateRow, DeliveryRow, JudgementRow

SLACK = "slack"
"""The channel of Slack, by token or webhook; other channels have names of their own."""
_WRITTEN_ONCE = ("key", "rule", "scope", "month", "severity", "message", "event", "thread")


@dataclass(frozen=True)
class Alert:
    """An alert in the outbox: `pending` until every channel took it, then `sent`.

    `message` holds {text, blocks}; of a recovery also `entry`, what the message of the entry becomes.
    `thread` is the key of the alert whose message it is a reply to. `attempts`, `last_error` and `posted_as`
    (the channel's id of the message) are of the channel it was read for.
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


class Judgement(NamedTuple):
    """A month whose alerts were decided. It is not judged again, even if it is restated."""

    month: str
    policy_hash: str


class Alerts:
    """The ledger's states, judged months and outbox."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def states(self) -> dict[str, State]:
        """The state of each fingerprint."""
        with Session(self._engine) as session:
            return {
                row.fingerprint: State(**{field.name: getattr(row, field.name) for field in fields(State)})
                for row in session.scalars(sa.select(AlertStateRow))
            }

    def judgements(self) -> dict[str, Judgement]:
        """The months whose alerts were decided."""
        with Session(self._engine) as session:
            return {
                row.month: Judgement(row.month, row.policy_hash)
                for row in session.scalars(sa.select(JudgementRow))
            }

    def record(
        self, states: Iterable[State], alerts: Iterable[Alert], judgement: Judgement | None = None
    ) -> int:
        """Records states, the alerts that follow from them, and the month that was judged, all or nothing.

        Returns how many alerts were new.
        """
        with Session(self._engine) as session, session.begin():
            for state in states:
                session.merge(AlertStateRow(**asdict(state)))
            if judgement is not None:
                session.merge(JudgementRow(month=judgement.month, policy_hash=judgement.policy_hash))
            return sum(_put(session, alert) for alert in alerts)

    def put(self, alert: Alert) -> bool:
        """Adds an alert once per key; False when the key is already there (whatever became of it)."""
        with Session(self._engine) as session, session.begin():
            return _put(session, alert)

    def get(self, key: str, channel: str = SLACK) -> Alert | None:
        """One alert of the outbox, as it stands with a channel."""
        with Session(self._engine) as session:
            row = session.get(AlertRow, key)
            return None if row is None else _alert(row, session.get(DeliveryRow, (key, channel)))

    def read(self, status: str | None = None, limit: int = 100, channel: str = SLACK) -> list[Alert]:
        """Alerts (of one status) as they stand with a channel, oldest month first.

        A reply comes after what it replies to.
        """
        return self._select(channel, limit, sa.true() if status is None else AlertRow.status == status)

    def undelivered(self, channel: str, limit: int = 100) -> list[Alert]:
        """Pending alerts that a channel has not taken, in the same order."""
        return self._select(
            channel, limit, sa.and_(AlertRow.status == "pending", DeliveryRow.sent_at.is_(None))
        )

    def mark_attempt(self, key: str, channel: str = SLACK) -> None:
        """Records that it is about to be posted.

        If the process is killed then, the channel may have it or not.
        """
        with Session(self._engine) as session, session.begin():
            _delivery(session, key, channel).attempts += 1

    def mark_sent(self, key: str, posted_as: str | None, channel: str = SLACK) -> None:
        """The channel took it; call it only after its answer."""
        with Session(self._engine) as session, session.begin():
            delivery = _delivery(session, key, channel)
            delivery.posted_as, delivery.last_error = posted_as, None
            delivery.sent_at = datetime.now(UTC)

    def mark_failed(self, key: str, error: str, channel: str = SLACK) -> None:
        """The channel did not take it: it stays pending with the reason."""
        with Session(self._engine) as session, session.begin():
            _delivery(session, key, channel).last_error = error

    def settle(self, channels: Iterable[str]) -> None:
        """Pending alerts that each of these channels took become `sent`.

        A channel configured later does not get them.
        """
        taken = [
            sa.exists().where(
                DeliveryRow.key == AlertRow.key,
                DeliveryRow.channel == channel,
                DeliveryRow.sent_at.is_not(None),
            )
            for channel in set(channels)
        ]
        if not taken:
            return
        with Session(self._engine) as session, session.begin():
            session.execute(
                sa.update(AlertRow).where(AlertRow.status == "pending", *taken).values(status="sent")
            )

    def _select(self, channel: str, limit: int, where: sa.ColumnElement[bool]) -> list[Alert]:
        query = (
            sa.select(AlertRow, DeliveryRow)
            .outerjoin(DeliveryRow, sa.and_(DeliveryRow.key == AlertRow.key, DeliveryRow.channel == channel))
            .where(where)
            .order_by(AlertRow.month, AlertRow.thread.is_not(None), AlertRow.key)
            .limit(limit)
        )
        with Session(self._engine) as session:
            return [_alert(row, delivery) for row, delivery in session.execute(query)]


def _put(session: Session, alert: Alert) -> bool:
    if session.get(AlertRow, alert.key) is not None:
        return False
    session.add(AlertRow(**{name: getattr(alert, name) for name in _WRITTEN_ONCE}, status="pending"))
    return True


def _delivery(session: Session, key: str, channel: str) -> DeliveryRow:
    found = session.get(DeliveryRow, (key, channel))
    if found is None:
        found = DeliveryRow(key=key, channel=channel, attempts=0)
        session.add(found)
    return found


def _alert(row: AlertRow, delivery: DeliveryRow | None) -> Alert:
    written = {name: getattr(row, name) for name in (*_WRITTEN_ONCE, "status")}
    delivered = (
        {}
        if delivery is None
        else {name: getattr(delivery, name) for name in ("attempts", "last_error", "posted_as")}
    )
    return Alert(**written, **delivered)
