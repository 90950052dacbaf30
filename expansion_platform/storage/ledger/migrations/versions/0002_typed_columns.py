"""Typed columns in place of texts that had to be taken apart.

* `closes`: `builds` had the close of a month as the inputs of `mrr/first_reported`, an instant and a hash
  joined by a space, or `open`.
* `judgements`: `builds` had months whose alerts were decided under the name of a table, with the policy's
  hash as inputs.
* `digests`: `builds` had fingerprints by month under names that are no tables. They are deleted: the next run
  computes them again.
* `checkpoints`: `cursors` had them under the name of a table and ` read of`.
* Documents are JSON, instants are timestamps. An alert's delivery is in `alert_deliveries` only.

A table whose columns change is made anew with its rows: SQLite cannot change the type of a column, and the
ledger is small.
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

FIRST_REPORTED, OPEN = "mrr/first_reported", "open"
JUDGED = "alerts/expansion"
REMEMBERED = ["billing/item_states by month", "who began changes by month"]
READ_OF = " read of"

metadata = sa.MetaData()
builds = sa.table("builds", sa.column("table_name"), sa.column("month"), sa.column("inputs"))
cursors = sa.Table(
    "cursors",
    metadata,
    sa.Column("source", sa.String(100), primary_key=True),
    sa.Column("state", sa.JSON, nullable=False),
)
closes = sa.Table(
    "closes",
    metadata,
    sa.Column("month", sa.String(7), primary_key=True),
    sa.Column("closed_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("content", sa.String(64), nullable=False),
)
digests = sa.Table(
    "digests",
    metadata,
    sa.Column("name", sa.String(100), primary_key=True),
    sa.Column("month", sa.String(7), primary_key=True),
    sa.Column("basis", sa.String(64), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
)
checkpoints = sa.Table(
    "checkpoints",
    metadata,
    sa.Column("table_name", sa.String(100), primary_key=True),
    sa.Column("rules", sa.String(64), nullable=False),
    sa.Column("until", sa.DateTime(timezone=True)),
    sa.Column("stored", sa.JSON, nullable=False),
    sa.Column("points", sa.JSON, nullable=False),
)
judgements = sa.Table(
    "judgements",
    metadata,
    sa.Column("month", sa.String(7), primary_key=True),
    sa.Column("policy_hash", sa.String(64), nullable=False),
)
alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("rule", sa.String(50), nullable=False),
    sa.Column("scope", sa.String(100), nullable=False),
    sa.Column("month", sa.String(7), nullable=False),
    sa.Column("severity", sa.String(20), nullable=False),
    sa.Column("message", sa.JSON, nullable=False),
    sa.Column("event", sa.String(20), nullable=False),
    sa.Column("thread", sa.String(64)),
    sa.Column("status", sa.String(20), nullable=False, index=True),
)
deliveries = sa.Table(
    "alert_deliveries",
    metadata,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("channel", sa.String(100), primary_key=True),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("last_error", sa.Text),
    sa.Column("posted_as", sa.String(100)),
    sa.Column("sent_at", sa.DateTime(timezone=True)),
)


def upgrade() -> None:
    """Moves every row to where its columns have types."""
    connection = op.get_bind()
    _split_builds(connection)
    _split_cursors(connection)
    rows = _rows(connection, "alerts")
    _remake(
        connection,
        alerts,
        ({**row, "message": json.loads(row["message"]), "event": row["event"] or "entry"} for row in rows),
    )
    _remake(
        connection,
        deliveries,
        ({**row, "sent_at": _instant(row["sent_at"])} for row in _rows(connection, "alert_deliveries")),
    )


def _split_builds(connection: sa.Connection) -> None:
    rows = _rows(connection, "builds")
    reported = [
        (row["month"], *row["inputs"].split(" "))
        for row in rows
        if row["table_name"] == FIRST_REPORTED and row["inputs"] != OPEN
    ]
    for month, _, content in reported:  # a closed month is built from the rows that it reported
        of_month = sa.and_(builds.c.table_name == FIRST_REPORTED, builds.c.month == month)
        connection.execute(sa.update(builds).where(of_month).values(inputs=content))
    judged = [
        {"month": row["month"], "policy_hash": row["inputs"]} for row in rows if row["table_name"] == JUDGED
    ]
    connection.execute(sa.delete(builds).where(builds.c.table_name.in_([JUDGED, *REMEMBERED])))
    _make(
        connection,
        closes,
        [{"month": month, "closed_at": _instant(at), "content": content} for month, at, content in reported],
    )
    _make(connection, judgements, judged)
    _make(connection, digests, [])


def _split_cursors(connection: sa.Connection) -> None:
    states = {row["source"]: json.loads(row["state"]) for row in _rows(connection, "cursors")}
    read = {
        source.removesuffix(READ_OF): states.pop(source)
        for source in list(states)
        if source.endswith(READ_OF)
    }
    _remake(connection, cursors, ({"source": source, "state": state} for source, state in states.items()))
    _make(
        connection,
        checkpoints,
        [
            {
                "table_name": name,
                "rules": state["made"],
                "until": _instant(state.get("until")),
                "stored": state["stored"],
                "points": {
                    table: point for table, point in state.get("points", {}).items() if point is not None
                },
            }
            for name, state in read.items()
        ],
    )


def _rows(connection: sa.Connection, name: str) -> list[dict[str, Any]]:
    found = connection.execute(sa.select(sa.text("*")).select_from(sa.table(name)))
    return [dict(row) for row in found.mappings()]


def _remake(connection: sa.Connection, table: sa.Table, rows: Iterable[dict[str, Any]]) -> None:
    kept = [{column.name: row[column.name] for column in table.columns} for row in rows]
    op.drop_table(table.name)
    _make(connection, table, kept)


def _make(connection: sa.Connection, table: sa.Table, rows: list[dict[str, Any]]) -> None:
    table.create(connection)
    if rows:
        connection.execute(sa.insert(table), rows)


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)
