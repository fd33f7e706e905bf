from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from etl.sandbox import DIRT, SCENARIOS, Sandbox, Switches
from etl.sandbox.catalogue import Catalogue
from tests.sandbox.bench import ALBUMS, PLAYLISTS, Open

KEYS = [
    "track_id",
    "track_title",
    "track_number",
    "isrc",
    "duration",
    "album_id",
    "album_title",
    "genres",
    "available_markets",
    "web_url",
    "mobile_url",
    "artwork",
    "artists",
]


@pytest.fixture(scope="module")
def items() -> list[dict[str, Any]]:
    catalogue = Catalogue(3000, 1)
    return [json.loads(catalogue.item(track_id)) for track_id in catalogue.track_ids]


def dirty(row: str, kind: str = "track", share: float = 1.0) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return entries without and with a dirty row."""
    catalogue = Catalogue(60, 1)
    entries: dict[str, Callable[[], list[bytes]]] = {
        "track": lambda: [catalogue.item(number) for number in catalogue.track_ids[:-1]],
        "album": lambda: [catalogue.album(number) for number in catalogue.album_ids],
        "artist": lambda: [catalogue.artist(number) for number in catalogue.artist_ids],
        "playlist": lambda: [catalogue.playlist(number) for number in catalogue.playlist_ids],
        "long_playlist": lambda: [catalogue.playlist(number, is_long=True) for number in catalogue.playlist_ids],
    }
    clean = entries[kind]()
    catalogue.set_dirt(frozenset({row}), share)
    return [json.loads(entry) for entry in clean], [json.loads(entry) for entry in entries[kind]()]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    first, second, other = Catalogue(50, 3), Catalogue(50, 3), Catalogue(50, 4)
    assert first.track_ids == second.track_ids != other.track_ids
    assert [first.item(number) for number in first.track_ids] == [second.item(number) for number in second.track_ids]
    assert Sandbox(tracks=50, seed=3).favourites("ada") == Sandbox(tracks=50, seed=3).favourites("ada")


def test_the_documented_example_is_served_exactly_as_documented(opened: Open) -> None:
    bench = opened(tracks=3)
    example = bench.sandbox.documented_example
    bench.sandbox.favourite("ada", 54230705)
    assert b'"data":[' + example + b",{" in bench.get().content
    assert json.loads(example)["track_title"] == "Shakira - Try Everything (《疯狂动物城》电影主题曲)"
    assert json.loads(example)["genres"] == "Pop,Pop"
    assert list(json.loads(example)) == KEYS


def test_the_documented_example_can_be_changed_like_any_track() -> None:
    sandbox = Sandbox(tracks=3)
    sandbox.change_track(sandbox.documented_track, genres="Pop")
    changed = json.loads(sandbox.catalogue.item(sandbox.documented_track))
    assert changed == json.loads(sandbox.documented_example) | {"genres": "Pop"}


def test_items_have_the_examples_keys_in_its_order(items: list[dict[str, Any]]) -> None:
    assert all(list(item) == KEYS for item in items)
    assert all(list(item["artwork"].values())[:2] == [464, 464] for item in items)
    assert all(list(artist) == ["artist_id", "artist_name"] for item in items for artist in item["artists"])


def test_values_have_the_documented_forms(items: list[dict[str, Any]]) -> None:
    for item in items:
        assert 10_000_000 <= item["track_id"] <= 99_999_999
        assert re.fullmatch(r"\d\d:[0-5]\d:[0-5]\d", item["duration"])
        assert f"/songs/{item['track_id']}?srModel=openapi_" in item["web_url"]
        assert f"/share/music/{item['track_id']}?srModel=openapi_" in item["mobile_url"]
        assert item["artwork"]["url"].endswith("_464_464.jpg")


def test_ids_are_unique(items: list[dict[str, Any]]) -> None:
    assert len({item["track_id"] for item in items}) == len(items)


def test_most_tracks_have_no_isrc_but_some_do(items: list[dict[str, Any]]) -> None:
    share = sum(item["isrc"] == "" for item in items) / len(items)
    assert 0.75 < share < 0.95


def test_titles_and_names_come_in_many_scripts(items: list[dict[str, Any]]) -> None:
    text = "".join(item["track_title"] + item["artists"][0]["artist_name"] for item in items)
    scripts = {unicodedata.name(character, "").split(" ")[0] for character in set(text)}
    assert {"LATIN", "ETHIOPIC", "ARABIC", "CJK", "FULLWIDTH", "COMBINING", "FIRE"} <= scripts
    assert " ft. " in text
    assert len({item["track_title"] for item in items}) > 1000


def test_a_few_dozen_market_lists_are_shared_unsorted_and_of_all_sizes(items: list[dict[str, Any]]) -> None:
    lists = {item["available_markets"] for item in items}
    sizes = {len(codes.split(",")) for codes in lists}
    assert 30 <= len(lists) <= 48
    assert (min(sizes), max(sizes)) == (5, 240)
    for codes in lists:
        split = codes.split(",")
        assert {"NA", "XO", "OT"} <= set(split)
        assert len(set(split)) == len(split)
    assert not any(codes == ",".join(sorted(codes.split(","))) for codes in lists)


def test_albums_and_artists_are_shared(items: list[dict[str, Any]]) -> None:
    assert Counter(item["album_id"] for item in items).most_common(1)[0][1] > 3
    assert Counter(item["artists"][0]["artist_id"] for item in items).most_common(1)[0][1] > 10
    named = [[artist["artist_name"] for artist in item["artists"]] for item in items]
    assert {(len(names), len(set(names))) for names in named} == {(1, 1), (2, 2)}
    numbered = [(item["album_id"], item["track_number"]) for item in items[:-1]]
    assert all(later[1] in (1, earlier[1] + 1) for earlier, later in pairwise(numbered))


def test_bytes_are_utf8_and_not_escaped() -> None:
    catalogue = Catalogue(300, 1)
    everything = b"".join(catalogue.item(number) for number in catalogue.track_ids)
    assert b"\\u" not in everything
    assert not everything.isascii()
    assert 900 < len(everything) / 301 < 1500


def test_users_share_the_catalogue_and_have_as_many_favourites_as_asked() -> None:
    sandbox = Sandbox(tracks=70, users=("ada", "bola"))
    assert [len(sandbox.favourites(name)) for name in sandbox.users] == [70, 70]
    assert set(sandbox.favourites("ada")) & set(sandbox.favourites("bola"))
    assert len(sandbox.catalogue.track_ids) > 70


@pytest.mark.parametrize(
    ("row", "field", "expected"),
    [
        ("isrc_empty", "isrc", ""),
        ("genres_empty", "genres", ""),
        ("album_title_empty", "album_title", ""),
        ("text_null", "genres", None),
    ],
)
def test_a_dirty_text_is_empty_or_null(row: str, field: str, expected: str | None) -> None:
    clean, soiled = dirty(row)
    assert {item[field] for item in soiled} == {expected}
    assert {item[field] for item in clean} != {expected}


@pytest.mark.parametrize(
    ("row", "kind", "gone"),
    [
        ("album_fields_missing", "track", {"album_id", "album_title"}),
        ("text_missing", "track", {"isrc", "genres", "album_title"}),
        ("text_missing", "album", {"upc", "genres", "album_title", "label"}),
        ("playlist_artwork_missing", "playlist", {"artwork"}),
        ("playlist_artists_missing", "playlist", {"artists"}),
    ],
)
def test_a_dirty_key_is_missing(row: str, kind: str, gone: set[str]) -> None:
    clean, soiled = dirty(row, kind)
    assert {frozenset(before.keys() - after) for before, after in zip(clean, soiled, strict=True)} == {frozenset(gone)}


def test_a_dirty_genre_is_doubled() -> None:
    clean, soiled = dirty("genre_doubled")
    first = [item["genres"].split(",")[0] for item in clean]
    assert [item["genres"] for item in soiled] == [f"{genre},{genre}" for genre in first]


def test_a_dirty_artist_is_doubled() -> None:
    clean, soiled = dirty("artist_doubled")
    assert [item["artists"] for item in soiled] == [[item["artists"][0]] * 2 for item in clean]


def test_dirty_artists_carry_a_role() -> None:
    _, soiled = dirty("artist_role")
    roles = {tuple(artist["artist_role"] for artist in item["artists"]) for item in soiled}
    assert roles == {("Main Artists",), ("Main Artists", "Featured Artists")}


def test_a_dirty_duration_is_spelt_in_other_ways() -> None:
    clean, soiled = dirty("duration_iso")
    hours, minutes, seconds = clean[0]["duration"].split(":")
    assert soiled[0]["duration"] == f"PT{hours}H{minutes}M{seconds}S"
    assert dirty("duration_short")[1][0]["duration"] == f"{minutes}:{seconds}"


def test_a_dirty_title_or_id_is_of_the_other_type() -> None:
    assert {type(item["album_title"]) for item in dirty("album_title_number")[1]} == {int}
    for kind, key in (
        ("track", "track_id"),
        ("album", "album_id"),
        ("artist", "artist_id"),
        ("playlist", "playlist_id"),
    ):
        clean, soiled = dirty("ids_as_text", kind)
        assert [item[key] for item in soiled] == [str(item[key]) for item in clean]


def test_a_dirty_title_holds_what_databases_and_decoders_refuse() -> None:
    assert all(item["track_title"].endswith("\0") for item in dirty("title_nul")[1])
    catalogue = Catalogue(5, 1)
    catalogue.set_dirt(frozenset({"title_lone_surrogate"}), 1)
    assert rb'\ud83d","track_number"' in catalogue.item(catalogue.track_ids[0])


def test_a_dirty_upc_is_empty_or_a_timestamp() -> None:
    assert {album["upc"] for album in dirty("upc_empty", "album")[1]} == {""}
    assert {album["upc"] for album in dirty("upc_timestamp", "album")[1]} == {"20230405123456"}


def test_a_dirty_artist_has_an_undocumented_field() -> None:
    clean, soiled = dirty("isni", "artist")
    assert soiled == [artist | {"isni": ""} for artist in clean]


def test_a_dirty_playlist_has_tracks_for_artists() -> None:
    clean, soiled = dirty("playlist_tracks", "long_playlist")
    assert all("artists" in playlist and "tracks" not in playlist for playlist in clean)
    assert all("tracks" in playlist and "artists" not in playlist for playlist in soiled)
    assert all(len(playlist["tracks"]) == playlist["track_count"] for playlist in soiled)


@pytest.mark.parametrize("path", [ALBUMS, PLAYLISTS, "/favourite/v1/tracks"])
def test_a_single_entry_can_come_as_an_object(opened: Open, path: str) -> None:
    bench = opened(tracks=100, switches=Switches(dirt={"single_as_object"}))
    assert isinstance(bench.get(path, limit=1).json()["data"], dict)
    assert isinstance(bench.get(path, limit=2).json()["data"], list)


def test_dirt_hits_about_its_share_and_the_same_entries_each_time() -> None:
    clean, soiled = dirty("text_null", share=0.25)
    assert 5 <= sum(before != after for before, after in zip(clean, soiled, strict=True)) <= 25
    assert dirty("text_null", share=0.25)[1] == soiled


@pytest.mark.parametrize(
    ("row", "kind"),
    [("isrc_empty", "track"), ("upc_empty", "album"), ("isni", "artist"), ("playlist_artists_missing", "playlist")],
)
def test_what_the_examples_show_everywhere_is_everywhere_whatever_the_share(row: str, kind: str) -> None:
    assert dirty(row, kind, share=0.01)[1] == dirty(row, kind, share=1)[1]


@pytest.mark.parametrize("row", DIRT)
def test_each_dirty_row_says_what_it_is_and_can_be_on_by_its_own(opened: Open, row: str) -> None:
    bench = opened(tracks=60, switches=Switches(dirt={row}, dirt_share=1))
    assert DIRT[row].description
    assert bench.get(limit=50).status_code == bench.get(ALBUMS).status_code == bench.get(PLAYLISTS).status_code == 200
    assert len(bench.true_ids) == 60


def test_all_the_documented_dirt_together_leaves_sound_json(opened: Open) -> None:
    assert "dirty_data" in SCENARIOS
    bench = opened(tracks=100, scenario="dirty_data")
    items = [*bench.get(limit=50).json()["data"], *bench.get(offset=50, limit=50).json()["data"]]
    assert [int(item["track_id"]) for item in items] == bench.true_ids
    assert {type(item["track_id"]) for item in items} == {int, str}
    assert len({tuple(item) for item in items}) > 3


def test_switching_dirt_off_brings_the_clean_bytes_back() -> None:
    catalogue = Catalogue(20, 1)
    clean = [catalogue.item(number) for number in catalogue.track_ids]
    catalogue.set_raw(catalogue.track_ids[0], b"raw")
    catalogue.set_dirt(frozenset(DIRT), 0.5)
    assert [catalogue.item(number) for number in catalogue.track_ids] != clean
    catalogue.set_dirt(frozenset(), 0.5)
    assert [catalogue.item(number) for number in catalogue.track_ids] == [b"raw", *clean[1:]]
