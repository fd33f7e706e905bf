"""The script that makes a new SQLite file, beside the migrations that it stands for."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

import pytest

from etl.store import migrate, template
from etl.store.engine import open_engine, reading


def schema(path: Path) -> list[tuple[str, str, str]]:
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY 1, 2")
        return [(kind, name, sql.strip()) for kind, name, sql in rows]


def test_the_script_is_what_the_migrations_make_today(tmp_path):
    url = f"sqlite:///{tmp_path}/migrated.db"
    migrate.upgrade(url)
    with reading(open_engine(url)) as connection:
        made = template.script_of(connection, migrate.migrations_folder())
    assert template.SCRIPT.read_text(encoding="utf-8") == made, "run `python -m etl.store.make_template`"


def test_a_new_file_is_the_one_that_the_migrations_make(tmp_path):
    migrate.upgrade(f"sqlite:///{tmp_path}/migrated.db")
    migrate.ready_engine(f"sqlite:///{tmp_path}/new.db", create=True).dispose()
    assert schema(tmp_path / "new.db") == schema(tmp_path / "migrated.db")
    with sqlite3.connect(tmp_path / "new.db") as new, sqlite3.connect(tmp_path / "migrated.db") as migrated:
        for table in ("alembic_version", "markets"):
            query = f"SELECT * FROM {table} ORDER BY 1"
            assert new.execute(query).fetchall() == migrated.execute(query).fetchall()


@pytest.mark.parametrize("script", ["-- Made of other files\n-- next\nCREATE TABLE wrong (x)\n", None])
def test_a_script_that_is_out_of_date_or_missing_is_not_used(tmp_path, monkeypatch, script):
    stale = tmp_path / "schema.sql"
    if script is not None:
        stale.write_text(script)
    monkeypatch.setattr(template, "SCRIPT", stale)
    migrate.ready_engine(f"sqlite:///{tmp_path}/new.db", create=True).dispose()
    names = [name for _, name, _ in schema(tmp_path / "new.db")]
    assert "favourites" in names
    assert "wrong" not in names
    assert "alembic" in sys.modules
