"""One run per account at a time, across processes and machines.

`runs.finish` notices a lock that was lost (a dropped connection) and refuses to finish the run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine

from etl import clock
from etl.db.engine import is_pooled, read_transaction, write_transaction
from etl.db.locks import LockKind, try_lock, try_lock_all, wait_for
from etl.errors import RunInProgress
from etl.load.runs import interrupt, unfinished


@contextmanager
def run_lock(engine: Engine, account_id: int, name: str) -> Iterator[None]:
    """Hold the account.

    Raises: RunInProgress, naming since when and by whom, if another run holds it; DatabaseError.
    """
    with try_lock(engine, LockKind.RUN, account_id) as mine:
        if mine is None:
            raise _in_progress(engine, account_id, name)
        _end_unheld_runs(engine, [account_id])
        yield


@contextmanager
def sync_lock(engine: Engine, account_id: int, name: str) -> Iterator[None]:
    """Hold the account for a sync. Behind a pooler in transaction mode, only its transactions do (`hold_in_transaction`).

    There the sync that begins last wins: `etl.load.runs.begin` ends the others, and they cannot write any more.

    Raises: RunInProgress, DatabaseError.
    """
    if is_pooled(engine):
        yield
        return
    with run_lock(engine, account_id, name):
        yield


def hold_in_transaction(connection: Connection, account_id: int) -> None:
    """Wait behind a pooler until no other process works on the account, and hold it until the transaction ends."""
    if is_pooled(connection):
        wait_for(connection, LockKind.RUN, account_id)


@contextmanager
def run_locks(engine: Engine, accounts: Collection[tuple[int, str]]) -> Iterator[None]:
    """Hold several accounts, given by id and name; on PostgreSQL over one connection, however many they are.

    Raises: RunInProgress, for the first that another run holds; DatabaseError.
    """
    names = dict(accounts)
    with try_lock_all(engine, LockKind.RUN, names) as missed:
        if missed is not None:
            raise _in_progress(engine, missed, names[missed])
        _end_unheld_runs(engine, names)
        yield


def _end_unheld_runs(engine: Engine, account_ids: Collection[int]) -> None:
    """Behind a pooler, end the syncs of these accounts, which hold nothing between their transactions: they cannot write then."""
    if is_pooled(engine):
        with write_transaction(engine) as connection:
            interrupt(connection, account_ids, clock.now())


def _in_progress(engine: Engine, account_id: int, name: str) -> RunInProgress:
    with read_transaction(engine) as connection:
        other = unfinished(connection, account_id)
    if other is None:
        return RunInProgress(f"account {name} is held by another favsync", remedy="try again in a moment")
    run_id, started_at, holder = other
    return RunInProgress(
        f"run {run_id} of account {name} is in progress since {started_at:%Y-%m-%d %H:%M:%S} UTC, by {holder}",
        remedy="wait for it to end; if that process has ended, run this again",
    )
