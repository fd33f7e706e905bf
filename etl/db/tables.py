"""The tables, as SQLAlchemy Core.

docs/data-model.md describes the columns that users rely on; all others are marked *ours*. The migrations define a database,
and a test compares them with this metadata.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    column,
    table,
    text,
)

from etl.db.types import Instant, Json, Key, Small

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

metadata = MetaData(naming_convention=NAMING)


def _partial_index(name: str, *columns: str, unique: bool = False, **info: str) -> Index:
    """Return an index of the rows ``where`` (if ``only`` is given: of this engine).

    SQLAlchemy imports a whole dialect for ``sqlite_where``, which takes longer than all tables, so both are in `Index.info`.
    """
    return Index(name, *columns, unique=unique, info=info)


accounts = Table(
    "accounts",
    metadata,
    Column("account_id", Key, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("boomplay_user_id", Text, unique=True),
    Column("user_name", Text),
    Column("region", Text),
    Column("plan", Text),
    Column("schedule", Text),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    Column("created_at", Instant, nullable=False),
    Column("user_checked_at", Instant),  # ours: when the service last confirmed the Boomplay user
)

snapshots = Table(
    "snapshots",
    metadata,
    Column("snapshot_id", Key, primary_key=True),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("size", Small, nullable=False),
    Column("items", LargeBinary, nullable=False),
)

raw_blocks = Table(  # ours: bodies, compressed together because items of one list share most of their text
    "raw_blocks",
    metadata,
    Column("raw_block_id", Key, primary_key=True),
    Column("body", LargeBinary, nullable=False),
)

raw_items = Table(
    "raw_items",
    metadata,
    Column("raw_item_id", Key, primary_key=True),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("track_id", BigInteger),
    Column("is_readable", Boolean, nullable=False),
    Column("raw_block_id", ForeignKey("raw_blocks.raw_block_id")),
    Column("position", Small),
)

runs = Table(
    "runs",
    metadata,
    Column("run_id", Key, primary_key=True),
    Column("account_id", ForeignKey("accounts.account_id"), nullable=False),
    Column("trigger", Text, nullable=False),
    Column("outcome", Text),
    Column("reason", Text),
    Column("proven", Boolean, nullable=False, server_default=text("false")),
    Column("started_at", Instant, nullable=False),
    Column("observed_at", Instant),
    Column("finished_at", Instant),
    Column("snapshot_id", ForeignKey("snapshots.snapshot_id"), index=True),
    Column("favourites", Small),
    Column("added", Small, nullable=False, server_default="0"),
    Column("removed", Small, nullable=False, server_default="0"),
    Column("held", Small, nullable=False, server_default="0"),
    Column("changed", Small, nullable=False, server_default="0"),
    Column("rejected", Small, nullable=False, server_default="0"),
    Column("pages", Small, nullable=False, server_default="0"),
    Column("requests", Small, nullable=False, server_default="0"),
    Column("retries", Small, nullable=False, server_default="0"),
    Column("retracted_at", Instant),
    Column(
        "proves_absence", Boolean, nullable=False, server_default=text("false")
    ),  # ours: proven, every item has an id
    Column("decision", Text),  # ours: the operator's decision on held removals
    Column("retry_at", Instant),  # ours: the service asked to wait until then
    Column("brake_minimum", Small),  # ours: the threshold that the run obeyed, so that a replay obeys the same
    Column("brake_ratio", Float),
    Column("holder", Text),  # ours: host and process of the run
    # ours: what the run knew when it decided about removals, so that a replay decides the same (model.records.SnapshotRef)
    Column("missing", Small, nullable=False, server_default="0"),
    Column("removal_grace_seconds", BigInteger),
    Column("withdrawal_grace_seconds", BigInteger),
    Column("user_confirmed", Boolean),
    Column("total", BigInteger),
    Column("page_size", Small),
    Column("evidence", Text),
    CheckConstraint("trigger IN ('manual', 'schedule', 'backfill')", name="trigger_known"),
    CheckConstraint(
        "outcome IN ('succeeded', 'unchanged', 'held', 'partial', 'failed')",
        name="outcome_known",
    ),
    CheckConstraint("decision IN ('approved', 'rejected')", name="decision_known"),
    CheckConstraint("proven OR NOT proves_absence", name="absence_needs_proof"),
    UniqueConstraint("account_id", "run_id"),
    Index("ix_runs_account_id_observed_at", "account_id", "observed_at"),
    _partial_index("ix_runs_held", "account_id", where="outcome = 'held' AND decision IS NULL"),
)

albums = Table(
    "albums",
    metadata,
    Column("album_id", Key, primary_key=True, autoincrement=False),
    Column("title", Text),
    Column("first_title", Text),  # ours: the first title, unless it is ``title`` still (`tracks.facts`)
)

artists = Table(
    "artists",
    metadata,
    Column("artist_id", Key, primary_key=True, autoincrement=False),
    Column("name", Text),
    Column("first_name", Text),  # ours: like ``albums.first_title``
)

genres = Table(
    "genres",
    metadata,
    Column("genre_id", Key, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
)

markets = Table(
    "markets",
    metadata,
    Column("market_code", Text, primary_key=True),
    Column("name", Text),
    Column("region", Text),
    Column("continent", Text),  # ours: the M49 region that ``region``, a sub-region, lies in
    Column("is_iso", Boolean, nullable=False),
)

market_sets = Table(
    "market_sets",
    metadata,
    Column("market_set_id", Key, primary_key=True),
    Column("size", Small, nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True),  # ours
)

market_set_members = Table(
    "market_set_members",
    metadata,
    Column("market_set_id", ForeignKey("market_sets.market_set_id"), primary_key=True),
    Column("market_code", ForeignKey("markets.market_code"), primary_key=True),
)

tracks = Table(
    "tracks",
    metadata,
    Column("track_id", Key, primary_key=True, autoincrement=False),
    Column("title", Text),
    Column("track_number", BigInteger),
    Column("isrc", Text),
    Column("duration_seconds", BigInteger),
    Column("album_id", ForeignKey("albums.album_id"), index=True),
    Column("market_set_id", ForeignKey("market_sets.market_set_id")),
    Column("web_url", Text),
    Column("mobile_url", Text),
    Column("artwork_url", Text),
    Column("artwork_width", BigInteger),
    Column("artwork_height", BigInteger),
    Column("first_seen_at", Instant, nullable=False),
    Column("changed_at", Instant),
    Column("facts_digest", LargeBinary),  # ours: NULL while only the id is known
    Column(
        "facts", Json
    ),  # ours: as in ``track_versions``, if they name albums or artists in other words than their first
    # ours: the newest snapshot in which its item was new to some account, rounded up; NULL: the one of ``changed_at``
    Column("sighted_at", Instant),
)

superseded_versions = Table(  # ours: attributes that a track had before those in ``tracks``
    "superseded_versions",
    metadata,
    Column("track_id", ForeignKey("tracks.track_id"), primary_key=True),
    Column("valid_from", Instant, primary_key=True),
    Column("valid_to", Instant, nullable=False),
    Column("title", Text),
    Column("album_id", BigInteger),
    Column("market_set_id", ForeignKey("market_sets.market_set_id")),
    Column("facts", Json, nullable=False),
    Column("facts_digest", LargeBinary, nullable=False),
    CheckConstraint("valid_to > valid_from", name="ends_after_start"),
)

# A view: superseded versions, and the current one of each track (etl/reporting/views/track_versions.sql).
track_versions = table("track_versions", *(column(each.name, each.type) for each in superseded_versions.c))

track_artists = Table(
    "track_artists",
    metadata,
    Column("track_id", ForeignKey("tracks.track_id"), primary_key=True),
    Column("position", Small, primary_key=True),
    Column("artist_id", ForeignKey("artists.artist_id"), nullable=False, index=True),
    Column("role", Text),
)

track_genres = Table(
    "track_genres",
    metadata,
    Column("track_id", ForeignKey("tracks.track_id"), primary_key=True),
    Column("position", Small, primary_key=True),
    Column("genre_id", ForeignKey("genres.genre_id"), nullable=False, index=True),
)

favourites = Table(
    "favourites",
    metadata,
    Column("account_id", ForeignKey("accounts.account_id"), primary_key=True),
    Column("favourite_id", BigInteger, primary_key=True, autoincrement=False),
    Column("track_id", ForeignKey("tracks.track_id"), nullable=False, index=True),
    Column("valid_from", Instant, nullable=False),
    Column("valid_to", Instant),
    Column("added_after", Instant),
    Column("removed_after", Instant),
    Column("added_run_id", Key, nullable=False),
    Column("removed_run_id", Key),
    Column("last_seen_at", Instant),  # ours: see etl.model.records.FavouriteInterval
    Column("missing_since", Instant),
    Column("removal_reason", Text),
    ForeignKeyConstraint(["account_id", "added_run_id"], ["runs.account_id", "runs.run_id"]),
    ForeignKeyConstraint(["account_id", "removed_run_id"], ["runs.account_id", "runs.run_id"]),
    CheckConstraint("valid_to > valid_from", name="ends_after_start"),
    CheckConstraint("added_after < valid_from", name="added_between"),
    CheckConstraint("removed_after < valid_to", name="removed_between"),
    CheckConstraint("(valid_to IS NULL) = (removed_run_id IS NULL)", name="closed_cites_run"),
    CheckConstraint("valid_to IS NOT NULL OR removed_after IS NULL", name="open_not_removed"),
    UniqueConstraint("account_id", "track_id", "valid_from"),
    _partial_index("ix_favourites_removed_run_id", "removed_run_id", where="removed_run_id IS NOT NULL"),
    _partial_index("ix_favourites_missed", "account_id", where="last_seen_at IS NOT NULL"),
    # SQLite looks up each row unless the index holds every column of the query.
    _partial_index("ix_favourites_open", "account_id", "track_id", "valid_to", where="valid_to IS NULL", only="sqlite"),
    _partial_index("uq_favourites_open", "account_id", "track_id", where="valid_to IS NULL", unique=True),
)

removal_memory = Table(  # ours: what earlier snapshots say about later removals (model.records.RemovalMemory)
    "removal_memory",
    metadata,
    Column("account_id", ForeignKey("accounts.account_id", ondelete="CASCADE"), primary_key=True),
    Column("memory", Text, nullable=False),
)

rejects = Table(
    "rejects",
    metadata,
    Column("run_id", ForeignKey("runs.run_id"), primary_key=True),
    Column("position", Small, primary_key=True),
    Column("track_id", BigInteger),
    Column("reason", Text, nullable=False),
    Column("body", Text, nullable=False),
)

tokens = Table(  # ours: the location of an account's token, and its last known state
    "tokens",
    metadata,
    Column("account_id", ForeignKey("accounts.account_id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("place", Text, nullable=False),
    Column("reference", Text),
    Column("secret", LargeBinary),
    Column("fingerprint", LargeBinary),
    Column("is_renewable", Boolean, nullable=False, server_default=text("false")),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("suspect_since", Instant),
    Column("expires_at", Instant),
    Column("updated_at", Instant, nullable=False),
    CheckConstraint("place IN ('database', 'environment', 'file')", name="place_known"),
    CheckConstraint("state IN ('valid', 'suspect', 'dead')", name="state_known"),
    CheckConstraint("(place = 'database') = (secret IS NOT NULL)", name="secret_in_place"),
    CheckConstraint("(place = 'database') = (reference IS NULL)", name="reference_elsewhere"),
    _partial_index("ix_tokens_dead", "account_id", where="state = 'dead'"),
)

schedules = Table(  # ours: when an account is synced next; every account has a row
    "schedules",
    metadata,
    Column("account_id", ForeignKey("accounts.account_id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("schedule", Text, nullable=False),
    Column("next_run_at", Instant, nullable=False, index=True),
    Column("parked_until", Instant),
    Column("failures_in_a_row", Small, nullable=False, server_default="0"),
    Column("updated_at", Instant, nullable=False, index=True),
    Column("claimed_until", Instant),  # a worker has the account; unless it writes the next run, it is due again then
    # How the account is, as of its last run, so that many accounts are counted by indexes (etl.load.calendar).
    Column("proven_at", Instant),
    Column("stale_at", Instant),
    Column("blocked_at", Instant),
    _partial_index("ix_schedules_claimed_until", "claimed_until", where="claimed_until IS NOT NULL"),
    _partial_index("ix_schedules_proven_at", "proven_at", where="stale_at IS NOT NULL"),
    _partial_index("ix_schedules_stale_at", "stale_at", where="stale_at IS NOT NULL"),
    _partial_index("ix_schedules_blocked_at", "blocked_at", where="blocked_at IS NOT NULL"),
)

budgets = Table(  # ours: the requests of an app id, for all processes of a PostgreSQL database
    "budgets",
    metadata,
    Column("app", Text, primary_key=True),
    Column("per_second", Float, nullable=False),
    Column("next_at", Instant, nullable=False),
)

walk_pages = Table(  # ours: checkpoints of an unfinished `favsync backfill`
    "walk_pages",
    metadata,
    Column("account_id", ForeignKey("accounts.account_id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("page_offset", BigInteger, primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False),
    Column("fetched_at", Instant, nullable=False),
)

digests = Table(  # ours: the cursor of each digest; runs are plain numbers, because they may be pruned
    "digests",
    metadata,
    Column("account_id", ForeignKey("accounts.account_id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("channel", Text, primary_key=True),
    Column("run_id", Key, nullable=False),
    Column("held_run_id", Key),
    Column("told_at", Instant, nullable=False),
)
