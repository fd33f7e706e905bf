"""The schema that favsync begins with: tables, constraints, and the triggers that refuse a wrong history.

What a CHECK cannot say stands in triggers: no two intervals of one account and track overlap, and an interval that ends cites a
run whose walk was proven. SQLite checks row by row, PostgreSQL a statement at a time, over what the statement wrote.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def key() -> sa.types.TypeEngine[Any]:
    """Return a 64-bit key; SQLite numbers rows by itself only where the type is spelt INTEGER."""
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def instant() -> sa.types.TypeEngine[Any]:
    """Return a moment in UTC: text ending in Z on SQLite."""
    return sa.String(27).with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")


def json() -> sa.types.TypeEngine[Any]:
    """Return JSON that PostgreSQL can look into."""
    return sa.Text().with_variant(postgresql.JSONB(), "postgresql")


OVERLAP = "favourites: two intervals of one track overlap"
UNPROVEN = "favourites: an interval that ends must cite a proven run"
UNPROVING = "runs: a run that favourites cite as proof stays proven"

SQLITE_OVERLAP = f"""
WHEN EXISTS (
    SELECT 1 FROM favourites f
    WHERE f.account_id = NEW.account_id AND f.track_id = NEW.track_id AND f.favourite_id <> NEW.favourite_id
      AND f.valid_from < coalesce(NEW.valid_to, '9999') AND NEW.valid_from < coalesce(f.valid_to, '9999')
)
BEGIN SELECT RAISE(ABORT, '{OVERLAP}'); END
"""

SQLITE_UNPROVEN = f"""
WHEN NEW.removed_run_id IS NOT NULL
 AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.run_id = NEW.removed_run_id AND r.proven)
BEGIN SELECT RAISE(ABORT, '{UNPROVEN}'); END
"""

SQLITE_UNPROVING = f"""
CREATE TRIGGER runs_proof_stays BEFORE UPDATE OF proven ON runs
WHEN OLD.proven AND NOT NEW.proven AND EXISTS (SELECT 1 FROM favourites f WHERE f.removed_run_id = OLD.run_id)
BEGIN SELECT RAISE(ABORT, '{UNPROVING}'); END
"""

POSTGRESQL = (
    f"""
CREATE FUNCTION favourites_check() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM written w JOIN favourites f
            ON f.account_id = w.account_id AND f.track_id = w.track_id AND f.favourite_id <> w.favourite_id
        WHERE f.valid_from < coalesce(w.valid_to, 'infinity') AND w.valid_from < coalesce(f.valid_to, 'infinity')
    ) THEN
        RAISE EXCEPTION '{OVERLAP}' USING ERRCODE = 'exclusion_violation';
    END IF;
    IF EXISTS (
        SELECT 1 FROM written w JOIN runs r ON r.run_id = w.removed_run_id WHERE NOT r.proven
    ) THEN
        RAISE EXCEPTION '{UNPROVEN}' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$
""",
    """
CREATE TRIGGER favourites_check_insert AFTER INSERT ON favourites
REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION favourites_check()
""",
    """
CREATE TRIGGER favourites_check_update AFTER UPDATE ON favourites
REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION favourites_check()
""",
    f"""
CREATE FUNCTION runs_proof_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM favourites f WHERE f.removed_run_id = OLD.run_id) THEN
        RAISE EXCEPTION '{UNPROVING}' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$
""",
    """
