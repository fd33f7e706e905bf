"""Who works on the queue: the rows of `favsync workers`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, text

from etl.db.engine import read_transaction

# A worker's process is known from its runs in progress.
WORKERS_SQL = text("""
SELECT w.id AS worker, w.last_heartbeat, max(r.holder) AS process, min(r.started_at) AS since,
       count(j.id) AS jobs, array_remove(array_agg(a.name ORDER BY r.started_at), NULL) AS accounts
FROM procrastinate_workers w
LEFT JOIN procrastinate_jobs j ON j.worker_id = w.id AND j.status = 'doing'
LEFT JOIN accounts a ON a.account_id = (j.args ->> 'account_id')::bigint
LEFT JOIN runs r ON r.account_id = a.account_id AND r.outcome IS NULL
GROUP BY w.id, w.last_heartbeat
ORDER BY w.id
""")


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A worker process, ``process`` (host and number) while it syncs. ``since``: the start of its longest run.

    ``seconds_since_heartbeat``: by the database's clock; it grows for a lost worker, whose accounts go to others.
    """

    worker: int
    process: str | None
    since: datetime | None
    accounts: list[str]
    last_heartbeat: datetime
    seconds_since_heartbeat: float


def workers(engine: Engine) -> list[WorkerRow]:
    """Return the workers, oldest first.

    Raises: DatabaseError.
    """
    with read_transaction(engine) as connection:
        now = connection.execute(text("SELECT now()")).scalar_one()
        found = connection.execute(WORKERS_SQL).all()
    return [
        WorkerRow(
            worker=row.worker,
            process=row.process,
            since=row.since,
            accounts=row.accounts,
            last_heartbeat=row.last_heartbeat,
            seconds_since_heartbeat=max((now - row.last_heartbeat).total_seconds(), 0.0),
        )
        for row in found
    ]
