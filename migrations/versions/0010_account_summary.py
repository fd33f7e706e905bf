"""How each account is, in its calendar row, so that `favsync status` and `/metrics` count many accounts by indexes.

Until its next run, an account counts as stale a day after its newest proven run: the migration does not know the schedules.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

NEVER = "9999-01-01T00:00:00.000000Z"
PARTIAL_INDEXES = (
    ("ix_schedules_proven_at", "schedules", "proven_at", "stale_at IS NOT NULL"),
    ("ix_schedules_stale_at", "schedules", "stale_at", "stale_at IS NOT NULL"),
    ("ix_schedules_blocked_at", "schedules", "blocked_at", "blocked_at IS NOT NULL"),
    ("ix_runs_held", "runs", "account_id", "outcome = 'held' AND decision IS NULL"),
    ("ix_tokens_dead", "tokens", "account_id", "state = 'dead'"),
)
OWN = """
    FROM runs WHERE runs.account_id = schedules.account_id
    AND snapshot_id IS NOT NULL AND outcome IS NOT NULL AND retracted_at IS NULL
"""
NEWEST = "ORDER BY observed_at DESC, run_id DESC LIMIT 1"


def upgrade() -> None:
    is_postgresql = op.get_bind().dialect.name == "postgresql" if not op.get_context().as_sql else True
    instant = sa.String(27).with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")
    for name in ("proven_at", "stale_at", "blocked_at"):
        op.add_column("schedules", sa.Column(name, instant))
    op.execute(f"""
        UPDATE schedules SET
        proven_at = (SELECT observed_at {OWN} AND proven {NEWEST}),
        blocked_at = (
            SELECT CASE WHEN NOT proven OR NOT proves_absence OR (outcome = 'held' AND decision IS NULL)
                OR (missing > 0 AND NOT user_confirmed) THEN observed_at END
            {OWN} AND (proven OR requests > 0) {NEWEST}
        )
        WHERE next_run_at < '{NEVER}'
    """)
    since = "coalesce(proven_at, (SELECT created_at FROM accounts WHERE accounts.account_id = schedules.account_id))"
    day_later = (
        f"{since} + interval '1 day'" if is_postgresql else f"strftime('%Y-%m-%dT%H:%M:%f000Z', {since}, '+1 day')"
    )
    op.execute(f"UPDATE schedules SET stale_at = {day_later} WHERE next_run_at < '{NEVER}'")
    for name, table, column, where in PARTIAL_INDEXES:
        op.create_index(name, table, [column], postgresql_where=sa.text(where), sqlite_where=sa.text(where))


def downgrade() -> None:
    """Refuse: favsync migrates forward only."""
    raise NotImplementedError("favsync migrates forward: restore the backup that was taken before")
