"""Run rows: inserted before the first request, finished in the transaction that writes what the run found."""

from __future__ import annotations

import os
import socket
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, and_, delete, func, insert, select, update

from etl.db.migrate import VERSIONS, newest, require_version
from etl.db.tables import accounts, runs
from etl.errors import DatabaseError, UsageError
from etl.model.records import (
    Outcome,
    RemovalGrace,
    RemovalReason,
    RemovalThreshold,
    Review,
    SnapshotRef,
    Trigger,
)
from etl.model.result import RunResult

INTERRUPTED = "interrupted"
STOPPED = "stopped by a signal; nothing was changed"
aliased_runs = runs.alias("other")
# The columns of ``runs`` that a result fills; the evidence has precedence.
RESULT_COLUMNS = tuple(
    name for name in RunResult.__struct_fields__ if name in runs.c and name not in ("run_id", "trigger")
)


def process_name() -> str:
    """Return host and process id, for operators who look for the process of a run."""
    return f"{socket.gethostname()}:{os.getpid()}"


class Known(msgspec.Struct, frozen=True, omit_defaults=True):
    """The JSON form of ``runs.evidence``: what a run knew about single tracks."""

    catalogue: dict[int, RemovalReason] = msgspec.field(default_factory=dict)
    labelled: list[int] = msgspec.field(default_factory=list)


_decode_known = msgspec.json.Decoder(Known).decode


def evidence_columns(ref: SnapshotRef) -> dict[str, Any]:
    """Return what a run knew when it decided, as columns of ``runs``; `snapshot_ref` reads them back."""
    known = Known(dict(ref.catalogue), sorted(ref.labelled))
    return {
        "snapshot_id": ref.snapshot_id,
        "started_at": ref.started_at,
        "proves_absence": ref.proves_absence,
        "decision": ref.decision,
        "brake_minimum": ref.threshold.minimum if ref.threshold else None,
        "brake_ratio": ref.threshold.ratio if ref.threshold else None,
        "removal_grace_seconds": int(ref.grace.removal.total_seconds()) if ref.grace else None,
        "withdrawal_grace_seconds": int(ref.grace.withdrawal.total_seconds()) if ref.grace else None,
        "user_confirmed": ref.user_confirmed if ref.grace else None,
        "total": ref.total,
        "page_size": ref.page_size or None,
        "evidence": msgspec.json.encode(known).decode() if ref.catalogue or ref.labelled else None,
    }


def snapshot_ref(row: Any, present: tuple[int, ...]) -> SnapshotRef:
    """Convert a row of ``runs``. ``present``: the tracks of its snapshot, in list order."""
    known = _decode_known(row.evidence) if row.evidence else Known()
    grace = None
    if row.removal_grace_seconds is not None:
        seconds = (row.removal_grace_seconds, row.withdrawal_grace_seconds)
        grace = RemovalGrace(*(timedelta(seconds=each) for each in seconds))
    return SnapshotRef(
        run_id=row.run_id,
        started_at=row.started_at,
        observed_at=row.observed_at,
        present=present,
        proves_absence=bool(row.proves_absence),
        decision=Review(row.decision) if row.decision else None,
        threshold=None if row.brake_minimum is None else RemovalThreshold(row.brake_minimum, row.brake_ratio),
        grace=grace,
        user_confirmed=row.user_confirmed is not False,
        total=row.total,
        page_size=row.page_size or 0,
        snapshot_id=row.snapshot_id,
        catalogue=known.catalogue,
        labelled=frozenset(known.labelled),
    )


def _result_columns(result: RunResult) -> dict[str, Any]:
    return {name: getattr(result, name) for name in RESULT_COLUMNS}


def begin(connection: Connection, account_id: int, trigger: Trigger, started_at: datetime) -> int:
    """Insert the row of a run that begins now and return its ``run_id``.

    The caller holds the account's lock, so no process works on an unfinished run any more: it was interrupted. One that does,
    because it lost its lock, cannot finish it.
    """
    interrupt(connection, [account_id], started_at)
    row = {"account_id": account_id, "trigger": trigger, "started_at": started_at, "holder": process_name()}
    run_id: int = connection.execute(insert(runs).values(**row).returning(runs.c.run_id)).scalar_one()
    return run_id


def interrupt(connection: Connection, account_ids: Collection[int], at: datetime) -> None:
    """End the unfinished runs of these accounts as interrupted."""
    unended = update(runs).where(runs.c.account_id.in_(account_ids), runs.c.outcome.is_(None))
    connection.execute(unended.values(outcome=Outcome.FAILED, reason=INTERRUPTED, finished_at=at))


