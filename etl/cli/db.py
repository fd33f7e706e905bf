"""``favsync db``: the schema's version."""

from __future__ import annotations

import click

from etl.cli.commands import VerbGroup
from etl.cli.context import Context, pass_context
from etl.cli.options import json_option


@click.group("db", cls=VerbGroup)
def db() -> None:
    """Look after the database's schema.

    A new SQLite file gets the newest schema by itself; every other database is migrated by `favsync db upgrade` alone.
    """


@db.command("upgrade")
@json_option
@pass_context
def upgrade(context: Context) -> None:
    """Bring the schema up to date, and build the views anew. Where both are as they should be, nothing changes."""
    from etl.db import migrate
    from etl.db.engine import open_engine, sqlite_path

    url = context.config.database_url.reveal()
    path = sqlite_path(url)
    is_there = path is None or path.exists()
    before = migrate.current(open_engine(url)) if is_there else None
    migrate.upgrade(url)
    after = migrate.current(open_engine(url))
    if context.json:
        context.show_json({"before": before, "after": after})
    elif before == after:
        context.show(f"the schema is at {after} already; the views were built anew")
    elif before is None:
        context.show(f"there was no schema; it is at {after} now")
    else:
        context.show(f"the schema was at {before}, and is at {after} now")


@db.command("current")
@json_option
@pass_context
def current(context: Context) -> None:
    """Print the version of the schema that the database has, and the one that this favsync writes."""
    from etl.db import migrate
    from etl.db.engine import open_engine

    found = migrate.current(open_engine(context.config.database_url.reveal()))
    newest = migrate.newest()
    if context.json:
        context.show_json({"current": found, "newest": newest})
    else:
        state = "up to date" if found == newest else f"this favsync writes {newest}: run `favsync db upgrade`"
        context.show(f"{found or 'no schema'} ({state})")


@db.command("check")
@json_option
@pass_context
def check(context: Context) -> int:
    """Check that the database can be used: its schema, its constraints and triggers, its views; exit 5 if not."""
    from etl.db.engine import open_engine
    from etl.db.schema_check import schema_differences
    from etl.errors import DatabaseError
    from etl.reporting.views import views

    engine = open_engine(context.config.database_url.reveal())
    faults = schema_differences(engine, views())
    if context.json:
        context.show_json({"faults": faults})
    for fault in () if context.json else faults:
        context.show(fault)
    if not faults and not context.json:
        context.show("nothing is wrong")
    return DatabaseError.exit_code if faults else 0
