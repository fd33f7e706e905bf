"""``favsync db``: the schema of the database."""

from __future__ import annotations

import click
from sqlalchemy import Engine

from etl.cli.commands import VerbGroup
from etl.cli.context import Context
from etl.db import migrate
from etl.db.engine import open_engine, sqlite_path
from etl.db.schema_check import schema_differences
from etl.errors import DatabaseError
from etl.reporting.views import views
from etl.worker.engine_tables import install


@click.group("db", cls=VerbGroup)
def db() -> None:
    """Upgrade and check the database schema.

    A new SQLite file is created with the newest schema. Every other database is migrated by `favsync db upgrade` only.
    """


@db.verb("upgrade")
def upgrade(context: Context) -> None:
    """Bring the database to the newest schema, and recreate the views."""
    url, pooling = context.config.database_url.reveal(), context.config.database_pooling
    path = sqlite_path(url)
    is_new = path is not None and not path.exists()
    before = None if is_new else migrate.current(open_engine(url, pooling=pooling))
    migrate.upgrade(url, pooling=pooling)
    engine = open_engine(url, pooling=pooling)
    after, has_new_queue = migrate.current(engine), install(engine)
    done = f"the schema was migrated from {before or 'nothing'} to {after}"
    if is_new and path is not None:
        done = f"NEW DATABASE: {path.absolute()} did not exist and is created, with an empty history"
    if before == after:
        done = f"the schema is already at {after}; the views were recreated"
    if has_new_queue:
        done += "; the tables of the workers' queue were upgraded"
    context.show_result({"before": before, "after": after}, done)


@db.verb("current")
def current(context: Context) -> None:
    """Print the schema version of the database, and the newest one."""
    found = migrate.current(_engine(context))
    newest = migrate.newest()
    state = "up to date" if found == newest else f"the newest is {newest}: run `favsync db upgrade`"
    context.show_result({"current": found, "newest": newest}, f"{found or 'no schema'} ({state})")


@db.verb("check")
def check(context: Context) -> None:
    """Check the schema, constraints, triggers and views of the database. Exit code 5 if something is wrong."""
    faults = schema_differences(_engine(context), views())
    context.show_result({"faults": faults}, faults or "no problems found")
    context.exit_code = DatabaseError.exit_code if faults else 0


def _engine(context: Context) -> Engine:
    return open_engine(context.config.database_url.reveal(), pooling=context.config.database_pooling)
