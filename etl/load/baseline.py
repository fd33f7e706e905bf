"""What the next run must know: the newest snapshot, and the open favourites. Reads only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Engine, Row, Select, case, func, literal, select, true

from etl.db import bulk
from etl.db.engine import read_transaction
from etl.db.migrate import VERSIONS, require_version
from etl.db.tables import favourites, removal_memory, runs, snapshots, track_artists, tracks
from etl.db.types import Instant
from etl.errors import DatabaseError
from etl.load.raw import RawItem, items_of, last_track
from etl.model.records import (
    Baseline,
    FavouriteInterval,
    OpenFavourites,
    RemovalGrace,
    RemovalMemory,
    RemovalReason,
    Review,
)
from etl.transform.removals import may_close
from etl.transform.track_versions import StoredVersionRef

_decode_memory = msgspec.json.Decoder(RemovalMemory).decode
_decode_ids = msgspec.json.Decoder(list[int]).decode

# True for the runs whose snapshots make up the history.
is_observation = runs.c.snapshot_id.is_not(None) & runs.c.outcome.is_not(None) & runs.c.retracted_at.is_(None)
# True for those of them that prove absence and whose removals the operator did not reject.
is_proof = runs.c.proves_absence & runs.c.decision.is_distinct_from(Review.REJECTED)


def read_baseline(connection: Connection, account_id: int) -> Baseline | None:
    """Return the account's newest snapshot, None before the first. Checks the schema version in the same statement.

    Raises: SchemaOutdated, if another favsync has migrated the database.
    """
    newest = (
        select(
            *runs.c["run_id", "outcome", "started_at", "observed_at", "snapshot_id"],
            *snapshots.c["digest", "size"],
            *runs.c["favourites", "rejected", "total", "page_size"],
        )
        .join(snapshots, snapshots.c.snapshot_id == runs.c.snapshot_id)
        .where(runs.c.account_id == account_id, is_observation)
        .order_by(runs.c.observed_at.desc(), runs.c.run_id.desc())
        .limit(1)
        .subquery()
    )
    rows = connection.execute(select(VERSIONS, newest).outerjoin_from(VERSIONS, newest, true())).mappings().all()
    require_version(connection, [row["version_num"] for row in rows])
    found = {name: value for name, value in rows[0].items() if name != "version_num"}
    return None if found["run_id"] is None else Baseline(**{**found, "digest": bytes(found["digest"])})


class FavouriteQueries:
    """Looks up what is stored of an account while its list is read (`etl.extract.snapshot.FavouriteLookup`).

    The open tracks and the items of the baseline are read once: only the run that holds the account's lock can change them.
    ``items_read``: those items by ``snapshot_id``, once they are read.
    """

    def __init__(self, engine: Engine | None, account_id: int, baseline: Baseline | None) -> None:
        """``engine`` None: there is no database yet."""
        self._engine, self._account_id, self._baseline = engine, account_id, baseline
        self._open: frozenset[int] | None = None if engine else frozenset()
        self._compared: tuple[Collection[int], frozenset[int]] | None = None
        self.items_read: dict[int, Sequence[RawItem]] = {}

    def open_tracks(self) -> frozenset[int]:
        """Return the tracks that are favourites."""
        if self._open is None:
            assert self._engine is not None  # noqa: S101
            with read_transaction(self._engine) as connection:
                self._open = open_tracks(connection, self._account_id)
        return self._open

    def missing(self, present: Collection[int]) -> frozenset[int]:
        """Return the favourites that are not ``present``. The answer is kept for as long as the same object is asked about."""
        if self._compared is None or self._compared[0] is not present:
            self._compared = present, self.open_tracks().difference(present)
        return self._compared[1]

    def items(self) -> Sequence[RawItem]:
        """Return the items of the baseline, in list order; none without a baseline."""
        if self._engine is None or self._baseline is None:
            return ()
        snapshot_id = self._baseline.snapshot_id
        if snapshot_id not in self.items_read:
            with read_transaction(self._engine) as connection:
                self.items_read[snapshot_id] = items_of(connection, snapshot_id)
        return self.items_read[snapshot_id]

    def is_outdated(self, newest: Baseline | None) -> bool:
        """True if another run has recorded a list or changed the newest one's counts. ``newest``: the baseline as it is now."""
        return newest != self._baseline

    def at_risk(self, missing: Collection[int], young_since: datetime | None) -> frozenset[int]:
        """Return those of ``missing`` that are the last favourite in the list or were added after ``young_since``."""
        if self._engine is None:
            return frozenset()
        with read_transaction(self._engine) as connection:
            young: frozenset[int] = frozenset()
            if young_since is not None:
                among = _open_among(connection, self._account_id, missing)
                young = frozenset(interval.track_id for interval in among if interval.valid_from > young_since)
            if self._baseline is None:
                return young
            return young | last_track(connection, self._baseline.snapshot_id, self.open_tracks())

    def settled(self, started_at: datetime, grace: RemovalGrace) -> frozenset[int]:
        """Return the favourites that are missing already and that a snapshot started at ``started_at`` cannot close."""
        if self._engine is None or not grace.removal:
            return frozenset()
        with read_transaction(self._engine) as connection:
            missed = _missed(connection, self._account_id)
            memory = read_memory(connection, self._account_id)
        looks = {group.since: group.looks for group in memory.groups}

        def is_settled(interval: FavouriteInterval) -> bool:
            since = interval.missing_since
            is_withdrawn = memory.catalogue.get(interval.track_id) is RemovalReason.WITHDRAWN
            wait = grace.withdrawal if is_withdrawn else grace.removal
            return since is not None and not may_close(since, looks.get(since, 0), started_at, wait)

        return frozenset(interval.track_id for interval in missed if is_settled(interval))


