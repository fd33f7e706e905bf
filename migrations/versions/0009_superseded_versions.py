"""`track_versions` becomes a view over `tracks` and the new table `superseded_versions`.

The current version of a track is its row of `tracks`. Where the view would not repeat its facts exactly, because its album or an
artist was called otherwise when the track was read, `tracks.facts` keeps them.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

FIELDS = (
    "'title', t.title, 'track_number', t.track_number, 'isrc', t.isrc, 'duration_seconds', t.duration_seconds, "
    "'album_id', t.album_id, 'album_title', (SELECT l.title FROM albums l WHERE l.album_id = t.album_id), "
    "'web_url', t.web_url, 'mobile_url', t.mobile_url, 'artwork_url', t.artwork_url, "
    "'artwork_width', t.artwork_width, 'artwork_height', t.artwork_height"
)
ARTISTS = "FROM track_artists ta JOIN artists a ON a.artist_id = ta.artist_id WHERE ta.track_id = t.track_id"
ARTIST = "'artist_id', a.artist_id, 'name', a.name, 'role', ta.role"
GENRES = "FROM track_genres tg JOIN genres g ON g.genre_id = tg.genre_id WHERE tg.track_id = t.track_id"
FACTS = {
    "sqlite": f"json_patch('{{}}', json_object({FIELDS}, "
    f"'artists', json((SELECT nullif(json_group_array(json(artist)), '[]') FROM (SELECT json_patch('{{}}', "
    f"json_object({ARTIST})) AS artist {ARTISTS} ORDER BY ta.position))), "
    f"'genres', json((SELECT nullif(json_group_array(name), '[]') "
    f"FROM (SELECT g.name {GENRES} ORDER BY tg.position)))))",
    "postgresql": f"jsonb_strip_nulls(jsonb_build_object({FIELDS}, "
    f"'artists', (SELECT jsonb_agg(jsonb_build_object({ARTIST}) ORDER BY ta.position) {ARTISTS}), "
    f"'genres', (SELECT jsonb_agg(g.name ORDER BY tg.position) {GENRES})))",
}
# No name at all is kept too: the view would show one that the album or the artist receives later.
UNNAMED = (
    "EXISTS (SELECT 1 FROM albums l WHERE l.album_id = t.album_id AND l.title IS NULL) "
    f"OR EXISTS (SELECT 1 {ARTISTS} AND a.name IS NULL)"
)
COLUMNS = "track_id, valid_from, valid_to, title, album_id, market_set_id, facts, facts_digest"


def upgrade() -> None:
    """Move superseded versions to their table and drop the copies of current ones."""
    engine = op.get_context().dialect.name
    instant = sa.String(27).with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")
    json = sa.Text().with_variant(postgresql.JSONB(), "postgresql")
    key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.add_column("albums", sa.Column("first_title", sa.Text()))
    op.add_column("artists", sa.Column("first_name", sa.Text()))
    op.add_column("tracks", sa.Column("facts", json))
    op.create_table(
        "superseded_versions",
        sa.Column("track_id", key, nullable=False),
        sa.Column("valid_from", instant, nullable=False),
        sa.Column("valid_to", instant, nullable=False),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("album_id", sa.BigInteger(), nullable=True),
        sa.Column("market_set_id", key, nullable=True),
        sa.Column("facts", json, nullable=False),
        sa.Column("facts_digest", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("valid_to > valid_from", name=op.f("ck_superseded_versions_ends_after_start")),
        sa.ForeignKeyConstraint(
            ["market_set_id"], ["market_sets.market_set_id"], name="fk_superseded_versions_market_set_id"
        ),
        sa.ForeignKeyConstraint(["track_id"], ["tracks.track_id"], name="fk_superseded_versions_track_id"),
        sa.PrimaryKeyConstraint("track_id", "valid_from", name="pk_superseded_versions"),
    )
    op.execute(
        f"INSERT INTO superseded_versions ({COLUMNS}) SELECT {COLUMNS} FROM track_versions WHERE valid_to IS NOT NULL"
    )
    differs = "IS NOT" if engine == "sqlite" else "IS DISTINCT FROM"
    current = "v.track_id = t.track_id AND v.valid_to IS NULL"
    op.execute(
        f"UPDATE tracks AS t SET facts = v.facts FROM track_versions v "
        f"WHERE {current} AND (v.facts {differs} {FACTS[engine]} OR {UNNAMED})"
    )
    op.execute("UPDATE tracks SET sighted_at = NULL WHERE sighted_at = changed_at")
    op.drop_table("track_versions")


def downgrade() -> None:
    """Refuse: favsync migrates forward only."""
    raise NotImplementedError("favsync migrates forward: restore the backup that was taken before")
