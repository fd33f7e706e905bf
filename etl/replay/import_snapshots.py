"""Imports past snapshots as runs of an account, in the caller's transaction.

A snapshot that exists already (same account, time, list and proof) is recognised and left alone, so an import can be repeated.
However many snapshots an import holds, and wherever they lie in time, the account is replayed once, from the start.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from msgspec.structs import replace
from sqlalchemy import Connection, exists, select, update

from etl.db import bulk
from etl.db.tables import runs, snapshots, track_versions
from etl.load import raw
from etl.load.baseline import is_observation, read_baseline
from etl.load.favourites import write_rejects
from etl.load.runs import insert_finished
from etl.load.snapshot import load_delta
from etl.model.encoding import snapshot_digest
from etl.model.records import Digest, Item, Outcome, RemovalThreshold, Review, SnapshotRef, Track, Trigger
from etl.model.result import RunResult
from etl.replay.account import replay_account
from etl.replay.favourites import FavouriteDiff
from etl.replay.review import mark_superseded
from etl.transform.delta import find_delta


@dataclass(frozen=True, slots=True)
class PastSnapshot:
    """A list that was read at an earlier time, from an export or another database.

    ``label``: where it comes from. ``proven``: it is the whole list. ``decision``: the operator's decision on its removals.
    ``ref``: what its run knew when it decided about removals, if it is a run of another database.
    """

    label: str
    started_at: datetime
    observed_at: datetime
    items: tuple[Item, ...]
    proven: bool
    proves_absence: bool
    decision: Review | None = None
    ref: SnapshotRef | None = None


@dataclass(frozen=True, slots=True)
class ImportedRun:
    """A past snapshot and its run. ``was_there``: it had been imported before."""

    past: PastSnapshot
    run_id: int
    was_there: bool = False


@dataclass(slots=True)
class ImportResult:
    """What an import did: each snapshot in order of time, and how the history changed.

    ``held``: runs that hold removals afterwards and did not before.
    """

    landed: list[ImportedRun] = field(default_factory=list)
    difference: FavouriteDiff = field(default_factory=FavouriteDiff)
    held: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ImportTerms:
    """Where past snapshots go, and how.

    ``threshold``: the threshold of runs that have none of their own. ``now``: the time of the import.
    """

    account_id: int
    threshold: RemovalThreshold
    now: datetime
    keep_bodies: bool = True


@dataclass(slots=True)
class _KnownItems:
    """What the snapshots of one import share: stored items by digest, and tracks whose bodies are not kept."""

    stored: dict[Digest, raw.RawItem] = field(default_factory=dict)
    unstored: dict[int, Track] = field(default_factory=dict)


def import_snapshots(connection: Connection, pasts: Iterable[PastSnapshot], terms: ImportTerms) -> ImportResult:
    """Store past snapshots of an account and replay its history."""
    bulk.lock_track_tables(connection)
    done, known, account_id = ImportResult(), _KnownItems(), terms.account_id
    held = _held_runs(connection, account_id)
    for past in sorted(pasts, key=lambda past: past.observed_at):
        existing = _existing_run(connection, account_id, past)
        run_id = existing or _store(connection, past, terms, known)
        done.landed.append(ImportedRun(past, run_id, was_there=existing is not None))
    new = [imported for imported in done.landed if not imported.was_there]
    if not new:
        return done
    replayed = replay_account(connection, account_id, [each.run_id for each in new], terms.threshold, known.unstored)
    done.difference = replayed.favourites
    _write_reasons(connection, account_id, new, done.difference)
    done.held = tuple(sorted(_held_runs(connection, account_id) - held))
    return done


def _held_runs(connection: Connection, account_id: int) -> set[int]:
    query = select(runs.c.run_id).where(runs.c.account_id == account_id, is_observation, runs.c.outcome == Outcome.HELD)
    return set(connection.execute(query).scalars())


def _existing_run(connection: Connection, account_id: int, past: PastSnapshot) -> int | None:
    """Return the run with this very snapshot, retracted or not."""
    query = (
        select(runs.c.run_id)
        .join(snapshots, snapshots.c.snapshot_id == runs.c.snapshot_id)
        .where(
            runs.c.account_id == account_id,
            runs.c.observed_at == past.observed_at,
            snapshots.c.digest == snapshot_digest(item.digest for item in past.items),
            runs.c.proven == past.proven,
            runs.c.proves_absence == past.proves_absence,
        )
    )
    return connection.execute(query.limit(1)).scalar()


def _store(connection: Connection, past: PastSnapshot, terms: ImportTerms, known: _KnownItems) -> int:
    """Store the list and insert its run, whose counts the replay fills in. Return the ``run_id``."""
    missing = {item.digest for item in past.items} - known.stored.keys()
    known.stored.update((item.digest, item) for item in raw.raw_items_by_digest(connection, missing))
    # An item without a stored body is normalised again, unless an earlier snapshot of this import did that.
    usable = {
        item.digest: item
        for item in (known.stored[each.digest] for each in past.items if each.digest in known.stored)
        if terms.keep_bodies or not item.is_readable or item.raw_item_id in known.unstored
    }
    delta = find_delta(past.items, {digest: item.is_readable for digest, item in usable.items()})
    ids = [usable[item.digest].raw_item_id for item in delta.known_items()]
    loaded = load_delta(connection, delta, ids, keep_bodies=terms.keep_bodies, tracks_at=None)
    known.unstored |= loaded.unstored
    result = RunResult(
        account="",
        trigger=Trigger.BACKFILL,
        started_at=past.started_at,
        outcome=Outcome.UNCHANGED if past.proves_absence else Outcome.PARTIAL,
        reason=f"from {past.label}",
        proven=past.proven,
        rejected=delta.known_rejects + len(loaded.rejects),
        observed_at=past.observed_at,
        finished_at=terms.now,
    )
    ref = past.ref or SnapshotRef(
        run_id=0,
        started_at=past.started_at,
        observed_at=past.observed_at,
        present=(),
        proves_absence=past.proves_absence,
        decision=past.decision,
        threshold=terms.threshold,
    )
    run_id = insert_finished(connection, terms.account_id, result, replace(ref, snapshot_id=loaded.snapshot_id))
    write_rejects(connection, run_id, loaded.rejects)
    return run_id


def _write_reasons(
    connection: Connection, account_id: int, new: Sequence[ImportedRun], difference: FavouriteDiff
) -> None:
    """Write into each run what it was, and how the import changed the history."""
    words = f"this changed the history: {difference.words or 'no interval changed'}"
    if len(new) > 1:
        words = f"one of {len(new):,} that were imported together"
    holding = select(runs.c.run_id, runs.c.held).where(runs.c.account_id == account_id, runs.c.outcome == Outcome.HELD)
    held = {row.run_id: row.held for row in connection.execute(holding)}
    for imported in new:
        part = "" if imported.past.proven else "; a part of the list, so it removes nothing"
        row: dict[str, Any] = {
            "reason": f"from {imported.past.label}{part}; {words}"
            + (f"; its {held[imported.run_id]:,} removals are held" if imported.run_id in held else "")
        }
        if changed := _changed_tracks(connection, imported):
            row["changed"] = changed
        this = runs.c.run_id == imported.run_id
        connection.execute(update(runs).where(this).values(**row))
        if changed and imported.past.proves_absence:
            unchanged = runs.c.outcome == Outcome.UNCHANGED
            connection.execute(update(runs).where(this, unchanged).values(outcome=Outcome.SUCCEEDED))
    newest = read_baseline(connection, account_id)
    if newest is not None and newest.run_id == new[-1].run_id and new[-1].past.proves_absence:
        mark_superseded(connection, account_id, newest.run_id)


def _changed_tracks(connection: Connection, imported: ImportedRun) -> int:
    """Count the tracks whose attributes changed at the time of this snapshot."""
    ids = {item.track_id for item in imported.past.items if item.track_id is not None}
    before = track_versions.alias("before")
    earlier = exists().where(
        before.c.track_id == track_versions.c.track_id, before.c.valid_from < track_versions.c.valid_from
    )
    query = select(track_versions.c.track_id).where(track_versions.c.valid_from == imported.past.observed_at, earlier)
    return len(ids & set(connection.execute(query).scalars()))
