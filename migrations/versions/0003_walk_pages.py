"""Pages of a full reading that has not come to its end, so that `favsync backfill` need not fetch them again.

They are work in progress, not history: a run that ends takes its account's pages with it.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "walk_pages",
        sa.Column(
            "account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("page_offset", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column(
            "fetched_at", sa.String(27).with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql"), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.account_id"], name="fk_walk_pages_account_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("account_id", "page_offset", name="pk_walk_pages"),
    )


def downgrade() -> None:
    """Refuse: favsync migrates forward alone."""
    raise NotImplementedError("favsync migrates forward: restore the backup that was taken before")
