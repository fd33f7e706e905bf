"""Reads the snapshots in another favsync database, a SQLite file, which is never written to.

The file may come from anywhere: only real tables are queried, and its compressed values have a limit.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, create_engine, event, select, text
from sqlalchemy.exc import SQLAlchemyError

from etl.backfill.input_files import printable
from etl.db import migrate
from etl.db.engine import database_errors
from etl.db.tables import accounts, raw_blocks, raw_items, runs, snapshots
from etl.errors import DatabaseError, UsageError
from etl.load import raw
from etl.load.accounts import Account
from etl.load.baseline import is_observation
from etl.model.encoding import digest_of
from etl.model.records import Item, RemovalThreshold, Review
from etl.replay.import_snapshots import PastSnapshot
from etl.replay.snapshots import SnapshotReader

MAX_UNPACKED_BYTES = 64 << 20
TABLES = (migrate.VERSION_TABLE, accounts.name, runs.name, snapshots.name, raw_items.name, raw_blocks.name)
_DAMAGED = (
    SQLAlchemyError, msgspec.MsgspecError, zlib.error, ValueError, LookupError, TypeError, ArithmeticError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class OtherDatabase:
    """The past snapshots in another database. ``bodiless``: how many of their items have neither body nor track id."""

    pasts: tuple[PastSnapshot, ...]
    bodiless: int


def snapshots_in(path: Path, account: Account) -> OtherDatabase:
    """Return the snapshots in the database at ``path`` of its account of the same name as ``account``, or of its only one.

    Raises: UsageError, where it is no favsync database of this schema, holds no such account, or is damaged.
    """
    engine = _read_only(path)
    try:
        with database_errors(engine), engine.connect() as connection:
            _require_schema(connection, path)
            return _snapshots(connection, _other_account(connection, account), path)
    except DatabaseError as error:
        raise UsageError(f"cannot be read: {error.message}", remedy="is it a whole favsync database?") from error
    except _DAMAGED as error:
        raise UsageError(f"is damaged: {type(error).__name__}: {error}", remedy="import a backup of it") from error
    finally:
        engine.dispose()


def _read_only(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path.resolve().as_uri()}?mode=ro&uri=true")

    def prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None

    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", begin)
    return engine


def _require_schema(connection: Connection, path: Path) -> None:
    """Check that the tables are tables, at the newest schema, and that no value unpacks without limit.

    Raises: UsageError.
    """
    rows = connection.execute(text("SELECT name, type, sql FROM sqlite_schema")).all()
    real = {row.name for row in rows if row.type == "table" and "VIRTUAL" not in row.sql.upper().split("(")[0]}
    # A view of the name of a table could run for ever.
    if any(row.name in TABLES and row.name not in real for row in rows):
        raise UsageError("is not a favsync database: a view has the name of one of its tables")
    found = migrate.current_of(connection) if migrate.VERSION_TABLE in real else None
    if found is None:
        raise UsageError("is a SQLite database, but not one of favsync")
    if found != migrate.newest():
        raise UsageError(
            f"is at schema {found}, this favsync reads {migrate.newest()}",
            remedy=f"run `favsync db upgrade --database-url sqlite:///{printable(path)}` on a copy, and import that",
        )
    for column in (snapshots.c["items"], raw_blocks.c.body):
        for packed in connection.execute(select(column)).scalars():
            unpacking = zlib.decompressobj()
            unpacking.decompress(packed, MAX_UNPACKED_BYTES)
            if unpacking.unconsumed_tail:
                raise UsageError(f"a value of {column} unpacks to more than {MAX_UNPACKED_BYTES >> 20} MiB")


def _other_account(connection: Connection, account: Account) -> Any:
    rows = connection.execute(select(accounts).order_by(accounts.c.name)).all()
    row = next((row for row in rows if row.name == account.name), rows[0] if len(rows) == 1 else None)
    if row is None:
        names = ", ".join(row.name for row in rows) or "none"
        raise UsageError(f"holds no account {account.name}", remedy=f"its accounts are: {names}")
    if row.boomplay_user_id and account.boomplay_user_id not in (None, row.boomplay_user_id):
        raise UsageError(f"its account {row.name} is another Boomplay user than account {account.name}")
    return row


def _snapshots(connection: Connection, row: Any, path: Path) -> OtherDatabase:
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
                label=f"{printable(Path(path.name))}, run {run.run_id}",
                started_at=run.started_at,
                observed_at=run.observed_at,
                items=tuple(items[each] for each in ids),
                proven=run.proven,
                proves_absence=run.proves_absence,
                decision=Review(run.decision) if run.decision else None,
                threshold=None if run.brake_minimum is None else RemovalThreshold(run.brake_minimum, run.brake_ratio),
            )
        )
    return OtherDatabase(tuple(pasts), sum(1 for item in items.values() if item.body == b""))


def _items(connection: Connection, ids: list[int]) -> Iterator[tuple[int, Item]]:
    """Yield items with their bodies; an item without a stored body has its id alone, or nothing."""
    bodies = raw.bodies_of(connection, ids)
    for stored in raw.raw_items_by_id(connection, ids):
        body = bodies.get(stored.raw_item_id)
        if body is None:
            body = b"" if stored.track_id is None else b'{"track_id":%d}' % stored.track_id
            yield stored.raw_item_id, Item(body, digest_of(body) if stored.track_id else stored.digest, stored.track_id)
        else:
            yield stored.raw_item_id, Item(body, stored.digest, stored.track_id)
