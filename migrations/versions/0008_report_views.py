"""No change of tables: the views are created again after each upgrade, and `create_views` comments every column."""

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Leave the tables as they are."""


def downgrade() -> None:
    """Refuse: favsync migrates forward only."""
    raise NotImplementedError("favsync migrates forward: restore the backup that was taken before")
