from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from etl.sandbox import MALFORMED_ROWS, Sandbox
from etl.sandbox.catalogue import Catalogue
from tests.sandbox.service import Service

Items = list[dict[str, Any]]


def with_row(row: str, share: float = 1.0) -> tuple[Items, Items]:
    """Return the items without and with a malformed row."""
    catalogue = Catalogue(60, 1)
    clean = [json.loads(catalogue.item(number)) for number in catalogue.track_ids[:-1]]
    catalogue.set_malformed(frozenset({row}), share)
    return clean, [json.loads(catalogue.item(number)) for number in catalogue.track_ids[:-1]]


def test_a_seed_decides_all_bytes() -> None:
    first, second, other = Catalogue(50, 3), Catalogue(50, 3), Catalogue(50, 4)
    assert first.track_ids == second.track_ids != other.track_ids
    assert [first.item(number) for number in first.track_ids] == [second.item(number) for number in second.track_ids]
    assert Sandbox(tracks=50, seed=3).favourites("ada") == Sandbox(tracks=50, seed=3).favourites("ada")


def test_the_documented_example_is_served_as_documented() -> None:
    service = Service(tracks=3)
    example = service.sandbox.documented_example
    service.sandbox.favourite("ada", 54230705)
    assert b'"data":[' + example + b",{" in service.ask().reply.body
    service.sandbox.change_track(service.sandbox.documented_track, genres="Pop")
    assert service.ask().json["data"][0] == json.loads(example) | {"genres": "Pop"}


def test_items_have_the_documented_forms_and_vary() -> None:
    catalogue = Catalogue(3000, 1)
    items = [json.loads(catalogue.item(track_id)) for track_id in catalogue.track_ids]
    for item in items:
        assert list(item) == list(json.loads(Sandbox.documented_example))
        assert all(list(artist) == ["artist_id", "artist_name"] for artist in item["artists"])
        assert 10_000_000 <= item["track_id"] <= 99_999_999
        assert re.fullmatch(r"\d\d:[0-5]\d:[0-5]\d", item["duration"])
        assert f"/songs/{item['track_id']}?srModel=openapi_" in item["web_url"]
        assert {"NA", "XO", "OT"} <= set(item["available_markets"].split(","))
    assert len({item["track_id"] for item in items}) == len(items)
    assert 0.75 < sum(item["isrc"] == "" for item in items) / len(items) < 0.95
    text = "".join(item["track_title"] + item["artists"][0]["artist_name"] for item in items)
    scripts = {unicodedata.name(character, "").split(" ")[0] for character in set(text)}
    assert {"LATIN", "ETHIOPIC", "ARABIC", "CJK", "FULLWIDTH", "COMBINING", "FIRE"} <= scripts
    assert 30 <= len({item["available_markets"] for item in items}) <= 48
    numbered = [(item["album_id"], item["track_number"]) for item in items[:-1]]
    assert all(later[1] in (1, earlier[1] + 1) for earlier, later in pairwise(numbered))


@pytest.mark.parametrize(
    ("row", "field", "expected"),
    [
        ("isrc_empty", "isrc", lambda _: ""),
        ("genres_empty", "genres", lambda _: ""),
        ("album_title_empty", "album_title", lambda _: ""),
        ("text_null", "genres", lambda _: None),
        ("text_missing", "genres", lambda _: "missing"),
        ("album_fields_missing", "album_id", lambda _: "missing"),
        ("genre_doubled", "genres", lambda item: ",".join(item["genres"].split(",")[:1] * 2)),
        ("artist_doubled", "artists", lambda item: item["artists"][:1] * 2),
        ("artist_role", "artists", lambda item: [
            each | {"artist_role": "Featured Artists" if place else "Main Artists"} for place, each in enumerate(item["artists"])
        ]),
        ("duration_iso", "duration", lambda item: "PT{}H{}M{}S".format(*item["duration"].split(":"))),
        ("duration_short", "duration", lambda item: item["duration"].removeprefix("00:")),
        ("album_title_number", "album_title", lambda item: item["album_id"]),
        ("ids_as_text", "track_id", lambda item: str(item["track_id"])),
        ("title_nul", "track_title", lambda item: item["track_title"] + "\0"),
    ],
)  # fmt: skip
def test_a_malformed_row_changes_its_field(row: str, field: str, expected: Callable[[dict[str, Any]], Any]) -> None:
    clean, malformed = with_row(row)
    assert [item.get(field, "missing") for item in malformed] == [expected(item) for item in clean]
    assert clean != malformed


def test_a_row_hits_its_share_and_the_same_entries() -> None:
    clean, malformed = with_row("text_null", share=0.25)
    assert 5 <= sum(before != after for before, after in zip(clean, malformed, strict=True)) <= 25
    assert with_row("text_null", share=0.25)[1] == malformed
    assert with_row("isrc_empty", share=0.01)[1] == with_row("isrc_empty", share=1)[1]
    catalogue = Catalogue(20, 1)
    before = [catalogue.item(number) for number in catalogue.track_ids]
    catalogue.set_malformed(frozenset(MALFORMED_ROWS) - {"entry_null"}, 1)
    assert rb'\ud83d","track_number"' in catalogue.item(catalogue.track_ids[0])
    catalogue.set_malformed(frozenset(), 1)
    assert [catalogue.item(number) for number in catalogue.track_ids] == before
