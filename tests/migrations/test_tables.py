"""What the code takes the tables to be, beside what the migrations make of them."""

from __future__ import annotations

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from etl.db.engine import open_engine
from etl.db.tables import metadata


def test_the_metadata_is_what_the_migrations_make(database_url: str) -> None:
    engine = open_engine(database_url)
    with engine.connect() as connection:
        name = connection.dialect.name
        opts = {
            "compare_type": True,
            "compare_server_default": False,
            "include_name": _is_ours,
            "include_object": lambda made, _name, kind, *_: kind != "index" or made.info.get("only", name) == name,
        }
        context = MigrationContext.configure(connection, opts=opts)
        assert [each for each in compare_metadata(context, metadata) if not _is_comment(each)] == []
    engine.dispose()


def _is_comment(difference: object) -> bool:
    """True for a comment, which `create_views` writes from the dictionary of columns."""
    return "_comment" in str(difference)[:30]


def _is_ours(name: str | None, kind: str, _parents: object) -> bool:
    return not (kind == "table" and name == "favsync_version")
