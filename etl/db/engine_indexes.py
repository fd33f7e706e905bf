"""Indexes and table options of one engine: partial indexes, tables without row ids. Importing it adds them to the metadata.

They are apart from `etl.db.tables` because SQLAlchemy imports a whole dialect for one such option, which takes longer than all
tables. Only the migrations and the schema comparison need them.
"""

from __future__ import annotations

from sqlalchemy import Column, Index, text

from etl.db.tables import favourites, market_set_members, track_artists, track_genres, track_versions

ONLY = "only"


def _partial(name: str, *columns: Column[object], where: str, unique: bool = False, only: str = "") -> None:
    info = {ONLY: only} if only else {}
    Index(name, *columns, unique=unique, sqlite_where=text(where), postgresql_where=text(where), info=info)


def is_for(index: Index, engine: str) -> bool:
    """True if ``index`` exists on ``engine``."""
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
    only="sqlite",  # it looks up each row unless the index holds every column of the query
)
_partial("uq_favourites_open", favourites.c.account_id, favourites.c.track_id, where="valid_to IS NULL", unique=True)

for _table in (market_set_members, track_artists, track_genres, favourites):
    _table.dialect_options["sqlite"]["with_rowid"] = False
