"""Events of tracks in order of time: added, missing, removed, attributes changed.

A track was added or removed, or went missing, in the interval (``not_before``, ``at``]; ``not_before`` is None for the first
snapshot. A favourite that was missing from whole snapshots and came back has a gap, which only the snapshots show.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby, pairwise
from typing import Any

import msgspec
from sqlalchemy import Column, Connection, func, select

from etl.db.tables import artists, favourites, superseded_versions, track_artists, tracks
from etl.load.accounts import Account
from etl.load.stored_tracks import StoredVersion, market_codes_by_set, stored_versions
from etl.model.records import Review, SnapshotRef, Track
from etl.replay.snapshots import snapshot_refs

COMPARED = (
    "title", "track_number", "isrc", "duration_seconds", "album_title", "album_id", "artists", "genres", "markets",
    "web_url", "mobile_url", "artwork_url",
)  # fmt: skip
MAX_ID_DIGITS = 18
ORDER = ("there", "removed", "missing", "not listed", "added", "changed")
"""The order of events of one instant."""


@dataclass(frozen=True, slots=True)
class Event:
    """An event of a track.

    ``change``: ``there`` (in the first snapshot), ``added``, ``missing``, ``removed``, ``changed`` (an attribute) or ``not
    listed``: a gap from the end of the first whole snapshot without the track to the end of the first one with it.
    ``account``: None for ``changed``. ``is_again``: the track was a favourite before. ``run_id``: the run that found it.
    ``removal_reason``: for ``removed``.
    ``field``, ``old_value``, ``new_value``: for ``changed``. ``title``, ``artists``: the current ones.
    """

    at: datetime
    change: str
    track_id: int
    account: str | None = None
    not_before: datetime | None = None
    is_again: bool = False
    run_id: int | None = None
    removal_reason: str | None = None
    field: str | None = None
    old_value: Any = None
    new_value: Any = None
    title: str | None = None
    artists: str | None = None


def tracks_called(connection: Connection, wanted: str) -> set[int]:
    """Return the tracks that have the id ``wanted``, or else have or had that title in any case."""
    if wanted.isdecimal() and (found := _with_id(connection, tracks.c.track_id, wanted)):
        return found
    now = _with_name(connection, tracks.c.track_id, tracks.c.title, wanted)
    return now | _with_name(connection, superseded_versions.c.track_id, superseded_versions.c.title, wanted)


def artists_called(connection: Connection, wanted: str) -> set[int]:
    """Return the artists that have the id ``wanted`` if it is a number, or else that name in any case."""
    if wanted.isdecimal():
        return _with_id(connection, artists.c.artist_id, wanted)
    return _with_name(connection, artists.c.artist_id, artists.c.name, wanted)


def tracks_by(connection: Connection, artist_ids: Collection[int]) -> set[int]:
    """Return the tracks of these artists."""
    query = select(track_artists.c.track_id).where(track_artists.c.artist_id.in_(artist_ids))
    return set(connection.execute(query).scalars())


def _with_id(connection: Connection, key: Column[int], digits: str) -> set[int]:
    if len(digits) > MAX_ID_DIGITS:  # beyond a 64-bit integer, which the drivers refuse
        return set()
    return set(connection.execute(select(key).where(key == int(digits))).scalars())


def _with_name(connection: Connection, key: Column[int], name: Column[str], wanted: str) -> set[int]:
    found = set(connection.execute(select(key).where(func.lower(name) == wanted.lower())).scalars())
    if found or wanted.isascii():
        return found
    every = connection.execute(select(key, name).where(name.is_not(None)))  # SQLite lowers ASCII letters only
    return {key for key, text in every if text.casefold() == wanted.casefold()}


def events(
    connection: Connection, accounts: Sequence[Account], track_ids: Collection[int] | None = None
) -> list[Event]:
    """Return the events of these tracks, or of all tracks, in the accounts' favourites, oldest first.

    Gaps are included only for given tracks, because they are found by reading every snapshot of the account.
    """
    found = list(_favourite_events(connection, accounts, track_ids))
    if track_ids is not None:
        for account in accounts:
            found += _gaps(connection, account, found)
    concerned = {event.track_id for event in found} if track_ids is None else set(track_ids)
    versions = stored_versions(connection, concerned, market_codes_by_set(connection))
    for track_id, each in versions.items():
        found += _attribute_events(track_id, each)
    titles, names = _titles(connection, concerned), _artist_names(connection, concerned)
    found = [replace(event, title=titles.get(event.track_id), artists=names.get(event.track_id)) for event in found]
    return sorted(found, key=lambda event: (event.at, ORDER.index(event.change), event.account or "", event.track_id))


def _favourite_events(
    connection: Connection, accounts: Sequence[Account], track_ids: Collection[int] | None
) -> Iterator[Event]:
    names = {account.account_id: account.name for account in accounts}
    query = select(favourites).where(favourites.c.account_id.in_(names))
    if track_ids is not None:
        query = query.where(favourites.c.track_id.in_(track_ids))
    seen: set[tuple[int, int]] = set()
    query = query.order_by(favourites.c.account_id, favourites.c.track_id, favourites.c.valid_from)
    for row in connection.execute(query):
        key, name = (row.account_id, row.track_id), names[row.account_id]
        change = "added" if row.added_after is not None else "there"
        yield Event(row.valid_from, change, row.track_id, name, row.added_after, key in seen, row.added_run_id)
        seen.add(key)
        if row.valid_to is not None:
            bounds = {"not_before": row.removed_after, "run_id": row.removed_run_id}
            yield Event(row.valid_to, "removed", row.track_id, name, **bounds, removal_reason=row.removal_reason)
        elif row.missing_since is not None:
            yield Event(row.missing_since, "missing", row.track_id, name, row.last_seen_at)


def _gaps(connection: Connection, account: Account, events: Sequence[Event]) -> list[Event]:
    """Return the gaps of the account's favourites, from its snapshots. ``events``: the bounds of its intervals."""
    bounds: dict[int, list[Event]] = {}
    for event in events:
        if event.account == account.name:
            bounds.setdefault(event.track_id, []).append(event)
    if not bounds:
        return []
    found: list[Event] = []
    missed: dict[int, datetime] = {}
    for at, group in groupby(snapshot_refs(connection, account.account_id), key=lambda seen: seen.observed_at):
        same = list(group)  # snapshots of one time count as one
        present = {track_id for seen in same for track_id in seen.present if track_id in bounds}
        is_whole = any(map(_proves_absence, same))
        for track_id, own in bounds.items():
            started = [event for event in own if event.at <= at]
            if not started or started[-1].change == "removed":
                missed.pop(track_id, None)
            elif track_id not in present:
                if is_whole:
                    missed.setdefault(track_id, at)
            elif track_id in missed:
                gap = Event(at, "not listed", track_id, account.name, missed.pop(track_id), run_id=same[0].run_id)
                found.append(gap)
    return found


