"""Indexes of the open favourites, and of those that the newest observation lacks: almost none, and each run looks for them.

Without them a run read the rows of all the open favourites of an account, ever further apart among those that have ended.
PostgreSQL finds them by the index that keeps them unique; SQLite looks each row up unless the index holds ``valid_to`` too.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    where = sa.text("last_seen_at IS NOT NULL")
    op.create_index("ix_favourites_missed", "favourites", ["account_id"], sqlite_where=where, postgresql_where=where)
    if op.get_context().dialect.name == "sqlite":
        columns, where = ["account_id", "track_id", "valid_to"], sa.text("valid_to IS NULL")
        op.create_index("ix_favourites_open", "favourites", columns, sqlite_where=where)


def downgrade() -> None:
    """Refuse: favsync migrates forward alone."""
    raise NotImplementedError("favsync migrates forward: restore the backup that was taken before")
