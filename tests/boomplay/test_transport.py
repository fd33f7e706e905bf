"""Connections: TLS, proxies, cookies, codings, deadlines and fresh connections."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from etl.boomplay.transport import service_url
from etl.errors import ApiRefused, ApiUnreachable, SettingsError
from tests.boomplay.conftest import MARKER, Make
from tests.boomplay.service import FakeTime, Service, listing, reply
from tests.support.tls import self_signed


@pytest.fixture
def tls_service(tmp_path: Path) -> Iterator[Service]:
    """A service with a self-signed certificate, in ``server.pem``."""
    running = Service(always=listing(1, 2), tls=self_signed(tmp_path, "127.0.0.1")[1])
    yield running
    running.close()


def test_an_untrusted_certificate_is_refused_without_retries(client: Make, tls_service: Service) -> None:
    boomplay = client(api_url=tls_service.url)
    with pytest.raises(ApiUnreachable, match=r"offset 98: .*no connection: .*CERTIFICATE_VERIFY_FAILED.*self-signed"):
        boomplay.favourite_tracks(98)
    assert (boomplay.requests, tls_service.requests) == (1, [])


def test_ssl_cert_file_applies_and_netrc_does_not(
    client: Make, tls_service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    boomplay = client(api_url=tls_service.url)
    assert boomplay.favourite_tracks(0) == boomplay.favourite_tracks(0)
    assert {request.headers["authorization"] for request in tls_service.requests} == {f"Bearer {MARKER}"}
    assert tls_service.connections == 1


def test_a_missing_ca_file_is_a_settings_error(client: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    with pytest.raises(SettingsError, match="CA file"):
        client(api_url="https://api.example.com")


def test_a_proxy_opens_a_tunnel_and_sees_no_token(
    client: Make, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", service.url)
    service.always = reply(status=403)
    with pytest.raises(ApiUnreachable, match="no connection: 403 Because"):
        client(api_url="https://api.example.com", max_retries=0).favourite_tracks(0)
    (request,) = service.requests
    assert request.line == "CONNECT api.example.com:443 HTTP/1.1"
    assert MARKER not in repr(request)


def test_no_proxy_excludes_the_service(client: Make, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", service.url)
    monkeypatch.setenv("NO_PROXY", "api.invalid")
    with pytest.raises(ApiUnreachable, match="no connection"):
        client(api_url="https://api.invalid", max_retries=0).favourite_tracks(0)
    assert service.requests == []


@pytest.mark.parametrize("proxy", ["gopher://me:{}@proxy.example", "socks5://me:{}@host", "http://me:{}@host:port"])
def test_an_unusable_proxy_is_refused_without_its_password(
    client: Make, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.format("hunter2"))
    with pytest.raises(SettingsError, match="proxy") as caught:
        client(api_url="https://api.example.com")
    assert "hunter2" not in str(caught.value)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_plain_http_to_this_machine_uses_no_proxy(
    client: Make, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert client().favourite_tracks(0).items


def test_no_cookie_is_kept(client: Make, service: Service) -> None:
    service.answers(reply({"code": 0, "data": []}, Set_Cookie="session=1; Path=/"))
    for _ in range(2):
        client().favourite_tracks(0)
    assert "cookie" not in service.requests[1].headers


def test_clients_of_one_service_share_connections(client: Make, service: Service) -> None:
    first, second = client(), client(app_id="app-2")
    first.favourite_tracks(0)
    first.close()
    second.favourite_tracks(0)
    assert (service.connections, first.requests, second.requests) == (1, 1, 1)


def test_a_fresh_client_bypasses_connections_and_caches(client: Make, service: Service) -> None:
    boomplay = client()
    boomplay.favourite_tracks(0)
    service.answers(reply(status=503))
    with boomplay.fresh() as fresh:
        page = fresh.favourite_tracks(0)
        fresh.favourite_tracks(50)
    boomplay.favourite_tracks(0)
    assert [item.track_id for item in page.items] == [1, 2]
    assert [request.headers.get("cache-control") for request in service.requests] == [None, *["no-cache"] * 3, None]
    assert service.connections == 2
    assert (boomplay.requests, boomplay.retries) == (fresh.requests, fresh.retries) == (5, 1)


def test_a_client_that_is_closed_closes_its_fresh_one(client: Make, service: Service) -> None:
    boomplay = client()
    with boomplay.fresh() as fresh:
        boomplay.close()
        with pytest.raises(ApiUnreachable, match="stopped"):
            fresh.favourite_tracks(0)
    assert service.requests == []


def test_an_answer_after_the_deadline_is_refused(client: Make, service: Service, fake_time: FakeTime) -> None:
    def answer_late(connection: socket.socket) -> None:
        fake_time.elapsed += 31
        connection.sendall(listing(1, 2))

    service.answers(answer_late)
    boomplay = client(max_retries=0)
    with pytest.raises(ApiUnreachable, match=r"offset 98: .*no complete answer within 30 s"):
        boomplay.favourite_tracks(98)
    assert boomplay.favourite_tracks(0).items


def test_redirects_share_one_deadline(client: Make, service: Service, fake_time: FakeTime) -> None:
    def redirect_late(connection: socket.socket) -> None:
        fake_time.elapsed += 31
        connection.sendall(reply(status=302, Location="/again"))

    service.answers(redirect_late)
    with pytest.raises(ApiUnreachable, match="no complete answer within 30 s"):
        client(max_retries=0).favourite_tracks(98)
    assert len(service.requests) == 1


def test_a_silent_server_is_left_after_the_timeout(client: Make, service: Service) -> None:
    client().favourite_tracks(0)  # a connection for the next request, which then can fail in no other way
    service.respond = lambda request: b""
    with pytest.raises(ApiUnreachable, match=r"offset 98: .*no complete answer within 0\.05 s"):
        client(timeout_seconds=0.05, max_retries=0).favourite_tracks(98)


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_the_status_counts_if_an_error_body_is_broken(client: Make, service: Service, coding: str) -> None:
    service.always = reply(b"no gzip", status=403, Content_Encoding=coding)
    with pytest.raises(ApiRefused, match="HTTP 403"):
        client().favourite_tracks(0)


def test_the_longest_call_covers_all_retries_and_a_renewal(client: Make) -> None:
    boomplay = client(timeout_seconds=10, max_retries=2, park_after_seconds=45)
    assert boomplay.longest_call_seconds == 2 * (3 * 20 + 2 * 45)


def test_the_clock_offset_is_the_median_of_the_answers(client: Make, service: Service) -> None:
    boomplay = client()
    assert boomplay.clock_offset is None
    service.answers(
        reply({"code": 0, "data": []}, Date="Fri, 02 Jan 2026 03:04:35 GMT"),
        reply({"code": 0, "data": []}, Date="Fri, 02 Jan 2026 03:04:45 GMT"),
        reply({"code": 0, "data": []}, Date="Fri, 02 Jan 2026 03:02:05 GMT"),
    )
    for _ in range(3):
        boomplay.favourite_tracks(0)
    assert boomplay.clock_offset == 30.0


@pytest.mark.parametrize("date", ["", "soon", "Fri, 99 Jan 2026 03:04:35 GMT", "0", "Fri, 02 Jan 99999 03:04:05 GMT"])
def test_a_malformed_date_is_ignored(client: Make, service: Service, date: str) -> None:
    service.always = reply({"code": 0, "data": []}, Date=date)
    boomplay = client()
    boomplay.favourite_tracks(0)
    assert boomplay.clock_offset is None


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:8080", "http://127.1.2.3", "http://localhost:1", "http://[::1]:9", "HTTPS://api.example.com/"],
)
def test_https_goes_anywhere_and_plain_http_to_this_machine(url: str) -> None:
    assert service_url(url) == url.lower().rstrip("/")


ELSEWHERE = [
    "http://openapi.boomplay.com", "http://127.0.0.1.example.com", "http://localhost.example.com", "http://10.0.0.1",
    "http://0.0.0.0", "http://[::2]", "http://2130706433", "ftp://openapi.boomplay.com", "openapi.boomplay.com",
    "//openapi.boomplay.com", "https://", "https:///path", "", "https://host:port", "https://[::1", "https://host/?key=1",
    "https://host/#part", "https://host/\r\nX: y", "https://xn--\x7f", "https://me:hunter2@openapi.boomplay.com",
]  # fmt: skip


@pytest.mark.parametrize("url", ELSEWHERE)
def test_any_other_address_is_refused(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        service_url(url)
    assert "\n" not in str(caught.value)
    assert "hunter2" not in str(caught.value) + caught.value.remedy


def test_a_redirect_within_the_service_keeps_the_token(client: Make, service: Service) -> None:
    service.answers(reply(status=307, Location="/v2/tracks?offset=98"), reply(status=301, Location=f"{service.url}/v3"))
    boomplay = client()
    assert boomplay.favourite_tracks(98).items
    assert [request.target for request in service.requests[1:]] == ["/v2/tracks?offset=98", "/v3"]
    assert {request.headers["authorization"] for request in service.requests} == {f"Bearer {MARKER}"}
    assert (boomplay.requests, boomplay.retries) == (3, 0)


def test_endless_redirects_are_refused(client: Make, service: Service) -> None:
    service.always = reply(status=302, Location="/again")
    with pytest.raises(ApiRefused, match=r"offset 98: .*more than 3 redirects"):
        client().favourite_tracks(98)
    assert len(service.requests) == 4


def test_a_relative_redirect_is_resolved(client: Make, service: Service) -> None:
    service.answers(reply(status=302, Location="sibling"), reply(status=302, Location="?offset=5"))
    assert client(api_url=service.url + "/base/").favourite_tracks(98).items
    assert [request.target for request in service.requests] == [
        "/base/favourite/v1/tracks?offset=98&limit=50",
        "/base/favourite/v1/sibling",
        "/base/favourite/v1/sibling?offset=5",
    ]


ELSEWHERE_FROM = [
    "http://evil.example/x", "//evil.example", "https://evil.example:443/", "https://127.0.0.1:{port}/", "ftp://127.0.0.1/",
    "http://127.0.0.1:{port}@evil.example/", "http://evil.example\\@127.0.0.1:{port}/", "http://127.0.0.1:{other}/",
    "http://me:pw@127.0.0.1:{port}/", "http://localhost:{port}/",
]  # fmt: skip


@pytest.mark.parametrize("location", ELSEWHERE_FROM)
def test_a_redirect_elsewhere_is_not(client: Make, service: Service, location: str) -> None:
    elsewhere = Service(always=listing(666))
    try:
        service.answers(reply(status=302, Location=location.format(port=service.port, other=elsewhere.port)))
        with pytest.raises(ApiRefused, match=r"offset 98: .*redirected to .*, which is not followed") as caught:
            client().favourite_tracks(98)
        assert caught.value.status == 302
        assert (len(service.requests), elsewhere.connections) == (1, 0)
    finally:
        elsewhere.close()


@pytest.mark.parametrize("location", ["http://[::1", "http://127.0.0.1:x/", "javascript:alert(1)"])
def test_a_broken_redirect_is_not_followed(client: Make, service: Service, location: str) -> None:
    service.answers(reply(status=302, Location=location))
    with pytest.raises(ApiUnreachable, match=r"offset 98: .*the connection broke: "):
        client(max_retries=0).favourite_tracks(98)
    assert len(service.requests) == 1