def _proves_absence(seen: SnapshotRef) -> bool:
    return seen.proves_absence and seen.decision is not Review.REJECTED


def _attribute_events(track_id: int, versions: Sequence[StoredVersion]) -> Iterator[Event]:
    for before, after in pairwise(versions):
        for name in COMPARED:
            old, new = _plain(before.track, name), _plain(after.track, name)
            if old != new:
                yield Event(after.valid_from, "changed", track_id, field=name, old_value=old, new_value=new)


def _plain(track: Track, name: str) -> Any:
    """Return an attribute as JSON values. The order of genres and markets has no meaning."""
    value = getattr(track, name)
    if name == "artists":
        return [artist.name or str(artist.artist_id) for artist in value]
    return sorted(value) if name in ("genres", "markets") else msgspec.to_builtins(value)


def _titles(connection: Connection, wanted: set[int]) -> dict[int, str | None]:
    query = select(tracks.c.track_id, tracks.c.title)
    return {row.track_id: row.title for row in connection.execute(query) if row.track_id in wanted}


def _artist_names(connection: Connection, wanted: set[int]) -> dict[int, str]:
    query = select(track_artists.c.track_id, artists.c.name, artists.c.artist_id).join(artists)
    names: dict[int, list[str]] = {}
    for row in connection.execute(query.order_by(track_artists.c.track_id, track_artists.c.position)):
        if row.track_id in wanted:
            names.setdefault(row.track_id, []).append(row.name or str(row.artist_id))
    return {track_id: ", ".join(each) for track_id, each in names.items()}
