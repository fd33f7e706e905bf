"""Databases with a history in them, and their contents as digests, for tests of what is done around favsync."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from sqlalchemy import select

from etl import clock
from etl.db.engine import open_engine, read_transaction, write_transaction
from etl.db.migrate import ready_engine
from etl.db.schema_check import schema_differences
from etl.db.tables import metadata
from etl.load.accounts import enabled_accounts, ensure_account, find_account
from etl.model.records import RemovalThreshold
from etl.model.result import RunResult
from etl.replay.favourites import diff_favourites
from etl.reporting.views import views
from etl.sync import RunOptions, sync_account
from tests.support.lists import FakeSource, item


def source_of(track_ids: Iterable[int]) -> FakeSource:
    """Return a service with these favourites."""
    return FakeSource([item(track_id) for track_id in track_ids])


def synced(url: str, source: FakeSource, name: str = "ada") -> RunResult:
    """Sync the account ``name``, making it where it is not there yet."""
    engine = ready_engine(url)
    with write_transaction(engine) as connection:
        ensure_account(connection, name, clock.now())
    with read_transaction(engine) as connection:
        account = find_account(connection, name)
    report = sync_account(engine, account, source, RunOptions())
    engine.dispose()
    return report


def lived(url: str) -> FakeSource:
    """Give the database a history: additions, removals, one that came back, changed facts, a reject, an unchanged run."""
    source = source_of(range(1, 121))
    synced(url, source)
    gone = source.items.pop(7)
    del source.items[50:53]
    synced(url, source)
    source.items.insert(0, gone)
    source.items[20] = item(21, track_title="Another title", available_markets="NG,GH")
    source.items.append(item(500, artists="no list at all"))
    synced(url, source)
    synced(url, source)
    return source


def digests(url: str) -> dict[str, str]:
    """Return a digest of the rows of each table, whatever their order."""
    engine = open_engine(url)
    with read_transaction(engine) as connection:
        found = {
            name: hashlib.sha256(
                "\n".join(sorted(map(repr, map(tuple, connection.execute(select(table)))))).encode()
            ).hexdigest()
            for name, table in metadata.tables.items()
        }
    engine.dispose()
    return found


def faults(url: str) -> list[str]:
    """Return what is wrong: the schema, a constraint, a view, or a history other than the observations tell."""
    engine = open_engine(url)
    found = schema_differences(engine, views())
    with read_transaction(engine) as connection:
        for account in enabled_accounts(connection):
            difference, _ = diff_favourites(connection, account.account_id, RemovalThreshold())
            found += [f"{account.name}: {difference.words or difference.runs}"] if difference else []
        for view in views():
            connection.exec_driver_sql(f"SELECT * FROM {view}").all()
    engine.dispose()
    return found
