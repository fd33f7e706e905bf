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

from etl.backfill.other_database import foreign_observations
from etl.backfill.snapshots import Fault, Found, found_in
from etl.db.engine import retrying
from etl.errors import UsageError
from etl.load.baseline import Account
from etl.load.run_lock import lease
from etl.model.threshold import Brake
from etl.replay.import_snapshots import Imported, Past, land_past


@dataclass(frozen=True, slots=True)
class Orders:
    """What the user says of the files. ``keep_bodies``: whether items are stored as received."""

    observed_at: datetime | None = None
    is_complete: bool = False
    brake: Brake = field(default_factory=Brake)
    keep_bodies: bool = True


@dataclass(frozen=True, slots=True)
class Result:
    """What became of an import: of each list in it, of the history, and of the files that could not be used."""

    imported: Imported
    faults: tuple[Fault, ...]
    passed_over: tuple[Fault, ...]


def import_paths(engine: Engine, account: Account, paths: Sequence[Path], orders: Orders, now: datetime) -> Result:
    """Import what ``paths`` name as past observations of ``account``.

    Raises: UsageError, where a path does not exist, or nothing in any of them can be used; RunInProgress; DatabaseError.
    """
    found = found_in(paths, observed_at=orders.observed_at, is_complete=orders.is_complete, now=now)
    pasts = [*found.lists, *_foreign(found, account, now)]
    if not pasts:
        decisive = [fault for fault in found.faults if not fault.place] or found.faults
        first = str(decisive[0]) if decisive else f"no export was found in {', '.join(map(str, paths))}"
        more = f" ({len(found.faults) - 1} more such)" if len(found.faults) > 1 else ""
        raise UsageError(f"nothing was imported: {first}{more}", remedy="`favsync backfill --help` tells what can be")

    def work(connection: Connection) -> Imported:
        return land_past(
            connection, account.account_id, pasts, brake=orders.brake, now=now, keep_bodies=orders.keep_bodies
        )

    with lease(engine, account.account_id, account.name):
        imported = retrying(engine, work)
    return Result(imported, tuple(found.faults), tuple(found.passed_over))


def _foreign(found: Found, account: Account, now: datetime) -> list[Past]:
    """Read the databases among the files; one that cannot be used is a fault like any other."""
    pasts: list[Past] = []
    for path in found.databases:
        try:
            foreign = foreign_observations(path, account)
        except UsageError as error:
            remedy = f" ({error.remedy})" if error.remedy else ""
            found.faults.append(Fault(str(path), "", f"{error.message}{remedy}"))
            continue
        if foreign.bodiless:
            fault = f"{foreign.bodiless:,} items of it have neither body nor track id: they count as unknown tracks"
            found.faults.append(Fault(str(path), "", fault))
        pasts += [past for past in foreign.pasts if past.observed_at <= now]
    return pasts
