from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from etl.sandbox import Switches
from tests.sandbox.client import BY_IDS, TRACKS, USER, Open


def test_a_page_holds_the_range_in_the_lists_order(opened: Open) -> None:
    client = opened(tracks=120)
    assert client.ids(30, 50) == client.true_ids[30:80]
    assert client.ids(100, 50) == client.true_ids[100:]
    assert [item["track_id"] for item in client.get().json()["data"]] == client.true_ids[:20]


def test_items_are_served_byte_for_byte_in_the_envelope(opened: Open) -> None:
    client = opened(tracks=3)
    items = b",".join(map(client.sandbox.catalogue.item, client.true_ids))
    assert client.get().content == b'{"desc":null,"code":0,"counts":3,"data":[' + items + b"]}"


def test_every_answer_is_marked_as_the_sandboxes(opened: Open) -> None:
    client = opened(tracks=3)
    for answer in (client.get(), client.get("/nowhere"), client.get("/_sandbox/")):
        assert answer.headers["x-favsync-sandbox"] == "modelled-on-documentation"


@pytest.mark.parametrize(("position", "expected"), [("total", [70, 70]), ("page", [50, 20]), ("absent", [None, None])])
def test_counts_follows_its_switch(opened: Open, position: Any, expected: list[int | None]) -> None:
    client = opened(tracks=70, switches=Switches(counts=position))
    assert [client.get(offset=offset, limit=50).json().get("counts") for offset in (0, 50)] == expected


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 51}, {"limit": -1}, {"offset": -1}])
def test_a_range_out_of_bounds_is_clamped_or_refused(opened: Open, query: dict[str, Any]) -> None:
    client = opened(tracks=70)
    assert len(client.get(**query).json()["data"]) == {0: 1, 51: 50, -1: 1}.get(query.get("limit", 20), 20)
    client.sandbox.switch(limit_out_of_range="error")
    assert client.refusal(**query) == (400, 10)


@pytest.mark.parametrize("query", [{"limit": "ten"}, {"offset": "1.5"}, {"offset": ""}, {"offset": "9" * 30}])
def test_a_range_that_is_no_number_is_refused(opened: Open, query: dict[str, Any]) -> None:
    assert opened(tracks=3).refusal(**query) == (400, 10)


@pytest.mark.parametrize("offset", [5, 500])
def test_past_the_end_is_empty_null_or_an_error(opened: Open, offset: int) -> None:
    client = opened(tracks=5)
    assert client.get(offset=offset).json()["data"] == []
    client.sandbox.switch(past_end="null")
    assert client.get(offset=offset).json()["data"] is None
    client.sandbox.switch(past_end="error")
    assert client.refusal(offset=offset) == (400, 11)
    client.sandbox.set_favourites("ada", [])
    assert client.ids() == []


@pytest.mark.parametrize(("position", "index"), [("newest_first", 0), ("insertion", -1)])
def test_a_new_favourite_goes_where_the_order_puts_it(opened: Open, position: Any, index: int) -> None:
    client = opened(tracks=5, switches=Switches(order=position))
    client.sandbox.favourite("ada", client.sandbox.documented_track)
    assert client.ids()[index] == client.sandbox.documented_track


def test_a_shuffled_list_has_another_order_each_time(opened: Open) -> None:
    client = opened(tracks=50, switches=Switches(order="shuffled_per_request"))
    first, second = client.ids(), client.ids()
    assert first != second
    assert set(first) == set(second) == set(client.true_ids)


def test_each_token_reads_its_own_users_list(opened: Open) -> None:
    client = opened(tracks=40, users=("ada", "bola"))
    bola = client.sandbox.users["bola"]
    assert client.ids(Authorization=f"Bearer {bola.access_token}") == client.sandbox.favourites(bola)
    assert set(client.sandbox.favourites("ada")) != set(client.sandbox.favourites("bola"))


def test_a_position_that_does_not_exist_is_refused() -> None:
    make: Callable[..., Switches] = Switches
    with pytest.raises(ValueError, match="counts has no position 'half', only total, page, absent, wobbling"):
        make(counts="half")
    with pytest.raises(ValueError, match="malformed has no position 'mud'"):
        make(malformed={"mud"})


def test_latency_delays_the_reply(opened: Open) -> None:
    client = opened(tracks=3, latency_seconds=0.2)
    assert client.get().elapsed.total_seconds() >= 0.2


def test_user_info_has_the_documented_fields(opened: Open) -> None:
    client = opened(tracks=3)
    user = client.sandbox.users["ada"]
    answered = client.get(USER).json()["data"]
    assert list(answered) == ["user_id", "user_name", "avatar", "region", "plan"]
    assert (answered["user_id"], answered["user_name"], answered["region"]) == (user.user_id, "ada", "NG")


@pytest.mark.parametrize(("position", "middle"), [("dropped", []), ("null", [None])])
def test_tracks_are_found_by_ids(opened: Open, position: Any, middle: list[None]) -> None:
    client = opened(tracks=60, switches=Switches(unknown_ids=position))
    first, second = client.sandbox.catalogue.track_ids[:2]
    found = client.get(BY_IDS, ids=f"{second},7,{first}").json()["data"]
    assert [entry and entry["track_id"] for entry in found] == [second, *middle, first]
    client.sandbox.switch(unknown_ids="error")
    assert client.refusal(BY_IDS, ids=f"{second},7") == (404, 12)


def test_by_ids_takes_one_to_twenty_numbers(opened: Open) -> None:
    client = opened(tracks=60)
    ids = [str(track_id) for track_id in client.sandbox.catalogue.track_ids[:21]]
    assert len(client.get(BY_IDS, ids=",".join(ids[:20])).json()["data"]) == 20
    for wrong in (",".join(ids), "", "7,x"):
        assert client.refusal(BY_IDS, ids=wrong) == (400, 10)


@pytest.mark.parametrize("path", ["/", "/favourite/v1/albums", "/favourite/v1/tracks/", "/search/v1"])
def test_other_paths_do_not_exist(opened: Open, path: str) -> None:
    assert opened(tracks=3).refusal(path) == (404, 20)


@pytest.mark.parametrize(("method", "path"), [("POST", TRACKS), ("PUT", BY_IDS), ("GET", "/oauth/token")])
def test_other_methods_are_refused(opened: Open, method: str, path: str) -> None:
    assert opened(tracks=3).http.request(method, path).status_code == 405
