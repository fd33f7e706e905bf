"""Reads and upgrades the schema version. The only module that imports alembic.

The revisions are in the package of an installed favsync, and at the top of a checkout. The newest version is read from their
file names, because importing alembic takes longer than most verbs. Only a new SQLite file is migrated unasked; every other
database only by `favsync db upgrade`.
"""

from __future__ import annotations

import csv
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from etl.db import bulk
from etl.db.engine import database_errors, open_engine, read_transaction, sqlite_path
from etl.db.tables import markets
from etl.errors import DatabaseError, SchemaOutdated

VERSION_TABLE = "favsync_version"
OLD_VERSION_TABLE = "alembic_version"
_PACKAGE = Path(__file__).resolve().parent.parent


def migrations_folder() -> Path:
    """Return the folder of the revisions: in the package if it is installed, else at the top of the checkout."""
    for folder in (_PACKAGE / "migrations", _PACKAGE.parent / "migrations"):
        if (folder / "env.py").exists():
            return folder
    raise DatabaseError(
        "this favsync was installed without its migrations",
        remedy="install it again from its wheel",
    )


def revisions() -> list[str]:
    """Return the ids of the revisions, oldest first (``0001``, ``0002`` …: they are linear and numbered)."""
    return sorted(path.name.split("_", 1)[0] for path in (migrations_folder() / "versions").glob("[0-9]*_*.py"))


def newest() -> str:
    """Return the id of the newest revision."""
    return revisions()[-1]


def current(engine: Engine) -> str | None:
    """Return the revision of the database, None if it holds no favsync schema."""
    with read_transaction(engine) as connection:
        return current_of(connection)


def current_of(connection: Connection) -> str | None:
    """Return the revision of the database behind ``connection``, None if it holds no favsync schema.

    Raises: SchemaOutdated, if the version table does not hold exactly one revision.
    """
    table = _version_table(connection)
    if table is None:
        return None
    found = list(connection.execute(text(f"SELECT version_num FROM {table}")).scalars())  # noqa: S608
    if len(found) == 1:
        return str(found[0])
    held = ", ".join(sorted(map(str, found))) or "no revision"
    raise SchemaOutdated(
        f"the table {table} holds {held} instead of one revision: an upgrade was interrupted, or somebody changed it",
        remedy="restore the backup from before the upgrade, or leave one row with the true revision and run "
        "`favsync db check`",
    )


def _version_table(connection: Connection) -> str | None:
    """Return the name of favsync's version table. Another program's ``alembic_version`` is left alone."""
    tables = inspect(connection)
    if tables.has_table(VERSION_TABLE):
        return VERSION_TABLE
    # Up to revision 0005 favsync used alembic's default name.
    if tables.has_table(OLD_VERSION_TABLE) and tables.has_table("favourites") and tables.has_table("raw_items"):
        return OLD_VERSION_TABLE
    return None


def _adopt_version_table(connection: Connection) -> None:
    """Give the version table of an older favsync its new name."""
    if _version_table(connection) == OLD_VERSION_TABLE:
        connection.execute(text(f"ALTER TABLE {OLD_VERSION_TABLE} RENAME TO {VERSION_TABLE}"))


def require_newest(engine: Engine) -> None:
    """Check that the database has the schema that this favsync writes.

    Raises: SchemaOutdated, with what it has and what to do.
    """
    found, wanted = current(engine), newest()
    if found == wanted:
        return
    where = engine.url.render_as_string(hide_password=True)
    if found is None:
        raise SchemaOutdated(f"{where} holds no favsync schema", remedy="run `favsync db upgrade`")
    _require_known(where, found)
    raise SchemaOutdated(
        f"{where} is at schema {found}, this favsync writes {wanted}",
        remedy="back it up, then run `favsync db upgrade`",
    )


def _require_known(where: str, found: str | None) -> None:
    if found is not None and found > newest():
        raise SchemaOutdated(
            f"{where} is at schema {found}, newer than this favsync knows ({newest()})",
            remedy="install the newer favsync",
        )


def ready_engine(url: str, *, create: bool = False) -> Engine:
    """Open ``url`` and check its schema; with ``create``, a new SQLite file gets the newest one.

    Raises: DatabaseError, SchemaOutdated, SettingsError.
    """
    path = sqlite_path(url)
    is_new = create and path is not None and (not path.exists() or path.stat().st_size == 0)
    if is_new:
        upgrade(url)
    engine = open_engine(url)
    require_newest(engine)
    return engine


def upgrade(url: str, revision: str = "head") -> None:
    """Migrate the database at ``url`` and recreate the views; a missing SQLite file is created.

    Raises: DatabaseError; SchemaOutdated, if a newer favsync migrated it.
    """
    from alembic import command
    from alembic.config import Config

    engine = open_engine(url, create=True)
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    with database_errors(engine), engine.begin() as connection:
        _require_known(engine.url.render_as_string(hide_password=True), current_of(connection))
        _adopt_version_table(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        if revision == "head":
            seed_markets(connection)
    engine.dispose()


def seed_markets(connection: Connection) -> None:
    """Write the names and UN M49 regions of the ISO 3166 markets."""
    with (Path(__file__).parent / "seed" / "markets.csv").open(encoding="utf-8", newline="") as seed:
        rows = [
            (row["code"], row["name"], row["sub_region"], row["region"], True)
            for row in csv.DictReader(line for line in seed if not line.startswith("#"))
        ]
    columns = ("market_code", "name", "region", "continent", "is_iso")
    bulk.insert(connection, markets, columns, rows, key=("market_code",), update=columns[1:])
