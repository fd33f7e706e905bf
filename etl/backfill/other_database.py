"""Reads the snapshots in another favsync database: a SQLite file, which is never written to, or a folder of `favsync export`.

They may come from anywhere: only real tables are queried, only regular files are opened, and every size has a limit.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import shlex
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, cast

import msgspec
from sqlalchemy import Connection, create_engine, select, text
from sqlalchemy.exc import SQLAlchemyError

from etl.backfill.csv_format import MAX_CELL
from etl.backfill.input_files import MANIFEST, printable
from etl.backfill.parsed_file import id_only_item
from etl.db import bulk, migrate
from etl.db.engine import database_errors
from etl.db.tables import accounts, metadata, raw_blocks, raw_items, runs, snapshots
from etl.db.types import instant_text
from etl.errors import DatabaseError, UsageError
from etl.load import raw
from etl.load.accounts import Account, every_account
from etl.load.baseline import is_observation
from etl.load.runs import snapshot_ref
from etl.model.records import Item
from etl.replay.import_snapshots import PastSnapshot
from etl.replay.snapshots import SnapshotReader

MAX_UNPACKED_BYTES = 64 << 20
MAX_TOTAL_BYTES = 1 << 30
VALUE_BYTES = 32
BATCH = 1_000
TABLES = (accounts, snapshots, raw_blocks, raw_items, runs)
_NAMES = {migrate.VERSION_TABLE, migrate.OLD_VERSION_TABLE, *(table.name for table in TABLES)}
_DAMAGED = (
    SQLAlchemyError, msgspec.MsgspecError, zlib.error, csv.Error, OSError, ValueError, LookupError, TypeError,
    ArithmeticError, RecursionError, MemoryError,
)  # fmt: skip


def snapshots_in(path: Path, account: Account) -> tuple[list[PastSnapshot], int]:
    """Return the snapshots at ``path`` of its account of the same name as ``account``, or of its only one.

    Also return how many of their items have neither body nor track id.

    Raises: UsageError, where it is no database or export of this schema, holds no such account, or is damaged.
    """
    in_memory = path.is_dir()
    url = "sqlite://" if in_memory else f"sqlite:///{path.resolve().as_uri()}?mode=ro&uri=true"
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with database_errors(engine), engine.connect() as connection:
            _limit_values(connection)
            connection.exec_driver_sql("BEGIN")  # one state of a database that may be in use
            if in_memory:
                _load_export(connection, path)
            _require_schema(connection, path)
            return _snapshots(connection, _other_account(connection, account), path)
    except DatabaseError as error:
        raise UsageError(f"cannot be read: {error.message}", remedy="is it a whole favsync database?") from error
    except _DAMAGED as error:
        raise UsageError(f"is damaged: {type(error).__name__}: {error}", remedy="import a backup of it") from error
    finally:
        engine.dispose()


def _limit_values(connection: Connection) -> None:
    """Limit the size of a value: a generated column could make a large one of nothing."""
    driver = cast(sqlite3.Connection, connection.connection.driver_connection)
    driver.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_UNPACKED_BYTES)


def _load_export(connection: Connection, folder: Path) -> None:
    """Write the tables of an export that hold its snapshots into an empty database.

    Raises: UsageError, where a file is not the one that the export wrote; what a damaged file raises.
    """
    _require_file(folder / MANIFEST, MAX_UNPACKED_BYTES >> 4)
    manifest = json.loads((folder / MANIFEST).read_bytes())
    relations = {relation["name"]: relation for relation in manifest["relations"]}
    metadata.create_all(connection, TABLES)
    connection.exec_driver_sql(f"CREATE TABLE {migrate.VERSION_TABLE} (version_num TEXT)")
    connection.exec_driver_sql(f"INSERT INTO {migrate.VERSION_TABLE} VALUES (?)", (manifest["schema"],))  # noqa: S608
    if manifest["schema"] != migrate.newest():
        return
    for table in TABLES:
        relation = relations[table.name]
        path = folder / Path(relation["file"]).name
        _require_file(path, MAX_TOTAL_BYTES)
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != relation["sha256"]:
                raise UsageError(f"the file {printable(path)} was changed after the export", remedy="export again")
        kinds = {column["name"]: column["type"] for column in relation["columns"] if column["name"] in table.c}
        limited = _limited(_rows(path, manifest["format"], tuple(kinds)), path)
        rows = (tuple(_value(row[each], kinds[each]) for each in kinds) for row in limited)
        while batch := list(islice(rows, BATCH)):
            bulk.insert(connection, table, tuple(kinds), batch)


def _require_file(path: Path, limit: int) -> None:
    """Check a file before it is opened: a pipe would wait for a writer.

    Raises: ValueError; OSError.
    """
    if not path.is_file():
        raise ValueError(f"{printable(path)} is not a file")
    if path.stat().st_size > limit:
        raise ValueError(f"{printable(path)} is larger than {limit >> 20:,} MiB")


def _rows(path: Path, format_: str, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    if format_ == "parquet":
        from etl.reporting.parquet import read_rows

        yield from read_rows(path, columns, MAX_TOTAL_BYTES >> 2)
        return
    with path.open(encoding="utf-8", newline="") as file:
        if format_ == "jsonl":
            yield from map(json.loads, iter(partial(file.readline, MAX_UNPACKED_BYTES), ""))
        else:
            csv.field_size_limit(MAX_CELL)
            yield from csv.DictReader(file)


def _limited(rows: Iterator[dict[str, Any]], path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file of an export.

    Raises: ValueError, where they take more than `MAX_TOTAL_BYTES`.
    """
    left = MAX_TOTAL_BYTES
    for row in rows:
        left -= sum(VALUE_BYTES + (len(value) if isinstance(value, str | bytes) else 0) for value in row.values())
        if left < 0:
            raise ValueError(f"{printable(path)} unpacks to more than {MAX_TOTAL_BYTES >> 20:,} MiB")
        yield row


