"""Runs the migrations, over the connection of `favsync db upgrade` or from a shell with FAVSYNC_DATABASE_URL.

Views are dropped before and created after, because neither engine alters a table under a view.
"""

import os

import sqlalchemy as sa
from alembic import context

from etl.db.engine import open_engine
from etl.db.migrate import VERSION_TABLE, prepare_upgrade
from etl.db.tables import metadata
from etl.reporting.views import create_views, drop_views

config = context.config


def run(connection: sa.Connection) -> None:
    """Migrate over ``connection``, in its transaction."""
    prepare_upgrade(connection)
    context.configure(
        connection=connection,
        target_metadata=metadata,
        version_table=VERSION_TABLE,
        render_as_batch=connection.dialect.name == "sqlite",
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
    with open_engine(os.environ["FAVSYNC_DATABASE_URL"], create=True).begin() as connection:
        run(connection)
