"""The observations in another favsync database (a SQLite file), to be imported into this one. Nothing is written there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, select

from etl.db import migrate
from etl.db.engine import database_errors
from etl.db.tables import accounts, runs
from etl.errors import DatabaseError, UsageError
from etl.load import raw
from etl.load.accounts import Account
from etl.load.baseline import is_observation
from etl.model.encoding import digest_of
from etl.model.records import Item, RemovalThreshold, Review
from etl.replay.import_snapshots import PastSnapshot
from etl.replay.snapshots import SnapshotReader


@dataclass(frozen=True, slots=True)
class OtherDatabase:
    """What another database brings: past observations, and how many items of them have no body any more."""

    pasts: tuple[PastSnapshot, ...]
    bodiless: int


def snapshots_in(path: Path, account: Account) -> OtherDatabase:
    """Return what the database at ``path`` observed of its account of the same name as ``account``, or of its only one.

    Raises: UsageError, where it is no favsync database of this schema, or holds no such account; DatabaseError.
    """
    engine = _read_only(path)
    try:
        with database_errors(engine), engine.connect() as connection:
            _require_schema(connection, path)
            return _observations(connection, _meant(connection, path, account), path)
    except DatabaseError as error:
        raise UsageError(
            f"{path} cannot be read: {error.message}", remedy="is it a favsync database, and whole?"
        ) from error
    finally:
        engine.dispose()


def _read_only(path: Path) -> Engine:
    url = f"sqlite:///{path.resolve().as_uri()}?mode=ro&uri=true"
    engine = create_engine(url)

    def prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None

    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", begin)
    return engine


def _require_schema(connection: Connection, path: Path) -> None:
    found = migrate.current_of(connection)
    if found is None:
        raise UsageError(f"{path} is a SQLite database, but none of favsync's")
    if found != migrate.newest():
        raise UsageError(
            f"{path} is at schema {found}, this favsync reads {migrate.newest()}",
            remedy=f"run `favsync db upgrade --database-url sqlite:///{path}` on a copy, and import that",
        )


def _meant(connection: Connection, path: Path, account: Account) -> Any:
    rows = connection.execute(select(accounts).order_by(accounts.c.name)).all()
    row = next((row for row in rows if row.name == account.name), rows[0] if len(rows) == 1 else None)
    if row is None:
        names = ", ".join(row.name for row in rows) or "none"
        raise UsageError(f"{path} holds no account {account.name}", remedy=f"its accounts are: {names}")
    if row.boomplay_user_id and account.boomplay_user_id not in (None, row.boomplay_user_id):
        raise UsageError(f"account {row.name} in {path} is another Boomplay user than account {account.name} here")
    return row


def _observations(connection: Connection, row: Any, path: Path) -> OtherDatabase:
    query = select(runs).where(runs.c.account_id == row.account_id, is_observation)
    observed = connection.execute(query.order_by(runs.c.observed_at, runs.c.run_id)).all()
    lists = SnapshotReader(connection)
    items: dict[int, Item] = {}
    pasts = []
    for run in observed:
        ids = list(lists.items(run.snapshot_id))
        items.update(_items(connection, [each for each in ids if each not in items]))
        pasts.append(
            PastSnapshot(
                label=f"{path.name}, run {run.run_id}",
                started_at=run.started_at,
                observed_at=run.observed_at,
                items=tuple(items[each] for each in ids),
                proven=run.proven,
                proves_absence=run.proves_absence,
                decision=Review(run.decision) if run.decision else None,
                brake=None if run.brake_minimum is None else RemovalThreshold(run.brake_minimum, run.brake_ratio),
            )
        )
    return OtherDatabase(tuple(pasts), sum(1 for item in items.values() if item.body == b""))


def _items(connection: Connection, ids: list[int]) -> Iterator[tuple[int, Item]]:
    """Yield items with their bodies; where a body is not kept, the id is all that is left, and without one nothing is."""
    bodies = raw.bodies_of(connection, ids)
    for stored in raw.raw_items_by_id(connection, ids):
        body = bodies.get(stored.raw_item_id)
        if body is None:
            body = b"" if stored.track_id is None else b'{"track_id":%d}' % stored.track_id
            yield stored.raw_item_id, Item(body, digest_of(body) if stored.track_id else stored.digest, stored.track_id)
        else:
            yield stored.raw_item_id, Item(body, stored.digest, stored.track_id)
