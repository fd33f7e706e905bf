"""Laws of the JSON repair, and of items that need it."""

from __future__ import annotations

import json

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from etl.boomplay import payloads
from etl.boomplay.json_repair import repair_json

readable = st.characters(exclude_categories=["Cs"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(readable),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(readable), inner, max_size=3),
    max_leaves=8,
)
surrogates = st.characters(min_codepoint=0xD7F0, max_codepoint=0xE00F)
titles = st.text(st.characters() | surrogates | st.sampled_from('\\"u'))


@given(st.lists(st.tuples(st.integers(1, 2**63 - 1), titles, json_values), max_size=4), st.sampled_from([None, 1]))
def test_an_item_of_any_json_keeps_its_bytes_and_id(rows: list[tuple], indent: int | None) -> None:
    bodies = [
        json.dumps({"data": more, "track_id": track_id, "title": title}, indent=indent).encode()
        for track_id, title, more in rows
    ]
    body = b'{"code": 0, "data": [' + b", ".join(bodies) + b"]}"
    items = payloads.page(body, 98, 50).items
    assert [item.body for item in items] == bodies
    assert [item.track_id for item in items] == [track_id for track_id, _, _ in rows]


@given(st.binary())
def test_json_repair_keeps_the_length(noise: bytes) -> None:
    assert len(repair_json(noise)) == len(noise)


@given(json_values)
def test_json_repair_leaves_valid_json_unchanged(value: object) -> None:
    body = msgspec.json.encode(value)
    assert repair_json(body) == body


@given(titles)
def test_repaired_json_can_be_decoded(title: str) -> None:
    escaped = json.dumps({"t": title}).encode()
    assert isinstance(msgspec.json.decode(repair_json(escaped))["t"], str)
