"""A marker token is planted, services echo it wherever they can, and everything that leaves is searched for it."""

from __future__ import annotations

import datetime
import ipaddress
import logging
import pickle
import socket
import ssl
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from etl.boomplay import connections, guard
from etl.boomplay.client import Boomplay
from etl.boomplay.oauth import TokenEndpoint
from etl.boomplay.payloads import Token
from etl.boomplay.redact import Secret, one_line, redacted
from etl.boomplay.tokens import AppToken, RefreshingToken, StaticToken
from etl.errors import ApiUnreachable, CredentialsError, FavsyncError, SettingsError
from tests.boomplay.conftest import MARKER
from tests.boomplay.service import FakeTime, Reply, Service, hang_up, listing, reply

Make = Callable[..., Boomplay]
RAW = MARKER.encode()


def shown(error: BaseException | None) -> str:
    """Return all that an error can show: its words, and its traceback with the local variables of our own frames."""
    told = []
    while error is not None:
        ours = error.__traceback__.tb_next if error.__traceback__ else None
        summary = traceback.StackSummary.extract(traceback.walk_tb(ours), capture_locals=True)
        told += [str(error), repr(error), repr(vars(error)), *summary.format()]
        error = error.__cause__ or error.__context__
    return "\n".join(told)


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
            told = shown(caught.value) + repr(boomplay)
            assert MARKER not in told
            assert MARKER.lower() not in told.lower()
    logged = caplog.text + "".join(repr(record.args) + repr(record.__dict__) for record in caplog.records)
    assert MARKER not in logged
    assert any(f"Bearer {MARKER}" == request.headers["authorization"] for request in service.requests)


@pytest.mark.parametrize("echo", [reply({"code": 1, "desc": MARKER}), reply({"error": MARKER}, status=400), hang_up])
def test_no_error_of_a_token_endpoint_shows_a_secret(
    service: Service, fake_time: FakeTime, caplog: pytest.LogCaptureFixture, echo: Reply
) -> None:
    service.always = echo
    with (
        caplog.at_level(logging.DEBUG),
        TokenEndpoint(api_url=service.url, app_id="a", app_secret=MARKER, timing=fake_time.timing) as with_secret,
        TokenEndpoint(api_url=service.url, app_id="a", timing=fake_time.timing) as endpoint,
    ):
        refreshing = RefreshingToken(endpoint, Token("old", None, MARKER), store=lambda _: None)
        asks = (
            AppToken(with_secret).token,
            lambda: refreshing.renew("old"),
            lambda: endpoint.exchanged(Secret(MARKER)),
        )
        for ask in asks:
            with pytest.raises(FavsyncError) as caught:
                ask()
            assert MARKER not in shown(caught.value)
    assert MARKER not in caplog.text
    assert all(RAW in request.body and MARKER not in request.target for request in service.requests)


def test_a_token_that_cannot_be_sent_is_not_shown_either(client: Make) -> None:
    for unsendable in (f"{MARKER}\r\nX: y", f"{MARKER}\u00fc"):
        with pytest.raises(CredentialsError) as caught:
            client(tokens=StaticToken(unsendable)).favourite_tracks(0)
        assert MARKER not in shown(caught.value)


def test_a_secret_is_a_string_that_hides_only_its_repr() -> None:
    secret = Secret(MARKER)
    assert (secret, f"{secret}", repr(secret), repr({"t": (secret,)})) == (MARKER, MARKER, "'***'", "{'t': ('***',)}")
    assert pickle.loads(pickle.dumps(secret)) == MARKER


def test_redaction_leaves_words_alone() -> None:
    assert redacted(f"a {MARKER}, {MARKER.upper()}!", [MARKER, "", "a"]) == "a ***, ***!"


def test_redaction_knows_a_secret_that_was_cut() -> None:
    for length in range(4, len(MARKER)):
        assert redacted(f"bad token {MARKER[:length]}", [MARKER]) == "bad token ***"


def test_a_pasted_bearer_hides_no_token_from_redaction(client: Make, service: Service) -> None:
    service.always = reply({"code": 1, "desc": "x" * 195 + MARKER})
    with pytest.raises(FavsyncError) as caught:
        client(tokens=StaticToken(f"Bearer {MARKER}")).favourite_tracks(0)
    assert str(caught.value).endswith("x***")


def test_foreign_text_becomes_one_printable_line() -> None:
    assert one_line("  a\r\nb\tc\x1b[2J\u202e\u200b\ud800\x00 \u00e9\u6f22 ") == "a  b c[2J \u00e9\u6f22"
    assert len(one_line("x" * 10**6)) == 200


# TLS and the environment


@pytest.fixture
def tls_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A service with a certificate of its own making, in ``own.pem``."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "own.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "key.pem").write_bytes(private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "own.pem", tmp_path / "key.pem")
    connections._trusted.cache_clear()
    running = Service(always=listing(1, 2), tls=context)
    yield running
    running.close()
    connections._trusted.cache_clear()


def test_a_certificate_that_nobody_vouches_for_is_refused_at_once(client: Make, tls_service: Service) -> None:
    boomplay = client(api_url=tls_service.url)
    with pytest.raises(ApiUnreachable, match=r"offset 98: .*no connection: .*CERTIFICATE_VERIFY_FAILED.*self-signed"):
        boomplay.favourite_tracks(98)
    assert (boomplay.requests, tls_service.requests) == (1, [])


def test_the_environment_names_other_ca_files_and_netrc_changes_nothing(
    client: Make, tls_service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "own.pem"))
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    boomplay = client(api_url=tls_service.url)
    assert boomplay.favourite_tracks(0) == boomplay.favourite_tracks(0)
    assert {request.headers["authorization"] for request in tls_service.requests} == {f"Bearer {MARKER}"}
    assert tls_service.connections == 1


def test_a_slow_answer_over_tls_is_waited_for_in_naps(
    client: Make, tls_service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "own.pem"))
    monkeypatch.setattr(guard, "NAP_SECONDS", 0.002)

    def slowly(connection: socket.socket) -> None:
        for part in (listing(1, 2)[:20], listing(1, 2)[20:70], listing(1, 2)[70:]):
            tls_service.is_closing.wait(0.02)
            connection.sendall(part)

    tls_service.always = slowly
    boomplay = client(api_url=tls_service.url)
    assert [item.track_id for item in boomplay.favourite_tracks(0).items] == [1, 2]
    assert boomplay.retries == 0


def test_a_missing_ca_file_is_a_matter_of_settings(client: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    connections._trusted.cache_clear()
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    with pytest.raises(SettingsError, match="CA file"):
        client(api_url="https://api.example.com")


def test_a_proxy_is_asked_for_a_tunnel_and_never_sees_the_token(
    client: Make, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", service.url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    service.always = reply(status=403)
    with pytest.raises(ApiUnreachable, match="no connection: 403 Because"):
        client(api_url="https://api.example.com", max_retries=0).favourite_tracks(0)
    (request,) = service.requests
    assert request.line == "CONNECT api.example.com:443 HTTP/1.1"
    assert MARKER not in repr(request)


@pytest.mark.parametrize("proxy", ["gopher://me:{}@proxy.example", "socks5://me:{}@host", "http://me:{}@host:port"])
def test_a_proxy_that_cannot_be_used_is_refused_without_its_password(
    client: Make, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("HTTPS_PROXY", proxy.format("hunter2"))
    with pytest.raises(SettingsError, match="proxy") as caught:
        client(api_url="https://api.example.com")
    assert "hunter2" not in shown(caught.value)


def test_plain_http_on_this_machine_never_takes_a_proxy(
    client: Make, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert client().favourite_tracks(0).items
