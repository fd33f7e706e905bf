from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from etl.sandbox import MALFORMED_ROWS, Sandbox, Switches
from etl.sandbox.catalogue import Catalogue
from tests.sandbox.client import Open

Items = list[dict[str, Any]]


@pytest.fixture(scope="module")
def items() -> Items:
    catalogue = Catalogue(3000, 1)
    return [json.loads(catalogue.item(track_id)) for track_id in catalogue.track_ids]


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


def test_the_documented_example_is_served_as_documented(opened: Open) -> None:
    client = opened(tracks=3)
    example = client.sandbox.documented_example
    client.sandbox.favourite("ada", 54230705)
    assert b'"data":[' + example + b",{" in client.get().content
    client.sandbox.change_track(client.sandbox.documented_track, genres="Pop")
    assert client.get().json()["data"][0] == json.loads(example) | {"genres": "Pop"}


def test_items_have_the_documented_keys_and_forms(items: Items) -> None:
    keys = list(json.loads(Sandbox.documented_example))
    for item in items:
        assert list(item) == keys
        assert list(item["artwork"].values())[:2] == [464, 464]
        assert all(list(artist) == ["artist_id", "artist_name"] for artist in item["artists"])
        assert 10_000_000 <= item["track_id"] <= 99_999_999
        assert re.fullmatch(r"\d\d:[0-5]\d:[0-5]\d", item["duration"])
        assert f"/songs/{item['track_id']}?srModel=openapi_" in item["web_url"]
        assert f"/share/music/{item['track_id']}?srModel=openapi_" in item["mobile_url"]
    assert len({item["track_id"] for item in items}) == len(items)
    assert 0.75 < sum(item["isrc"] == "" for item in items) / len(items) < 0.95


def test_titles_and_names_come_in_many_scripts(items: Items) -> None:
    text = "".join(item["track_title"] + item["artists"][0]["artist_name"] for item in items)
    scripts = {unicodedata.name(character, "").split(" ")[0] for character in set(text)}
    assert {"LATIN", "ETHIOPIC", "ARABIC", "CJK", "FULLWIDTH", "COMBINING", "FIRE"} <= scripts
    assert len({item["track_title"] for item in items}) > 1000


def test_a_few_dozen_market_lists_are_shared_unsorted(items: Items) -> None:
    lists = {item["available_markets"] for item in items}
    assert 30 <= len(lists) <= 48
    for codes in (listed.split(",") for listed in lists):
        assert {"NA", "XO", "OT"} <= set(codes)
        assert len(set(codes)) == len(codes)
        assert codes != sorted(codes)


def test_albums_and_artists_are_shared(items: Items) -> None:
    assert Counter(item["album_id"] for item in items).most_common(1)[0][1] > 3
    assert Counter(item["artists"][0]["artist_id"] for item in items).most_common(1)[0][1] > 10
    numbered = [(item["album_id"], item["track_number"]) for item in items[:-1]]
    assert all(later[1] in (1, earlier[1] + 1) for earlier, later in pairwise(numbered))


@pytest.mark.parametrize(
    ("row", "field", "expected"),
    [
        ("isrc_empty", "isrc", ""),
        ("genres_empty", "genres", ""),
        ("album_title_empty", "album_title", ""),
        ("text_null", "genres", None),
        ("text_missing", "genres", "missing"),
        ("album_fields_missing", "album_id", "missing"),
    ],
)
def test_a_malformed_text_is_empty_null_or_missing(row: str, field: str, expected: str | None) -> None:
    clean, malformed = with_row(row)
    assert {item.get(field, "missing") for item in malformed} == {expected}
    assert {item.get(field, "missing") for item in clean} != {expected}


def test_malformed_genres_and_artists_are_doubled() -> None:
    clean, malformed = with_row("genre_doubled")
    first = [item["genres"].split(",")[0] for item in clean]
    assert [item["genres"] for item in malformed] == [f"{genre},{genre}" for genre in first]
    clean, malformed = with_row("artist_doubled")
    assert [item["artists"] for item in malformed] == [[item["artists"][0]] * 2 for item in clean]
    _, malformed = with_row("artist_role")
    roles = {tuple(artist["artist_role"] for artist in item["artists"]) for item in malformed}
    assert roles == {("Main Artists",), ("Main Artists", "Featured Artists")}


def test_malformed_durations_and_types_have_other_forms() -> None:
    clean, malformed = with_row("duration_iso")
    hours, minutes, seconds = clean[0]["duration"].split(":")
    assert malformed[0]["duration"] == f"PT{hours}H{minutes}M{seconds}S"
    assert with_row("duration_short")[1][0]["duration"] == f"{minutes}:{seconds}"
    assert {type(item["album_title"]) for item in with_row("album_title_number")[1]} == {int}
    clean, malformed = with_row("ids_as_text")
    assert [item["track_id"] for item in malformed] == [str(item["track_id"]) for item in clean]


def test_malformed_titles_hold_what_others_refuse() -> None:
    assert all(item["track_title"].endswith("\0") for item in with_row("title_nul")[1])
    catalogue = Catalogue(5, 1)
    catalogue.set_malformed(frozenset({"title_lone_surrogate"}), 1)
    assert rb'\ud83d","track_number"' in catalogue.item(catalogue.track_ids[0])


def test_a_single_entry_can_come_as_an_object(opened: Open) -> None:
    client = opened(tracks=100, switches=Switches(malformed={"single_as_object"}))
    assert isinstance(client.get(limit=1).json()["data"], dict)
    assert isinstance(client.get(limit=2).json()["data"], list)


def test_a_row_hits_its_share_and_the_same_entries() -> None:
    clean, malformed = with_row("text_null", share=0.25)
    assert 5 <= sum(before != after for before, after in zip(clean, malformed, strict=True)) <= 25
    assert with_row("text_null", share=0.25)[1] == malformed
    assert with_row("isrc_empty", share=0.01)[1] == with_row("isrc_empty", share=1)[1]


def test_all_rows_of_dirty_data_leave_sound_json(opened: Open) -> None:
    client = opened(tracks=100, scenario="dirty_data")
    items = [*client.get(limit=50).json()["data"], *client.get(offset=50, limit=50).json()["data"]]
    assert [int(item["track_id"]) for item in items] == client.true_ids
    assert {type(item["track_id"]) for item in items} == {int, str}
    assert len({tuple(item) for item in items}) > 3


def test_switching_rows_off_brings_the_clean_bytes_back() -> None:
    catalogue = Catalogue(20, 1)
    clean = [catalogue.item(number) for number in catalogue.track_ids]
    catalogue.set_raw(catalogue.track_ids[0], b"raw")
    catalogue.set_malformed(frozenset(MALFORMED_ROWS), 0.5)
    assert [catalogue.item(number) for number in catalogue.track_ids] != clean
    catalogue.set_malformed(frozenset(), 0.5)
    assert [catalogue.item(number) for number in catalogue.track_ids] == [b"raw", *clean[1:]]
