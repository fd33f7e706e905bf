"""Packs favourites for the page, so that ten thousand take a megabyte: texts, instants and URLs are stored once each.

A row is ``[track_id, title, artists, album, genres, seconds, markets, added, after, removed, removed_after]``, and two more where
one of them is known: ``missing``, ``reason``. ``artists``, ``album``, ``genres`` and ``reason`` are indexes of ``texts``, the
five times of ``instants``; null means unknown. `assets/tables.js` reads it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any

Row = dict[str, Any]


class _Indexed:
    """A list of distinct values."""

    def __init__(self) -> None:
        self._indexes: dict[Hashable, int] = {}

    def index(self, value: Hashable | None) -> int | None:
        """Return the index of ``value``, which is appended if it is new."""
        return None if value is None else self._indexes.setdefault(value, len(self._indexes))

    @property
    def values(self) -> list[Any]:
        """The values in the order of their indexes."""
        return list(self._indexes)


def packed_stays(current: Sequence[Row], ended: Sequence[Row], limit: int) -> Row:
    """Return the current favourites and the ``limit`` stays that ended last."""
    texts, instants = _Indexed(), _Indexed()
    newest = sorted(ended, key=lambda row: row["valid_to"], reverse=True)[:limit]

    def extra(row: Row) -> list[int | None]:
        missing, reason = row.get("missing_since"), row.get("removal_reason")
        return [instants.index(missing), texts.index(reason)] if missing or reason else []

    rows = [
        [
            row["track_id"],
            row["title"],
            *(texts.index(row.get(name)) for name in ("artists", "album", "genres")),
            row.get("duration_seconds"),
            row.get("market_count"),
            *(instants.index(row.get(name)) for name in ("valid_from", "added_after", "valid_to", "removed_after")),
            *extra(row),  # nosec B610
        ]
        for row in (*current, *newest)  # rows of current favourites have no end, those that ended only bounds
    ]
    return {
        "rows": rows,
        "ended": len(ended),
        "texts": texts.values,
        "instants": [round(instant.timestamp()) for instant in instants.values],
        "links": packed_links({row["track_id"]: row["web_url"] for row in current}),
    }


def packed_links(urls: dict[int, str | None]) -> Row:
    """Return the URLs of tracks: the text before and after the track's id in most of them, and the others in full."""
    shapes: Counter[tuple[str, str]] = Counter()
    for track_id, url in urls.items():
        before, found, after = (url or "").partition(str(track_id))
        if found:
            shapes[before, after] += 1
    before, after = shapes.most_common(1)[0][0] if shapes else ("", "")
    others = {
        str(track_id): url or None
        for track_id, url in urls.items()
        if not shapes or url != f"{before}{track_id}{after}"
    }
    return {"before": before, "after": after, "others": others}
