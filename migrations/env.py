"""What alembic runs: over the connection that `favsync db upgrade` gives it, or from a shell by FAVSYNC_DATABASE_URL.

One migration at a time (an advisory lock on PostgreSQL; SQLite has one writer), and none that waits for a lock for long while
others queue up behind it. Views are dropped before and made after, since neither engine alters a table under a view.
"""

import os

import sqlalchemy as sa
from alembic import context

LOCK = 7_234_710_001

config = context.config


def run(connection: sa.Connection) -> None:
    """Migrate over ``connection``, in its transaction."""
    from etl.db import engine_indexes  # noqa: F401 - completes the metadata
    from etl.db.tables import metadata
    from etl.reporting.views import create_views, drop_views

    is_postgresql = connection.dialect.name == "postgresql"
    if is_postgresql:
        connection.execute(sa.text("SET LOCAL lock_timeout = '10s'"))
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=not is_postgresql,
    )
    with context.begin_transaction():
        grants = drop_views(connection)
        context.run_migrations()
        create_views(connection, grants)


def run_offline() -> None:
    """Print the SQL for PostgreSQL, for people who apply it by hand and for the linter."""
    context.configure(
        url="postgresql+psycopg://",
        literal_binds=True,
        dialect_opts={"paramstyle": "named"},
    )
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    run_offline()
elif given := config.attributes.get("connection"):
    run(given)
else:
    from etl.db.engine import open_engine

    with open_engine(os.environ["FAVSYNC_DATABASE_URL"], create=True).begin() as connection:
        run(connection)