def _value(value: Any, kind: str) -> Any:
    if value is None or value == "":  # CSV has no NULL
        return None
    if isinstance(value, datetime):
        return instant_text(value)
    if kind == "boolean":
        return value in (True, "true")
    return base64.b64decode(value) if kind == "binary" and isinstance(value, str) else value


def _require_schema(connection: Connection, path: Path) -> None:
    """Check that the tables are tables, at the newest schema, and that no value unpacks without limit.

    Raises: UsageError.
    """
    rows = connection.execute(text("SELECT name, type, sql FROM sqlite_schema")).all()
    real = {row.name for row in rows if row.type == "table" and "VIRTUAL" not in row.sql.upper().split("(")[0]}
    # A view of the name of a table could run for ever.
    if any(row.name in _NAMES and row.name not in real for row in rows):
        raise UsageError("is not a favsync database: a view has the name of one of its tables")
    found = migrate.current_of(connection)
    if found is None:
        raise UsageError("is a SQLite database, but not one of favsync")
    if found != migrate.newest():
        upgrade = f"run `favsync db upgrade --database-url {shlex.quote(printable(path))}` on a copy, and import that"
        raise UsageError(
            f"is at schema {found}, this favsync reads {migrate.newest()}",
            remedy="upgrade the database and export it again" if path.is_dir() else upgrade,
        )
    for column in (snapshots.c["items"], raw_blocks.c.body):
        for packed in connection.execute(select(column)).scalars():
            unpacking = zlib.decompressobj()
            content = unpacking.decompress(packed, MAX_UNPACKED_BYTES)
            is_large = bool(unpacking.unconsumed_tail)
            if column is raw_blocks.c.body and not is_large:
                match msgspec.msgpack.decode(content):
                    case [[*shared], [*bodies]]:  # each body may repeat one of the texts that they share
                        is_large = len(bodies) * max(map(len, shared), default=0) > MAX_UNPACKED_BYTES
            if is_large:
                raise UsageError(f"a value of {column} unpacks to more than {MAX_UNPACKED_BYTES >> 20} MiB")


def _other_account(connection: Connection, account: Account) -> Account:
    found = {each.name: each for each in every_account(connection)}
    other = found.get(account.name) or (next(iter(found.values())) if len(found) == 1 else None)
    if other is None:
        raise UsageError(f"holds no account {account.name}", remedy=f"its accounts are: {', '.join(found) or 'none'}")
    if other.boomplay_user_id and account.boomplay_user_id not in (None, other.boomplay_user_id):
        raise UsageError(f"its account {other.name} is another Boomplay user than account {account.name}")
    return other


def _snapshots(connection: Connection, account: Account, path: Path) -> tuple[list[PastSnapshot], int]:
    query = select(runs).where(runs.c.account_id == account.account_id, is_observation)
    lists = SnapshotReader(connection)
    items: dict[int, Item] = {}
    listed: dict[int, tuple[Item, ...]] = {}  # most runs share the list of the one before
    pasts = []
    size = 0
    for run in connection.execute(query.order_by(runs.c.observed_at, runs.c.run_id)).all():
        if run.snapshot_id not in listed:
            ids = lists.items(run.snapshot_id)
            for item_id, item in _items(connection, [each for each in dict.fromkeys(ids) if each not in items]):
                items[item_id] = item
                size += VALUE_BYTES + len(item.body)
            listed[run.snapshot_id] = tuple(items[each] for each in ids)
            size += 8 * len(ids)
            if size > MAX_TOTAL_BYTES:
                raise UsageError(f"its lists take more than {MAX_TOTAL_BYTES >> 20:,} MiB")
        pasts.append(
            PastSnapshot(
                label=f"{printable(Path(path.name))}, run {run.run_id}",
                started_at=run.started_at,
                observed_at=run.observed_at,
                items=listed[run.snapshot_id],
                proven=run.proven,
                proves_absence=run.proves_absence,
                ref=snapshot_ref(run, ()),
            )
        )
    return pasts, sum(item.body == b"" for item in items.values())


def _items(connection: Connection, ids: list[int]) -> Iterator[tuple[int, Item]]:
    """Yield items with their bodies; an item without a stored body has its id alone, or nothing."""
    for start in range(0, len(ids), BATCH):
        part = ids[start : start + BATCH]
        bodies = raw.bodies_of(connection, part)
        for stored in raw.raw_items_by_id(connection, part):
            body = bodies.get(stored.raw_item_id)
            if body is not None:
                item = Item(body, stored.digest, stored.track_id)
            elif stored.track_id is not None:
                item = id_only_item(stored.track_id)
            else:
                item = Item(b"", stored.digest, None)
            yield stored.raw_item_id, item
