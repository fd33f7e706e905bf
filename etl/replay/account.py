"""Replays one account after its runs changed: an import, a retraction, or a review of an older run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy import Connection, select

from etl.db.tables import runs
from etl.model.records import RemovalThreshold, Track
from etl.replay.favourites import FavouriteDiff, replay_favourites
from etl.replay.snapshots import SnapshotReader
from etl.replay.track_events import accounts_with_tracks
from etl.replay.tracks import TrackDiff, replay_tracks


class AccountReplay(msgspec.Struct, frozen=True):
    """How a replay changed an account's favourites and the tracks that it saw."""

    favourites: FavouriteDiff
    tracks: TrackDiff


def replay_account(
    connection: Connection,
    account_id: int,
    changed_runs: Sequence[int],
    threshold: RemovalThreshold,
    unstored: Mapping[int, Track] | None = None,
) -> AccountReplay:
    """Recompute the account's favourites, and the tracks that ``changed_runs`` (added or retracted) may affect.

    ``unstored``: tracks by raw item, for items whose bodies are not kept. The caller holds the account and the track tables.
    """
    favourites = replay_favourites(connection, account_id, threshold)
    touched = touched_tracks(connection, account_id, changed_runs)
    accounts = accounts_with_tracks(connection, touched)
    return AccountReplay(favourites, replay_tracks(connection, touched, given=unstored, accounts=accounts))


def touched_tracks(connection: Connection, account_id: int, run_ids: Sequence[int]) -> set[int]:
    """Return the tracks whose attributes may change if these runs of an account are added or removed.

    An item counts if only one of a snapshot and the one before it contains it. So items count that these snapshots have and
    their neighbours do not, or the other way round.
    """
    query = select(runs.c.run_id, runs.c.snapshot_id).where(
        runs.c.account_id == account_id,
        runs.c.snapshot_id.is_not(None),
        runs.c.retracted_at.is_(None) | runs.c.run_id.in_(run_ids),
    )
    ordered = connection.execute(query.order_by(runs.c.observed_at, runs.c.run_id)).all()
    wanted = set(run_ids)
    reader = SnapshotReader(connection)
    touched: set[int] = set()
    for place, row in enumerate(ordered):
        if row.run_id in wanted:
            here = set(reader.items(row.snapshot_id))
            touched |= here ^ set(reader.items(ordered[place - 1].snapshot_id)) if place else here
            for after in ordered[place + 1 : place + 2]:
                touched |= here ^ set(reader.items(after.snapshot_id))
    tracks = reader.track_of(touched)
    return {track_id for item in touched if (track_id := tracks[item]) is not None}