CREATE TRIGGER runs_proof_stays BEFORE UPDATE OF proven ON runs
FOR EACH ROW WHEN (OLD.proven AND NOT NEW.proven) EXECUTE FUNCTION runs_proof_stays()
""",
)


def upgrade() -> None:
    """Make the tables, then the triggers."""
    make_tables()
    if op.get_context().dialect.name == "postgresql":
        for statement in POSTGRESQL:
            op.execute(statement)
        return
    for moment in ("INSERT", "UPDATE"):
        name = moment.lower()
        op.execute(f"CREATE TRIGGER favourites_overlap_{name} BEFORE {moment} ON favourites {SQLITE_OVERLAP}")
        op.execute(f"CREATE TRIGGER favourites_unproven_{name} BEFORE {moment} ON favourites {SQLITE_UNPROVEN}")
    op.execute(SQLITE_UNPROVING)


def make_tables() -> None:
    """Make tables and indexes."""
    op.create_table(
        "accounts",
        sa.Column("account_id", key(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("boomplay_user_id", sa.Text(), nullable=True),
        sa.Column("user_name", sa.Text(), nullable=True),
        sa.Column("region", sa.Text(), nullable=True),
        sa.Column("plan", sa.Text(), nullable=True),
        sa.Column("schedule", sa.Text(), nullable=True),
        sa.Column("enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("created_at", instant(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", name="pk_accounts"),
        sa.UniqueConstraint("boomplay_user_id", name="uq_accounts_boomplay_user_id"),
        sa.UniqueConstraint("name", name="uq_accounts_name"),
    )
    op.create_table(
        "albums",
        sa.Column("album_id", key(), autoincrement=False, nullable=False),
        sa.Column("title", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("album_id", name="pk_albums"),
    )
    op.create_table(
        "artists",
        sa.Column("artist_id", key(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("artist_id", name="pk_artists"),
    )
    op.create_table(
        "genres",
        sa.Column("genre_id", key(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("genre_id", name="pk_genres"),
        sa.UniqueConstraint("name", name="uq_genres_name"),
    )
    op.create_table(
        "market_sets",
        sa.Column("market_set_id", key(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("market_set_id", name="pk_market_sets"),
        sa.UniqueConstraint("digest", name="uq_market_sets_digest"),
    )
    op.create_table(
        "markets",
        sa.Column("market_code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("region", sa.Text(), nullable=True),
        sa.Column("continent", sa.Text(), nullable=True),
        sa.Column("is_iso", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("market_code", name="pk_markets"),
    )
    op.create_table(
        "raw_blocks",
        sa.Column("raw_block_id", key(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("raw_block_id", name="pk_raw_blocks"),
    )
    op.create_table(
        "snapshots",
        sa.Column("snapshot_id", key(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("items", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("snapshot_id", name="pk_snapshots"),
        sa.UniqueConstraint("digest", name="uq_snapshots_digest"),
    )
    op.create_table(
        "market_set_members",
        sa.Column("market_set_id", key(), nullable=False),
        sa.Column("market_code", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["market_code"],
            ["markets.market_code"],
            name="fk_market_set_members_market_code",
        ),
        sa.ForeignKeyConstraint(
            ["market_set_id"],
            ["market_sets.market_set_id"],
            name="fk_market_set_members_market_set_id",
        ),
        sa.PrimaryKeyConstraint("market_set_id", "market_code", name="pk_market_set_members"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "raw_items",
        sa.Column("raw_item_id", key(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("track_id", sa.BigInteger(), nullable=True),
        sa.Column("is_readable", sa.Boolean(), nullable=False),
        sa.Column("raw_block_id", key(), nullable=True),
        sa.Column("position", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["raw_block_id"],
            ["raw_blocks.raw_block_id"],
            name="fk_raw_items_raw_block_id",
        ),
        sa.PrimaryKeyConstraint("raw_item_id", name="pk_raw_items"),
        sa.UniqueConstraint("digest", name="uq_raw_items_digest"),
    )
    op.create_index("ix_raw_items_track_id", "raw_items", ["track_id"], unique=False)
    op.create_table(
        "runs",
        sa.Column("run_id", key(), nullable=False),
        sa.Column("account_id", key(), nullable=False),
        sa.Column("trigger", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("proven", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("started_at", instant(), nullable=False),
        sa.Column("observed_at", instant(), nullable=True),
        sa.Column("finished_at", instant(), nullable=True),
        sa.Column("snapshot_id", key(), nullable=True),
        sa.Column("favourites", sa.Integer(), nullable=True),
        sa.Column("added", sa.Integer(), server_default="0", nullable=False),
        sa.Column("removed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("held", sa.Integer(), server_default="0", nullable=False),
        sa.Column("changed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("rejected", sa.Integer(), server_default="0", nullable=False),
        sa.Column("pages", sa.Integer(), server_default="0", nullable=False),
        sa.Column("requests", sa.Integer(), server_default="0", nullable=False),
        sa.Column("retries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("retracted_at", instant(), nullable=True),
        sa.Column(
            "proves_absence",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
        ),
        sa.Column("decision", sa.Text(), nullable=True),
        sa.Column("retry_at", instant(), nullable=True),
        sa.Column("brake_minimum", sa.Integer(), nullable=True),
        sa.Column("brake_ratio", sa.Float(), nullable=True),
        sa.Column("holder", sa.Text(), nullable=True),
        sa.CheckConstraint("decision IN ('approved', 'rejected')", name=op.f("ck_runs_decision_known")),
        sa.CheckConstraint(
            "outcome IN ('succeeded', 'unchanged', 'held', 'partial', 'failed')",
            name=op.f("ck_runs_outcome_known"),
        ),
        sa.CheckConstraint(
            "trigger IN ('manual', 'schedule', 'backfill')",
            name=op.f("ck_runs_trigger_known"),
        ),
        sa.CheckConstraint("proven OR NOT proves_absence", name=op.f("ck_runs_absence_needs_proof")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.account_id"], name="fk_runs_account_id"),
        sa.ForeignKeyConstraint(["snapshot_id"], ["snapshots.snapshot_id"], name="fk_runs_snapshot_id"),
        sa.PrimaryKeyConstraint("run_id", name="pk_runs"),
        sa.UniqueConstraint("account_id", "run_id", name="uq_runs_account_id_run_id"),
    )
    op.create_index(
        "ix_runs_account_id_observed_at",
        "runs",
        ["account_id", "observed_at"],
        unique=False,
    )
    op.create_index("ix_runs_snapshot_id", "runs", ["snapshot_id"], unique=False)
    op.create_table(
        "tracks",
        sa.Column("track_id", key(), autoincrement=False, nullable=False),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("track_number", sa.BigInteger(), nullable=True),
        sa.Column("isrc", sa.Text(), nullable=True),
        sa.Column("duration_seconds", sa.BigInteger(), nullable=True),
        sa.Column("album_id", key(), nullable=True),
        sa.Column("market_set_id", key(), nullable=True),
        sa.Column("web_url", sa.Text(), nullable=True),
        sa.Column("mobile_url", sa.Text(), nullable=True),
        sa.Column("artwork_url", sa.Text(), nullable=True),
        sa.Column("artwork_width", sa.BigInteger(), nullable=True),
        sa.Column("artwork_height", sa.BigInteger(), nullable=True),
        sa.Column("first_seen_at", instant(), nullable=False),
        sa.Column("changed_at", instant(), nullable=True),
        sa.Column("facts_digest", sa.LargeBinary(), nullable=True),
        sa.Column("sighted_at", instant(), nullable=True),
        sa.ForeignKeyConstraint(["album_id"], ["albums.album_id"], name="fk_tracks_album_id"),
        sa.ForeignKeyConstraint(
            ["market_set_id"],
            ["market_sets.market_set_id"],
            name="fk_tracks_market_set_id",
        ),
        sa.PrimaryKeyConstraint("track_id", name="pk_tracks"),
    )
    op.create_index("ix_tracks_album_id", "tracks", ["album_id"], unique=False)
    op.create_table(
        "favourites",
        sa.Column("account_id", key(), nullable=False),
        sa.Column("favourite_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("track_id", key(), nullable=False),
        sa.Column("valid_from", instant(), nullable=False),
        sa.Column("valid_to", instant(), nullable=True),
        sa.Column("added_after", instant(), nullable=True),
        sa.Column("removed_after", instant(), nullable=True),
        sa.Column("added_run_id", key(), nullable=False),
        sa.Column("removed_run_id", key(), nullable=True),
        sa.Column("last_seen_at", instant(), nullable=True),
        sa.CheckConstraint(
            "(valid_to IS NULL) = (removed_run_id IS NULL)",
            name=op.f("ck_favourites_closed_cites_run"),
        ),
        sa.CheckConstraint("added_after < valid_from", name=op.f("ck_favourites_added_between")),
        sa.CheckConstraint("removed_after < valid_to", name=op.f("ck_favourites_removed_between")),
        sa.CheckConstraint("valid_to > valid_from", name=op.f("ck_favourites_ends_after_start")),
        sa.CheckConstraint(
            "valid_to IS NOT NULL OR removed_after IS NULL",
            name=op.f("ck_favourites_open_not_removed"),
        ),
        sa.ForeignKeyConstraint(
            ["account_id", "added_run_id"],
            ["runs.account_id", "runs.run_id"],
            name="fk_favourites_account_id_added_run_id",
        ),
        sa.ForeignKeyConstraint(
            ["account_id", "removed_run_id"],
            ["runs.account_id", "runs.run_id"],
            name="fk_favourites_account_id_removed_run_id",
        ),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.account_id"], name="fk_favourites_account_id"),
        sa.ForeignKeyConstraint(["track_id"], ["tracks.track_id"], name="fk_favourites_track_id"),
        sa.PrimaryKeyConstraint("account_id", "favourite_id", name="pk_favourites"),
        sa.UniqueConstraint(
            "account_id",
            "track_id",
            "valid_from",
            name="uq_favourites_account_id_track_id_valid_from",
        ),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_favourites_removed_run_id",
        "favourites",
        ["removed_run_id"],
        unique=False,
        sqlite_where=sa.text("removed_run_id IS NOT NULL"),
        postgresql_where=sa.text("removed_run_id IS NOT NULL"),
    )
    op.create_index("ix_favourites_track_id", "favourites", ["track_id"], unique=False)
    op.create_index(
        "uq_favourites_open",
        "favourites",
        ["account_id", "track_id"],
        unique=True,
        sqlite_where=sa.text("valid_to IS NULL"),
        postgresql_where=sa.text("valid_to IS NULL"),
    )
    op.create_table(
        "rejects",
        sa.Column("run_id", key(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("track_id", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name="fk_rejects_run_id"),
        sa.PrimaryKeyConstraint("run_id", "position", name="pk_rejects"),
    )
    op.create_table(
        "track_artists",
        sa.Column("track_id", key(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("artist_id", key(), nullable=False),
        sa.Column("role", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["artist_id"], ["artists.artist_id"], name="fk_track_artists_artist_id"),
        sa.ForeignKeyConstraint(["track_id"], ["tracks.track_id"], name="fk_track_artists_track_id"),
        sa.PrimaryKeyConstraint("track_id", "position", name="pk_track_artists"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_track_artists_artist_id", "track_artists", ["artist_id"], unique=False)
    op.create_table(
        "track_genres",
        sa.Column("track_id", key(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("genre_id", key(), nullable=False),
        sa.ForeignKeyConstraint(["genre_id"], ["genres.genre_id"], name="fk_track_genres_genre_id"),
        sa.ForeignKeyConstraint(["track_id"], ["tracks.track_id"], name="fk_track_genres_track_id"),
        sa.PrimaryKeyConstraint("track_id", "position", name="pk_track_genres"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_track_genres_genre_id", "track_genres", ["genre_id"], unique=False)
    op.create_table(
        "track_versions",
        sa.Column("track_id", key(), nullable=False),
        sa.Column("valid_from", instant(), nullable=False),
        sa.Column("valid_to", instant(), nullable=True),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("album_id", sa.BigInteger(), nullable=True),
        sa.Column("market_set_id", key(), nullable=True),
        sa.Column("facts", json(), nullable=False),
        sa.Column("facts_digest", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("valid_to > valid_from", name=op.f("ck_track_versions_ends_after_start")),
        sa.ForeignKeyConstraint(
            ["market_set_id"],
            ["market_sets.market_set_id"],
            name="fk_track_versions_market_set_id",
        ),
        sa.ForeignKeyConstraint(["track_id"], ["tracks.track_id"], name="fk_track_versions_track_id"),
        sa.PrimaryKeyConstraint("track_id", "valid_from", name="pk_track_versions"),
    )
    op.create_index(
        "uq_track_versions_current",
        "track_versions",
        ["track_id"],
        unique=True,
        sqlite_where=sa.text("valid_to IS NULL"),
        postgresql_where=sa.text("valid_to IS NULL"),
    )


def downgrade() -> None:
    """Refuse: a history is not thrown away by a command."""
    raise NotImplementedError("favsync migrates forward: restore the backup that was taken before")
