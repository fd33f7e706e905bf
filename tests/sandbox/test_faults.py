from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

from etl.sandbox import FAULTS, Fault, Switches, faults
from etl.sandbox.faults import AnswerFault, DeliveryFault, ListFault
from tests.sandbox.bench import ALBUMS, TRACKS, Bench, Open

LISTS = sorted(name for name, fault in FAULTS.items() if isinstance(fault, ListFault))
ANSWERS = sorted(name for name, fault in FAULTS.items() if isinstance(fault, AnswerFault))
DELIVERIES = sorted(name for name, fault in FAULTS.items() if isinstance(fault, DeliveryFault))


def broken(bench: Bench, fault: Fault | str) -> httpx.Response:
    bench.sandbox.script([fault])
    return bench.get(limit=50)


@pytest.mark.parametrize("name", [name for name in FAULTS if name not in (*DELIVERIES, "huge_body")])
def test_after_a_fault_the_next_answer_is_sound_again(opened: Open, name: str) -> None:
    bench = opened(tracks=60)
    broken(bench, name)
    assert bench.sandbox.requests[0].fault is not None
    assert bench.ids() == bench.true_ids[:50]


def test_a_script_is_followed_request_by_request_and_none_is_no_fault(opened: Open) -> None:
    bench = opened(tracks=60)
    bench.sandbox.script(["http_500", None, faults.http(503)])
    bench.sandbox.script(["empty_page"])
    answers = [bench.get() for _ in range(5)]
    assert [answer.status_code for answer in answers] == [500, 200, 503, 200, 200]
    assert [len(answer.json().get("data") or ()) for answer in answers] == [0, 20, 0, 0, 20]


def test_only_favourites_requests_use_up_the_script(opened: Open) -> None:
    bench = opened(tracks=3)
    bench.sandbox.script(["http_500"])
    assert bench.get("/user/getUserInfo").status_code == 200
    assert bench.http.get(TRACKS, headers={"app_id": ""}).status_code == 401
    assert bench.get(ALBUMS).status_code == 500


def test_an_unknown_fault_is_refused_with_those_that_exist(opened: Open) -> None:
    with pytest.raises(ValueError, match="no fault 'flood', only empty_page, null_page"):
        opened(tracks=3).sandbox.script(["flood"])


def test_an_empty_page_comes_in_the_middle_of_the_list(opened: Open) -> None:
    assert broken(opened(tracks=60), "empty_page").json() == {"desc": None, "code": 0, "counts": 60, "data": []}


def test_a_null_page_comes_in_the_middle_of_the_list(opened: Open) -> None:
    assert broken(opened(tracks=60), "null_page").json()["data"] is None


@pytest.mark.parametrize(
    ("where", "kept"), [("end", [0, 1, 2, 3, 4, 5]), ("start", [4, 5, 6, 7, 8, 9]), ("middle", [0, 1, 2, 7, 8, 9])]
)
def test_a_short_page_lacks_items_where_it_is_told_to(opened: Open, where: Any, kept: list[int]) -> None:
    bench = opened(tracks=10)
    answer = broken(bench, faults.short_page(4, where))
    assert [item["track_id"] for item in answer.json()["data"]] == [bench.true_ids[index] for index in kept]


def test_a_page_shorter_than_what_is_left_out_of_it_is_empty(opened: Open) -> None:
    bench = opened(tracks=2)
    for where in ("end", "start", "middle"):
        assert broken(bench, faults.short_page(5, where)).json()["data"] == []


def test_a_repeated_page_is_the_one_before_whatever_the_offset(opened: Open) -> None:
    bench = opened(tracks=100)
    bench.sandbox.script([None, "repeated_page"])
    assert bench.ids(0) == bench.ids(50)
    assert bench.ids(50) == bench.true_ids[50:]


def test_a_stale_page_is_from_before_the_last_changes(opened: Open) -> None:
    bench = opened(tracks=5)
    before = bench.true_ids
    for track_id in before[:3]:
        bench.sandbox.unfavourite("ada", track_id)
    bench.sandbox.script([faults.stale(2), faults.stale(99), faults.stale(0)])
    assert [bench.ids() for _ in range(4)] == [before[1:], before, before[3:], before[3:]]


@pytest.mark.parametrize("name", [name for name in ANSWERS if name.startswith("http_")])
def test_an_http_error_has_its_status_and_a_made_up_body(opened: Open, name: str) -> None:
    answer = broken(opened(tracks=3, switches=Switches(error_base=550_000)), name)
    assert answer.status_code == int(name.split("_")[1])
    if answer.headers["content-type"].startswith("text/html"):
        assert "made-up" in answer.text
    else:
        assert answer.json()["code"] == 550_050


def test_a_status_that_no_registry_knows_can_be_answered(opened: Open) -> None:
    assert broken(opened(tracks=3), faults.http(599)).status_code == 599


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("http_429", None),
        ("http_429_zero", "0"),
        ("http_429_seconds", "2"),
        ("http_429_hours", "74214"),
        ("http_429_nonsense", "soon"),
        ("http_503_seconds", "1"),
    ],
)
def test_retry_after_is_sent_as_told(opened: Open, name: str, text: str | None) -> None:
    assert broken(opened(tracks=3), name).headers.get("retry-after") == text


