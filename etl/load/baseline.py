"""Reading what the next run needs to know: the account, its newest observation, its open favourites. Writes nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Select, case, func, select

from etl.db import bulk
from etl.db.tables import accounts, favourites, runs, snapshots, tracks
from etl.errors import DatabaseError, UsageError
from etl.model.records import Digest, FavouriteInterval, OpenFavourites, Review
from etl.transform.track_versions import StoredVersionRef


class Account(msgspec.Struct, frozen=True):
    """A Boomplay user whose favourites are copied."""

    account_id: int
    name: str
    boomplay_user_id: str | None
    region: str | None
    enabled: bool
    schedule: str | None = None


class Baseline(msgspec.Struct, frozen=True):
    """An account's newest observation: the run, and the digest of the list that it saw."""

    run_id: int
    outcome: str
    started_at: datetime
    observed_at: datetime
    snapshot_id: int
    digest: Digest
    size: int
    favourites: int
    rejected: int


def find_accounts(connection: Connection, names: Collection[str] = ()) -> list[Account]:
    """Return the accounts with these names, in that order; all enabled ones, by name, where none is given.

    Raises: UsageError, for a name that is not there.
    """
    query = select(accounts).order_by(accounts.c.name)
    found = {row.name: _account(row) for row in connection.execute(query)}
    unknown = [name for name in names if name not in found]
    if unknown:
        there = ", ".join(found) or "none yet"
        raise UsageError(
            f"there is no account {unknown[0]!r}",
            remedy=f"accounts are: {there}; see `favsync accounts list`",
        )
    return [found[name] for name in dict.fromkeys(names)] or [a for a in found.values() if a.enabled]


def every_account(connection: Connection) -> list[Account]:
    """Return all accounts, by name, those that are not enabled too."""
    return [_account(row) for row in connection.execute(select(accounts).order_by(accounts.c.name))]


def _account(row: Row[tuple[object, ...]]) -> Account:
    return Account(
        row.account_id,
        row.name,
        row.boomplay_user_id,
        row.region,
        bool(row.enabled),
        row.schedule,
    )


is_observation = runs.c.snapshot_id.is_not(None) & runs.c.outcome.is_not(None) & runs.c.retracted_at.is_(None)


