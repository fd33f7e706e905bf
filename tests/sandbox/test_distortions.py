from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from etl.sandbox import WRONG_SERVICES, Distortion, Sandbox, SandboxReply, SandboxRequest
from tests.sandbox.client import BY_IDS, TRACKS, USER

HOUR = timedelta(hours=1)


@dataclass
class Service:
    """A sandbox that is asked without sockets and whose clock the test moves."""

    tracks: int = 120
    now: datetime = datetime(2024, 5, 1, tzinfo=UTC)
    connection: int = 1
    sandbox: Sandbox = field(init=False)

    def __post_init__(self) -> None:
        self.sandbox = Sandbox(tracks=self.tracks, seed=3, now=lambda: self.now)
        self.sandbox.switch(token_lifetime_seconds=1e9)
        self.token = self.sandbox.new_token("ada")

    def ask(self, path: str, **headers: str) -> SandboxReply:
        headers |= {"app_id": self.sandbox.app_id, "authorization": f"Bearer {self.token}"}
        return self.sandbox.answer(SandboxRequest("GET", path, headers, connection=self.connection))

    def page(self, offset: int = 0, **headers: str) -> list[int]:
        return [int(item["track_id"]) for item in self.answer(offset, **headers)["data"]]

    def answer(self, offset: int = 0, **headers: str) -> Any:
        reply = self.ask(f"{TRACKS}?offset={offset}&limit=50", **headers)
        assert reply.status == 200, reply.body
        return json.loads(reply.body)

    def all(self) -> list[int]:
        return [track_id for offset in range(0, self.tracks, 50) for track_id in self.page(offset)]

    @property
    def true_ids(self) -> list[int]:
        return self.sandbox.favourites("ada")


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.mark.parametrize("name", WRONG_SERVICES)
def test_a_wrong_service_is_wrong_and_repeatable(name: str) -> None:
    def bodies(scenario: str | None) -> list[bytes]:
        service = Service(tracks=1100)
        service.sandbox.unfavourite("ada", service.true_ids[3])
        service.now += timedelta(hours=3)
        service.sandbox.play(scenario)
        service.sandbox.favourite("ada", service.sandbox.documented_track)
        answers = [service.ask(f"{TRACKS}?offset={offset}&limit=50") for offset in range(0, 1100, 50)]
        service.sandbox.unfavourite("ada", service.true_ids[5])  # a cache does not show this
        answers += [service.ask(f"{TRACKS}?offset={offset}&limit=50") for offset in (0, 50)]
        return [answer.body for answer in [*answers, service.ask(USER)]]

    assert bodies(name) == bodies(name) != bodies(None)


def test_a_window_serves_the_newest_only(service: Service) -> None:
    service.sandbox.distort(Distortion(window=100))
    assert service.all() == service.true_ids[:100]
    assert service.answer(100) == {"desc": None, "code": 0, "counts": 120, "data": []}
    service.sandbox.distort(Distortion(window=100, past_window="error", honest_counts=False))
    assert service.answer(50)["counts"] == 100
    assert service.ask(f"{TRACKS}?offset=100&limit=50").status == 400
    service.sandbox.switch(counts="absent")
    assert "counts" not in service.answer(50)


@pytest.mark.parametrize("kind", ["artist", "album"])
def test_a_hidden_label_loses_all_its_tracks_for_a_time(service: Service, kind: str) -> None:
    service.sandbox.distort(
        Distortion(hidden=kind, begins_after_seconds=60, lasts_seconds=3600, honest_counts=False)  # type: ignore[arg-type]
    )
    assert service.all() == service.true_ids
    service.now += timedelta(seconds=60)
    shown = service.all()
    hidden = set(service.true_ids) - set(shown)
    assert 0.15 * 120 < len(hidden) < 0.3 * 120
    fields = service.sandbox.catalogue.fields

    def label(track_id: int) -> int:
        found = fields(track_id)
        return int(found["album_id"] if kind == "album" else found["artists"][0]["artist_id"])

    assert not {label(track_id) for track_id in hidden} & {label(track_id) for track_id in shown}
    assert service.answer()["counts"] == len(shown)
    service.now += HOUR
    assert service.all() == service.true_ids


def test_creeping_hides_more_tracks_each_hour(service: Service) -> None:
    service.sandbox.distort(Distortion(hidden="creeping", hidden_per_hour=10, lasts_seconds=4 * 3600))
    lists = []
    for _ in range(5):
        lists.append(set(service.all()))
        service.now += HOUR
    assert [len(shown) for shown in lists] == [110, 100, 90, 80, 120]
    assert lists[0] > lists[1] > lists[2] > lists[3]


def test_a_filter_after_the_slice_makes_pages_short(service: Service) -> None:
    service.sandbox.distort(Distortion(hidden="album", hides_after_slice=True))
    pages = [service.page(offset) for offset in (0, 50, 100)]
    assert all(set(page) < set(service.true_ids[n * 50 :][:50]) for n, page in enumerate(pages))


