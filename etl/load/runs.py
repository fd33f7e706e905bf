"""Run rows: begun before the first request, finished in the transaction that writes what the run found."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from etl.db import bulk
from etl.db.tables import accounts, runs
from etl.errors import DatabaseError, UsageError, WrongUser
from etl.model.records import Outcome, Trigger

INTERRUPTED = "interrupted"


def process_name() -> str:
    """Name this process for people who find its run in the way: host and process id."""
    return f"{socket.gethostname()}:{os.getpid()}"


def ensure_account(connection: Connection, name: str, now: datetime) -> None:
    """Make the account ``name`` if it is not there."""
    row = (name, True, bulk.instants(connection)(now))
    bulk.insert(connection, accounts, ("name", "enabled", "created_at"), [row], key=("name",))


def require_own_user(connection: Connection, account_id: int, boomplay_user_id: str) -> None:
    """Make sure that no other account copies this Boomplay user's list.

    Raises: WrongUser, naming the other account.
    """
    query = select(accounts.c.name).where(
        accounts.c.boomplay_user_id == boomplay_user_id, accounts.c.account_id != account_id
    )
    other = connection.execute(query).scalar()
    if other is not None:
        raise WrongUser(
            f"the token belongs to the Boomplay user whose list account {other} copies already",
            remedy=f"sync account {other} instead, or set the token of another user",
        )


def remember_user(connection: Connection, account_id: int, user: Mapping[str, str | None]) -> None:
    """Store who the account's Boomplay user is."""
    connection.execute(update(accounts).where(accounts.c.account_id == account_id).values(**user))


def begin(connection: Connection, account_id: int, trigger: Trigger, started_at: datetime) -> int:
    """Insert the row of a run that begins now and return its ``run_id``.

    The caller holds the account's lease, so an unfinished run has no process any more: it was interrupted.
    """
    connection.execute(
        update(runs)
        .where(runs.c.account_id == account_id, runs.c.outcome.is_(None))
        .values(outcome=Outcome.FAILED, reason=INTERRUPTED, finished_at=started_at)
    )
    row = {
        "account_id": account_id,
        "trigger": trigger,
        "started_at": started_at,
        "holder": process_name(),
    }
    run_id: int = connection.execute(insert(runs).values(**row).returning(runs.c.run_id)).scalar_one()
    return run_id


def finish(connection: Connection, run_id: int, **columns: Any) -> None:
    """Write the result of a run.

    Raises: DatabaseError, where the run is finished already: the lease was lost, and another run took over.
    """
    done = connection.execute(
        update(runs).where(runs.c.run_id == run_id, runs.c.outcome.is_(None)).values(**columns).returning(runs.c.run_id)
    ).first()
    if done is None:
        raise DatabaseError(
            f"run {run_id} lost its lease while it ran",
            remedy="nothing was changed; run the sync again",
        )


def unfinished(connection: Connection, account_id: int) -> tuple[int, datetime, str] | None:
    """Return run, start and holder of the account's unfinished run."""
    row = connection.execute(
        select(runs.c.run_id, runs.c.started_at, runs.c.holder)
        .where(runs.c.account_id == account_id, runs.c.outcome.is_(None))
        .order_by(runs.c.run_id.desc())
    ).first()
    return None if row is None else (row.run_id, row.started_at, row.holder or "an unknown process")


def find_run(connection: Connection, run_id: int) -> Any:
    """Return the row of a run, with its account's name.

    Raises: UsageError, where there is none.
    """
    query = select(runs, accounts.c.name.label("account")).join(accounts).where(runs.c.run_id == run_id)
    row = connection.execute(query).first()
    if row is None:
        raise UsageError(f"there is no run {run_id}", remedy="`favsync runs list` shows them")
    return row


def favourites_before(connection: Connection, run_id: int) -> int | None:
    """Return how many favourites the run's account has open, as its newest observation says (past ones are imported late)."""
    account = select(runs.c.account_id).where(runs.c.run_id == run_id).scalar_subquery()
    query = (
        select(runs.c.favourites)
        .where(runs.c.account_id == account, runs.c.snapshot_id.is_not(None), runs.c.retracted_at.is_(None))
        .order_by(runs.c.observed_at.desc(), runs.c.run_id.desc())
    )
    return connection.execute(query.limit(1)).scalar()
