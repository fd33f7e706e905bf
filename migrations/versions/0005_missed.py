"""An index of the open favourites that the newest observation lacks: almost none, and each run looks for them.

Without it a run read all of an account's open favourites, which lie ever further apart among those that have ended.
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


def downgrade() -> None:
    """Refuse: favsync migrates forward alone."""
    raise NotImplementedError("favsync migrates forward: restore the backup that was taken before")
