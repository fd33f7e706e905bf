"""A calendar row for every account, the claims of workers, and the budget of requests.

An account without a row was due at once, and it still is. A disabled one is never due.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

NEVER = "9999-01-01T00:00:00.000000Z"


def upgrade() -> None:
    is_postgresql = op.get_bind().dialect.name == "postgresql" if not op.get_context().as_sql else True
    instant = sa.String(27).with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")
    op.add_column("schedules", sa.Column("claimed_until", instant))
    op.execute(
        "INSERT INTO schedules (account_id, schedule, next_run_at, updated_at) "
        "SELECT account_id, '', created_at, created_at FROM accounts "
        "WHERE account_id NOT IN (SELECT account_id FROM schedules)"
    )
    op.execute(
        f"UPDATE schedules SET next_run_at = '{NEVER}' "
        "WHERE account_id IN (SELECT account_id FROM accounts WHERE NOT enabled)"
    )
    op.create_index("ix_schedules_updated_at", "schedules", ["updated_at"])
    op.create_index(
        "ix_schedules_claimed_until",
        "schedules",
        ["claimed_until"],
        postgresql_where=sa.text("claimed_until IS NOT NULL"),
        sqlite_where=sa.text("claimed_until IS NOT NULL"),
    )
    op.create_table(
        "budgets",
        sa.Column("app", sa.Text(), nullable=False),
        sa.Column("per_second", sa.Float(), nullable=False),
        sa.Column("next_at", instant, nullable=False),
        sa.PrimaryKeyConstraint("app", name="pk_budgets"),
    )
    if is_postgresql:
        # Most updates of a row then stay on its page, and autovacuum looks at this small table often.
        op.execute("ALTER TABLE budgets SET (fillfactor = 10, autovacuum_vacuum_scale_factor = 0)")


def downgrade() -> None:
    """Refuse: favsync migrates forward only."""
    raise NotImplementedError("favsync migrates forward: restore the backup that was taken before")
