"""Ten thousand favourites in a megabyte: texts, instants and addresses are stored once each.

A row is ``[track_id, title, artists, album, genres, seconds, markets, added, after, removed, removed_after]``: ``artists``,
``album`` and ``genres`` are places in ``texts``, the last four are places in ``instants``; null: not known, or not so. The
page's `tables.js` reads it.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

Row = dict[str, Any]


class _Places:
    """A list in which each value stands once."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._places: dict[Hashable, int] = {}

    def of(self, value: Hashable | None) -> int | None:
        """Return the place of ``value``, at the end if it is new."""
        if value is None:
            return None
        place = self._places.setdefault(value, len(self.values))
        if place == len(self.values):
            self.values.append(value)
        return place


def packed_stays(current: Sequence[Row], ended: Sequence[Row], most: int) -> Row:
    """Return the current favourites, then the stays that ended last, ``most`` at most, as the page reads them."""
    texts, instants = _Places(), _Places()
    rows = [
        [
            row["track_id"],
            row["title"],
            texts.of(row["artists"]),
            texts.of(row["album"]),
            texts.of(row["genres"]),
            row["duration_seconds"],
            row["market_count"],
            instants.of(row["valid_from"]),
            instants.of(row["added_after"]),
            None,
            None,
        ]
        for row in current
    ]
    newest = sorted(ended, key=lambda row: row["valid_to"], reverse=True)[:most]
    rows += [
        [
            *(row["track_id"], row["title"], texts.of(row["artists"]), None, None, None, None),
            *(instants.of(row[name]) for name in ("valid_from", "added_after", "valid_to", "removed_after")),
        ]
        for row in newest
    ]
    return {
        "rows": rows,
        "ended": len(ended),
        "texts": texts.values,
        "instants": [round(instant.timestamp()) for instant in instants.values],
        "links": packed_links({row["track_id"]: row["web_url"] for row in current}),
    }


def packed_links(addresses: dict[int, str | None]) -> Row:
    """Return the addresses of tracks: those that are like most others as what stands before and after the track's id."""
    given = {track_id: address for track_id, address in addresses.items() if address}
    shapes: dict[tuple[str, str], int] = {}
    for track_id, address in given.items():
        before, found, after = address.partition(str(track_id))
        if found:
            shapes[before, after] = shapes.get((before, after), 0) + 1
    before, after = max(shapes, key=lambda shape: shapes[shape], default=("", ""))
    others = {
        str(track_id): given.get(track_id)
        for track_id in addresses
        if not shapes or given.get(track_id) != f"{before}{track_id}{after}"
    }
    return {"before": before, "after": after, "others": others}
