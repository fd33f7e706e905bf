from __future__ import annotations

from typing import Any

import pytest

from etl.sandbox import FAULTS, SCENARIOS
from tests.sandbox.bench import Bench, Open


def control(bench: Bench, name: str, **body: Any) -> dict[str, Any]:
    answer = bench.post(f"/_sandbox/{name}", **body)
    assert answer.status_code == 200, answer.text
    posted: dict[str, Any] = answer.json()
    return posted


def test_it_says_what_it_is_and_how_to_get_in(opened: Open) -> None:
    bench = opened(tracks=3, users=("ada", "bola"), scenario="page_cap")
    about = bench.get("/_sandbox/").json()
    assert "favsync's stand-in" in about["about"]
    assert "modelled on the public documentation; nothing in it was recorded" in about["about"]
    assert (about["app_id"], about["app_secret"]) == (bench.sandbox.app_id, bench.sandbox.app_secret)
    assert about["users"]["bola"]["access_token"] == bench.sandbox.users["bola"].access_token
    assert about["users"]["ada"]["favourites"] == 3
    assert (about["scenario"], about["switches"]["page_cap"]) == ("page_cap", 20)
    assert (about["scenarios"], about["faults"]) == (dict(SCENARIOS), list(FAULTS))


def test_a_list_can_be_changed_and_looked_at(opened: Open) -> None:
    bench = opened(tracks=4, users=("ada", "bola"))
    first, second, third, fourth = bench.true_ids
    assert control(bench, "unfavourite", user="ada", track_id=second) == {"user": "ada", "favourites": 3}
    control(bench, "move", user="ada", track_id=fourth)
    control(bench, "move", track_id=first, at=2)
    assert control(bench, "favourite", track_id=54230705, at=1)["track_id"] == 54230705
    wanted = [fourth, 54230705, third, first]
    assert bench.true_ids == wanted
    assert bench.get("/_sandbox/state", user="ada").json()["favourites"] == wanted
    control(bench, "set", track_ids=[first])
    assert bench.true_ids == [first]
    assert len(bench.sandbox.favourites("bola")) == 4


def test_a_favourite_without_a_track_is_some_track_that_is_none_yet(opened: Open) -> None:
    bench = opened(tracks=4)
    new = control(bench, "favourite")["track_id"]
    assert bench.true_ids[0] == new
    control(bench, "set", track_ids=list(bench.sandbox.catalogue.track_ids))
    assert "every track" in bench.post("/_sandbox/favourite").json()["error"]


def test_the_history_is_shown_with_instants(opened: Open) -> None:
    bench = opened(tracks=2)
    control(bench, "unfavourite", track_id=bench.true_ids[0])
    change = bench.get("/_sandbox/history").json()["history"][0]
    at, kind, track_id = bench.sandbox.history("ada")[0]
    assert change == {"at": at.isoformat().replace("+00:00", "Z"), "change": kind, "track_id": track_id}


def test_facts_of_a_track_can_be_changed(opened: Open) -> None:
    bench = opened(tracks=2)
    control(bench, "change", track_id=bench.true_ids[0], fields={"track_title": "ሰላም"})
    assert bench.get().json()["data"][0]["track_title"] == "ሰላም"


def test_scenario_and_faults_can_be_chosen(opened: Open) -> None:
    bench = opened(tracks=60)
    control(bench, "scenario", scenario="page_cap")
    assert len(bench.ids()) == 20
    control(bench, "scenario")
    assert control(bench, "script", faults=["http_500", None, "empty_page"]) == {"waiting": 3}
    assert [bench.get().status_code for _ in range(2)] == [500, 200]
    assert bench.ids() == []


def test_tokens_can_be_expired_and_revoked(opened: Open) -> None:
    bench = opened(tracks=2)
    control(bench, "expire")
    assert bench.refusal() == (401, 4)
    control(bench, "revoke", user="ada")
    assert bench.refusal() == (401, 5)


def test_requests_are_listed_without_those_to_the_control_path(opened: Open) -> None:
    bench = opened(tracks=2)
    bench.get(offset=1)
    bench.get("/_sandbox/state")
    (record,) = bench.get("/_sandbox/requests").json()["requests"]
    assert (record["path"], record["query"], record["status"]) == ("/favourite/v1/tracks", {"offset": "1"}, 200)
    assert record["token"].endswith("…")


@pytest.mark.parametrize(
    ("name", "body", "error"),
    [
        ("unfavourite", {}, "track_id is missing"),
        ("unfavourite", {"track_id": 7}, "track 7 is no favourite of ada"),
        ("favourite", {"track_id": 7}, "no track 7"),
        ("favourite", {"track_id": "7"}, "Expected `int | null`"),
        ("favourite", {"track_id": 54230705, "at": "front"}, "Expected `int | null`"),
        ("favourite", {"id": 7}, "unknown field"),
        ("set", {}, "track_ids is missing"),
        ("set", {"track_ids": [7]}, "no track 7"),
        ("change", {"track_id": 54230705}, "fields is missing"),
        ("move", {"user": "eve", "track_id": 1}, "no user 'eve'"),
        ("scenario", {"scenario": "chaos"}, "no scenario 'chaos'"),
        ("script", {"faults": ["flood"]}, "no fault 'flood'"),
    ],
)
def test_a_wrong_order_is_refused_with_the_reason_and_changes_nothing(
    opened: Open, name: str, body: dict[str, Any], error: str
) -> None:
    bench = opened(tracks=3)
    before = bench.true_ids
    answer = bench.post(f"/_sandbox/{name}", **body)
    assert answer.status_code == 400
    assert error in answer.json()["error"]
    assert bench.true_ids == before
    assert bench.sandbox.history("ada") == []


def test_orders_that_are_no_json_and_unknown_ones_are_refused(opened: Open) -> None:
    bench = opened(tracks=3)
    assert bench.http.post("/_sandbox/set", content=b"{").status_code == 400
    answer = bench.post("/_sandbox/explode")
    assert answer.status_code == 404
    assert "favourite" in answer.json()["post"]
    assert bench.get("/_sandbox/favourite").status_code == 404


def test_switches_are_turned_over_http_and_only_to_positions_that_exist(opened: Open) -> None:
    bench = opened(tracks=3)
    turned = control(bench, "switch", switches={"refresh": "rotating", "dirt": ["isrc_empty"], "latency_seconds": 0})
    assert (turned["switches"]["refresh"], bench.sandbox.switches.dirt) == ("rotating", frozenset({"isrc_empty"}))
    for wrong in ({"refresh": "sometimes"}, {"latency_seconds": "long"}, {"refesh": "none"}, {"dirt": ["mud"]}):
        assert bench.post("/_sandbox/switch", switches=wrong).status_code == 400
    assert bench.sandbox.switches.refresh == "rotating"


def test_another_token_is_given_for_as_long_as_is_asked(opened: Open) -> None:
    bench = opened(tracks=3, users=("ada", "bola"))
    before = bench.sandbox.users["bola"].access_token
    given = control(bench, "token", user="bola", lifetime_seconds=60)
    assert given["access_token"] == bench.sandbox.users["bola"].access_token != before
