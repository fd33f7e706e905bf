from __future__ import annotations

import time
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

from etl.sandbox import FAULTS, Fault, Switches, faults
from etl.sandbox.faults import AnswerFault, DeliveryFault
from tests.sandbox.client import TRACKS, USER, Open, SandboxClient

ANSWERS = {name: fault for name, fault in FAULTS.items() if isinstance(fault, AnswerFault)}
DELIVERIES = {name for name, fault in FAULTS.items() if isinstance(fault, DeliveryFault)}


def faulty(client: SandboxClient, fault: Fault | str) -> httpx.Response:
    client.sandbox.script([fault])
    return client.get(limit=50)


@pytest.mark.parametrize("name", [name for name in FAULTS if name not in (*DELIVERIES, "huge_body")])
def test_after_a_fault_the_next_answer_is_sound(opened: Open, name: str) -> None:
    client = opened(tracks=60)
    faulty(client, name)
    assert client.sandbox.requests[0].fault is not None
    assert client.ids() == client.true_ids[:50]


def test_a_script_is_followed_request_by_request(opened: Open) -> None:
    client = opened(tracks=60)
    client.sandbox.script(["http_500", None, faults.http(503)])
    client.sandbox.script(["empty_page"])
    assert client.get(USER).status_code == 200  # uses up no entry of the script
    answers = [client.get() for _ in range(5)]
    assert [answer.status_code for answer in answers] == [500, 200, 503, 200, 200]
    assert [len(answer.json().get("data") or ()) for answer in answers] == [0, 20, 0, 0, 20]


def test_an_unknown_fault_is_refused(opened: Open) -> None:
    with pytest.raises(ValueError, match="no fault 'flood', only empty_page, null_page"):
        opened(tracks=3).sandbox.script(["flood"])


def test_a_page_can_be_empty_or_null_in_mid_list(opened: Open) -> None:
    client = opened(tracks=60)
    assert faulty(client, "empty_page").json() == {"desc": None, "code": 0, "counts": 60, "data": []}
    assert faulty(client, "null_page").json()["data"] is None


@pytest.mark.parametrize(
    ("where", "kept"), [("end", [0, 1, 2, 3, 4, 5]), ("start", [4, 5, 6, 7, 8, 9]), ("middle", [0, 1, 2, 7, 8, 9])]
)
def test_a_short_page_misses_items_where_asked(opened: Open, where: Any, kept: list[int]) -> None:
    client = opened(tracks=10)
    answer = faulty(client, faults.short_page(4, where))
    assert [item["track_id"] for item in answer.json()["data"]] == [client.true_ids[index] for index in kept]
    assert faulty(client, faults.short_page(50, where)).json()["data"] == []


def test_a_repeated_page_is_the_one_before(opened: Open) -> None:
    client = opened(tracks=100)
    client.sandbox.script([None, "repeated_page"])
    assert client.ids(0) == client.ids(50)
    assert client.ids(50) == client.true_ids[50:]


def test_a_stale_page_is_from_before_the_last_changes(opened: Open) -> None:
    client = opened(tracks=5)
    before = client.true_ids
    for track_id in before[:3]:
        client.sandbox.unfavourite("ada", track_id)
    client.sandbox.script([faults.stale(2), faults.stale(99), faults.stale(0)])
    assert [client.ids() for _ in range(4)] == [before[1:], before, before[3:], before[3:]]


@pytest.mark.parametrize("name", [name for name in ANSWERS if name.startswith("http_")])
def test_an_http_error_has_its_status_and_header(opened: Open, name: str) -> None:
    answer = faulty(opened(tracks=3, switches=Switches(error_base=550_000)), name)
    fault = ANSWERS[name]
    assert answer.status_code == fault.status
    if isinstance(fault.retry_after, str | None):
        assert answer.headers.get("retry-after") == fault.retry_after
    if not answer.headers["content-type"].startswith("text/html"):
        assert answer.json()["code"] == 550_050


def test_an_unregistered_status_can_be_answered(opened: Open) -> None:
    assert faulty(opened(tracks=3), faults.http(599)).status_code == 599


def test_a_numeric_retry_after_is_sent_as_a_date(opened: Open) -> None:
    client = opened(tracks=3, now=lambda: datetime(2024, 5, 1, 12, tzinfo=UTC))
    retry_at = parsedate_to_datetime(faulty(client, faults.http(429, retry_after=90.0)).headers["retry-after"])
    assert retry_at == datetime(2024, 5, 1, 12, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize("name", [name for name, fault in ANSWERS.items() if fault.body is not None])
def test_a_wrong_body_is_answered_byte_for_byte(opened: Open, name: str) -> None:
    answer = faulty(opened(tracks=3), name)
    assert (answer.content, answer.status_code) == (ANSWERS[name].body, ANSWERS[name].status)


def test_a_huge_body_is_sound_and_may_be_abandoned(opened: Open) -> None:
    client = opened(tracks=3)
    content = faulty(client, "huge_body").content
    assert len(content) > 50 * 1024 * 1024
    assert content.startswith(b'{"desc":null,"code":0,"counts":1,"data":[{"track_id":1,')
    client.sandbox.script(["huge_body"])
    with client.http.stream("GET", TRACKS) as answer:
        next(answer.iter_bytes(1000))
    assert client.ids() == client.true_ids


def test_a_redirect_leads_to_itself_or_elsewhere(opened: Open) -> None:
    client = opened(tracks=60)
    client.sandbox.script(["redirect_same", None, "redirect_elsewhere"])
    followed = client.http.get(TRACKS, params={"offset": 3}, follow_redirects=True)
    assert followed.history[0].status_code == 302
    assert followed.json()["data"][0]["track_id"] == client.true_ids[3]
    assert client.get().headers["location"] == "http://elsewhere.example.invalid/favourite/v1/tracks"


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
def test_a_connection_breaks_off_and_the_next_works(
    opened: Open, fault: Fault | str, error: type[httpx.TransportError]
) -> None:
    client = opened(tracks=60)
    with pytest.raises(error):
        faulty(client, fault)
    assert client.ids() == client.true_ids[:50]


def test_a_truncated_answer_promises_all_and_sends_half(opened: Open) -> None:
    client = opened(tracks=60)
    client.sandbox.script(["truncated"])
    received = 0
    with client.http.stream("GET", TRACKS, params={"limit": 50}) as answer:
        promised = int(answer.headers["content-length"])
        with suppress(httpx.RemoteProtocolError):
            for chunk in answer.iter_raw():
                received += len(chunk)
    assert promised == len(client.get(limit=50).content)
    assert received == promised // 2


@pytest.mark.parametrize("name", ["stall", "stall_in_body"])
def test_a_stall_lasts_until_the_client_gives_up(opened: Open, name: str) -> None:
    client = opened(tracks=60)
    client.sandbox.script([name])
    with pytest.raises(httpx.ReadTimeout):
        client.http.get(TRACKS, params={"limit": 50}, timeout=httpx.Timeout(60, read=0.1))
    assert client.ids() == client.true_ids[:50]


def test_a_dripping_answer_comes_whole_but_slowly(opened: Open) -> None:
    client = opened(tracks=60)
    started = time.monotonic()
    assert len(faulty(client, faults.drip(0.4, pieces=8)).json()["data"]) == 50
    assert time.monotonic() - started >= 0.4
