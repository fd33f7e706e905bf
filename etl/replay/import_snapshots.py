"""Past observations become runs of an account, in the caller's transaction.

An observation that is there already (same account, instant, list and proof) is recognised and left alone, so an import can be
repeated. However many come at once, and wherever they lie in time, the account is folded once, from the start.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, exists, func, insert, select, update

from etl.db import bulk
from etl.db.tables import runs, snapshots, track_versions
from etl.load import raw
from etl.load.baseline import is_observation, read_baseline
from etl.load.favourites import write_rejects
from etl.load.runs import process_name
from etl.model.encoding import snapshot_digest
from etl.model.records import Digest, Item, Outcome, Reject, Review, Track, Trigger
from etl.model.threshold import RemovalThreshold
from etl.replay.favourites import FavouriteDiff, replay_favourites
from etl.replay.review import mark_superseded
from etl.replay.snapshots import SnapshotReader
from etl.replay.track_events import accounts_with_tracks
from etl.replay.tracks import replay_tracks
from etl.transform.normalise import InvalidItem, normalise


@dataclass(frozen=True, slots=True)
class PastSnapshot:
    """A list that was read at an earlier time, by whatever means.

    ``label``: where it comes from. ``proven``: it is the whole list. ``decision``: the operator's word on what it removes.
    ``brake``: the one that it obeyed; None leaves it to the import.
    """

    label: str
    started_at: datetime
    observed_at: datetime
    items: tuple[Item, ...]
    proven: bool
    proves_absence: bool
    decision: Review | None = None
    brake: RemovalThreshold | None = None


@dataclass(frozen=True, slots=True)
class ImportedRun:
    """What became of a past observation: its run, and whether it was there before."""

    past: PastSnapshot
    run_id: int
    was_there: bool = False


@dataclass(slots=True)
class ImportResult:
    """What an import did: each observation in order of time, and what the history became by all of them.

    ``held``: runs that hold removals afterwards and did not before.
    """

    landed: list[ImportedRun] = field(default_factory=list)
    difference: FavouriteDiff = field(default_factory=FavouriteDiff)
    held: tuple[int, ...] = ()


def import_snapshots(
    connection: Connection,
    account_id: int,
    pasts: Iterable[PastSnapshot],
    *,
    brake: RemovalThreshold,
    now: datetime,
    keep_bodies: bool = True,
) -> ImportResult:
    """Store past observations of an account and fold its history again.

    ``brake``: for the runs that are folded again; a past observation carries its own decision. ``now``: when they are imported.
    """
    bulk.lock_track_tables(connection)
    done = ImportResult()
    given: dict[int, Track] = {}
    stored: dict[Digest, raw.RawItem] = {}
    held = _held(connection, account_id)
    for past in sorted(pasts, key=lambda past: past.observed_at):
        twin = _twin(connection, account_id, past)
        run_id = twin or _land(
            connection,
            account_id,
            past if past.brake else replace(past, brake=brake),
            now,
            stored,
            given,
            keep_bodies=keep_bodies,
        )
        done.landed.append(ImportedRun(past, run_id, was_there=twin is not None))
    new = [landed for landed in done.landed if not landed.was_there]
    if not new:
        return done
    done.difference = replay_favourites(connection, account_id, brake)
    touched = touched_tracks(connection, account_id, [each.run_id for each in new])
    replay_tracks(connection, touched, given=given, accounts=accounts_with_tracks(connection, touched))
    _tell(connection, account_id, new, done.difference)
    done.held = tuple(sorted(_held(connection, account_id) - held))
    return done


def _held(connection: Connection, account_id: int) -> set[int]:
    query = select(runs.c.run_id).where(runs.c.account_id == account_id, is_observation, runs.c.outcome == Outcome.HELD)
    return set(connection.execute(query).scalars())


def _twin(connection: Connection, account_id: int, past: PastSnapshot) -> int | None:
    """Return the run that is this very observation, retracted or not."""
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


def _land(
    connection: Connection,
    account_id: int,
    past: PastSnapshot,
    now: datetime,
    stored: dict[Digest, raw.RawItem],
    given: dict[int, Track],
    *,
    keep_bodies: bool,
) -> int:
    """Store what was seen and insert its run, whose counts the fold fills in. ``stored`` and ``given`` grow with each list."""
    unknown = {item.digest for item in past.items} - stored.keys()
    stored.update((item.digest, item) for item in raw.raw_items_by_digest(connection, unknown))
    known = [stored[item.digest] for item in past.items if item.digest in stored]
    tracks: dict[Digest, Track] = {}
    rejects: list[Reject] = []
    for position, item in enumerate(past.items):
        if item.digest in stored and (keep_bodies or stored[item.digest].raw_item_id in given):
            continue
        try:
            tracks[item.digest] = normalise(item)
        except InvalidItem as error:
            if item.digest not in stored:
                rejects.append(Reject(position, item.track_id, str(error), item.body))
    unreadable = {past.items[reject.position].digest for reject in rejects}
    snapshot_id = raw.store_list(connection, past.items, known, unreadable, keep_bodies=keep_bodies)
    if not keep_bodies:
        ids = raw.raw_items_by_digest(connection, tracks)
        given.update((item.raw_item_id, tracks[item.digest]) for item in ids)
    rejected = len(rejects) + sum(not stored[item.digest].is_readable for item in past.items if item.digest in stored)
    run_id = _insert_run(connection, account_id, past, now, snapshot_id, rejected)
    write_rejects(connection, run_id, rejects)
    return run_id


def _insert_run(
    connection: Connection, account_id: int, past: PastSnapshot, now: datetime, snapshot_id: int, rejected: int
) -> int:
    row = {
        "account_id": account_id,
        "trigger": Trigger.BACKFILL,
        "outcome": Outcome.UNCHANGED if past.proven else Outcome.PARTIAL,
        "reason": f"from {past.label}",
        "proven": past.proven,
        "proves_absence": past.proves_absence,
        "decision": past.decision,
        "brake_minimum": past.brake.minimum if past.brake else None,
        "brake_ratio": past.brake.ratio if past.brake else None,
        "started_at": past.started_at,
        "observed_at": past.observed_at,
        "finished_at": now,
        "snapshot_id": snapshot_id,
        "favourites": 0,
        "rejected": rejected,
        "holder": process_name(),
    }
    run_id: int = connection.execute(insert(runs).values(**row).returning(runs.c.run_id)).scalar_one()
    return run_id


def touched_tracks(connection: Connection, account_id: int, run_ids: Sequence[int]) -> set[int]:
    """Return the tracks whose facts may be others once these observations of an account are there, or are not.

    An item counts where the observation before it did not hold it; so these observations' own items that their neighbours
    lack count, and their neighbours' that they lack.
    """
    query = select(runs.c.run_id, runs.c.snapshot_id).where(
        runs.c.account_id == account_id,
        runs.c.snapshot_id.is_not(None),
        runs.c.retracted_at.is_(None) | runs.c.run_id.in_(run_ids),
    )
    ordered = connection.execute(query.order_by(runs.c.observed_at, runs.c.run_id)).all()
    wanted = set(run_ids)
    lists = SnapshotReader(connection)
    touched: set[int] = set()
    for place, row in enumerate(ordered):
        if row.run_id in wanted:
            here = set(lists.items(row.snapshot_id))
            touched |= here ^ set(lists.items(ordered[place - 1].snapshot_id)) if place else here
            for after in ordered[place + 1 : place + 2]:
                touched |= here ^ set(lists.items(after.snapshot_id))
    tracks = lists.track_of(touched)
    return {track_id for item in touched if (track_id := tracks[item]) is not None}


def _tell(connection: Connection, account_id: int, new: Sequence[ImportedRun], difference: FavouriteDiff) -> None:
    """Say on each run what it was, and what the history became by the import."""
    words = difference.words or "no interval changed"
    others = f" with {len(new) - 1} more" if len(new) > 1 else ""
    holding = select(runs.c.run_id, runs.c.held).where(runs.c.account_id == account_id, runs.c.outcome == Outcome.HELD)
    held = {row.run_id: row.held for row in connection.execute(holding)}
    for landed in new:
        part = "" if landed.past.proven else "; a part of the list, so it removes nothing"
        row: dict[str, Any] = {
            "reason": f"from {landed.past.label}{part}; imported{others}, this changed the history: {words}"
            + (f"; its {held[landed.run_id]:,} removals are held" if landed.run_id in held else "")
        }
        changed = _changed(connection, landed)
        if changed:
            row |= {"changed": changed}
        connection.execute(update(runs).where(runs.c.run_id == landed.run_id).values(**row))
        if changed and landed.past.proven:
            unchanged = runs.c.outcome == Outcome.UNCHANGED
            connection.execute(
                update(runs).where(runs.c.run_id == landed.run_id, unchanged).values(outcome=Outcome.SUCCEEDED)
            )
    newest = read_baseline(connection, account_id)
    last = new[-1]
    if newest is not None and newest.run_id == last.run_id and last.past.proven:
        mark_superseded(connection, account_id, last.run_id)


def _changed(connection: Connection, landed: ImportedRun) -> int:
    """Count the tracks whose facts became others at the instant of this observation."""
    ids = {item.track_id for item in landed.past.items if item.track_id is not None}
    before = track_versions.alias("before")
    earlier = exists().where(
        before.c.track_id == track_versions.c.track_id, before.c.valid_from < track_versions.c.valid_from
    )
    query = select(track_versions.c.track_id).where(track_versions.c.valid_from == landed.past.observed_at, earlier)
    return len(ids & set(connection.execute(query).scalars()))


def oldest_and_newest(connection: Connection, account_id: int) -> tuple[datetime, datetime] | None:
    """Return between which instants the account was observed."""
    query = select(func.min(runs.c.observed_at), func.max(runs.c.observed_at)).where(
        runs.c.account_id == account_id, is_observation
    )
    first, last = connection.execute(query).one()
    return None if first is None else (first, last)
