from __future__ import annotations

import gzip
import socket
import tracemalloc
import zlib

import pytest

from etl.boomplay import transport
from etl.errors import ApiRefused, ApiUnreachable, CredentialsError, FavsyncError, PayloadError, RateLimited
from tests.boomplay.conftest import Make
from tests.boomplay.service import Reply, Service, hang_up, listing, reply

HTML = reply(b"<html>Please sign in to the network</html>")
PLACE = "favourite tracks at offset 98"


def cut_short(connection: socket.socket) -> None:
    connection.sendall(listing(1, 2)[:-5])


def reset(connection: socket.socket) -> None:
    connection.sendall(listing(1, 2)[:60])
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


@pytest.mark.parametrize(
    ("answers", "retries"),
    [
        ([reply(status=500)], 1),
        ([reply(status=502), reply(status=503), reply(status=504), reply(status=408)], 4),
        ([reply(status=429)] * 5, 5),
        ([hang_up], 1),
        ([cut_short], 1),
        ([reset], 1),
        ([b"nonsense\r\n\r\n"], 1),
        ([HTML, HTML], 2),
        ([reply(b"")], 1),
        ([reply(b'{"code":0,"data":[{"track_id":1}')], 1),
        ([reply(gzip.compress(b'{"code":0,"data":[]}')[:20], Content_Encoding="gzip")], 1),
        ([reply(b"not packed", Content_Encoding="gzip")], 1),
    ],
)
def test_a_transient_failure_is_retried(client: Make, service: Service, answers: list[Reply], retries: int) -> None:
    service.answers(*answers)
    boomplay = client()
    assert len(boomplay.favourite_tracks(98).items) == 2
    assert (boomplay.requests, boomplay.retries) == (retries + 1, retries)


@pytest.mark.parametrize(
    ("always", "requests", "error", "words"),
    [
        (reply(status=401), 1, CredentialsError, "HTTP 401"),
        (reply({"code": 3, "desc": "scope"}, status=403), 1, ApiRefused, "HTTP 403: code 3: scope"),
        (reply(b"<html>", status=404), 1, ApiRefused, "HTTP 404"),
        (reply(b"x" * 100_000, status=400), 1, ApiRefused, "HTTP 400"),
        (reply(status=304), 1, ApiRefused, "HTTP 304"),
        (reply(status=302), 1, ApiRefused, "HTTP 302"),
        (reply(status=501), 1, ApiUnreachable, "HTTP 501"),
        (reply({"desc": "later"}, status=500), 6, ApiUnreachable, "HTTP 500: later, 6 times"),
        (reply(status=503), 6, ApiUnreachable, "HTTP 503, 6 times"),
        (reply(status=429), 6, RateLimited, "HTTP 429, 6 times; next try at 2026-01-02 03:05:"),
        (hang_up, 6, ApiUnreachable, "the connection broke: Server disconnected without sending a response., 6 times"),
        (cut_short, 6, ApiUnreachable, "the connection broke: peer closed connection without sending complete"),
        (HTML, 3, PayloadError, "the answer is a web page, not JSON (byte 0), 3 times"),
        (reply(b""), 3, PayloadError, "the answer is empty, 3 times"),
        (reply(status=204), 3, PayloadError, "the answer is empty, 3 times"),
        (reply(b'{"code":0,"da'), 3, PayloadError, "the JSON breaks off (byte 13), 3 times"),
        (reply([1, 2]), 1, PayloadError, "the answer is not an object (byte 0)"),
        (reply({"code": 0, "data": {"tracks": []}}), 1, PayloadError, "data is an object, not a list"),
        (reply({"code": 1, "desc": None}), 1, ApiRefused, "the service answered code 1"),
        (reply(b"{}", Content_Encoding="br"), 3, PayloadError, "the answer has the content coding 'br', which was not"),
        (
            reply(b"{}", Content_Encoding="gzip, gzip"),
            3,
            PayloadError,
            "the content coding 'gzip, gzip', which was not",
        ),
        (reply(b"{}", Content_Encoding="gzip"), 6, ApiUnreachable, "the content coding 'gzip' is broken: Error -3"),
    ],
)
def test_each_bad_answer_has_its_error_in_one_line(
    client: Make, service: Service, always: Reply, requests: int, error: type[FavsyncError], words: str
) -> None:
    service.always = always
    boomplay = client()
    with pytest.raises(error) as caught:
        boomplay.favourite_tracks(98)
    message = str(caught.value)
    assert type(caught.value) is error
    assert message.startswith(PLACE + ": ")
    assert words in message
    assert "\n" not in message + caught.value.remedy
    assert caught.value.remedy
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    assert boomplay.requests == requests


