"""The dirty rows: ways in which entries of the real pages disagree with their own documentation.

Each row can be switched on by its own.

Invariant: a row changes only the fields that it names, and keeps the others in their order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from etl.sandbox.chance import Rng

Fields = dict[str, Any]
LONE_SURROGATE = "\ue000"
_TEXTS = ("isrc", "genres", "album_title", "upc", "label")
_IDS = ("track_id", "album_id", "artist_id", "playlist_id")


@dataclass(frozen=True, slots=True)
class Row:
    """One way to be dirty. ``kinds`` are the entries that it can hit; ``share`` the part of them, None = as switched."""

    source: str
    description: str
    kinds: tuple[str, ...]
    corrupt: Callable[[Fields], None] | None
    share: float | None = None


def corrupt(fields: Fields, kind: str, rows: frozenset[str], share: float, *key: object) -> None:
    """Change ``fields`` by those of ``rows`` that hit this entry, which ``key`` identifies."""
    for name, row in DIRT.items():
        if name in rows and row.corrupt and kind in row.kinds and _hits(row.share or share, name, *key):
            row.corrupt(fields)


def _hits(share: float, *key: object) -> bool:
    return share >= 1 or Rng("dirt", *key).below(1_000_000) < share * 1_000_000


def _put(value: Any, *names: str) -> Callable[[Fields], None]:
    def put(fields: Fields) -> None:
        fields.update({name: value for name in names if name in fields})

    return put


def _drop(*names: str) -> Callable[[Fields], None]:
    def drop(fields: Fields) -> None:
        for name in names:
            fields.pop(name, None)

    return drop


def _double_genre(fields: Fields) -> None:
    if first := str(fields["genres"]).split(",")[0]:
        fields["genres"] = f"{first},{first}"


def _double_artist(fields: Fields) -> None:
    fields["artists"] = [fields["artists"][0], dict(fields["artists"][0])]


def _add_roles(fields: Fields) -> None:
    for place, artist in enumerate(fields["artists"]):
        artist["artist_role"] = "Featured Artists" if place else "Main Artists"


def _iso_duration(fields: Fields) -> None:
    hours, minutes, seconds = str(fields["duration"]).split(":")
    fields["duration"] = f"PT{hours}H{minutes}M{seconds}S"


def _short_duration(fields: Fields) -> None:
    if str(fields["duration"]).startswith("00:"):
        fields["duration"] = str(fields["duration"])[3:]


def _number_as_title(fields: Fields) -> None:
    if "album_id" in fields:
        fields["album_title"] = fields["album_id"]


def _ids_as_text(fields: Fields) -> None:
    fields.update({name: str(fields[name]) for name in _IDS if name in fields})


def _rank_as_text(fields: Fields) -> None:
    fields["album_rank"] = str(fields["album_rank"])


def _append_to_title(text: str) -> Callable[[Fields], None]:
    def append(fields: Fields) -> None:
        fields["track_title"] = f"{fields['track_title']}{text}"

    return append


_TRACK, _BOTH = ("track",), ("track", "album")

DIRT: Mapping[str, Row] = {
    "playlist_artwork_missing": Row("5.2", "a playlist has no `artwork` key", ("playlist",), _drop("artwork")),
    "playlist_artists_missing": Row("5.2", "a playlist has no `artists`", ("playlist",), _drop("artists"), 1),
    "playlist_tracks": Row("5.2", "`tracks` in place of `artists`", ("long_playlist",), _drop("artists")),
    "album_fields_missing": Row("5.2", "no `album_id`, no `album_title`", _TRACK, _drop("album_id", "album_title")),
    "isni": Row(
        "5.2", "an artist has an undocumented, empty `isni`", ("artist",), lambda fields: fields.update(isni=""), 1
    ),
    "artist_role": Row("5.2", "artists carry `artist_role`", _BOTH, _add_roles),
    "isrc_empty": Row("5.2", '`isrc` is `""` everywhere', _TRACK, _put("", "isrc"), 1),
    "genres_empty": Row("5.2", '`genres` is `""`', _BOTH, _put("", "genres")),
    "album_title_empty": Row("5.2", '`album_title` is `""` beside a valid `album_id`', _TRACK, _put("", "album_title")),
    "upc_empty": Row("5.2", '`upc` is `""` everywhere', ("album", "ranked_album"), _put("", "upc"), 1),
    "genre_doubled": Row("5.2", "`Pop,Pop`", _BOTH, _double_genre),
    "artist_doubled": Row("5.2", "the same artist twice", _BOTH, _double_artist),
    "album_doubled": Row("5.2", "the weekly chart has an album twice", ("chart",), None, 1),
    "text_null": Row("5.2", "`null` for an empty text", _BOTH, _put(None, *_TEXTS)),
    "text_missing": Row("5.2", "an empty text's key is missing", _BOTH, _drop(*_TEXTS)),
    "rank_as_text": Row("5.3", '`album_rank` is `"15"`', ("ranked_album",), _rank_as_text),
    "album_title_number": Row("5.3", "`album_title` is an integer", _TRACK, _number_as_title),
    "duration_iso": Row("5.3", "`PT04H30M00S`", _TRACK, _iso_duration),
    "duration_short": Row("4", "`MM:SS`", _TRACK, _short_duration),
    "upc_timestamp": Row(
        "5.3", "a 14-digit `upc` with a wrong check digit", ("album", "ranked_album"), _put("20230405123456", "upc")
    ),
    "single_as_object": Row("5.3", "a list of one entry comes as that object", ("list",), None, 1),
    "ids_as_text": Row("8", "ids are digit strings", ("track", "album", "artist", "playlist"), _ids_as_text),
    "title_nul": Row("inferred", "a title holds U+0000", _TRACK, _append_to_title("\0")),
    "title_lone_surrogate": Row(
        "inferred", "a title holds half an emoji (`\\ud83d`)", _TRACK, _append_to_title(LONE_SURROGATE)
    ),
}
