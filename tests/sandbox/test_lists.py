"""The true lists, and the services that are wrong about them in the same way at every request."""

from __future__ import annotations

from datetime import timedelta

import pytest

from etl.sandbox import WRONG_SERVICES, Distortion, Sandbox
from etl.sandbox.state import SandboxList, SandboxUser
from tests.sandbox.service import BY_IDS, START, USER, Service

HOUR = timedelta(hours=1)


@pytest.fixture
def service() -> Service:
    return Service(tracks=120, seed=3, token_lifetime_seconds=1e9)


def test_every_true_change_is_recorded_with_its_instant() -> None:
    hours = (START + hour * HOUR for hour in range(99))
    favourites = SandboxList(SandboxUser("ada", "id", "NG", "Free"), (1, 2, 3), lambda: next(hours))
    favourites.remove(2)
    favourites.move(3, 0)
    favourites.add(2, at=1)
    assert favourites.tracks == [3, 2, 1]
    assert favourites.history == [(START, "removed", 2), (START + HOUR, "moved", 3), (START + 2 * HOUR, "added", 2)]
    favourites.replace([2, 3, 4])
    assert {(change, track_id) for _, change, track_id in favourites.history[3:]} == {
        ("removed", 1),
        ("added", 4),
        ("moved", 2),
        ("moved", 3),
    }
    assert len({change.at for change in favourites.history[3:]}) == 1


def test_an_impossible_change_is_refused_and_changes_nothing() -> None:
    sandbox = Sandbox(tracks=5)
    before = sandbox.favourites("ada")
    with pytest.raises(ValueError, match="is a favourite of ada already"):
        sandbox.favourite("ada", before[0])
    with pytest.raises(ValueError, match="no favourite of ada"):
        sandbox.unfavourite("ada", sandbox.documented_track)
    with pytest.raises(ValueError, match="no favourite of ada"):
        sandbox.move_to_front("ada", sandbox.documented_track)
    with pytest.raises(ValueError, match="only once"):
        sandbox.set_favourites("ada", [before[0], before[0]])
    with pytest.raises(LookupError, match="no track 7"):
        sandbox.favourite("ada", 7)
    with pytest.raises(LookupError, match="no user 'eve', only ada"):
        sandbox.favourites("eve")
    with pytest.raises(ValueError, match="at least one user"):
        Sandbox(users=())
    assert sandbox.favourites("ada") == before
    assert sandbox.history("ada") == []


def bodies(scenario: str | None) -> list[bytes]:
    """Return the answers of a new service to the same requests."""
    service = Service(tracks=1100, seed=3, token_lifetime_seconds=1e9)
    service.sandbox.unfavourite("ada", service.true_ids[3])
    service.now += 3 * HOUR
    service.sandbox.play(scenario)
    service.sandbox.favourite("ada", service.sandbox.documented_track)
    answers = [service.ask(offset=offset, limit=50) for offset in range(0, 1100, 50)]
    service.sandbox.unfavourite("ada", service.true_ids[5])  # a cache does not show this
    answers += [service.ask(offset=offset, limit=50) for offset in (0, 50)]
    return [answer.reply.body for answer in [*answers, service.ask(USER)]]


@pytest.fixture(scope="module")
def right_bodies() -> list[bytes]:
    return bodies(None)


@pytest.mark.parametrize("name", WRONG_SERVICES)
def test_a_wrong_service_is_wrong_and_repeatable(name: str, right_bodies: list[bytes]) -> None:
    assert bodies(name) == bodies(name) != right_bodies


def test_a_window_serves_the_newest_only(service: Service) -> None:
    service.sandbox.distort(Distortion(window=100))
    assert service.all() == service.true_ids[:100]
    assert service.ask(offset=100).json == {"desc": None, "code": 0, "counts": 120, "data": []}
    service.sandbox.distort(Distortion(window=100, past_window="error", honest_counts=False))
    assert service.ask(offset=50).json["counts"] == 100
    assert service.ask(offset=100).status == 400
    service.sandbox.switch(counts="absent")
    assert "counts" not in service.ask(offset=50).json


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
    assert service.ask().json["counts"] == len(shown)
    service.now += HOUR
    assert service.all() == service.true_ids


def test_a_cache_serves_the_old_page_until_it_expires(service: Service) -> None:
    service.sandbox.distort(Distortion(cache_seconds=3600))
    before = service.ids()
    service.sandbox.unfavourite("ada", before[0])
    assert service.ids() == before
    assert service.ids(1) != before[1:]  # another address
    fresh = service.ids(**{"cache-control": "no-cache"})
    assert fresh == service.true_ids[:50] == service.ids()
    service.sandbox.unfavourite("ada", fresh[0])
    service.now += HOUR
    assert service.ids() == service.true_ids[:50]
    service.sandbox.distort(Distortion(cache_seconds=3600, honours_no_cache=False))
    before = service.ids()
    service.sandbox.unfavourite("ada", before[0])
    assert service.ids(**{"cache-control": "no-cache"}) == before


def test_replicas_lag_by_offset_in_turn_or_by_connection(service: Service) -> None:
    before = service.true_ids
    service.now += HOUR
    service.sandbox.set_favourites("ada", before[1:])
    service.now += HOUR / 2

    def shown(offset: int = 0) -> str:
        page = service.ids(offset)
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


def test_a_foreign_list_comes_with_or_without_user_info(service: Service) -> None:
    user_id = service.sandbox.users["ada"].user_id
    service.sandbox.distort(Distortion(foreign_list=True))
    foreign = service.all()
    assert len(foreign) == 120
    assert service.all() == foreign != service.true_ids
    assert service.ask(USER).json["data"]["user_id"] == user_id
    service.sandbox.distort(Distortion(foreign_list=True, user_info="other"))
    assert service.ask(USER).json["data"]["user_id"] != user_id
    service.sandbox.distort(Distortion(foreign_list=True, user_info="fails"))
    assert service.ask(USER).status == 500


def test_a_withdrawn_track_leaves_list_and_catalogue(service: Service) -> None:
    first, second, third, *rest = service.true_ids
    service.sandbox.withdraw_track(first)
    service.sandbox.withdraw_track(second, region="NG")
    service.sandbox.withdraw_track(third, region="GH")  # ada lives elsewhere
    assert service.true_ids == [third, *rest]
    found = service.ask(BY_IDS, ids=f"{first},{second}").json["data"]
    assert [item["track_id"] for item in found] == [second]
    assert "NG" not in found[0]["available_markets"].split(",")
    service.sandbox.restore_tracks()
    assert service.true_ids == [first, second, third, *rest]