def test_an_error_carries_status_and_code(client: Make, service: Service) -> None:
    service.answers(reply({"code": 7}, status=403), reply({"code": 8}), reply(b"[]"))
    for status, code in ((403, 7), (200, 8)):
        with pytest.raises(ApiRefused) as refused:
            client().favourite_tracks(0)
        assert (refused.value.status, refused.value.code) == (status, code)
    with pytest.raises(PayloadError) as payload:
        client().favourite_tracks(0)
    assert payload.value.status == 200


def test_requests_are_counted_by_status(client: Make, service: Service) -> None:
    service.answers(reply(status=503), hang_up, reply(status=429))
    boomplay = client()
    boomplay.favourite_tracks(0)
    assert boomplay.requests_by_status == {"503": 1, "none": 1, "429": 1, "200": 1}
    assert (boomplay.requests, boomplay.retries) == (4, 3)


def test_a_refused_connection_is_unreachable(client: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ApiUnreachable, match=r"no connection: .*Connection refused, 6 times"):
        client(api_url=f"http://127.0.0.1:{port}").favourite_tracks(98)


def test_a_body_without_a_length_is_read_to_its_end(client: Make, service: Service) -> None:
    chunked = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n{"code":0,"data":[]}\r\n0\r\n\r\n'
    service.answers(chunked, chunked[:-5], chunked)
    boomplay = client()
    assert boomplay.favourite_tracks(0).items == ()


LARGE = [
    reply(b" " * 5000),
    b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 5000,
    reply(gzip.compress(b" " * 5_000_000, mtime=0), Content_Encoding="gzip"),
]


@pytest.mark.parametrize("large", LARGE)
def test_a_too_large_answer_is_dropped_and_not_retried(
    client: Make, service: Service, monkeypatch: pytest.MonkeyPatch, large: bytes
) -> None:
    monkeypatch.setattr(transport, "MAX_BODY_BYTES", 4999)
    service.answers(large)
    boomplay = client()
    with pytest.raises(PayloadError, match=r"offset 98: .* the answer is larger than 4,999 bytes"):
        boomplay.favourite_tracks(98)
    assert boomplay.requests == 1
    assert boomplay.favourite_tracks(0).items


def test_a_gzip_bomb_is_not_decoded_to_its_end(client: Make, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MAX_BODY_BYTES", 100_000)
    packer = zlib.compressobj(9, wbits=zlib.MAX_WBITS | 16)
    packed = b"".join([*(packer.compress(b" " * 1_000_000) for _ in range(120)), packer.flush()])
    service.answers(reply(packed, Content_Encoding="gzip"))
    boomplay = client()
    tracemalloc.start()
    with pytest.raises(PayloadError, match="larger than"):
        boomplay.favourite_tracks(0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 90_000_000  # one chunk of 64 KiB, unpacked


def test_an_answer_at_the_size_limit_is_read(client: Make, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    body = b'{"code":0,"data":[{"track_id":7}]}' + b" " * 1000
    monkeypatch.setattr(transport, "MAX_BODY_BYTES", len(body))
    service.answers(reply(body), reply(gzip.compress(body), Content_Encoding="gzip"))
    boomplay = client()
    assert boomplay.favourite_tracks(0) == boomplay.favourite_tracks(0)
    assert boomplay.requests == 2
