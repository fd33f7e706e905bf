"""${message}

What it changes, why, and how long it holds which lock. Imports nothing of favsync: a revision says what the schema *was*.
Give it a test on data in tests/migrations.
"""

from alembic import op
import sqlalchemy as sa

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    raise NotImplementedError("favsync migrates forward: restore the backup that was taken before")