def open_count(connection: Connection, account_id: int) -> int:
    """Return the number of open favourites."""
    ((count,),) = _open_rows(connection, account_id, "count(*)")
    return int(count)


def read_open_favourites(
    connection: Connection,
    account_id: int,
    present: Collection[int],
    lookup: FavouriteQueries | None = None,
) -> OpenFavourites:
    """Return the account's history as far as a snapshot that saw the tracks ``present`` needs it.

    ``lookup``: what the caller has read already under the account's lock.

    Raises: DatabaseError, if another run changes it meanwhile: the lock was lost.
    """
    newest = read_baseline(connection, account_id)
    if lookup and lookup.is_outdated(newest):
        raise _lock_was_lost()
    is_open = lookup.open_tracks() if lookup else open_tracks(connection, account_id)
    observed_at = newest.observed_at if newest else None
    instants = instants_of(account_id).where(runs.c.observed_at >= _newest_proof_start(account_id)).subquery().c
    newest_start = case((instants.observed_at == observed_at, instants.started_at))
    newest_proof = case((instants.proofs > 0, instants.started_at))
    seen_at, absence_at = connection.execute(select(func.max(newest_start), func.max(newest_proof))).one()
    missing = lookup.missing(present) if lookup else is_open.difference(present)
    touched: list[FavouriteInterval] = []
    if is_open:
        touched = [*_missed(connection, account_id), *_open_among(connection, account_id, missing)]
    intervals = {interval.track_id: interval for interval in touched}
    if not missing <= intervals.keys():
        raise _lock_was_lost()
    is_first = any(intervals[track_id].missing_since is None for track_id in missing)
    return OpenFavourites(
        open=is_open,
        intervals=intervals,
        seen_at=seen_at,
        absence_at=absence_at,
        observed_at=observed_at,
        order=_last_whole_order(connection, account_id, lookup.items_read if lookup else {}) if is_first else (),
        memory=read_memory(connection, account_id),
    )


def _newest_proof_start(account_id: int) -> ColumnElement[datetime]:
    """Select the start of the newest snapshot that proves absence: what ended before it did not start later."""
    mine = (runs.c.account_id == account_id) & is_observation
    newest = select(runs.c.observed_at).where(mine, is_proof).order_by(runs.c.observed_at.desc()).limit(1)
    start = select(func.min(runs.c.started_at)).where(mine, runs.c.observed_at == newest.scalar_subquery())
    return func.coalesce(start.scalar_subquery(), literal(datetime.min.replace(tzinfo=UTC), Instant))


def _lock_was_lost() -> DatabaseError:
    return DatabaseError("another run changed the favourites of the account", remedy="run the sync again")


def _last_whole_order(connection: Connection, account_id: int, known: Mapping[int, Sequence[RawItem]]) -> list[int]:
    """Return the track ids of the newest snapshot that proves absence, in list order."""
    query = (
        select(runs.c.snapshot_id)
        .where(runs.c.account_id == account_id, is_observation, is_proof)
        .order_by(runs.c.observed_at.desc(), runs.c.run_id.desc())
        .limit(1)
    )
    snapshot_id = connection.execute(query).scalar()
    if snapshot_id is None:
        return []
    items = known[snapshot_id] if snapshot_id in known else items_of(connection, snapshot_id)
    return [item.track_id for item in items if item.track_id is not None]


def shared_labels(
    connection: Connection, missing: Collection[int], is_open: Container[int]
) -> dict[int, list[tuple[str, int]]]:
    """Return the albums and artists that two or more ``missing`` tracks share, as kind and id, for each favourite of theirs.

    Other albums and artists are no sign. Reading those of all favourites would cost more with every track ever seen.
    """
    labels: dict[int, list[tuple[str, int]]] = {}
    for kind, table in (("album", tracks), ("artist", track_artists)):
        column = f"{kind}_id"
        held = Counter(row[0] for row in bulk.select_in(connection, column, table, "track_id", missing))
        shared = [label for label, count in held.items() if label is not None and count > 1]
        for track_id, label in bulk.select_in(connection, f"track_id, {column}", table, column, shared):
            if track_id in is_open:
                labels.setdefault(track_id, []).append((kind, label))
    return labels


