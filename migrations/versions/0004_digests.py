"""What each account's digest has told already, for each channel that it goes to.

A digest tells what the runs after ``run_id`` found, and what the run ``held_run_id``, whose removals waited when the last digest
was made, has removed since then by a person's word.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "digests",
        sa.Column("account_id", key, autoincrement=False, nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("run_id", key, nullable=False),
        sa.Column("held_run_id", key, nullable=True),
        sa.Column(
            "told_at", sa.String(27).with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql"), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.account_id"], name="fk_digests_account_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("account_id", "channel", name="pk_digests"),
    )


def downgrade() -> None:
    """Refuse: favsync migrates forward alone."""
    raise NotImplementedError("favsync migrates forward: restore the backup that was taken before")
