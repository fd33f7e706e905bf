"""Fuzzing of the item parser: whatever bytes a service sends, an item is a track or a reject with a reason, never an accident.

``corpus/`` keeps what has once been worth trying, one item a file, as received; each is tried on every run. What Hypothesis
finds goes in there by hand. ``--hypothesis-profile thorough`` tries 5,000 of each kind.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.boomplay import payloads
from etl.errors import ApiRefused, PayloadError
from etl.model.encoding import digest_of
from etl.model.records import Item, Track
from etl.sandbox import Sandbox
from etl.transform.normalise import InvalidItem, normalise
from etl.transform.track_versions import attributes_digest, attributes_json

CORPUS = sorted((Path(__file__).parent / "corpus").iterdir())
DOCUMENTED = Sandbox.documented_example
BIGINT = 2**63 - 1
FIELDS = (
    "track_id", "track_title", "track_number", "isrc", "duration", "album_id", "album_title", "genres", "available_markets",
    "web_url", "mobile_url", "artwork", "artists",
)  # fmt: skip


def texts_of(track: Track) -> Iterator[str]:
    for name in ("title", "isrc", "album_title", "web_url", "mobile_url", "artwork_url"):
        if (value := getattr(track, name)) is not None:
            yield value
    for artist in track.artists:
        yield from (text for text in (artist.name, artist.role) if text is not None)
    yield from (*track.genres, *track.markets, *track.notes)


def numbers_of(track: Track) -> Iterator[int]:
    named = ("track_id", "track_number", "duration_seconds", "album_id", "artwork_width", "artwork_height")
    yield from (value for name in named if (value := getattr(track, name)) is not None)
    yield from (artist.artist_id for artist in track.artists)


def check(item: Item) -> None:
    """Hold an item against the invariants of `etl.transform.normalise`."""
    assert item.digest == digest_of(item.body)
    assert item.track_id is None or 1 <= item.track_id <= BIGINT
    try:
        track = normalise(item)
    except InvalidItem as refusal:
        check_reason(str(refusal))
        return
    assert track.track_id == item.track_id
    for text in texts_of(track):
        assert text
        assert "\0" not in text
        text.encode()
    assert all(-BIGINT - 1 <= number <= BIGINT for number in numbers_of(track))
    assert len(set(track.genres)) == len(track.genres)
    assert len(set(track.markets)) == len(track.markets)
    assert all(len(name.encode()) <= 2_000 for name in (*track.genres, *track.markets))
    assert len({artist.artist_id for artist in track.artists}) == len(track.artists)
    assert normalise(item) == track
    json.loads(attributes_json(track))
    assert attributes_digest(track) == attributes_digest(normalise(item))


def check_reason(why: str) -> None:
    assert why
    assert "\n" not in why
    assert len(why) < 200


def received(body: bytes) -> list[Item]:
    """Return the items of an answer whose list holds ``body``, as the client reads them."""
    try:
        return list(payloads.page(b'{"desc":null,"code":0,"data":[' + body + b"]}", 0, 50).items)
    except (PayloadError, ApiRefused) as refusal:
        check_reason(refusal.message)
        return []


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_the_corpus_is_read(path: Path) -> None:
    body = path.read_bytes().removesuffix(b"\n")
    items = received(body)
    for item in items or [Item(body, digest_of(body), 1)]:
        check(item)
    if path.name.startswith("readable-"):
        assert [normalise(item).track_id for item in items] == [1]
    if path.name.startswith("reject-"):
        with pytest.raises(InvalidItem):
            normalise(items[0])


ANY_TEXT = st.text(st.characters(categories=None), max_size=30)
ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | ANY_TEXT
    | st.sampled_from(["1", "-1", "00:03:16", "PT3M", "NG,gh,"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["artist_id", "artist_name", "url", "width"]) | ANY_TEXT, inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(FIELDS), ANY_JSON), st.integers(1, BIGINT))
def test_any_json_in_any_field_is_a_track_or_a_reject(fields: dict[str, Any], track_id: int) -> None:
    body = json.dumps({"track_id": track_id} | fields, ensure_ascii=True).encode()
    for item in received(body):
        check(item)
    check(Item(body, digest_of(body), track_id))


@given(st.data())
def test_item_with_broken_bytes_is_a_track_or_a_reject(data: st.DataObject) -> None:
    body = bytearray(documented())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        kind = data.draw(st.sampled_from(["change", "drop", "insert", "double"]))
        if kind == "change":
            body[at] = data.draw(st.integers(0, 255))
        elif kind == "drop":
            del body[at : at + data.draw(st.integers(1, 20))]
        elif kind == "insert":
            body[at:at] = data.draw(st.binary(max_size=6))
        else:
            body[at:at] = body[at : at + 30]
        if not body:
            return
    for item in received(bytes(body)):
        check(item)
    check(Item(bytes(body), digest_of(bytes(body)), 1))


@given(st.binary(max_size=60))
def test_any_bytes_are_a_track_or_a_reject(body: bytes) -> None:
    for item in received(body):
        check(item)
    check(Item(body, digest_of(body), 1))


def documented() -> bytes:
    """Return the documented example as bytes."""
    example: Any = DOCUMENTED
    return example if isinstance(example, bytes) else json.dumps(example).encode()
