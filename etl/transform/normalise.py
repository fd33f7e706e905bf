"""Normalises one item of the list as received into a `Track`, or rejects it with the reason.

It handles the quirks of the service: empty text for no value, repeated genres and artists, four forms of a duration, numbers
as text or floats, market codes outside ISO 3166. An item with a readable id is never lost; at worst it is a reject. A title
is kept unchanged, except for NUL and lone surrogates, which neither UTF-8 nor PostgreSQL can hold and which become U+FFFD.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Annotated, Any

import msgspec

from etl.model.encoding import EXACT_FLOAT
from etl.model.records import Artist, Item, Track

MAX_INTEGER = 2**63 - 1
_Integer = Annotated[int, msgspec.Meta(ge=-MAX_INTEGER, le=MAX_INTEGER)]
_Identity = Annotated[int, msgspec.Meta(ge=1, le=MAX_INTEGER)]
LONGEST_SECONDS = 10 * 86_400  # no track lasts longer, and sums of such durations must not overflow
LONGEST_NAME_BYTES = 200  # of a genre or a market code: PostgreSQL cannot index a text of kilobytes
_ESCAPE = b"\\u"
_SURROGATE_OR_NUL = re.compile("[\ud800-\udfff\x00]")
_LONG = re.compile(f"[^,]{{{LONGEST_NAME_BYTES // 4 + 1}}}")
_CLOCK = re.compile(r"(?:(\d{1,4}):)?(\d{1,3}):(\d{1,2})")
_SECONDS = re.compile(r"(\d{1,6})(?:[.,]\d+)?")
_ISO_8601 = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:[.,]\d+)?S)?)?")


class InvalidItem(ValueError):
    """The item cannot be read as a track; the text says why."""


class _WireArtist(msgspec.Struct, gc=False):
    artist_id: _Identity
    artist_name: str | None = None
    artist_role: str | None = None


class _WireArtwork(msgspec.Struct, gc=False):
    width: _Integer | None = None
    height: _Integer | None = None
    url: str | None = None


class _WireTrack(msgspec.Struct, gc=False):
    """An item with the documented types, numbers as a database holds them. Anything else takes the slow way, by `_lenient`."""

    track_id: int
    track_title: str | None = None
    track_number: _Integer | None = None
    isrc: str | None = None
    duration: str | None = None
    album_id: _Identity | None = None
    album_title: str | None = None
    genres: str | None = None
    available_markets: str | None = None
    web_url: str | None = None
    mobile_url: str | None = None
    artwork: _WireArtwork | None = None
    artists: list[_WireArtist] | None = None


_NO_ARTWORK = _WireArtwork()
_decode = msgspec.json.Decoder(_WireTrack).decode
_WIRE_FIELDS = frozenset(_WireTrack.__struct_fields__)


def normalise(item: Item) -> Track:
    """Return the track that ``item`` describes.

    Raises: InvalidItem, if it has no id, or if no rule covers the shape of a field.
    """
    if item.track_id is None:
        raise InvalidItem("no integer track_id")
    notes: list[str] = []
    body = item.body
    try:
        wire = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        wire = _lenient(item, notes)
        _repair(wire)
    else:
        if _ESCAPE in body:  # only an escape can encode a NUL or a lone surrogate in valid JSON
            _repair(wire)
    return _track(item.track_id, wire, notes)


def _track(track_id: int, wire: _WireTrack, notes: list[str]) -> Track:
    art = wire.artwork or _NO_ARTWORK
    duration, genres, markets = wire.duration, wire.genres, wire.available_markets
    seconds = duration_seconds(duration) if duration else None
    if duration and seconds is None:
        notes.append("duration: unreadable")
    if genres and _has_long_part(genres):
        notes.append("genres: too long, left out")
    if markets and _has_long_part(markets):
        notes.append("available_markets: too long, left out")
    return Track(
        track_id,
        wire.track_title or None,
        wire.track_number,
        wire.isrc or None,
        seconds,
        wire.album_id,
        wire.album_title or None,
        wire.web_url or None,
        wire.mobile_url or None,
        art.url or None,
        art.width,
        art.height,
        _artists(wire.artists) if wire.artists else (),
        _genres(genres) if genres else (),
        market_codes(markets) if markets else (),
        tuple(notes),
        wire_has_facts(wire),
    )


def wire_has_facts(wire: _WireTrack) -> bool:
    """True if the item holds more than its id (a line of a CSV of ids does not)."""
    telling = (wire.track_title, wire.duration, wire.album_id, wire.artists, wire.web_url)
    return any(value is not None for value in telling) if telling[0] is None else True


def _text(value: str | None) -> str | None:
    if not value:
        return value
    return value if value.isascii() and "\x00" not in value else _SURROGATE_OR_NUL.sub("\ufffd", value)


def _integer(value: int | None) -> int | None:
    return value if value is not None and -MAX_INTEGER <= value <= MAX_INTEGER else None


def _identity(value: int | None) -> int | None:
    return value if value is not None and 0 < value <= MAX_INTEGER else None


def _repair(wire: _WireTrack) -> None:
    """Leave out of ``wire`` what no database holds: NUL, lone surrogates, numbers beyond 64 bits."""
    for name in ("track_title", "isrc", "album_title", "web_url", "mobile_url"):
        setattr(wire, name, _text(getattr(wire, name)))
    wire.track_number, wire.album_id = _integer(wire.track_number), _identity(wire.album_id)
    if art := wire.artwork:
        wire.artwork = _WireArtwork(_integer(art.width), _integer(art.height), _text(art.url))
    if wire.artists:
        wire.artists = [
            _WireArtist(artist.artist_id, _text(artist.artist_name), _text(artist.artist_role))
            for artist in wire.artists
            if _identity(artist.artist_id)
        ]


def _artists(wire: list[_WireArtist]) -> tuple[Artist, ...]:
    """Artists without duplicates, first position kept."""
    first: dict[int, Artist] = {}
    for artist in wire:
        if artist.artist_id not in first:
            first[artist.artist_id] = Artist(artist.artist_id, artist.artist_name or None, artist.artist_role or None)
    return tuple(first.values())


@lru_cache(maxsize=4096)
def _genres(text: str) -> tuple[str, ...]:
    """``Pop,Pop`` -> ``("Pop",)``: split, trimmed, without duplicates, order kept; what is too long for a name is left out."""
    parts = (_text(part.strip()) for part in text.split(","))
    return tuple(dict.fromkeys(part for part in parts if part and _is_short(part)))


@lru_cache(maxsize=4096)
def _has_long_part(text: str) -> bool:
    """True if a part is too long for a name. The length of the whole text decides almost every case."""
    if len(text) <= LONGEST_NAME_BYTES // 4:
        return False
    return any(not _is_short(part.strip()) for part in text.split(",")) if _LONG.search(text) else False


def _is_short(name: str) -> bool:
    return len(name.encode("utf-8", "replace")) <= LONGEST_NAME_BYTES


@lru_cache(maxsize=4096)
def market_codes(text: str) -> tuple[str, ...]:
    """``ng, gh,NG`` -> ``("NG", "GH")``. Cached by the whole text: a library uses a few dozen different lists."""
    return _genres(text.upper())


@lru_cache(maxsize=8192)
def duration_seconds(text: str) -> int | None:
    """``HH:MM:SS``, ``MM:SS``, seconds or ISO 8601 (``PT3M16S``) -> whole seconds; None where it is none of them."""
    text = text.strip()
    if clock := _CLOCK.fullmatch(text):
        hours, minutes, seconds = (int(part or 0) for part in clock.groups())
        return hours * 3600 + minutes * 60 + seconds if seconds < 60 else None
    if bare := _SECONDS.fullmatch(text):
        return int(bare[1]) if int(bare[1]) <= LONGEST_SECONDS else None
    iso = _ISO_8601.fullmatch(text)
    if iso is None or not any(iso.groups()):
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in iso.groups())
    total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    return total if total <= LONGEST_SECONDS else None


def _lenient(item: Item, notes: list[str]) -> _WireTrack:
    """Read an item that has odd types or bytes, field by field."""
    try:
        fields = json.loads(item.body.decode("utf-8", "replace"), strict=False)
    except (ValueError, RecursionError) as error:
        raise InvalidItem(f"not readable as JSON: {type(error).__name__}") from None
    if not isinstance(fields, dict):
        raise InvalidItem(f"not an object but {_kind(fields)}")
    wire = _WireTrack(track_id=item.track_id or 0)
    for name in _WIRE_FIELDS & fields.keys() - {"track_id", "artists", "artwork"}:
        value = fields[name]
        is_number = name in ("track_number", "album_id")
        setattr(
            wire,
            name,
            _as_integer(name, value, notes) if is_number else _as_text(name, value),
        )
    wire.artwork = _as_artwork(fields.get("artwork"), notes)
    wire.artists = _as_artists(fields.get("artists"), notes)
    return wire


def _as_text(name: str, value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidItem(f"{name} is {_kind(value)}")
    return str(value)


def _as_integer(name: str, value: Any, notes: list[str]) -> int | None:
    """``"15"`` and ``15.0`` are 15; what is no whole number is unknown, with a note."""
    if value is None or value == "":
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) <= EXACT_FLOAT:
        return int(value)
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value.strip()):
        return int(value)
    notes.append(f"{name}: unreadable")
    return None


def _as_artwork(value: Any, notes: list[str]) -> _WireArtwork | None:
    if value is None or value == "":
        return None
    if not isinstance(value, dict):
        raise InvalidItem(f"artwork is {_kind(value)}")
    return _WireArtwork(
        width=_as_integer("artwork width", value.get("width"), notes),
        height=_as_integer("artwork height", value.get("height"), notes),
        url=_as_text("artwork url", value.get("url")),
    )


def _as_artists(value: Any, notes: list[str]) -> list[_WireArtist] | None:
    if value is None:
        return None  # not "no artists": an item that is but an id has no facts
    if value == "":
        return []
    if not isinstance(value, list):
        raise InvalidItem(f"artists is {_kind(value)}")
    artists = []
    for entry in value:
        artist_id = _as_integer("artist_id", entry.get("artist_id"), notes) if isinstance(entry, dict) else None
        if artist_id is None:
            notes.append("artists: one without a readable id left out")
            continue
        name, role = entry.get("artist_name"), entry.get("artist_role")
        artists.append(_WireArtist(artist_id, _as_text("artist_name", name), _as_text("artist_role", role)))
    return artists


def _kind(value: Any) -> str:
    kinds = {
        dict: "an object",
        list: "a list",
        bool: "a truth value",
        str: "text",
        type(None): "null",
    }
    return kinds.get(type(value), "a number")
