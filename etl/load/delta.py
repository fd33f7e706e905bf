"""What an account's list holds that its previous observation did not: found, normalised and written part by part.

In parts, since the tracks and rows of a list of 100,000 are more than ought to be in memory at once.

Invariant: everything is written in the caller's one transaction; each part's items are stored before its tracks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
from sqlalchemy import Connection

from etl.db import bulk
from etl.db.tables import raw_items
from etl.extract.snapshot import Observed
from etl.load import raw
from etl.load.baseline import Baseline
from etl.load.tracks import upsert_tracks
from etl.model.records import Reject, Track
from etl.transform.normalise import InvalidItem, normalise

PART = 5_000


class Delta(msgspec.Struct, frozen=True):
    """What this account's list holds that its previous observation did not.

    ``places``: where in the list it stands, in order of track ids, as their tables are. ``known``: the items of the
    previous observation. ``carried``: how many items of the list were there before, and could not be read.
    """

    places: Sequence[int] = ()
    known: tuple[raw.RawItem, ...] = ()
    carried: int = 0

    def parts(self) -> Iterator[Sequence[int]]:
        """Yield ``places`` a few thousand at a time: the tracks of a whole first load need not be in memory at once."""
        for start in range(0, len(self.places), PART):
            yield self.places[start : start + PART]


class LoadResult(msgspec.Struct):
    """What became of the news while it was written: how many tracks changed, which are late, what could not be read."""

    changed: int = 0
    late: list[int] = msgspec.field(default_factory=list)
    rejects: list[Reject] = msgspec.field(default_factory=list)


def find_delta(connection: Connection | None, observed: Observed, newest: Baseline | None) -> Delta:
    """Find the items that the previous observation did not hold."""
    known: tuple[raw.RawItem, ...] = ()
    if connection is not None and newest is not None:
        known = tuple(raw.items_of(connection, newest.snapshot_id))
    readable = {item.digest: item.is_readable for item in known}
    items = observed.seen.items
    places = [place for place, item in enumerate(items) if item.digest not in readable]
    places.sort(key=lambda place: items[place].track_id or 0)
    carried = sum(not readable.get(item.digest, True) for item in items)
    return Delta(places, known, carried)


def normalise_batch(observed: Observed, places: Sequence[int]) -> tuple[list[Track], list[Reject]]:
    """Normalise the items at these places of the list."""
    tracks: dict[int, Track] = {}
    rejects: list[Reject] = []
    for place in places:
        item = observed.seen.items[place]
        try:
            track = normalise(item)
        except InvalidItem as error:
            rejects.append(Reject(place, item.track_id, str(error), item.body))
        else:
            tracks[track.track_id] = track
    return list(tracks.values()), rejects


def load_delta(connection: Connection, observed: Observed, news: Delta, *, keep_bodies: bool) -> tuple[int, LoadResult]:
    """Write the news, part by part, and the list; return the number of its snapshot, and what became of the news."""
    done = LoadResult()
    items = observed.seen.items
    is_alone = len(news.places) > PART
    if is_alone:
        bulk.lock_track_tables(connection)
    ids = {item.digest: item.raw_item_id for item in news.known}
    numbers = dict(zip(sorted(news.places), bulk.new_keys(connection, raw_items, len(news.places)), strict=True))
    for part in news.parts():
        tracks, rejects = normalise_batch(observed, part)
        unreadable = {items[reject.position].digest for reject in rejects}
        numbered = {items[place].digest: numbers[place] for place in part}
        fresh = [items[place] for place in part]
        ids |= raw.store_items(connection, fresh, unreadable, numbered, keep_bodies=keep_bodies, is_alone=is_alone)
        bare_ids = [reject.track_id for reject in rejects if reject.track_id is not None]
        facts = upsert_tracks(connection, tracks, bare_ids, observed.observed_at, is_alone=is_alone)
        done.changed += len(facts.changed)
        done.late += [track.track_id for track in facts.late]
        done.rejects += rejects
    return raw.store_snapshot(connection, items, ids), done