def finish(connection: Connection, result: RunResult, ref: SnapshotRef | None = None) -> None:
    """Write the result of a run. ``ref`` None: the run stored no snapshot. Checks the schema version in the same statement.

    Raises: SchemaOutdated, if another favsync has migrated the database; DatabaseError, if the run is finished already: its
    lock was lost, and another run took over.
    """
    columns = _result_columns(result) | (evidence_columns(ref) if ref else {})
    mine = (runs.c.run_id == result.run_id) & runs.c.outcome.is_(None)
    versions = VERSIONS.c.version_num
    is_newest = select(and_(func.min(versions) == newest(), func.max(versions) == newest())).scalar_subquery()
    finished = update(runs).where(mine, is_newest).values(**columns).returning(runs.c.run_id)
    if connection.execute(finished).first() is None:
        require_version(connection)
        raise DatabaseError(
            f"run {result.run_id} lost its lock while it ran", remedy="nothing was changed; run the sync again"
        )


def extend_idle(connection: Connection, earlier_id: int, result: RunResult, ref: SnapshotRef) -> bool:
    """Let the row of an earlier run record this one too, if both found nothing; True if it does.

    The earlier one must be the account's last run, unchanged, of the same trigger, without missing favourites. Its row then
    has the times and evidence of this run, whose own row is deleted.
    """
    mine = aliased_runs.c.run_id == result.run_id
    last = (
        select(func.max(aliased_runs.c.run_id))
        .where(aliased_runs.c.account_id == runs.c.account_id, ~mine)
        .scalar_subquery()
    )
    is_idle = and_(
        runs.c.run_id == earlier_id,
        runs.c.run_id == last,
        runs.c.outcome == Outcome.UNCHANGED,
        runs.c.trigger == result.trigger,
        runs.c.missing == 0,
        runs.c.decision.is_(None),
        select(aliased_runs.c.run_id).where(mine, aliased_runs.c.outcome.is_(None)).exists(),
    )
    columns = _result_columns(result) | evidence_columns(ref)
    if connection.execute(update(runs).where(is_idle).values(**columns).returning(runs.c.run_id)).first() is None:
        return False
    require_version(connection)
    connection.execute(delete(runs).where(runs.c.run_id == result.run_id))
    return True


def insert_finished(connection: Connection, account_id: int, result: RunResult, ref: SnapshotRef) -> int:
    """Insert a run that ended in the past, and return its ``run_id``."""
    row = _result_columns(result) | evidence_columns(ref)
    row |= {"account_id": account_id, "trigger": result.trigger, "holder": process_name()}
    run_id: int = connection.execute(insert(runs).values(**row).returning(runs.c.run_id)).scalar_one()
    return run_id


def unfinished(connection: Connection, account_id: int) -> tuple[int, datetime, str] | None:
    """Return number, start and process of the account's unfinished run."""
    row = connection.execute(
        select(runs.c.run_id, runs.c.started_at, runs.c.holder)
        .where(runs.c.account_id == account_id, runs.c.outcome.is_(None))
        .order_by(runs.c.run_id.desc())
    ).first()
    return None if row is None else (row.run_id, row.started_at, row.holder or "an unknown process")


def find_run(connection: Connection, run_id: int) -> Any:
    """Return the row of a run, with its account's name.

    Raises: UsageError, if it does not exist.
    """
    query = select(runs, accounts.c.name.label("account")).join(accounts).where(runs.c.run_id == run_id)
    row = connection.execute(query).first()
    if row is None:
        raise UsageError(f"there is no run {run_id}", remedy="`favsync runs list` shows them")
    return row


def future_runs(connection: Connection, now: datetime) -> list[Any]:
    """Return the rows of the runs that observed a list after ``now``, with their accounts' names, newest first."""
    query = (
        select(runs, accounts.c.name.label("account"))
        .join(accounts)
        .where(runs.c.observed_at > now, runs.c.snapshot_id.is_not(None), runs.c.retracted_at.is_(None))
    )
    return list(connection.execute(query.order_by(runs.c.observed_at.desc(), runs.c.run_id.desc())))


def favourites_before(connection: Connection, run_id: int) -> int | None:
    """Return the number of open favourites of the run's account, as its newest snapshot has it."""
    account = select(runs.c.account_id).where(runs.c.run_id == run_id).scalar_subquery()
    query = (
        select(runs.c.favourites)
        .where(runs.c.account_id == account, runs.c.snapshot_id.is_not(None), runs.c.retracted_at.is_(None))
        .order_by(runs.c.observed_at.desc(), runs.c.run_id.desc())
    )
    return connection.execute(query.limit(1)).scalar()


def unconfirmed_runs(connection: Connection, account_id: int, since: datetime | None) -> list[int]:
    """Return the runs after ``since`` that changed the history although the service did not confirm the owner."""
    changed = (runs.c.added + runs.c.removed) > 0
    query = select(runs.c.run_id).where(
        runs.c.account_id == account_id, runs.c.user_confirmed.is_(False), runs.c.retracted_at.is_(None), changed
    )
    if since is not None:
        query = query.where(runs.c.started_at > since)
    return list(connection.execute(query.order_by(runs.c.run_id)).scalars())
