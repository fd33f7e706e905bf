"""Pages, users, tracks by ids, headers and the switches that change them; the control path."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from etl.sandbox import FAULTS, SCENARIOS, RequestRecord, Sandbox, SandboxRequest, Switches
from tests.sandbox.service import BY_IDS, START, TRACKS, USER, Service


def test_a_page_holds_the_range_byte_for_byte() -> None:
    service = Service(tracks=120)
    assert service.ids(30, 50) == service.true_ids[30:80]
    assert service.ids(100, 50) == service.true_ids[100:]
    items = b",".join(map(service.sandbox.catalogue.item, service.true_ids[:20]))
    assert service.ask().reply.body == b'{"desc":null,"code":0,"counts":120,"data":[' + items + b"]}"
    assert b"X-Favsync-Sandbox: modelled-on-documentation\r\n" in service.ask("/nowhere").reply.head()


@pytest.mark.parametrize(
    ("switches", "query", "expected"),
    [
        ({}, {"limit": 0}, 1),
        ({}, {"limit": 51}, 50),
        ({}, {"offset": -1}, 20),
        ({"limit_out_of_range": "error"}, {"limit": 0}, (400, 10)),
        ({"limit_out_of_range": "error"}, {"limit": 51}, (400, 10)),
        ({"limit_out_of_range": "error"}, {"offset": -1}, (400, 10)),
        ({}, {"limit": "ten"}, (400, 10)),
        ({}, {"offset": "1.5"}, (400, 10)),
        ({}, {"offset": ""}, (400, 10)),
        ({}, {"offset": "9" * 30}, (400, 10)),
        ({}, {"offset": 70}, 0),
        ({"past_end": "null"}, {"offset": 70}, None),
        ({"past_end": "error"}, {"offset": 500}, (400, 11)),
        ({"page_cap": 7}, {"limit": 50}, 7),
        ({"malformed": {"single_as_object"}}, {"limit": 2}, 2),
    ],
)
def test_a_range_is_served_clamped_or_refused(
    switches: dict[str, Any], query: dict[str, Any], expected: object
) -> None:
    answer = Service(tracks=70, **switches).ask(**query)
    data = answer.json["data"]
    assert expected == (answer.refusal if answer.status != 200 else len(data) if data is not None else None)


def test_counts_and_order_follow_their_switches() -> None:
    service = Service(tracks=70)
    for position, expected in (("total", [70, 70]), ("page", [50, 20]), ("absent", [None, None])):
        service.sandbox.switch(counts=position)
        assert [service.ask(offset=offset, limit=50).json.get("counts") for offset in (0, 50)] == expected
    service = Service(tracks=5)
    new = service.sandbox.documented_track
    service.sandbox.favourite("ada", new)
    assert service.ids()[0] == new
    service.sandbox.switch(order="insertion", malformed={"single_as_object"})
    service.sandbox.unfavourite("ada", new)
    service.sandbox.favourite("ada", new)
    assert service.ask(offset=5).json["data"]["track_id"] == new
    service = Service(tracks=50, order="shuffled_per_request")
    first, second = service.ids(), service.ids()
    assert first != second
    assert set(first) == set(second) == set(service.true_ids)


def test_a_position_that_does_not_exist_is_refused() -> None:
    make: Callable[..., Switches] = Switches
    with pytest.raises(ValueError, match="counts has no position 'half', only total, page, absent, wobbling"):
        make(counts="half")
    with pytest.raises(ValueError, match="malformed has no position 'mud'"):
        make(malformed={"mud"})


def test_user_info_has_the_documented_fields() -> None:
    service = Service(tracks=3, latency_seconds=0.2)
    user, answer = service.sandbox.users["ada"], service.ask(USER)
    assert list(answer.json["data"]) == ["user_id", "user_name", "avatar", "region", "plan"]
    assert list(answer.json["data"].values())[:2] == [user.user_id, "ada"]
    assert answer.reply.delay_seconds == 0.2


def test_one_to_twenty_tracks_are_found_by_ids() -> None:
    service = Service(tracks=60)
    first, second, *others = service.sandbox.catalogue.track_ids[:21]
    assert len(service.ask(BY_IDS, ids=",".join(map(str, [first, *others]))).json["data"]) == 20
    for wrong in (",".join(map(str, [first, second, *others])), "", "7,x"):
        assert service.ask(BY_IDS, ids=wrong).refusal == (400, 10)
    for position, middle in (("dropped", []), ("null", [None])):
        service.sandbox.switch(unknown_ids=position)
        found = service.ask(BY_IDS, ids=f"{second},7,{first}").json["data"]
        assert [entry and entry["track_id"] for entry in found] == [second, *middle, first]
    service.sandbox.switch(unknown_ids="error")
    assert service.ask(BY_IDS, ids=f"{second},7").refusal == (404, 12)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        *[("GET", path, 404) for path in ("/", "/favourite/v1/albums", "/favourite/v1/tracks/", "/search/v1")],
        *[("POST", TRACKS, 405), ("PUT", BY_IDS, 405), ("HEAD", USER, 405), ("GET", "/oauth/token", 405)],
    ],
)
def test_other_paths_and_methods_are_refused(method: str, path: str, status: int) -> None:
    assert Sandbox(tracks=3).answer(SandboxRequest(method, path, {})).status == status


@pytest.mark.parametrize(
    ("switches", "headers", "refusal"),
    [
        ({}, {"app_id": ""}, (401, 1)),
        ({}, {"app_id": "another"}, (401, 1)),
        ({}, {"authorization": ""}, (401, 2)),
        ({}, {"authorization": "Basic abc"}, (401, 2)),
        ({}, {"authorization": "Bearer"}, (401, 2)),
        ({}, {"authorization": "unknown"}, (401, 2)),
        ({"bare_token": True}, {"authorization": "unknown"}, (401, 3)),
        ({}, {"authorization": "Bearer unknown"}, (401, 3)),
        ({"strict_headers": True}, {}, (415, 7)),
        ({"strict_headers": True}, {"content-type": "application/json"}, (200, -990_000)),
    ],
)
def test_headers_are_checked(switches: dict[str, Any], headers: dict[str, str], refusal: tuple[int, int]) -> None:
    assert Service(tracks=3, **switches).ask(headers=headers).refusal == refusal


def test_a_token_expires_or_is_revoked() -> None:
    service = Service(tracks=3, token_lifetime_seconds=60)
    service.now += timedelta(seconds=59)
    assert service.ask().status == 200
    service.now += timedelta(seconds=1)
    assert service.ask().refusal == (401, 4)
    service.use(service.sandbox.new_token("ada"))
    assert service.ask().status == 200
    service.sandbox.revoke_token(service.sandbox.users["ada"])
    assert service.ask().refusal == (401, 5)


@pytest.mark.parametrize("transport", ["http_envelope", "http_html", "ok_code"])
def test_a_refusal_travels_as_the_switch_says(transport: str) -> None:
    service = Service(tracks=3, error_transport=transport, error_base=770_000)
    answer = service.ask(headers={"app_id": ""})
    assert answer.status == (200 if transport == "ok_code" else 401)
    if transport == "http_html":
        assert answer.reply.content_type.startswith("text/html")
    else:
        assert answer.json == {"desc": "the header app_id is missing or unknown", "code": 770_001, "data": None}


@pytest.mark.parametrize(
    ("position", "status", "retry_after"), [("retry_after", 429, "7"), ("bare", 429, None), ("ok_code", 200, None)]
)
def test_every_third_request_is_throttled(position: str, status: int, retry_after: str | None) -> None:
    service = Service(tracks=3, throttling=position, retry_after="7")
    answers = [service.ask() for _ in range(6)]
    assert [answer.json["code"] for answer in answers] == [0, 0, 990_030] * 2
    assert (answers[2].status, answers[2].headers.get("Retry-After")) == (status, retry_after)


def test_requests_are_recorded_with_a_masked_token() -> None:
    service = Service(tracks=3)
    service.ask(offset=0, limit=50)
    service.ask("/nowhere", limit="x")
    page, nowhere = service.sandbox.requests
    assert (page.method, page.path, page.offset, page.limit) == ("GET", TRACKS, 0, 50)
    assert (page.status, page.user, page.number, page.fault, page.time) == (200, "ada", 1, None, START)
    assert (nowhere.status, nowhere.offset, nowhere.limit) == (404, None, None)
    assert page.token == service.sandbox.users["ada"].access_token[:4] + "…"


def test_a_failing_hook_is_answered_500_and_raised_at_exit() -> None:
    def fail(_: RequestRecord) -> None:
        raise AssertionError("seen in the hook")

    service = Service(tracks=3)
    service.sandbox.before_request = fail
    with pytest.raises(AssertionError, match="seen in the hook"), service.sandbox:
        assert service.ask().refusal == (500, 99)
    with pytest.raises(RuntimeError, match="outer"), service.sandbox:  # precedes the failure inside
        raise RuntimeError("outer")


def test_the_control_path_changes_lists_and_answers() -> None:
    service = Service(tracks=60, users=("ada", "bola"))
    first, second, *rest = service.true_ids
    assert service.post("/_sandbox/unfavourite", user="ada", track_id=second).json == {"user": "ada", "favourites": 59}
    assert service.post("/_sandbox/favourite", track_id=54230705, at=1).json["track_id"] == 54230705
    assert service.true_ids == [first, 54230705, *rest]
    assert service.post("/_sandbox/favourite").json["track_id"] == service.true_ids[0]
    assert len(service.sandbox.favourites("bola")) == 60
    service.post("/_sandbox/change", track_id=first, fields={"track_title": "ሰላም"})
    assert service.ask().json["data"][1]["track_title"] == "ሰላም"
    service.post("/_sandbox/play", scenario="page_cap", switches={"malformed": ["isrc_empty"]})
    assert len(service.ids()) == 20
    assert service.sandbox.switches.malformed == frozenset({"isrc_empty"})
    answer = service.post("/_sandbox/play", scenario="quiet", faults=["http_500", None, "empty_page"]).json
    assert (answer["scenario"], answer["faults"]) == ("quiet", 3)
    assert [service.ask().status for _ in range(2)] == [500, 200]
    assert service.ids() == []
    about = service.ask("/_sandbox/").json
    assert "modelled on the public documentation; nothing in it was recorded" in about["about"]
    assert about["users"]["bola"]["access_token"] == service.sandbox.users["bola"].access_token
    assert about["users"]["ada"]["favourites"] == service.true_ids
    assert (about["scenario"], about["switches"]["page_cap"], about["requests"]) == ("quiet", None, 5)
    assert (about["scenarios"], about["faults"]) == (dict(SCENARIOS), list(FAULTS))


@pytest.mark.parametrize(
    ("name", "body", "error"),
    [
        ("unfavourite", {}, "track_id is missing"),
        ("unfavourite", {"track_id": 7}, "Track 7 is no favourite of ada"),
        ("favourite", {"track_id": 7}, "no track 7"),
        ("favourite", {"track_id": "7"}, "Expected `int | null`"),
        ("favourite", {"id": 7}, "unknown field"),
        ("favourite", {"user": "eve", "track_id": 1}, "no user 'eve'"),
        ("change", {"track_id": 54230705}, "fields is missing"),
        ("play", {"scenario": "chaos"}, "no scenario 'chaos'"),
        ("play", {"faults": ["flood"]}, "no fault 'flood'"),
        ("play", {"switches": {"refesh": "none"}}, "no switch refesh"),
        ("play", {"switches": {"refresh": "sometimes"}}, "Invalid enum value"),
        ("explode", {}, "no such control"),
    ],
)
def test_a_wrong_order_is_refused_and_changes_nothing(name: str, body: dict[str, Any], error: str) -> None:
    service = Service(tracks=3)
    answer = service.post(f"/_sandbox/{name}", **body)
    assert answer.status == (404 if name == "explode" else 400)
    assert error in answer.json["error"]
    assert service.sandbox.history("ada") == []
