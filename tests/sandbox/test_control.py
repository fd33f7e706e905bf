from __future__ import annotations

from typing import Any

import pytest

from etl.sandbox import FAULTS, SCENARIOS
from tests.sandbox.client import Open, SandboxClient


def control(client: SandboxClient, name: str, **body: Any) -> dict[str, Any]:
    answer = client.post(f"/_sandbox/{name}", **body)
    assert answer.status_code == 200, answer.text
    posted: dict[str, Any] = answer.json()
    return posted


def test_the_root_shows_what_it_is_and_its_state(opened: Open) -> None:
    client = opened(tracks=3, users=("ada", "bola"), scenario="page_cap")
    client.get()
    about = client.get("/_sandbox/").json()
    assert "modelled on the public documentation; nothing in it was recorded" in about["about"]
    assert (about["app_id"], about["app_secret"]) == (client.sandbox.app_id, client.sandbox.app_secret)
    assert about["users"]["bola"]["access_token"] == client.sandbox.users["bola"].access_token
    assert about["users"]["ada"]["favourites"] == client.true_ids
    assert (about["scenario"], about["switches"]["page_cap"], about["requests"]) == ("page_cap", 20, 1)
    assert (about["scenarios"], about["faults"]) == (dict(SCENARIOS), list(FAULTS))


def test_favourites_can_be_added_and_removed(opened: Open) -> None:
    client = opened(tracks=3, users=("ada", "bola"))
    first, second, third = client.true_ids
    assert control(client, "unfavourite", user="ada", track_id=second) == {"user": "ada", "favourites": 2}
    assert control(client, "favourite", track_id=54230705, at=1)["track_id"] == 54230705
    assert client.true_ids == [first, 54230705, third]
    assert control(client, "favourite")["track_id"] == client.true_ids[0]
    assert len(client.sandbox.favourites("bola")) == 3


def test_a_track_can_be_changed(opened: Open) -> None:
    client = opened(tracks=2)
    control(client, "change", track_id=client.true_ids[0], fields={"track_title": "ሰላም"})
    assert client.get().json()["data"][0]["track_title"] == "ሰላም"


def test_scenario_faults_and_switches_can_be_set(opened: Open) -> None:
    client = opened(tracks=60)
    control(client, "play", scenario="page_cap", switches={"malformed": ["isrc_empty"]})
    assert len(client.ids()) == 20
    assert client.sandbox.switches.malformed == frozenset({"isrc_empty"})
    answer = control(client, "play", scenario="quiet", faults=["http_500", None, "empty_page"])
    assert (answer["scenario"], answer["faults"]) == ("quiet", 3)
    assert [client.get().status_code for _ in range(2)] == [500, 200]
    assert client.ids() == []


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
    ],
)
def test_a_wrong_order_is_refused_and_changes_nothing(
    opened: Open, name: str, body: dict[str, Any], error: str
) -> None:
    client = opened(tracks=3)
    answer = client.post(f"/_sandbox/{name}", **body)
    assert answer.status_code == 400
    assert error in answer.json()["error"]
    assert client.sandbox.history("ada") == []


def test_unknown_and_unreadable_orders_are_refused(opened: Open) -> None:
    client = opened(tracks=3)
    assert client.http.post("/_sandbox/favourite", content=b"{").status_code == 400
    answer = client.post("/_sandbox/explode")
    assert (answer.status_code, answer.json()["post"]) == (404, ["change", "favourite", "play", "unfavourite"])
    assert client.get("/_sandbox/favourite").status_code == 404
