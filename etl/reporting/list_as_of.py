"""An account's list as it was at an instant, with the facts of then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from etl.db.tables import favourites
from etl.load.baseline import instants_of, interval_of
from etl.load.stored_tracks import StoredVersion, market_codes_by_set, stored_versions
from etl.model.records import FavouriteInterval, Track
from etl.transform.as_of import ObservationRange, Presence, answer


@dataclass(frozen=True, slots=True)
class AsOfRow:
    """What is known of one track at an instant. ``stay``: the interval that the answer is about, or the nearest to it.

    ``track``: its facts of then; of a track whose facts were first seen later, those. ``facts_since``: since when they held.
    """

    track_id: int
    answer: Presence
    stay: FavouriteInterval
    track: Track
    facts_since: datetime | None


@dataclass(frozen=True, slots=True)
class ListChange:
    """What two instants say of one track: ``added``, ``removed``, or ``unknown`` where one of them cannot tell."""

    word: str
    before: AsOfRow
    after: AsOfRow


def observation_range(connection: Connection, account_id: int) -> ObservationRange:
    """Return how far the account's observations reach."""
    each = instants_of(account_id).subquery()
    proofs = select(func.min(each.c.observed_at), func.max(each.c.started_at)).where(each.c.proofs > 0)
    absent_from, absent_until = connection.execute(proofs).one()
    newest = select(each.c.started_at).order_by(each.c.observed_at.desc()).limit(1)
    first = connection.execute(select(func.min(each.c.observed_at))).scalar()
    return ObservationRange(absent_from, absent_until, connection.execute(newest).scalar(), first)


def list_at(connection: Connection, account_id: int, instant: datetime) -> list[AsOfRow]:
    """Return what is known at ``instant`` of each track that the account ever had, newest additions first."""
    horizon = observation_range(connection, account_id)
    stays = _stays(connection, account_id)
    versions = stored_versions(connection, stays, market_codes_by_set(connection))
    return sorted(
        (
            AsOfRow(
                track_id, answer(each, instant, horizon), _nearest(each, instant), *_facts(track_id, versions, instant)
            )
            for track_id, each in stays.items()
        ),
        key=lambda standing: (-standing.stay.valid_from.timestamp(), standing.track_id),
    )


def changes_between(connection: Connection, account_id: int, before: datetime, after: datetime) -> list[ListChange]:
    """Return the tracks of which the two instants tell different things, those that are sure first."""
    first = {standing.track_id: standing for standing in list_at(connection, account_id, before)}
    found = []
    for standing in list_at(connection, account_id, after):
        earlier = first[standing.track_id]
        if earlier.answer is not standing.answer:
            found.append(ListChange(_WORDS.get((earlier.answer, standing.answer), UNKNOWN), earlier, standing))
    return sorted(found, key=lambda change: (change.word == UNKNOWN, change.word))


UNKNOWN = "unknown"
_WORDS = {(Presence.NO, Presence.YES): "added", (Presence.YES, Presence.NO): "removed"}


def _stays(connection: Connection, account_id: int) -> dict[int, list[FavouriteInterval]]:
    query = select(favourites).where(favourites.c.account_id == account_id)
    found: dict[int, list[FavouriteInterval]] = {}
    for row in connection.execute(query.order_by(favourites.c.track_id, favourites.c.valid_from)):
        found.setdefault(row.track_id, []).append(interval_of(row))
    return found


def _nearest(stays: Sequence[FavouriteInterval], instant: datetime) -> FavouriteInterval:
    """Return the stay that holds ``instant``; else the next one, if it may have begun by then; else the one before."""
    begun = [stay for stay in stays if stay.valid_from <= instant]
    if begun and (begun[-1].valid_to is None or instant < begun[-1].valid_to):
        return begun[-1]
    following = stays[len(begun)] if len(begun) < len(stays) else None
    if following is not None and (not begun or following.added_after is None or instant > following.added_after):
        return following
    return begun[-1]


def _facts(
    track_id: int, versions: Mapping[int, Sequence[StoredVersion]], instant: datetime
) -> tuple[Track, datetime | None]:
    known = versions.get(track_id, ())
    if not known:
        return Track(track_id, has_facts=False), None
    then = [version for version in known if version.valid_from <= instant]
    version = then[-1] if then else known[0]
    return version.track, version.valid_from
