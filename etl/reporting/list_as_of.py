"""An account's list at an instant, with the attributes that the tracks had then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from etl.db.tables import favourites
from etl.load.baseline import instants_of, interval_of, read_memory
from etl.load.stored_tracks import StoredVersion, market_codes_by_set, stored_versions
from etl.model.records import FavouriteInterval, Track
from etl.transform.as_of import ObservationRange, Presence, answer

UNKNOWN = "unknown"
_CHANGES = {(Presence.NO, Presence.YES): "added", (Presence.YES, Presence.NO): "removed"}


@dataclass(frozen=True, slots=True)
class AsOfRow:
    """What is known of a track at an instant. ``stay``: the interval that the answer refers to, or the nearest one.

    ``track``: its attributes at that instant, or the first ones known. ``facts_since``: start of that version.
    """

    track_id: int
    answer: Presence
    stay: FavouriteInterval
    track: Track
    facts_since: datetime | None


@dataclass(frozen=True, slots=True)
class ListChange:
    """A difference between two instants. ``word``: ``added``, ``removed``, or ``unknown`` where one answer is unknown."""

    word: str
    before: AsOfRow
    after: AsOfRow


def observation_range(connection: Connection, account_id: int) -> ObservationRange:
    """Return the instants between which the account was observed."""
    each = instants_of(account_id).subquery()
    proofs = select(func.min(each.c.observed_at), func.max(each.c.started_at)).where(each.c.proofs > 0)
    absent_from, absent_until = connection.execute(proofs).one()
    newest = select(each.c.started_at).order_by(each.c.observed_at.desc()).limit(1)
    first = connection.execute(select(func.min(each.c.observed_at))).scalar()
    foreign = read_memory(connection, account_id).foreign
    if foreign is not None:  # a list that looks like another user's proves nothing about this account
        absent_until = foreign.absence_at
    return ObservationRange(absent_from, absent_until, connection.execute(newest).scalar(), first)


def list_at(connection: Connection, account_id: int, instant: datetime) -> list[AsOfRow]:
    """Return what is known at ``instant`` of each track that the account ever had, newest additions first."""
    observed = observation_range(connection, account_id)
    query = select(favourites).where(favourites.c.account_id == account_id)
    stays: dict[int, list[FavouriteInterval]] = {}
    for row in connection.execute(query.order_by(favourites.c.track_id, favourites.c.valid_from)):
        stays.setdefault(row.track_id, []).append(interval_of(row))
    versions = stored_versions(connection, stays, market_codes_by_set(connection))
    rows = []
    for track_id, own in stays.items():
        track, since = _attributes(track_id, versions, instant)
        rows.append(AsOfRow(track_id, answer(own, instant, observed), _nearest(own, instant), track, since))
    return sorted(rows, key=lambda row: (-row.stay.valid_from.timestamp(), row.track_id))


def changes_between(connection: Connection, account_id: int, before: datetime, after: datetime) -> list[ListChange]:
    """Return the tracks that changed between the two instants, then those of which an answer is unknown."""
    first = {row.track_id: row for row in list_at(connection, account_id, before)}
    pairs = [(first[row.track_id], row) for row in list_at(connection, account_id, after)]
    changes = [
        ListChange(_CHANGES.get((old.answer, new.answer), UNKNOWN), old, new)
        for old, new in pairs
        if old.answer is not new.answer or old.answer is Presence.UNKNOWN
    ]
    return sorted(changes, key=lambda change: (change.word == UNKNOWN, change.word))


def _nearest(stays: Sequence[FavouriteInterval], instant: datetime) -> FavouriteInterval:
    """Return the interval that contains ``instant``, else the next one if it may have started by then, else the previous one."""
    started = [stay for stay in stays if stay.valid_from <= instant]
    if started and (started[-1].valid_to is None or instant < started[-1].valid_to):
        return started[-1]
    following = stays[len(started)] if len(started) < len(stays) else None
    if following is not None and (not started or following.added_after is None or instant > following.added_after):
        return following
    return started[-1]


def _attributes(
    track_id: int, versions: Mapping[int, Sequence[StoredVersion]], instant: datetime
) -> tuple[Track, datetime | None]:
    known = versions.get(track_id, ())
    if not known:
        return Track(track_id, has_facts=False), None
    then = [version for version in known if version.valid_from <= instant]
    version = then[-1] if then else known[0]
    return version.track, version.valid_from
