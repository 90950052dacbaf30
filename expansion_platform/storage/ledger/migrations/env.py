"""What Alembic runs to migrate: on the caller's connection, in the caller's transaction.

Here: that one transaction. Not here: when (`migrate.py`), what (`versions/`).
"""

from alembic import context

from expansion_platform.storage.ledger.schema import VERSION_TABLE, Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    transaction_per_migration=False,  # killed anywhere, a ledger is as it was
)
with context.begin_transaction():
    context.run_migrations()
