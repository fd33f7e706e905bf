"""From the paths of `favsync backfill --from` to runs of an account.

Everything that can be read is read first; then it lands in one transaction, so that a call has happened whole or not at all, and
can be repeated: what is there already is recognised.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, Engine

from etl.backfill.other_database import snapshots_in
from etl.backfill.snapshots import FileError, ParsedInput, read_inputs
from etl.db.engine import in_transaction
from etl.errors import UsageError
from etl.load.accounts import Account
from etl.load.run_lock import run_lock
from etl.model.records import RemovalThreshold
from etl.replay.import_snapshots import ImportResult, PastSnapshot, import_snapshots


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What the user says of the files. ``keep_bodies``: whether items are stored as received."""

    observed_at: datetime | None = None
    is_complete: bool = False
    brake: RemovalThreshold = field(default_factory=RemovalThreshold)
    keep_bodies: bool = True


@dataclass(frozen=True, slots=True)
class FileImportResult:
    """What became of an import: of each list in it, of the history, and of the files that could not be used."""

    imported: ImportResult
    faults: tuple[FileError, ...]
    passed_over: tuple[FileError, ...]


def import_paths(
    engine: Engine, account: Account, paths: Sequence[Path], orders: ImportOptions, now: datetime
) -> FileImportResult:
    """Import what ``paths`` name as past observations of ``account``.

    Raises: UsageError, where a path does not exist, or nothing in any of them can be used; RunInProgress; DatabaseError.
    """
    found = read_inputs(paths, observed_at=orders.observed_at, is_complete=orders.is_complete, now=now)
    pasts = [*found.lists, *_foreign(found, account, now)]
    if not pasts:
        decisive = [fault for fault in found.faults if not fault.place] or found.faults
        first = str(decisive[0]) if decisive else f"no export was found in {', '.join(map(str, paths))}"
        more = f" ({len(found.faults) - 1} more such)" if len(found.faults) > 1 else ""
        raise UsageError(f"nothing was imported: {first}{more}", remedy="`favsync backfill --help` tells what can be")

    def work(connection: Connection) -> ImportResult:
        return import_snapshots(
            connection, account.account_id, pasts, brake=orders.brake, now=now, keep_bodies=orders.keep_bodies
        )

    with run_lock(engine, account.account_id, account.name):
        imported = in_transaction(engine, work)
    return FileImportResult(imported, tuple(found.faults), tuple(found.passed_over))


def _foreign(found: ParsedInput, account: Account, now: datetime) -> list[PastSnapshot]:
    """Read the databases among the files; one that cannot be used is a fault like any other."""
    pasts: list[PastSnapshot] = []
    for path in found.databases:
        try:
            foreign = snapshots_in(path, account)
        except UsageError as error:
            remedy = f" ({error.remedy})" if error.remedy else ""
            found.faults.append(FileError(str(path), "", f"{error.message}{remedy}"))
            continue
        if foreign.bodiless:
            fault = f"{foreign.bodiless:,} items of it have neither body nor track id: they count as unknown tracks"
            found.faults.append(FileError(str(path), "", fault))
        pasts += [past for past in foreign.pasts if past.observed_at <= now]
    return pasts
