"""Pings to a healthcheck."""

from __future__ import annotations

import threading

import pytest
from werkzeug import Response

from etl import clock
from etl.monitor.healthcheck_ping import HealthcheckPinger

URL = "https://hc.example.invalid/secret-id"


@pytest.fixture(autouse=True)
def _frozen_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "monotonic", lambda: 1_000.0)


def pings(url: str, *ends: tuple[str, str | None], is_round: bool = False) -> list[str]:
    sent: list[str] = []
    pinger = HealthcheckPinger(url, lambda url, _text: sent.append(url), is_round=is_round)
    pinger.service_started()
    for account, reason in ends:
        pinger.started(account)
        pinger.ended(account, reason)
    pinger.close()
    return [ping.removeprefix(URL) for ping in sent]


def test_a_shared_check_receives_start_and_success() -> None:
    assert pings(URL, ("ada", None)) == ["/start", ""]


def test_a_shared_check_succeeds_only_if_no_account_fails() -> None:
    assert pings(URL, ("ada", None), ("ben", "down"), ("ada", None), ("ben", None)) == ["/start", "", "/fail", ""]


def test_a_shared_check_receives_the_same_result_once() -> None:
    assert pings(URL, *((f"account {n}", None) for n in range(1000))) == ["/start", ""]


def test_a_round_reports_once_when_it_ends() -> None:
    assert pings(URL, ("ada", None), ("ben", None), is_round=True) == ["/start", ""]
    assert pings(URL, ("ada", None), ("ben", "down"), ("cy", None), is_round=True) == ["/start", "/fail"]
    assert pings(URL + "/{account}", ("ada", None), ("ben", "down"), is_round=True) == [
        "/ada/start", "/ada", "/ben/start", "/ben/fail",
    ]  # fmt: skip


def test_a_placeholder_makes_a_check_for_each_account() -> None:
    found = pings(URL + "-{account}/", ("ada b", None), ("ben", "down"))
    assert found == ["-ada%20b/start", "-ada%20b", "-ben/start", "-ben/fail"]


def test_a_ping_is_a_post_with_the_reason(httpserver) -> None:
    got = []

    def answer(request):
        got.append((request.path, request.method, request.get_data(as_text=True)))
        return Response("OK")

    for path in ("/x/start", "/x/fail"):
        httpserver.expect_request(path).respond_with_handler(answer)
    pinger = HealthcheckPinger(httpserver.url_for("/x"))
    pinger.service_started()
    pinger.ended("ada", "the sign-in is dead")
    pinger.close()
    assert [each[:2] for each in got] == [("/x/start", "POST"), ("/x/fail", "POST")]
    assert got[1][2] == "ada: the sign-in is dead"


def test_failing_pings_are_logged_once_without_the_url(capfd) -> None:
    def send(_url: str, _words: str) -> None:
        raise OSError(f"no route to {URL}")

    pinger = HealthcheckPinger(URL + "/{account}", send)
    for _ in range(3):
        pinger.ended("ada", None)
    pinger.close()
    said = capfd.readouterr().err
    assert said.count("healthcheck ping failed") == 1
    assert "secret-id" not in said


def test_pings_are_dropped_while_the_queue_is_full() -> None:
    gate, sent = threading.Event(), list[str]()

    def slow(url: str, _body: str) -> None:
        gate.wait()
        sent.append(url)

    pinger = HealthcheckPinger(URL + "/{account}", slow)
    for _ in range(3000):
        pinger.ended("ada", None)
    gate.set()
    pinger.close()
    assert 0 < len(sent) < 3000
