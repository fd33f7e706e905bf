from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from etl.sandbox import Switches
from tests.sandbox.bench import ALBUMS, PLAYLISTS, TRACKS, Open


def test_a_page_holds_the_favourites_of_its_range_in_the_lists_order(opened: Open) -> None:
    bench = opened(tracks=120)
    assert bench.ids(30, 50) == bench.true_ids[30:80]
    assert bench.ids(100, 50) == bench.true_ids[100:]


def test_without_parameters_the_first_twenty_are_answered(opened: Open) -> None:
    bench = opened(tracks=60)
    assert [item["track_id"] for item in bench.get().json()["data"]] == bench.true_ids[:20]


def test_the_envelope_has_the_keys_of_the_examples_in_their_order(opened: Open) -> None:
    assert list(opened(tracks=3).get().json()) == ["desc", "code", "counts", "data"]


def test_items_are_served_byte_for_byte_as_the_catalogue_has_them(opened: Open) -> None:
    bench = opened(tracks=3)
    items = b",".join(map(bench.sandbox.catalogue.item, bench.true_ids))
    assert bench.get().content == b'{"desc":null,"code":0,"counts":3,"data":[' + items + b"]}"


def test_every_answer_says_that_it_is_modelled_on_the_documentation(opened: Open) -> None:
    bench = opened(tracks=3)
    for answer in (
        bench.get(),
        bench.get("/nowhere"),
        bench.get("/_sandbox/"),
        bench.http.get(TRACKS, headers={"app_id": ""}),
    ):
        assert answer.headers["x-favsync-sandbox"] == "modelled-on-documentation"


@pytest.mark.parametrize(("position", "expected"), [("total", [70, 70]), ("page", [50, 20]), ("absent", [None, None])])
def test_counts_is_what_the_switch_says(opened: Open, position: Any, expected: list[int | None]) -> None:
    bench = opened(tracks=70, switches=Switches(counts=position))
    assert [bench.get(offset=offset, limit=50).json().get("counts") for offset in (0, 50)] == expected


def test_wobbling_counts_differ_from_request_to_request(opened: Open) -> None:
    bench = opened(tracks=70, switches=Switches(counts="wobbling"))
    assert len({bench.get(limit=50).json()["counts"] for _ in range(20)}) > 2


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 51}, {"limit": -1}, {"offset": -1}])
def test_a_range_out_of_bounds_is_clamped_or_refused(opened: Open, query: dict[str, Any]) -> None:
    bench = opened(tracks=70)
    assert len(bench.get(**query).json()["data"]) == {0: 1, 51: 50, -1: 1}.get(query.get("limit", 20), 20)
    bench.sandbox.switch(limit_out_of_range="error")
    assert bench.refusal(**query) == (400, 10)


@pytest.mark.parametrize("query", [{"limit": "ten"}, {"offset": "1.5"}, {"offset": ""}, {"offset": "9" * 30}])
def test_a_range_that_is_no_number_is_refused(opened: Open, query: dict[str, Any]) -> None:
    assert opened(tracks=3).refusal(**query) == (400, 10)


@pytest.mark.parametrize(("position", "expected"), [("empty", []), ("null", None)])
@pytest.mark.parametrize("offset", [5, 500])
def test_past_the_end_there_is_nothing(opened: Open, position: Any, expected: list[int] | None, offset: int) -> None:
    bench = opened(tracks=5, switches=Switches(past_end=position))
    assert bench.get(offset=offset).json()["data"] == expected


def test_past_the_end_can_be_an_error_but_an_empty_list_is_none(opened: Open) -> None:
    bench = opened(tracks=5, switches=Switches(past_end="error"))
    assert bench.refusal(offset=5) == (400, 11)
    bench.sandbox.set_favourites(bench.user, [])
    assert bench.ids() == []


