"""Drop the index of ``raw_items.track_id``: no statement looks items up by their track."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_raw_items_track_id", "raw_items")


def downgrade() -> None:
    """Refuse: favsync migrates forward only."""
    raise NotImplementedError("favsync migrates forward: restore the backup that was taken before")
