"""Services echo a marker token wherever they can; no error and no log line may show it."""

from __future__ import annotations

import logging
import pickle
import socket
import traceback
from collections.abc import Callable

import pytest

from etl.boomplay.http import HttpOptions
from etl.boomplay.oauth import EXCHANGE, TokenEndpoint
from etl.boomplay.payloads import Token
from etl.boomplay.redact import Secret, one_line, redacted
from etl.boomplay.tokens import AppToken, RefreshingToken, StaticToken
from etl.errors import CredentialsError, FavsyncError
from tests.boomplay.conftest import MARKER, Make
from tests.boomplay.service import Reply, Service, hang_up, reply

RAW = MARKER.encode()


def shown(error: BaseException | None) -> str:
    """Return all that an error can show: its words, and its traceback with the local variables of our own frames."""
    parts = []
    while error is not None:
        ours = error.__traceback__.tb_next if error.__traceback__ else None
        summary = traceback.StackSummary.extract(traceback.walk_tb(ours), capture_locals=True)
        parts += [str(error), repr(error), repr(vars(error)), *summary.format()]
        error = error.__cause__ or error.__context__
    return "\n".join(parts)


def cut_with_echo(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + RAW)
    hang_up(connection)


ECHOES: list[Reply] = [
    reply({"code": 1, "desc": f"bad token {MARKER}"}),
    reply({"code": 1, "desc": {"token": MARKER}}, status=403),
    reply({"code": 1, "desc": f"\x1b[1m{MARKER[:5]}\x00{MARKER[5:]}"}, status=403),
    reply({"error_description": f"Bearer {MARKER} expired"}, status=401),
    reply({"desc": MARKER}, status=500),
    reply({"desc": MARKER}, status=429),
    reply({"desc": MARKER}, status=429, Retry_After="4000"),
    reply(b"<html>" + RAW + b"</html>"),
    reply(RAW),
    reply({"code": MARKER}),
    reply({"code": 0, "data": {MARKER: MARKER}}),
    reply(status=302, Location=f"https://{MARKER.replace('/', '.').replace('=', '')}.evil.example/{MARKER}"),
    reply(status=302, Location=f"/{MARKER}"),
    reply(status=429, Retry_After=MARKER),
    b"HTTP/1.1 " + RAW + b"\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n" + RAW + b"\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + RAW + b"\r\n",
    reply(b"x", Content_Encoding=MARKER),
    cut_with_echo,
    hang_up,
]


@pytest.mark.parametrize("echo", ECHOES)
def test_no_error_and_no_log_line_shows_the_token(
    client: Make, service: Service, caplog: pytest.LogCaptureFixture, echo: Reply
) -> None:
    service.always = echo
    with caplog.at_level(logging.DEBUG), client() as boomplay:
        for ask in (lambda: boomplay.favourite_tracks(98), boomplay.user, lambda: boomplay.tracks([1])):
            with pytest.raises(FavsyncError) as caught:
                ask()
            texts = shown(caught.value) + repr(boomplay)
            assert MARKER not in texts
            assert MARKER.lower() not in texts.lower()
    logged = caplog.text + "".join(repr(record.args) + repr(record.__dict__) for record in caplog.records)
    assert MARKER not in logged
    assert any(f"Bearer {MARKER}" == request.headers["authorization"] for request in service.requests)


@pytest.mark.parametrize("echo", [reply({"code": 1, "desc": MARKER}), reply({"error": MARKER}, status=400), hang_up])
def test_no_error_of_a_token_endpoint_shows_a_secret(
    service: Service, options: Callable[..., HttpOptions], caplog: pytest.LogCaptureFixture, echo: Reply
) -> None:
    service.always = echo
    with (
        caplog.at_level(logging.DEBUG),
        TokenEndpoint(options(), MARKER) as with_secret,
        TokenEndpoint(options()) as endpoint,
    ):
        refreshing = RefreshingToken(endpoint, Token("old", None, MARKER), store=lambda _: None)
        asks = (
            AppToken(with_secret).token,
            lambda: refreshing.renew("old"),
            lambda: endpoint.ask(EXCHANGE, Secret(MARKER)),
        )
        for ask in asks:
            with pytest.raises(FavsyncError) as caught:
                ask()
            assert MARKER not in shown(caught.value)
    assert MARKER not in caplog.text
    assert all(RAW in request.body and MARKER not in request.target for request in service.requests)


def test_an_unsendable_token_is_not_shown(client: Make) -> None:
    for unsendable in (f"{MARKER}\r\nX: y", f"{MARKER}\u00fc"):
        with pytest.raises(CredentialsError) as caught:
            client(StaticToken(unsendable)).favourite_tracks(0)
        assert MARKER not in shown(caught.value)


def test_a_secret_is_a_string_that_hides_only_its_repr() -> None:
    secret = Secret(MARKER)
    assert (secret, f"{secret}", repr(secret), repr({"t": (secret,)})) == (MARKER, MARKER, "'***'", "{'t': ('***',)}")
    assert pickle.loads(pickle.dumps(secret)) == MARKER


def test_redaction_leaves_other_words_unchanged() -> None:
    assert redacted(f"a {MARKER}, {MARKER.upper()}!", [MARKER, "", "a"]) == "a ***, ***!"


def test_redaction_removes_a_truncated_secret() -> None:
    for length in range(4, len(MARKER)):
        assert redacted(f"bad token {MARKER[:length]}", [MARKER]) == "bad token ***"


def test_a_token_pasted_with_bearer_is_redacted(client: Make, service: Service) -> None:
    service.always = reply({"code": 1, "desc": "x" * 195 + MARKER})
    with pytest.raises(FavsyncError) as caught:
        client(StaticToken(f"Bearer {MARKER}")).favourite_tracks(0)
    assert str(caught.value).endswith("x***")


def test_foreign_text_becomes_one_printable_line() -> None:
    assert one_line("  a\r\nb\tc\x1b[2J\u202e\u200b\ud800\x00 \u00e9\u6f22 ") == "a  b c[2J \u00e9\u6f22"
    assert len(one_line("x" * 10**6)) == 200
