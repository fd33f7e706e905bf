"""Missing favourites, the reasons of removals, and what each run knew when it decided about removals.

Closed intervals stay closed; their reason is not known. Runs of earlier versions have no grace: they closed at once.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    instant = sa.String(27).with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")
    op.add_column("favourites", sa.Column("missing_since", instant))
    op.add_column("favourites", sa.Column("removal_reason", sa.Text()))
    op.execute("UPDATE favourites SET removal_reason = 'unknown' WHERE valid_to IS NOT NULL")
    op.execute(
        "UPDATE runs SET outcome = 'partial' WHERE proven AND NOT proves_absence AND outcome IN ('succeeded', 'unchanged')"
    )
    op.add_column("accounts", sa.Column("user_checked_at", instant))
    op.add_column("runs", sa.Column("missing", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("runs", sa.Column("removal_grace_seconds", sa.BigInteger()))
    op.add_column("runs", sa.Column("withdrawal_grace_seconds", sa.BigInteger()))
    op.add_column("runs", sa.Column("user_confirmed", sa.Boolean()))
    op.add_column("runs", sa.Column("total", sa.BigInteger()))
    op.add_column("runs", sa.Column("page_size", sa.Integer()))
    op.add_column("runs", sa.Column("evidence", sa.Text()))
    op.create_table(
        "removal_memory",
        sa.Column(
            "account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("memory", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.account_id"], "fk_removal_memory_account_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("account_id", name="pk_removal_memory"),
    )


def downgrade() -> None:
    """Refuse: favsync migrates forward only."""
    raise NotImplementedError("favsync migrates forward: restore the backup that was taken before")
