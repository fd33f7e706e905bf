"""The schema of a new SQLite file as one script. Not here: the schema itself (`migrations/`, `etl.reporting`).

A first sync need not go through the revisions with it, nor import alembic, which takes longer than to read a list.

Invariants: the script is what the migrations made (`etl.store.make_template` writes it, a test compares); it carries the
digest of the files that it was made of, and where these have changed since, it is not used.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from sqlalchemy import Connection

SCRIPT = Path(__file__).parent / "seed" / "schema.sqlite.sql"
SEPARATOR = "\n-- next\n"
_REPORTING = Path(__file__).resolve().parent.parent / "reporting"


def sources_digest(migrations: Path) -> str:
    """Return the digest of everything that the schema is made of: the revisions and the views."""
    files = [migrations / "env.py", *migrations.glob("versions/[0-9]*.py")]
    files += [_REPORTING / "views.py", *_REPORTING.glob("views/*.sql")]
    parts = (b"%s\n%s\n" % (path.name.encode(), path.read_bytes()) for path in sorted(files))
    return hashlib.blake2b(b"".join(parts), digest_size=16).hexdigest()


def make(connection: Connection, migrations: Path) -> bool:
    """Make the schema in an empty SQLite database; False, and nothing made, where the script is not of today's files."""
    try:
        head, *statements = SCRIPT.read_text(encoding="utf-8").split(SEPARATOR)
    except FileNotFoundError:
        return False
    if head != _head(migrations):
        return False
    for statement in statements:
        connection.exec_driver_sql(statement)
    return True


def script_of(connection: Connection, migrations: Path) -> str:
    """Return the script that makes a database like the one behind ``connection``, which the migrations made."""
    made = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid")
    statements = [str(sql).strip() for (sql,) in made]
    version = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one()
    stamp = f"INSERT INTO alembic_version (version_num) VALUES ('{version}')"  # noqa: S608 - a number of our own
    return SEPARATOR.join([_head(migrations), *statements, stamp]) + "\n"


def _head(migrations: Path) -> str:
    return f"-- Made by `python -m etl.store.make_template` of the files with this digest: {sources_digest(migrations)}"
