"""The jobs of the workers: dispatch due accounts, sync one of them, rescue the jobs of lost workers.

Dispatch claims accounts and inserts their jobs in one transaction, and leaves out accounts with a job that waits or runs. Known
trap of the engine: with a lock and a queueing lock, a second job beside one of a lost worker can never be retried.
Losing a job is safe: the claim ends with its lease, and the account is due again.
"""

from __future__ import annotations

from datetime import timedelta

import procrastinate
from procrastinate.exceptions import ProcrastinateException
from procrastinate.jobs import Job, Status
from sqlalchemy import (
    ColumnElement,
    Engine,
    String,
    cast,
    column,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
    table,
)

from etl import logs
from etl.config import Config
from etl.db.engine import write_transaction
from etl.db.tables import schedules
from etl.db.types import Instant
from etl.errors import DatabaseError, FavsyncError
from etl.scheduler import queue
from etl.scheduler.due_sync import DueSync, reschedule_outdated

QUEUE = "favsync"
SYNC, DISPATCH, RESCUE = "favsync.sync_account", "favsync.dispatch", "favsync.rescue"
LEASE = timedelta(minutes=10)
HEARTBEAT_SECONDS = 10.0
STALLED_SECONDS = 30.0
AFTER_AN_OUTAGE = procrastinate.RetryStrategy(wait=30, retry_exceptions={DatabaseError})
WAITING_PER_WORKER = 1_000
"""Jobs that wait for each worker process: about what it can do in a minute. Fetching from a long queue is slow."""
EVERY_10_SECONDS, EVERY_30_SECONDS = "* * * * * */10", "* * * * * */30"
JOBS = table("procrastinate_jobs", column("status"), column("task_name"), column("lock"), column("queueing_lock"))
WORKERS = table("procrastinate_workers", column("last_heartbeat"))
# Literals, not parameters: the engine's partial indexes have them, and their type is an enumeration.
TODO: ColumnElement[str] = literal_column("'todo'")
DOING: ColumnElement[str] = literal_column("'doing'")
log = logs.get(__name__)


class Dispatcher:
    """Puts due accounts into the queue, in bounded batches."""

    def __init__(self, config: Config, engine: Engine) -> None:
        self._config = config
        self._engine = engine
        # Never opened: it inserts jobs over the connection of the transaction that claims the accounts.
        self._jobs = procrastinate.App(connector=procrastinate.SyncPsycopgConnector()).job_manager

    def reschedule(self, *, is_start: bool = False) -> None:
        """Do what `reschedule_outdated` does, by the database's clock. Raises: DatabaseError."""
        with write_transaction(self._engine) as connection:
            now = connection.execute(select(func.now(type_=Instant))).scalar_one()
            reschedule_outdated(connection, self._config, now, is_start=is_start)

    def dispatch(self) -> int:
        """Claim due accounts and insert a job for each, and return how many.

        Raises: DatabaseError.
        """
        with write_transaction(self._engine) as connection:
            alive = WORKERS.c.last_heartbeat > func.now() - timedelta(seconds=STALLED_SECONDS)
            workers = select(func.count()).select_from(WORKERS).where(alive).scalar_subquery()
            is_todo = (JOBS.c.task_name == SYNC) & (JOBS.c.status == TODO)
            waiting = select(func.count()).select_from(JOBS).where(is_todo).scalar_subquery()
            count, busy = connection.execute(select(workers, waiting)).one()
            room = max(count, 1) * WAITING_PER_WORKER - busy
            ids = queue.claim(connection, room, LEASE, _has_job()) if room > 0 else []
            if ids:
                jobs = [
                    Job(queue=QUEUE, lock=lock, queueing_lock=lock, task_name=SYNC, task_kwargs={"account_id": each})
                    for each in ids
                    for lock in [f"account {each}"]
                ]
                self._jobs.batch_defer_jobs(jobs=jobs, connection=connection.connection.driver_connection)
        if ids:
            log.debug("accounts dispatched", accounts=len(ids))
        return len(ids)


def app_with_jobs(
    connector: procrastinate.PsycopgConnector, sync: DueSync, dispatcher: Dispatcher, *, is_periodic: bool
) -> procrastinate.App:
    """Return the engine's app with our jobs. ``is_periodic``: dispatch and rescue by themselves."""
    app = procrastinate.App(connector=connector)

    @app.task(name=SYNC, queue=QUEUE, retry=AFTER_AN_OUTAGE)
    def sync_account(account_id: int) -> None:
        finished = sync.sync_due_account(account_id)
        if finished is not None and not finished.is_settled:  # else the account would wait for the end of its claim
            raise DatabaseError("the next run was not written")

    def dispatch(timestamp: int) -> None:
        try:
            dispatcher.reschedule()
            dispatcher.dispatch()
        except FavsyncError as error:  # the next one tries again
            log.error("due accounts not dispatched", error=str(error), remedy=error.remedy)

    async def rescue(timestamp: int) -> None:
        await rescue_stalled(app)

    if is_periodic:
        # Without a lock: a lost worker's job of these kinds must not block the next one.
        task = app.task(name=DISPATCH, queue=QUEUE, queueing_lock=DISPATCH, priority=2)(dispatch)
        app.periodic(cron=EVERY_10_SECONDS)(task)
        app.periodic(cron=EVERY_30_SECONDS)(app.task(name=RESCUE, queue=QUEUE, priority=1)(rescue))
    return app


async def rescue_stalled(app: procrastinate.App) -> None:
    """Let others sync the accounts of lost workers, and drop their other jobs, which come again by themselves."""
    for job in await app.job_manager.get_stalled_jobs(queue=QUEUE, seconds_since_heartbeat=STALLED_SECONDS):
        try:
            if job.task_name == SYNC:
                await app.job_manager.retry_job(job)
                log.warning("job of a lost worker given to another", **job.task_kwargs)
            else:
                await app.job_manager.finish_job(job, status=Status.FAILED, delete_job=True)
        except ProcrastinateException as error:  # one job must not keep the others waiting
            log.error("job of a lost worker not rescued", job=job.id, error=str(error))


def _has_job() -> ColumnElement[bool]:
    """Return the condition on ``schedules`` that the account has a job that waits or runs; by the engine's indexes."""
    lock = literal("account ").concat(cast(schedules.c.account_id, String))
    waits = exists(select(JOBS.c.lock).where(JOBS.c.status == TODO, JOBS.c.queueing_lock == lock))
    runs = exists(select(JOBS.c.lock).where(JOBS.c.status == DOING, JOBS.c.lock == lock))
    return or_(waits, runs)
