"""``python -m etl.store.make_template``: write the script that a new SQLite file is made by. For developers alone."""

from __future__ import annotations

import tempfile

from etl.store import migrate
from etl.store.engine import open_engine, reading
from etl.store.template import SCRIPT, script_of


def write() -> None:
    """Migrate a new database, and write down what that made."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/new.db"
        migrate.upgrade(url)
        with reading(open_engine(url)) as connection:
            script = script_of(connection, migrate.migrations_folder())
    SCRIPT.write_text(script, encoding="utf-8")


if __name__ == "__main__":
    write()
