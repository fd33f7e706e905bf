"""Accounts on their own: the token of each, and when each is synced next.

A token lies here encrypted, or not at all: the row then names the environment variable or the file that holds it.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def key() -> sa.types.TypeEngine[Any]:
    """Return a 64-bit key; SQLite numbers rows by itself only where the type is spelt INTEGER."""
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def instant() -> sa.types.TypeEngine[Any]:
    """Return a moment in UTC: text ending in Z on SQLite."""
    return sa.String(27).with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")


def upgrade() -> None:
    op.create_table(
        "tokens",
        sa.Column("account_id", key(), autoincrement=False, nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("secret", sa.LargeBinary(), nullable=True),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=True),
        sa.Column("is_renewable", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("suspect_since", instant(), nullable=True),
        sa.Column("expires_at", instant(), nullable=True),
        sa.Column("updated_at", instant(), nullable=False),
        sa.CheckConstraint("place IN ('database', 'environment', 'file')", name="ck_tokens_place_known"),
        sa.CheckConstraint("state IN ('valid', 'suspect', 'dead')", name="ck_tokens_state_known"),
        sa.CheckConstraint("(place = 'database') = (secret IS NOT NULL)", name="ck_tokens_secret_in_place"),
        sa.CheckConstraint("(place = 'database') = (reference IS NULL)", name="ck_tokens_reference_elsewhere"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.account_id"], name="fk_tokens_account_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("account_id", name="pk_tokens"),
    )
    op.create_table(
        "schedules",
        sa.Column("account_id", key(), autoincrement=False, nullable=False),
        sa.Column("schedule", sa.Text(), nullable=False),
        sa.Column("next_run_at", instant(), nullable=False),
        sa.Column("parked_until", instant(), nullable=True),
        sa.Column("failures_in_a_row", sa.Integer(), server_default="0", nullable=False),
        sa.Column("updated_at", instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.account_id"], name="fk_schedules_account_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("account_id", name="pk_schedules"),
    )
    op.create_index("ix_schedules_next_run_at", "schedules", ["next_run_at"], unique=False)


def downgrade() -> None:
    """Refuse: tokens are not thrown away by a command."""
    raise NotImplementedError("favsync migrates forward: restore the backup that was taken before")
