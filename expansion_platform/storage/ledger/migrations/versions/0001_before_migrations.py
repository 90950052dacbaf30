"""The schema that ledgers had before migrations.

Such a ledger has tables and no revision, so every step looks first whether it is done: missing tables and
columns are added, and deliveries are copied out of the alerts, where they were before they had a table.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

SLACK = "slack"  # the only channel of the ledgers that kept deliveries in the alerts
metadata = sa.MetaData()
sa.Table(
    "cursors",
    metadata,
    sa.Column("source", sa.String(100), primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
)
sa.Table(
    "pull_windows",
    metadata,
    sa.Column("source", sa.String(100), primary_key=True),
    sa.Column("name", sa.String(100), primary_key=True),
    sa.Column("gte", sa.BigInteger, primary_key=True),
    sa.Column("lt", sa.BigInteger, nullable=False),
)
sa.Table(
    "builds",
    metadata,
    sa.Column("table_name", sa.String(100), primary_key=True),
    sa.Column("month", sa.String(7), primary_key=True),
    sa.Column("inputs", sa.String(64), nullable=False),
    sa.Column("state", sa.String(64), nullable=False),
)
alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("rule", sa.String(50), nullable=False),
    sa.Column("scope", sa.String(100), nullable=False),
    sa.Column("month", sa.String(7), nullable=False),
    sa.Column("severity", sa.String(20), nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("event", sa.String(20)),
    sa.Column("thread", sa.String(64)),
    sa.Column("status", sa.String(20), nullable=False, index=True),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("last_error", sa.Text),
    sa.Column("posted_as", sa.String(100)),
    sa.Column("sent_at", sa.String(32)),
)
deliveries = sa.Table(
    "alert_deliveries",
    metadata,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("channel", sa.String(100), primary_key=True),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("last_error", sa.Text),
    sa.Column("posted_as", sa.String(100)),
    sa.Column("sent_at", sa.String(32)),
)
sa.Table(
    "alert_states",
    metadata,
    sa.Column("fingerprint", sa.String(64), primary_key=True),
    sa.Column("rule", sa.String(50), nullable=False),
    sa.Column("scope", sa.String(100), nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("month", sa.String(7), nullable=False),
    sa.Column("severity", sa.String(20), nullable=False),
    sa.Column("since", sa.String(7)),
    sa.Column("recovers_at", sa.Text),
    sa.Column("baseline", sa.Text),
    sa.Column("clear_months", sa.Integer, nullable=False),
    sa.Column("entry", sa.String(64)),
)


def upgrade() -> None:
    """Makes what is missing."""
    connection = op.get_bind()
    metadata.create_all(connection)
    inspector = sa.inspect(connection)
    for table in metadata.sorted_tables:
        known = {column["name"] for column in inspector.get_columns(table.name)}
        for column in table.columns:
            if column.name not in known:
                # Null in the rows that are there.
                op.add_column(table.name, sa.Column(column.name, column.type))
    adopted = ["attempts", "last_error", "posted_as", "sent_at"]
    known_delivery = sa.exists().where(deliveries.c.key == alerts.c.key, deliveries.c.channel == SLACK)
    kept = sa.select(alerts.c.key, sa.literal(SLACK), *(alerts.c[name] for name in adopted)).where(
        alerts.c.attempts > 0, ~known_delivery
    )
    connection.execute(sa.insert(deliveries).from_select(["key", "channel", *adopted], kept))
