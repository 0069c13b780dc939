"""Alembic's entry: it works on the connection, and inside the transaction, that ``control.store.migrate`` hands it."""

from alembic import context

from nearcast.control.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    render_as_batch=True,  # SQLite can only alter a table by rebuilding it
    compare_type=True,
)
context.run_migrations()