def read_baseline(connection: Connection, account_id: int) -> Baseline | None:
    """Return the account's newest observation that stands, None before the first."""
    query = (
        select(
            runs.c.run_id,
            runs.c.outcome,
            runs.c.started_at,
            runs.c.observed_at,
            runs.c.snapshot_id,
            snapshots.c.digest,
            snapshots.c.size,
            runs.c.favourites,
            runs.c.rejected,
        )
        .join(snapshots, snapshots.c.snapshot_id == runs.c.snapshot_id)
        .where(runs.c.account_id == account_id, is_observation)
        .order_by(runs.c.observed_at.desc(), runs.c.run_id.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    return None if row is None else Baseline(*row[:5], bytes(row.digest), *row[6:])


def open_count(connection: Connection, account_id: int) -> int:
    """Return how many favourites the account has open."""
    is_open = (favourites.c.account_id == account_id) & favourites.c.valid_to.is_(None)
    return connection.execute(select(func.count()).where(is_open)).scalar_one()


def read_open_favourites(connection: Connection, account_id: int, present: Collection[int]) -> OpenFavourites:
    """Return the account's history as far as an observation needs it that saw the tracks ``present``.

    Raises: DatabaseError, where another run writes it meanwhile: the lease was lost.
    """
    is_open = open_tracks(connection, account_id)
    newest = read_baseline(connection, account_id)
    instants = instants_of(account_id).subquery()
    seen_at = select(instants.c.started_at).order_by(instants.c.observed_at.desc()).limit(1)
    absence_at = select(func.max(instants.c.started_at)).where(instants.c.proofs > 0)
    missing = is_open.difference(present)
    touched: list[FavouriteInterval] = []
    if is_open:
        touched = [*_missed(connection, account_id), *_open_among(connection, account_id, missing)]
    intervals = {interval.track_id: interval for interval in touched}
    if not missing <= intervals.keys():
        raise DatabaseError("the account's favourites were changed by another run", remedy="run the sync again")
    return OpenFavourites(
        open=is_open,
        intervals=intervals,
        seen_at=connection.execute(seen_at).scalar(),
        absence_at=connection.execute(absence_at).scalar(),
        observed_at=newest.observed_at if newest else None,
    )


def open_tracks(connection: Connection, account_id: int) -> frozenset[int]:
    """Return the tracks that are favourites."""
    where = f"account_id = {bulk.placeholder(connection)} AND valid_to IS NULL"
    source = bulk.by_index(connection, favourites, "ix_favourites_open")
    rows = bulk.rows_of(connection, f"SELECT track_id FROM {source} WHERE {where}", (account_id,))  # noqa: S608
    return frozenset(row[0] for row in rows)


def seen_only_since(connection: Connection, account_id: int, among: Collection[int], since: datetime) -> frozenset[int]:
    """Return those favourites ``among`` these tracks that were first seen after ``since``."""
    return frozenset(i.track_id for i in _open_among(connection, account_id, among) if i.valid_from > since)


_INTERVAL = "track_id, valid_from, added_after, added_run_id, last_seen_at"


def _open_among(connection: Connection, account_id: int, track_ids: Collection[int]) -> list[FavouriteInterval]:
    """Return the open intervals of these tracks."""
    is_open, index = f" AND account_id = {int(account_id)} AND valid_to IS NULL", "uq_favourites_open"
    rows = bulk.select_in(connection, _INTERVAL, favourites, "track_id", sorted(track_ids), is_open, index=index)
    return _open_intervals(connection, rows)


def _missed(connection: Connection, account_id: int) -> list[FavouriteInterval]:
    """Return the open intervals that the newest observation lacks."""
    where = f"account_id = {bulk.placeholder(connection)} AND last_seen_at IS NOT NULL"
    source = bulk.by_index(connection, favourites, "ix_favourites_missed")
    rows = bulk.rows_of(connection, f"SELECT {_INTERVAL} FROM {source} WHERE {where}", (account_id,))  # noqa: S608
    return _open_intervals(connection, rows)


def _open_intervals(connection: Connection, rows: Iterable[bulk.Row]) -> list[FavouriteInterval]:
    instant = bulk.instant_reader(connection)
    return [
        FavouriteInterval(
            track_id, instant(valid_from), instant(added_after), run_id, None, None, None, instant(last_seen_at)
        )
        for track_id, valid_from, added_after, run_id, last_seen_at in rows
    ]


def instants_of(account_id: int) -> Select[Any]:
    """Select the instants of the account's observations, those of one instant as one."""
    is_proof = runs.c.proves_absence & runs.c.decision.is_distinct_from(Review.REJECTED)
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
    """Return a row of ``favourites`` as the core knows it."""
    return FavouriteInterval(
        track_id=row.track_id,
        valid_from=row.valid_from,
        added_after=row.added_after,
        added_run_id=row.added_run_id,
        valid_to=row.valid_to,
        removed_after=row.removed_after,
        removed_run_id=row.removed_run_id,
        last_seen_at=row.last_seen_at,
    )


def stored_version_refs(connection: Connection, track_ids: Collection[int]) -> dict[int, StoredVersionRef]:
    """Return what is stored of these tracks' current facts, by track."""
    rows = bulk.select_in(connection, "track_id, facts_digest, changed_at, sighted_at", tracks, "track_id", track_ids)
    return {
        row[0]: StoredVersionRef(bytes(row[1]) if row[1] else None, _instant(row[2]), _instant(row[3])) for row in rows
    }


def _instant(value: datetime | str | None) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else value