def read_memory(connection: Connection, account_id: int) -> RemovalMemory:
    """Return what earlier snapshots of the account say about later removals."""
    query = select(removal_memory.c.memory).where(removal_memory.c.account_id == account_id)
    stored = connection.execute(query).scalar()
    return _decode_memory(stored) if stored else RemovalMemory()


def open_tracks(connection: Connection, account_id: int) -> frozenset[int]:
    """Return the tracks that are favourites. Ten thousand as one text take half of the time of as many rows."""
    listed = "json_agg(track_id)::text" if connection.dialect.name == "postgresql" else "json_group_array(track_id)"
    ((text,),) = _open_rows(connection, account_id, listed)
    return frozenset(_decode_ids(text)) if text else frozenset()


def _open_rows(connection: Connection, account_id: int, columns: str) -> list[bulk.Row]:
    where = f"account_id = {bulk.placeholder(connection)} AND valid_to IS NULL"
    source = bulk.by_index(connection, favourites, "ix_favourites_open")
    return bulk.rows_of(connection, f"SELECT {columns} FROM {source} WHERE {where}", (account_id,))  # noqa: S608


_INTERVAL = "track_id, valid_from, added_after, added_run_id, last_seen_at, missing_since"


def _open_among(connection: Connection, account_id: int, track_ids: Collection[int]) -> list[FavouriteInterval]:
    """Return the open intervals of these tracks."""
    is_open, index = f" AND account_id = {int(account_id)} AND valid_to IS NULL", "uq_favourites_open"
    rows = bulk.select_in(connection, _INTERVAL, favourites, "track_id", sorted(track_ids), is_open, index=index)
    return _open_intervals(connection, rows)


def _missed(connection: Connection, account_id: int) -> list[FavouriteInterval]:
    """Return the open intervals that the newest snapshot does not have."""
    where = f"account_id = {bulk.placeholder(connection)} AND last_seen_at IS NOT NULL"
    source = bulk.by_index(connection, favourites, "ix_favourites_missed")
    rows = bulk.rows_of(connection, f"SELECT {_INTERVAL} FROM {source} WHERE {where}", (account_id,))  # noqa: S608
    return _open_intervals(connection, rows)


def _open_intervals(connection: Connection, rows: Iterable[bulk.Row]) -> list[FavouriteInterval]:
    at = bulk.instant_reader(connection)
    return [
        FavouriteInterval(
            track_id,
            at(valid_from),
            at(added_after),
            run_id,
            last_seen_at=at(last_seen),
            missing_since=at(missing_since),
        )
        for track_id, valid_from, added_after, run_id, last_seen, missing_since in rows
    ]


def instants_of(account_id: int) -> Select[Any]:
    """Select the times of the account's snapshots, those of one time as one row."""
    return (
        select(
            runs.c.observed_at,
            func.min(runs.c.started_at).label("started_at"),
            func.sum(case((is_proof, 1), else_=0)).label("proofs"),
        )
        .where(runs.c.account_id == account_id, is_observation)
        .group_by(runs.c.observed_at)
    )


def interval_of(row: Row[tuple[object, ...]]) -> FavouriteInterval:
    """Convert a row of ``favourites``."""
    return FavouriteInterval(
        track_id=row.track_id,
        valid_from=row.valid_from,
        added_after=row.added_after,
        added_run_id=row.added_run_id,
        valid_to=row.valid_to,
        removed_after=row.removed_after,
        removed_run_id=row.removed_run_id,
        last_seen_at=row.last_seen_at,
        missing_since=row.missing_since,
        removal_reason=RemovalReason(row.removal_reason) if row.removal_reason else None,
    )


def stored_version_refs(
    connection: Connection, track_ids: Collection[int], lock: bulk.RowLock | None = None
) -> dict[int, StoredVersionRef]:
    """Return the digest and times of these tracks' current attributes, by track. ``lock``: lock their rows (PostgreSQL)."""
    columns = "track_id, facts_digest, changed_at, sighted_at, first_seen_at"
    suffix = f" ORDER BY track_id {lock}" if lock else ""
    rows = bulk.select_in(connection, columns, tracks, "track_id", track_ids, suffix)
    return {row[0]: StoredVersionRef(bytes(row[1]) if row[1] else None, *map(_instant, row[2:])) for row in rows}


def _instant(value: datetime | str | None) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else value
