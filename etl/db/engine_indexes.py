"""What only one engine knows of a table: partial indexes, tables without row ids. Importing it adds them to the metadata.

Apart from `etl.db.tables`, since SQLAlchemy imports all of a dialect to look at one such option, which takes longer than all
the tables, and since no query needs them: they are for the migrations and for the test that compares.
"""

from __future__ import annotations

from sqlalchemy import Column, Index, text

from etl.db.tables import favourites, market_set_members, track_artists, track_genres, track_versions

ONLY = "only"


def _partial(name: str, *columns: Column[object], where: str, unique: bool = False, only: str = "") -> None:
    info = {ONLY: only} if only else {}
    Index(name, *columns, unique=unique, sqlite_where=text(where), postgresql_where=text(where), info=info)


def is_for(index: Index, engine: str) -> bool:
    """Say whether ``index`` is made on ``engine``."""
    return bool(index.info.get(ONLY, engine) == engine)


_partial("uq_track_versions_current", track_versions.c.track_id, where="valid_to IS NULL", unique=True)
_partial("ix_favourites_removed_run_id", favourites.c.removed_run_id, where="removed_run_id IS NOT NULL")
_partial("ix_favourites_missed", favourites.c.account_id, where="last_seen_at IS NOT NULL")
_partial(
    "ix_favourites_open",
    favourites.c.account_id,
    favourites.c.track_id,
    favourites.c.valid_to,
    where="valid_to IS NULL",
    only="sqlite",  # which looks each row up, where a column that it asks about is not in the index itself
)
_partial("uq_favourites_open", favourites.c.account_id, favourites.c.track_id, where="valid_to IS NULL", unique=True)

for _table in (market_set_members, track_artists, track_genres, favourites):
    _table.dialect_options["sqlite"]["with_rowid"] = False
