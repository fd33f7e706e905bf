from __future__ import annotations

import json
from typing import Any

import pytest

from etl.sandbox import Switches
from tests.sandbox.bench import Bench, Open


def answered(bench: Bench, path: str, **params: Any) -> Any:
    answer = bench.get(path, **params)
    assert answer.status_code == 200
    assert list(answer.json()) in (["desc", "code", "data"], ["desc", "code", "counts", "data"])
    return answer.json()["data"]


def test_the_users_page_has_the_documented_fields(opened: Open) -> None:
    bench = opened(tracks=3)
    user = bench.sandbox.users["ada"]
    assert answered(bench, "/user/getUserInfo") == {
        "user_id": user.user_id,
        "user_name": "ada",
        "avatar": {
            "width": 200,
            "height": 200,
            "url": "https://img.example.invalid/group10/M00/00/01/a0000000000000000000000000000001_200_200.jpg",
        },
        "region": "NG",
        "plan": "Free",
    }


def test_the_users_playlists_are_counted(opened: Open) -> None:
    answer = opened(tracks=100).get("/user/playlists", offset=0, limit=11).json()
    assert answer["counts"] == len(answer["data"]) == 3


@pytest.mark.parametrize(
    ("path", "kind", "key"),
    [
        ("/track/v1/trackIds", "track_ids", "track_id"),
        ("/album/v1/albumIds", "album_ids", "album_id"),
        ("/artist/v1/artistIds", "artist_ids", "artist_id"),
        ("/playlist/v1/playlistIds", "playlist_ids", "playlist_id"),
    ],
)
@pytest.mark.parametrize(("position", "middle"), [("dropped", []), ("null", [None])])
def test_entries_are_found_by_their_ids(
    opened: Open, path: str, kind: str, key: str, position: Any, middle: list[None]
) -> None:
    bench = opened(tracks=60, switches=Switches(unknown_ids=position))
    first, second = getattr(bench.sandbox.catalogue, kind)[:2]
    found = answered(bench, path, ids=f"{second},7,{first}")
    assert [entry and entry[key] for entry in found] == [second, *middle, first]
    bench.sandbox.switch(unknown_ids="error")
    assert bench.refusal(path, ids=f"{second},7") == (404, 12)


def test_by_ids_takes_one_to_twenty_numbers(opened: Open) -> None:
    bench = opened(tracks=60)
    ids = [str(track_id) for track_id in bench.sandbox.catalogue.track_ids[:21]]
    assert len(answered(bench, "/track/v1/trackIds", ids=",".join(ids[:20]))) == 20
    for wrong in (",".join(ids), "", "7,x"):
        assert bench.refusal("/track/v1/trackIds", ids=wrong) == (400, 10)


def test_albums_by_ids_have_their_tracks(opened: Open) -> None:
    bench = opened(tracks=60)
    album = answered(bench, "/album/v1/albumIds", ids=bench.sandbox.catalogue.album_ids[0])[0]
    assert album["track_count"] == len(album["tracks"])
    assert album["tracks"][0]["track_id"] == bench.sandbox.catalogue.track_ids[0]
    assert "tracks" not in json.loads(bench.sandbox.catalogue.album(album["album_id"]))


def test_tracks_are_found_by_isrc_in_a_list(opened: Open) -> None:
    bench = opened(tracks=60)
    with_isrc = next(item for item in map(bench.sandbox.catalogue.fields, bench.true_ids) if item["isrc"])
    found = answered(bench, f"/track/v1/isrc/{with_isrc['isrc']}")
    assert with_isrc["track_id"] in [item["track_id"] for item in found]
    assert answered(bench, "/track/v1/isrc/NOSUCH") == []


def test_play_counts_sum_up_to_the_global_row(opened: Open) -> None:
    bench = opened(tracks=60)
    track = answered(bench, f"/track/v1/analysis/{bench.true_ids[0]}")
    album = answered(bench, f"/album/v1/analysis/{bench.sandbox.catalogue.album_ids[0]}")
    for plays in (track, track["album"], album):
        everywhere, *countries = plays["segments"][0]["valid_plays"]
        assert everywhere == {"country_code": "Global", "plays": sum(row["plays"] for row in countries)}
    assert bench.refusal("/track/v1/analysis/7") == (404, 12)
    assert bench.refusal("/album/v1/analysis/seven") == (400, 10)


def test_search_finds_titles_of_each_type_and_keeps_to_a_market(opened: Open) -> None:
    bench = opened(tracks=200)
    for kind in ("track", "album", "artist", "playlist"):
        found = answered(bench, "/search/v1", q="a", type=kind)[f"{kind}s"]
        assert 0 < len(found) <= 20
    everywhere = answered(bench, "/search/v1", q="Shakira", type="track")["tracks"]
    assert [track["track_id"] for track in everywhere] == [bench.sandbox.documented_track]
    assert answered(bench, "/search/v1", q="shakira", type="track", market="AQ")["tracks"] == []
    assert bench.refusal("/search/v1", q="a", type="song") == (400, 10)
    assert bench.refusal("/search/v1", type="track") == (400, 10)


def test_search_steps_over_items_that_are_no_json(opened: Open) -> None:
    bench = opened(tracks=5)
    bench.sandbox.set_raw_item(bench.sandbox.catalogue.track_ids[0], b"{broken")
    assert answered(bench, "/search/v1", q="shakira", type="track")["tracks"]


def test_a_chart_ranks_tracks_with_iso_durations_and_roles(opened: Open) -> None:
    bench = opened(tracks=60)
    chart = answered(bench, f"/charts/v1/playlist/detail/{bench.sandbox.catalogue.playlist_ids[0]}")
    assert [track["track_rank"] for track in chart["tracks"]] == list(range(1, chart["track_count"] + 1))
    first = chart["tracks"][0]
    assert first["duration"].startswith("PT00H")
    assert first["artists"][0]["artist_role"] == "Main Artists"
    assert not {"track_number", "available_markets"} & first.keys()
    assert bench.refusal("/charts/v1/playlist/detail/7") == (404, 12)


def test_the_weekly_albums_are_ranked_and_dirty_where_switched(opened: Open) -> None:
    bench = opened(tracks=200)
    clean = answered(bench, "/charts/v1/weekly/albums")["albums"]
    assert [album["album_rank"] for album in clean] == list(range(1, 21))
    bench.sandbox.switch(dirt={"rank_as_text", "album_doubled", "upc_timestamp"}, dirt_share=1)
    soiled = answered(bench, "/charts/v1/weekly/albums")["albums"]
    assert [album["album_rank"] for album in soiled[:20]] == [str(rank) for rank in range(1, 21)]
    assert (soiled[20]["album_id"], soiled[20]["available_markets"]) == (soiled[0]["album_id"], "OT,CN")
    assert {album["upc"] for album in soiled} == {"20230405123456"}


@pytest.mark.parametrize(
    "path", ["/", "/favourite/v1/artists", "/favourite/v1/tracks/", "/track/v1/isrc/", "/search/v1/x"]
)
def test_other_paths_do_not_exist(opened: Open, path: str) -> None:
    assert opened(tracks=3).refusal(path) == (404, 20)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/favourite/v1/tracks"),
        ("DELETE", "/favourite/v1/tracks"),
        ("PUT", "/track/v1/trackIds"),
        ("GET", "/oauth/token"),
        ("POST", "/oauth/consent"),
    ],
)
def test_other_methods_are_refused(opened: Open, method: str, path: str) -> None:
    assert opened(tracks=3).http.request(method, path).status_code == 405
