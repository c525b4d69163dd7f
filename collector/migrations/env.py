"""Run by Alembic: migrates over the connection that collector.database gives it."""

from alembic import context

from collector.database import METADATA

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=METADATA, render_as_batch=connection.dialect.name == "sqlite")
with context.begin_transaction():
    context.run_migrations()