def test_retry_after_can_be_a_date_that_lies_ahead(opened: Open) -> None:
    bench = opened(tracks=3, now=lambda: datetime(2024, 5, 1, 12, tzinfo=UTC))
    retry_at = parsedate_to_datetime(broken(bench, faults.http(429, retry_after=90.0)).headers["retry-after"])
    assert retry_at == datetime(2024, 5, 1, 12, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize("name", [name for name in ANSWERS if isinstance(getattr(FAULTS[name], "body", None), bytes)])
def test_a_wrong_body_is_answered_byte_for_byte(opened: Open, name: str) -> None:
    fault = FAULTS[name]
    assert isinstance(fault, AnswerFault)
    answer = broken(opened(tracks=3), fault)
    assert (answer.content, answer.status_code) == (fault.body, fault.status)


def test_a_body_can_be_huge_and_sound(opened: Open) -> None:
    content = broken(opened(tracks=3), "huge_body").content
    assert len(content) > 50 * 1024 * 1024
    assert content.startswith(b'{"desc":null,"code":0,"counts":1,"data":[{"track_id":1,')
    assert content.endswith(b'"}]}')


def test_a_client_that_turns_away_from_a_huge_body_does_no_harm(opened: Open) -> None:
    bench = opened(tracks=3)
    bench.sandbox.script(["huge_body"])
    with bench.http.stream("GET", TRACKS) as answer:
        next(answer.iter_bytes(1000))
    assert bench.ids() == bench.true_ids


def test_a_redirect_leads_to_the_same_address_or_to_another_host(opened: Open) -> None:
    bench = opened(tracks=60)
    bench.sandbox.script(["redirect_same", None, "redirect_elsewhere"])
    followed = bench.http.get(TRACKS, params={"offset": 3}, follow_redirects=True)
    assert followed.history[0].status_code == 302
    assert followed.json()["data"][0]["track_id"] == bench.true_ids[3]
    assert bench.get().headers["location"] == "http://elsewhere.example.invalid/favourite/v1/tracks"


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("reset", httpx.ReadError),
        ("reset_at_once", httpx.ReadError),
        ("truncated", httpx.RemoteProtocolError),
        ("disconnect", httpx.RemoteProtocolError),
        (faults.stall(0.05), httpx.RemoteProtocolError),
        (faults.stall(0.05, share=0.5), httpx.RemoteProtocolError),
    ],
)
def test_a_connection_breaks_off_and_the_next_one_works(
    opened: Open, fault: Fault | str, error: type[httpx.TransportError]
) -> None:
    bench = opened(tracks=60)
    with pytest.raises(error):
        broken(bench, fault)
    assert bench.ids() == bench.true_ids[:50]


@pytest.mark.parametrize("name", ["reset", "truncated"])
def test_a_broken_off_answer_promised_the_whole_body_and_sent_half(opened: Open, name: str) -> None:
    bench = opened(tracks=60)
    bench.sandbox.script([name])
    received = 0
    with bench.http.stream("GET", TRACKS, params={"limit": 50}) as answer:
        assert answer.status_code == 200
        try:
            for chunk in answer.iter_raw():
                received += len(chunk)
        except httpx.TransportError:
            promised = int(answer.headers["content-length"])
    assert promised == len(bench.get(limit=50).content)
    assert received == promised // 2 or name == "reset"


@pytest.mark.parametrize("name", ["stall", "stall_in_body"])
def test_a_stall_lasts_until_the_client_gives_up(opened: Open, name: str) -> None:
    bench = opened(tracks=60)
    bench.sandbox.script([name])
    with pytest.raises(httpx.ReadTimeout):
        bench.http.get(TRACKS, params={"limit": 50}, timeout=httpx.Timeout(60, read=0.1))
    assert bench.ids() == bench.true_ids[:50]


def test_a_dripping_answer_comes_whole_but_slowly(opened: Open) -> None:
    bench = opened(tracks=60)
    started = time.monotonic()
    answer = broken(bench, faults.drip(0.4, pieces=8))
    assert len(answer.json()["data"]) == 50
    assert time.monotonic() - started >= 0.4
    assert bench.ids() == bench.true_ids[:50]


def test_each_delivery_is_among_those_tested() -> None:
    assert DELIVERIES == ["disconnect", "drip", "reset", "reset_at_once", "stall", "stall_in_body", "truncated"]
    assert LISTS == ["empty_page", "null_page", "repeated_page", "short_page", "stale"]


def test_the_wrong_shapes_are_wrong_in_different_ways() -> None:
    bodies = {name: fault.body for name, fault in FAULTS.items() if isinstance(fault, AnswerFault) and fault.body}
    assert json.loads(bodies["top_level_list"]) == []
    assert json.loads(bodies["code_1"])["code"] == 1
    for name in ("not_json", "not_utf8", "html_200"):
        with pytest.raises(ValueError, match=r".+"):
            json.loads(bodies[name])
