"""Runs the migrations, over the connection of `favsync db upgrade` or from a shell with FAVSYNC_DATABASE_URL.

Only one migration runs at a time (an advisory lock on PostgreSQL; SQLite has one writer), and none waits long for a lock while
others queue behind it. Views are dropped before and created after, because neither engine alters a table under a view.
"""

import os

import sqlalchemy as sa
from alembic import context

LOCK = 7_234_710_001
VERSION_TABLE = "favsync_version"  # alembic's default name may belong to another program in the same database

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
        version_table=VERSION_TABLE,
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
        version_table=VERSION_TABLE,
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
