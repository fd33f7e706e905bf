"""Imports the paths of `favsync backfill --from` as runs of an account.

Everything is read first and written in one transaction: a call takes effect whole or not at all. It can be repeated, because an
import recognises snapshots that are already there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, select

from etl.backfill.input_files import printable
from etl.backfill.other_database import snapshots_in
from etl.backfill.parsed_file import FileError
from etl.backfill.snapshots import ParsedInput, read_inputs
from etl.db.engine import in_transaction, read_transaction
from etl.db.tables import rejects
from etl.errors import UsageError
from etl.load.accounts import Account
from etl.load.run_lock import run_lock
from etl.model.records import RemovalThreshold
from etl.replay.import_snapshots import ImportedRun, ImportResult, PastSnapshot, import_snapshots

SHOWN_FAULTS = 5


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What the user says of the files. ``keep_bodies``: store items as received."""

    observed_at: datetime | None = None
    is_complete: bool = False
    threshold: RemovalThreshold = field(default_factory=RemovalThreshold)
    keep_bodies: bool = True


@dataclass(frozen=True, slots=True)
class FileImportResult:
    """The outcome of an import: its runs and changes, the problems, the files passed over, and how others were read."""

    imported: ImportResult
    faults: tuple[FileError, ...]
    passed_over: tuple[FileError, ...]
    notes: tuple[FileError, ...] = ()


def import_paths(
    engine: Engine, account: Account, paths: Sequence[Path], options: ImportOptions, now: datetime
) -> FileImportResult:
    """Import what ``paths`` name as past snapshots of ``account``.

    Raises: UsageError, where a path does not exist, nothing can be imported, or it is unclear whether files are pages or lists;
    RunInProgress; DatabaseError.
    """
    found = read_inputs(paths, observed_at=options.observed_at, is_complete=options.is_complete, now=now)
    pasts = [*found.snapshots, *_database_snapshots(found, account, now)]
    if not pasts:
        raise _nothing_imported(found, paths)

    def work(connection: Connection) -> ImportResult:
        return import_snapshots(
            connection, account.account_id, pasts, threshold=options.threshold, now=now, keep_bodies=options.keep_bodies
        )

    with run_lock(engine, account.account_id, account.name):
        imported = in_transaction(engine, work)
    faults = [*found.faults, *_lost_facts(engine, found, imported.landed)]
    return FileImportResult(imported, tuple(faults), tuple(found.passed_over), tuple(found.notes))


def _nothing_imported(found: ParsedInput, paths: Sequence[Path]) -> UsageError:
    """Return an error that names the reasons, the most useful ones first: those with a place in a file."""
    faults = sorted(found.faults, key=lambda fault: not fault.place) or found.passed_over
    reasons = "; ".join(map(str, faults[:SHOWN_FAULTS])) or f"no file was found in {', '.join(map(printable, paths))}"
    more = f"; and {len(faults) - SHOWN_FAULTS:,} more" if len(faults) > SHOWN_FAULTS else ""
    return UsageError(
        f"nothing was imported: {reasons}{more}", remedy="`favsync backfill --help` names what can be imported"
    )


def _database_snapshots(found: ParsedInput, account: Account, now: datetime) -> list[PastSnapshot]:
    """Read the databases among the files; one that cannot be used is a fault like any other."""
    pasts: list[PastSnapshot] = []
    for path in found.databases:
        try:
            other = snapshots_in(path, account)
        except UsageError as error:
            remedy = f" ({error.remedy})" if error.remedy else ""
            found.faults.append(FileError(printable(path), "", f"{error.message}{remedy}"))
            continue
        if other.bodiless:
            fault = f"{other.bodiless:,} items have neither body nor track id: they count as unknown tracks"
            found.faults.append(FileError(printable(path), "", fault))
        pasts += [past for past in other.pasts if past.observed_at <= now]
    return pasts


def _lost_facts(engine: Engine, found: ParsedInput, landed: Sequence[ImportedRun]) -> list[FileError]:
    """Return a fault for each track in the files whose item cannot be read: only its id is known."""
    files = {past.label for past in found.snapshots}
    labels = {each.run_id: each.past.label for each in landed if each.past.label in files}
    query = select(rejects).where(rejects.c.run_id.in_(labels), rejects.c.track_id.is_not(None))
    with read_transaction(engine) as connection:
        rows = connection.execute(query.order_by(rejects.c.run_id, rejects.c.position)).all()
    return [
        FileError(labels[row.run_id], f"track {row.track_id}", f"its facts are not read: {row.reason}") for row in rows
    ]
