"""Malformed rows: ways in which list entries of the real pages disagree with their own documentation.

Each row can be switched on by itself. A row changes only the fields that it names and keeps the others in their order.
docs/sandbox.md describes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from etl.sandbox.composer import Fields
from etl.sandbox.rng import Rng

LONE_SURROGATE = "\ue000"  # a stand-in in the fields for the bytes \ud83d, which no encoder writes
_TEXTS = ("isrc", "genres", "album_title")
_EVERYWHERE = {"isrc_empty"}


def corrupt(fields: Fields, rows: frozenset[str], share: float, *key: object) -> None:
    """Change ``fields`` by those of ``rows`` that hit this entry, which ``key`` identifies."""
    for name, change in MALFORMED_ROWS.items():
        if name in rows and (name in _EVERYWHERE or Rng("dirt", name, *key).hits(share)):
            change(fields)


def _put(value: Any, *names: str) -> Callable[[Fields], None]:
    return lambda fields: fields.update({name: value for name in names if name in fields})


def _convert(convert: Callable[[Any], Any]) -> Callable[[Fields], None]:
    return lambda fields: fields.update(
        {name: convert(fields[name]) for name in ("track_id", "album_id") if name in fields}
    )


def _append_to_title(text: str) -> Callable[[Fields], None]:
    return lambda fields: fields.update(track_title=f"{fields['track_title']}{text}")


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


def _number_as_title(fields: Fields) -> None:
    if "album_id" in fields:
        fields["album_title"] = fields["album_id"]


MALFORMED_ROWS: Mapping[str, Callable[[Fields], None]] = {
    "album_fields_missing": _drop("album_id", "album_title"),
    "artist_role": _add_roles,
    "isrc_empty": _put("", "isrc"),
    "genres_empty": _put("", "genres"),
    "album_title_empty": _put("", "album_title"),
    "genre_doubled": _double_genre,
    "artist_doubled": _double_artist,
    "text_null": _put(None, *_TEXTS),
    "text_missing": _drop(*_TEXTS),
    "album_title_number": _number_as_title,
    "duration_iso": _iso_duration,
    "duration_short": lambda fields: fields.update(duration=str(fields["duration"]).removeprefix("00:")),
    "ids_as_text": _convert(str),
    "title_nul": _append_to_title("\0"),
    "title_lone_surrogate": _append_to_title(LONE_SURROGATE),
    "ids_as_floats": _convert(float),
    "entry_without_id": _drop("track_id"),
    "entry_null": dict.clear,  # the catalogue writes no fields as null
    "single_as_object": lambda _: None,  # see `pages`
}
