from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from etl.sandbox import RequestRecord, Sandbox
from tests.sandbox.client import TRACKS, Open, status_and_code


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox(tracks=5)


def test_every_true_change_is_recorded_with_its_instant() -> None:
    hours = iter(datetime(2024, 5, 1, tzinfo=UTC) + timedelta(hours=hour) for hour in range(99))
    sandbox = Sandbox(tracks=3, now=lambda: next(hours))
    first, second, third = sandbox.favourites("ada")
    sandbox.unfavourite("ada", second)
    sandbox.move_to_front("ada", third)
    sandbox.favourite("ada", second, at=1)
    assert sandbox.favourites("ada") == [third, second, first]
    changes = sandbox.history("ada")
    assert [(change, track_id) for _, change, track_id in changes] == [
        ("removed", second),
        ("moved", third),
        ("added", second),
    ]
    assert sorted({change.at for change in changes}) == [change.at for change in changes]


def test_setting_the_list_records_all_three_changes(sandbox: Sandbox) -> None:
    first, second, third, fourth, fifth = sandbox.favourites("ada")
    sandbox.set_favourites("ada", [second, first, third, fifth, sandbox.documented_track])
    assert {(change, track_id) for _, change, track_id in sandbox.history("ada")} == {
        ("removed", fourth),
        ("added", sandbox.documented_track),
        ("moved", first),
        ("moved", second),
    }
    assert len({change.at for change in sandbox.history("ada")}) == 1


def test_an_impossible_change_is_refused_and_changes_nothing(sandbox: Sandbox) -> None:
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
    assert sandbox.favourites("ada") == before
    assert sandbox.history("ada") == []


def test_the_hook_may_change_the_list_between_requests(opened: Open) -> None:
    client = opened(tracks=100)
    before = client.true_ids
    seen: list[int | None] = []

    def remove_first(record: RequestRecord) -> None:
        seen.append(record.offset)
        if record.offset == 50:
            client.sandbox.unfavourite("ada", before[0])

    client.sandbox.before_request = remove_first
    assert client.ids(0) == before[:50]
    assert client.ids(50) == before[51:]
    assert seen == [0, 50]


def test_a_failing_hook_is_answered_500_and_raised_at_exit() -> None:
    def fail(_: RequestRecord) -> None:
        raise AssertionError("seen in the hook")

    def fail_inside() -> None:
        with Sandbox(tracks=3) as sandbox:
            sandbox.before_request = fail
            headers = {"app_id": sandbox.app_id, "Authorization": f"Bearer {sandbox.users['ada'].access_token}"}
            answers.append(httpx.get(sandbox.url + TRACKS, headers=headers, trust_env=False, verify=False))

    answers: list[httpx.Response] = []
    with pytest.raises(AssertionError, match="seen in the hook"):
        fail_inside()
    assert status_and_code(answers[0]) == (500, 99)


def test_an_error_of_the_caller_precedes_the_hooks() -> None:
    def fail_twice() -> None:
        with Sandbox(tracks=3) as sandbox:
            sandbox.failures.append(AssertionError("inner"))
            raise RuntimeError("outer")

    with pytest.raises(RuntimeError, match="outer"):
        fail_twice()


def test_changed_fields_of_a_track_are_served_at_once(opened: Open) -> None:
    client = opened(tracks=3)
    track_id = client.true_ids[1]
    before = client.get().json()["data"][1]
    client.sandbox.change_track(track_id, track_title="Ìfẹ́ (2024)", genres="Fuji")
    after = client.get().json()["data"][1]
    assert after == before | {"track_title": "Ìfẹ́ (2024)", "genres": "Fuji"}
    assert list(after) == list(before)
    client.sandbox.change_track(track_id, genres="Juju")
    assert client.get().json()["data"][1]["track_title"] == "Ìfẹ́ (2024)"


def test_raw_bytes_are_served_even_for_an_unknown_track(opened: Open) -> None:
    client = opened(tracks=2)
    client.sandbox.set_raw_item(1, b'{"track_id": 1e0,  "track_title": "\\ud83d"}')
    client.sandbox.favourite("ada", 1)
    assert b'"data":[{"track_id": 1e0,  "track_title": "\\ud83d"},{' in client.get().content
    with pytest.raises(LookupError):
        client.sandbox.change_track(1, track_title="no catalogue entry")


def test_requests_are_recorded_with_a_masked_token(opened: Open) -> None:
    client = opened(tracks=3)
    client.get(offset=0, limit=50)
    client.get("/nowhere")
    page, nowhere = client.sandbox.requests
    assert (page.method, page.path, page.offset, page.limit) == ("GET", "/favourite/v1/tracks", 0, 50)
    assert (page.status, page.user, page.number, page.fault) == (200, "ada", 1, None)
    assert page.time.tzinfo == UTC
    assert (nowhere.status, nowhere.offset) == (404, None)
    token = client.sandbox.users["ada"].access_token
    assert page.token == token[:4] + "…"


def test_a_sandbox_without_users_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one user"):
        Sandbox(users=())