@pytest.mark.parametrize(("position", "index"), [("newest_first", 0), ("insertion", -1)])
def test_a_new_favourite_goes_where_the_order_puts_it(opened: Open, position: Any, index: int) -> None:
    bench = opened(tracks=5, switches=Switches(order=position))
    bench.sandbox.favourite(bench.user, bench.sandbox.documented_track)
    assert bench.ids()[index] == bench.sandbox.documented_track


def test_a_shuffled_list_has_the_same_tracks_in_another_order_each_time(opened: Open) -> None:
    bench = opened(tracks=50, switches=Switches(order="shuffled_per_request"))
    first, second = bench.ids(), bench.ids()
    assert first != second
    assert set(first) == set(second) == set(bench.true_ids)


def test_a_page_cap_cuts_pages_whatever_is_asked(opened: Open) -> None:
    bench = opened(tracks=50, switches=Switches(page_cap=7))
    assert bench.ids(10, 50) == bench.true_ids[10:17]


def test_an_ignored_offset_answers_the_first_page_again(opened: Open) -> None:
    bench = opened(tracks=50, switches=Switches(ignore_offset=True))
    assert bench.ids(20, 10) == bench.ids(0, 10) == bench.true_ids[:10]


@pytest.mark.parametrize("path", [ALBUMS, PLAYLISTS])
@pytest.mark.parametrize(
    ("position", "asked"), [("honoured", slice(5, 12)), ("ignored", slice(None)), ("capped", slice(10))]
)
def test_albums_and_playlists_page_as_the_switch_says(opened: Open, path: str, position: Any, asked: slice) -> None:
    bench = opened(tracks=200, switches=Switches(paging=position))
    albums = bench.sandbox.favourite_albums(bench.user)
    true = albums if path == ALBUMS else bench.sandbox.favourite_playlists(bench.user)
    assert len(true) == 30
    assert bench.ids(5, 7, path) == true[asked]


def test_between_pages_somebody_can_favourite_or_unfavourite_at_the_front(opened: Open) -> None:
    bench = opened(tracks=100, switches=Switches(mutation="delete_front"))
    before = bench.true_ids
    assert bench.ids(0) == before[:50]
    assert bench.ids(50) == before[51:]
    bench.sandbox.switch(mutation="insert_front")
    assert bench.ids(50) == before[50:]
    assert [change.change for change in bench.sandbox.history(bench.user)] == ["removed", "added"]


def test_deleting_at_the_front_of_an_empty_list_and_adding_to_a_full_one_do_nothing(opened: Open) -> None:
    bench = opened(tracks=0, switches=Switches(mutation="delete_front"))
    assert bench.ids(1) == []
    bench.sandbox.switch(mutation="insert_front")
    bench.sandbox.set_favourites(bench.user, bench.sandbox.catalogue.track_ids)
    bench.ids(1)
    assert len(bench.true_ids) == len(bench.sandbox.catalogue.track_ids)


def test_each_user_has_a_list_of_its_own_and_the_token_tells_whose_is_asked(opened: Open) -> None:
    bench = opened(tracks=40, users=("ada", "bola"))
    bola = bench.sandbox.users["bola"]
    answer = bench.http.get(TRACKS, headers={"Authorization": f"Bearer {bola.access_token}"})
    assert [item["track_id"] for item in answer.json()["data"]] == bench.sandbox.favourites(bola)[:20]
    assert set(bench.sandbox.favourites("ada")) != set(bench.sandbox.favourites("bola"))


def test_a_position_that_does_not_exist_is_refused_with_those_that_do() -> None:
    make: Callable[..., Switches] = Switches
    with pytest.raises(ValueError, match="counts has no position 'half', only total, page, absent, wobbling"):
        make(counts="half")
    with pytest.raises(ValueError, match="dirt has no position 'mud'"):
        make(dirt={"mud"})


def test_answers_can_be_late(opened: Open) -> None:
    bench = opened(tracks=3, latency_seconds=0.2)
    assert bench.get().elapsed.total_seconds() >= 0.2
