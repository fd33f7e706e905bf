"""The dead man's switch."""

from __future__ import annotations

import threading

from werkzeug import Response

from etl.monitor.healthcheck_ping import HealthcheckPinger

URL = "https://hc.example.invalid/secret-id"


class Switch:
    """Remembers the pings."""

    def __init__(self) -> None:
        self.pings: list[tuple[str, str]] = []

    def send(self, url: str, words: str) -> None:
        self.pings.append((url, words))


def told(url: str, *ends: tuple[str, str | None], is_round: bool = False) -> list[str]:
    switch = Switch()
    pinger = HealthcheckPinger(url, switch.send, is_round=is_round)
    pinger.service_started()
    for account, reason in ends:
        pinger.started(account)
        pinger.ended(account, reason)
    pinger.close()
    return [ping.removeprefix(URL) for ping, _ in switch.pings]


def test_a_shared_switch_is_told_of_the_beginning_and_that_all_is_well() -> None:
    assert told(URL, ("ada", None)) == ["/start", ""]


def test_a_shared_switch_is_told_of_a_failure_at_once_and_of_success_only_when_no_account_fails() -> None:
    assert told(URL, ("ada", None), ("ben", "down"), ("ada", None), ("ben", None)) == ["/start", "", "/fail", ""]


def test_a_shared_switch_is_not_told_the_same_thing_for_every_one_of_a_thousand_accounts() -> None:
    assert told(URL, *((f"account {n}", None) for n in range(1000))) == ["/start", ""]


def test_a_round_is_told_at_its_end_and_as_a_success_only_where_no_account_failed() -> None:
    assert told(URL, ("ada", None), ("ben", None), is_round=True) == ["/start", ""]
    assert told(URL, ("ada", None), ("ben", "down"), ("cy", None), is_round=True) == ["/start", "/fail"]
    assert told(URL + "/{account}", ("ada", None), ("ben", "down"), is_round=True) == [
        "/ada/start", "/ada", "/ben/start", "/ben/fail",
    ]  # fmt: skip


def test_with_a_place_for_the_account_each_has_its_own_switch() -> None:
    found = told(URL + "-{account}/", ("ada b", None), ("ben", "down"))
    assert found == ["-ada%20b/start", "-ada%20b", "-ben/start", "-ben/fail"]


def test_the_ping_is_a_post_with_the_reason(httpserver) -> None:
    got = []

    def answer(request):
        got.append((request.path, request.method, request.get_data(as_text=True)))
        return Response("OK")

    for path in ("/x/start", "/x/fail"):
        httpserver.expect_request(path).respond_with_handler(answer)
    pinger = HealthcheckPinger(httpserver.url_for("/x"))
    pinger.service_started()
    pinger.ended("ada", "the token is dead")
    pinger.close()
    assert [each[:2] for each in got] == [("/x/start", "POST"), ("/x/fail", "POST")]
    assert got[1][2] == "ada: the token is dead"


def test_a_switch_that_is_out_of_order_fails_nothing_and_is_complained_of_once_without_its_address(capfd) -> None:
    def send(_url: str, _words: str) -> None:
        raise OSError(f"no route to {URL}")

    pinger = HealthcheckPinger(URL + "/{account}", send)
    for _ in range(3):
        pinger.ended("ada", None)
    pinger.close()
    said = capfd.readouterr().err
    assert said.count("cannot be reached") == 1
    assert "secret-id" not in said


def test_pings_that_pile_up_are_dropped() -> None:
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