def test_a_cache_serves_the_old_page_until_it_expires(service: Service) -> None:
    service.sandbox.distort(Distortion(cache_seconds=3600))
    before = service.page()
    service.sandbox.unfavourite("ada", before[0])
    assert service.page() == before
    assert service.page(1) != before[1:]  # another address
    fresh = service.page(**{"cache-control": "no-cache"})
    assert fresh == service.true_ids[:50] == service.page()
    service.sandbox.unfavourite("ada", fresh[0])
    service.now += HOUR
    assert service.page() == service.true_ids[:50]


def test_a_stubborn_cache_ignores_no_cache(service: Service) -> None:
    service.sandbox.distort(Distortion(cache_seconds=3600, honours_no_cache=False))
    before = service.page()
    service.sandbox.unfavourite("ada", before[0])
    assert service.page(**{"cache-control": "no-cache"}) == before


def test_replicas_lag_by_offset_in_turn_or_by_connection(service: Service) -> None:
    before = service.true_ids
    service.now += HOUR
    service.sandbox.set_favourites("ada", before[1:])
    service.now += HOUR / 2

    def shown(offset: int = 0) -> str:
        page = service.page(offset)
        return "old" if page == before[offset : offset + 50] else "new" if page == before[1:][offset:][:50] else "?"

    service.sandbox.distort(Distortion(replicas="in_turn"))
    assert {(shown(), shown()) for _ in range(3)} in ({("old", "new")}, {("new", "old")})
    service.sandbox.distort(Distortion(replicas="by_offset"))
    by_offset = [shown(offset) for offset in (0, 50, 100)]
    assert by_offset == [shown(offset) for offset in (0, 50, 100)]
    assert set(by_offset) == {"old", "new"}
    service.sandbox.distort(Distortion(replicas="page"))
    assert sorted(shown(offset) for offset in (0, 50, 100)) == ["new", "new", "old"]
    service.sandbox.distort(Distortion(replicas="sticky"))
    seen = set()
    for service.connection in range(12):
        kinds = {shown(offset) for offset in (0, 50, 100)}
        assert len(kinds) == 1
        seen |= kinds
    assert seen == {"old", "new"}
    service.now += 2 * HOUR
    assert {shown(offset) for offset in (0, 50, 100)} == {"new"}


def test_items_flap_and_a_cut_stays(service: Service) -> None:
    service.sandbox.distort(Distortion(flapping_share=0.1))
    lists = [set(service.all()) for _ in range(9)]
    assert len({frozenset(shown) for shown in lists}) > 1
    assert len(set.intersection(*lists)) > 90
    service.sandbox.distort(Distortion(ends_early=0.2, honest_counts=False))
    assert service.all() == service.all() == service.true_ids[:96]


def test_a_foreign_list_comes_with_or_without_user_info(service: Service) -> None:
    user_id = service.sandbox.users["ada"].user_id
    service.sandbox.distort(Distortion(foreign_list=True))
    foreign = service.all()
    assert len(foreign) == 120
    assert service.all() == foreign != service.true_ids
    assert json.loads(service.ask(USER).body)["data"]["user_id"] == user_id
    service.sandbox.distort(Distortion(foreign_list=True, user_info="other"))
    assert json.loads(service.ask(USER).body)["data"]["user_id"] != user_id
    service.sandbox.distort(Distortion(foreign_list=True, user_info="fails"))
    assert service.ask(USER).status == 500


def test_deep_pages_are_refused() -> None:
    service = Service(tracks=1100)
    service.sandbox.play("deep_pages_refused")
    assert service.page(950) == service.true_ids[950:1000]
    assert service.ask(f"{TRACKS}?offset=1000&limit=50").status == 400


def test_duplicates_stay_at_their_places(service: Service) -> None:
    service.sandbox.distort(Distortion(duplicates=3))
    first = [track_id for offset in (0, 50, 100) for track_id in service.page(offset)]
    assert (len(first), len(set(first))) == (123, 120)
    assert first == [track_id for offset in (0, 50, 100) for track_id in service.page(offset)]


def test_entries_can_have_float_ids_or_be_unreadable(service: Service) -> None:
    service.sandbox.play("float_ids")
    assert b'"track_id":%d.0,' % service.true_ids[0] in service.ask(TRACKS).body
    service.sandbox.play("null_entries")
    assert service.answer()["data"].count(None) + service.answer(50)["data"].count(None) > 0
    service.sandbox.play("unreadable_list")
    assert sum("track_id" in item for item in service.answer()["data"]) < 25
    service.sandbox.play("one_item_pages")
    assert service.page(7) == [service.true_ids[7]]


def test_a_withdrawn_track_leaves_list_and_catalogue(service: Service) -> None:
    first, second, *rest = service.true_ids
    service.sandbox.withdraw_track(first)
    service.sandbox.withdraw_track(second, region="NG")
    assert service.true_ids == rest
    found = json.loads(service.ask(f"{BY_IDS}?ids={first},{second}").body)["data"]
    assert [item["track_id"] for item in found] == [second]
    assert "NG" not in found[0]["available_markets"].split(",")
    service.sandbox.restore_track(second)
    service.sandbox.restore_track(first)
    assert service.true_ids == [first, second, *rest]


def test_a_track_withdrawn_elsewhere_stays(service: Service) -> None:
    before = service.true_ids
    service.sandbox.withdraw_track(before[0], region="GH")
    assert service.true_ids == before
