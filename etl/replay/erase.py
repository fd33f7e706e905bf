"""Erases an account with everything about it, and nothing of the others.

What it shares with other accounts stays as far as they saw it. Items, attributes and names that only this account's snapshots
held are deleted, so shared tracks get the attributes that the others' snapshots show.
"""

from __future__ import annotations

from sqlalchemy import Connection, delete, func, select

from etl.db import bulk
from etl.db.tables import accounts, favourites, metadata, rejects, runs
from etl.replay.garbage import delete_garbage, delete_names, garbage_without
from etl.replay.tracks import replay_tracks

COUNTED = ("runs", "favourites", "tracks", "raw_items", "snapshots")


def erase_account(connection: Connection, account_id: int) -> dict[str, int]:
    """Delete everything about the account, and return how many rows of the main tables that was, by table.

    The caller holds all accounts (`etl.load.run_lock.run_locks`), and releases the space afterwards (`etl.replay.prune.compact`
    also overwrites what a SQLite file still held).
    """
    bulk.lock_everything(connection)
    before = _counts(connection)
    own = select(runs.c.run_id).where(runs.c.account_id == account_id)
    connection.execute(delete(rejects).where(rejects.c.run_id.in_(own)))
    connection.execute(delete(favourites).where(favourites.c.account_id == account_id))
    connection.execute(delete(runs).where(runs.c.account_id == account_id))
    for table in reversed(metadata.sorted_tables):
        if "account_id" in table.c and table not in (accounts, runs, favourites):
            connection.execute(delete(table).where(table.c.account_id == account_id))
    connection.execute(delete(accounts).where(accounts.c.account_id == account_id))
    replay_tracks(connection)
    delete_garbage(connection, garbage_without(connection))
    delete_names(connection)
    after = _counts(connection)
    return {name: before[name] - after[name] for name in COUNTED}


def _counts(connection: Connection) -> dict[str, int]:
    queries = {name: select(func.count()).select_from(metadata.tables[name]) for name in COUNTED}
    return {name: connection.execute(query).scalar_one() for name, query in queries.items()}
