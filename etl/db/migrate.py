"""Reads and upgrades the schema version. The only module that imports alembic.

The revisions are in the package of an installed favsync, and at the top of a checkout. Their ids come from file names, because
importing alembic takes longer than most verbs. Only a new SQLite file is migrated unasked; every other database only by
`favsync db upgrade`. Each transaction of a run reads the version before it writes, and an upgrade waits for such transactions,
so a process of an older favsync never writes into a newer schema.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from sqlalchemy import Connection, Engine, column, inspect, select, table, text

from etl.db import bulk
from etl.db.engine import database_errors, open_engine, read_transaction, sqlite_path
from etl.db.tables import markets
from etl.errors import DatabaseError, SchemaOutdated

VERSION_TABLE = "favsync_version"  # alembic's default name may belong to another program in the same database
OLD_VERSION_TABLE = "alembic_version"  # of favsync up to revision 0005
VERSIONS = table(VERSION_TABLE, column("version_num"))
UPGRADE_LOCK = 7_234_710_001
LOCK_TIMEOUT = "10s"
_PACKAGE = Path(__file__).resolve().parent.parent


def migrations_folder() -> Path:
    """Return the folder of the revisions: in the package if it is installed, else at the top of the checkout."""
    for folder in (_PACKAGE / "migrations", _PACKAGE.parent / "migrations"):
        if (folder / "env.py").exists():
            return folder
    raise DatabaseError("this favsync was installed without its migrations", remedy="install it again from its wheel")


@cache  # a later installation may replace the files while this process runs its old code
def revisions() -> list[str]:
    """Return the ids of the revisions, oldest first (``0001``, ``0002`` …: they are linear and numbered)."""
    return sorted(path.name.split("_", 1)[0] for path in (migrations_folder() / "versions").glob("[0-9]*_*.py"))


def newest() -> str:
    """Return the id of the newest revision."""
    return revisions()[-1]


def current(engine: Engine) -> str | None:
    """Return the revision of the database, None if it holds no favsync schema.

    Raises: SchemaOutdated, if the version table does not hold exactly one revision; DatabaseError.
    """
    with read_transaction(engine) as connection:
        return current_of(connection)


def current_of(connection: Connection) -> str | None:
    """Do what `current` does in a transaction."""
    name = _version_table(connection)
    if name is None:
        return None
    return _single(connection.execute(text(f"SELECT version_num FROM {name}")).scalars().all(), name)  # noqa: S608


def _version_table(connection: Connection) -> str | None:
    """Return the name of favsync's version table. Another program's ``alembic_version`` is ignored.

    Raises: SchemaOutdated, if there are favsync's tables without a version.
    """
    tables = inspect(connection)
    if tables.has_table(VERSION_TABLE):
        return VERSION_TABLE
    if not (tables.has_table("favourites") and tables.has_table("raw_items")):
        return None
    if tables.has_table(OLD_VERSION_TABLE):
        return OLD_VERSION_TABLE
    raise SchemaOutdated(
        f"the table {VERSION_TABLE} is missing from {_where(connection)}, so its schema version is unknown",
        remedy="restore a backup that has the table",
    )


def _single(found: Sequence[str], name: str = VERSION_TABLE) -> str:
    if len(found) == 1:
        return found[0]
    raise SchemaOutdated(
        f"the table {name} holds {', '.join(sorted(found)) or 'no revision'} instead of one revision: an upgrade was "
        "interrupted, or somebody changed it",
        remedy="restore the backup from before the upgrade, or leave one row with the true revision and run "
        "`favsync db check`",
    )


def _where(connection: Connection) -> str:
    return connection.engine.url.render_as_string(hide_password=True)


def _require_known(connection: Connection, found: str) -> None:
    if found in revisions():
        return
    if found.isdigit() and found > newest():
        raise SchemaOutdated(
            f"{_where(connection)} is at schema {found}, newer than this favsync knows ({newest()})",
            remedy="install the newer favsync",
        )
    raise SchemaOutdated(
        f"{_where(connection)} is at schema {found!r}, which is no revision of favsync",
        remedy=f"restore a backup, or correct the table {VERSION_TABLE}",
    )


def require_newest(engine: Engine) -> None:
    """Check that the database has the schema that this favsync writes.

    Raises: SchemaOutdated, with what the database has and what to do; DatabaseError.
    """
    with read_transaction(engine) as connection:
        require_newest_in(connection)


def require_newest_in(connection: Connection) -> None:
    """Do what `require_newest` does in a transaction."""
    found = current_of(connection)
    if found is None:
        raise SchemaOutdated(f"{_where(connection)} holds no favsync schema", remedy="run `favsync db upgrade`")
    require_version(connection, [found])


def require_version(connection: Connection, found: Sequence[str] | None = None) -> None:
    """Check that the database, which had the newest schema when it was opened, still has it. Costs at most one statement.

    ``found``: the rows of the version table, if the caller has read them. Call it before the transaction writes.

    Raises: SchemaOutdated.
    """
    if found is None:
        found = connection.execute(select(VERSIONS.c.version_num)).scalars().all()
    version = _single(found)
    if version != newest():
        _require_known(connection, version)
        raise SchemaOutdated(
            f"{_where(connection)} is at schema {version}, this favsync writes {newest()}",
            remedy="back it up, then run `favsync db upgrade`",
        )


def ready_engine(url: str, *, create: bool = False, pooling: str = "direct") -> Engine:
    """Open ``url`` and check its schema; with ``create``, a new SQLite file gets the newest one.

    Raises: DatabaseError, SchemaOutdated, SettingsError.
    """
    path = sqlite_path(url)
    if create and path is not None and (not path.exists() or path.stat().st_size == 0):
        upgrade(url)
    engine = open_engine(url, pooling=pooling)
    require_newest(engine)
    return engine


def upgrade(url: str, revision: str = "head", *, pooling: str = "direct") -> None:
    """Migrate the database at ``url`` and recreate the views; a missing SQLite file is created.

    Raises: DatabaseError; SchemaOutdated, if its version is unknown, for example that of a newer favsync.
    """
    from alembic import command
    from alembic.config import Config

    engine = open_engine(url, create=True, pooling=pooling)
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    with database_errors(engine), engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        if revision == "head":
            seed_markets(connection)
    engine.dispose()


def prepare_upgrade(connection: Connection) -> None:
    """Wait for other upgrades and for transactions that checked the version, and check that this version can be upgraded.

    A version table of an older favsync gets its new name. On PostgreSQL no lock is waited for longer than `LOCK_TIMEOUT`,
    because others queue behind it; SQLite has one writer.

    Raises: SchemaOutdated.
    """
    is_postgresql = connection.dialect.name == "postgresql"
    if is_postgresql:
        connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": UPGRADE_LOCK})
    name = _version_table(connection)
    if name is None:
        return
    if is_postgresql:
        connection.execute(text(f"LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE"))
    _require_known(connection, current_of(connection) or "")
    if name == OLD_VERSION_TABLE:
        connection.execute(text(f"ALTER TABLE {OLD_VERSION_TABLE} RENAME TO {VERSION_TABLE}"))


def seed_markets(connection: Connection) -> None:
    """Write the names and UN M49 regions of the ISO 3166 markets."""
    with (Path(__file__).parent / "seed" / "markets.csv").open(encoding="utf-8", newline="") as seed:
        rows = [
            (row["code"], row["name"], row["sub_region"], row["region"], True)
            for row in csv.DictReader(line for line in seed if not line.startswith("#"))
        ]
    columns = ("market_code", "name", "region", "continent", "is_iso")
    bulk.insert(connection, markets, columns, rows, key=("market_code",), update=columns[1:])
