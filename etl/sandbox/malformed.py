"""Malformed rows: ways in which list entries of the real pages disagree with their own documentation.

Each row can be switched on by itself. A row changes only the fields that it names and keeps the others in their order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from etl.sandbox.rng import Rng

Fields = dict[str, Any]
LONE_SURROGATE = "\ue000"  # a stand-in in the fields for the bytes \ud83d, which no encoder writes
_TEXTS = ("isrc", "genres", "album_title")


@dataclass(frozen=True, slots=True)
class MalformedRow:
    """One way to be malformed. ``share``: the part of the entries that it hits, None = as switched."""

    description: str
    corrupt: Callable[[Fields], None]
    share: float | None = None


def corrupt(fields: Fields, rows: frozenset[str], share: float, *key: object) -> None:
    """Change ``fields`` by those of ``rows`` that hit this entry, which ``key`` identifies."""
    for name, row in MALFORMED_ROWS.items():
        if name in rows and Rng("dirt", name, *key).hits(row.share or share):
            row.corrupt(fields)


def _put(value: Any, *names: str) -> Callable[[Fields], None]:
    return lambda fields: fields.update({name: value for name in names if name in fields})


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


def _convert_ids(convert: Callable[[Any], Any]) -> Callable[[Fields], None]:
    def convert_ids(fields: Fields) -> None:
        fields.update({name: convert(fields[name]) for name in ("track_id", "album_id") if name in fields})

    return convert_ids


def _append_to_title(text: str) -> Callable[[Fields], None]:
    return lambda fields: fields.update(track_title=f"{fields['track_title']}{text}")


MALFORMED_ROWS: Mapping[str, MalformedRow] = {
    "album_fields_missing": MalformedRow("no `album_id`, no `album_title`", _drop("album_id", "album_title")),
    "artist_role": MalformedRow("artists carry `artist_role`", _add_roles),
    "isrc_empty": MalformedRow('`isrc` is `""` everywhere', _put("", "isrc"), 1),
    "genres_empty": MalformedRow('`genres` is `""`', _put("", "genres")),
    "album_title_empty": MalformedRow('`album_title` is `""` beside a valid `album_id`', _put("", "album_title")),
    "genre_doubled": MalformedRow("`Pop,Pop`", _double_genre),
    "artist_doubled": MalformedRow("the same artist twice", _double_artist),
    "text_null": MalformedRow("`null` for an empty text", _put(None, *_TEXTS)),
    "text_missing": MalformedRow("the key of an empty text is missing", _drop(*_TEXTS)),
    "album_title_number": MalformedRow("`album_title` is an integer", _number_as_title),
    "duration_iso": MalformedRow("`PT04H30M00S`", _iso_duration),
    "duration_short": MalformedRow("`MM:SS`", _short_duration),
    "ids_as_text": MalformedRow("ids are strings of digits", _convert_ids(str)),
    "title_nul": MalformedRow("a title holds U+0000, which PostgreSQL refuses", _append_to_title("\0")),
    "title_lone_surrogate": MalformedRow(
        "a title holds half an emoji (`\\ud83d`), which strict decoders refuse", _append_to_title(LONE_SURROGATE)
    ),
    "ids_as_floats": MalformedRow("ids are numbers such as `1000.0`", _convert_ids(float)),
    "entry_without_id": MalformedRow("an entry has no `track_id`", _drop("track_id")),
    "entry_null": MalformedRow("an entry is `null`", dict.clear),  # the catalogue writes no fields as null
    "single_as_object": MalformedRow("a list of one entry is that object", lambda _: None),  # see `pages`
}
