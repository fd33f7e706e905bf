from __future__ import annotations

import os
import socket
import stat
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from etl.sandbox import Sandbox
from tests.sandbox.bench import TRACKS, Bench, Open

LONG = b"x" * 70_000


def connected(bench: Bench) -> socket.socket:
    address = urlsplit(bench.sandbox.url)
    assert address.hostname
    return socket.create_connection((address.hostname, address.port or 0), timeout=60)


def answer_to(bench: Bench, sent: bytes) -> bytes:
    """Send bytes, and return everything until the connection is closed."""
    with connected(bench) as connection:
        connection.sendall(sent)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def head(bench: Bench, *lines: str) -> bytes:
    token = bench.sandbox.users["ada"].access_token
    return "\r\n".join([*lines, f"app_id: {bench.sandbox.app_id}", f"AUTHORIZATION: Bearer {token}", "", ""]).encode()


def sandbox_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("favsync-sandbox")]


def open_sockets() -> int:
    found = 0
    for link in Path("/dev/fd").iterdir():
        with suppress(OSError):  # the listing's own descriptor is closed by now
            found += stat.S_ISSOCK(os.fstat(int(link.name)).st_mode)
    return found


def test_it_listens_on_loopback_and_nowhere_else(opened: Open) -> None:
    assert opened(tracks=1).sandbox.url.startswith("http://127.0.0.1:")
    for host in ("0.0.0.0", "192.0.2.1", "example.invalid"):
        with pytest.raises(ValueError, match="loopback only"):
            Sandbox(tracks=1, host=host).start()


def test_localhost_is_loopback(opened: Open) -> None:
    assert opened(tracks=1, host="localhost").ids()


def test_a_port_can_be_chosen_and_a_taken_one_is_an_error(opened: Open) -> None:
    port = int(opened(tracks=1).sandbox.url.rpartition(":")[2])
    with pytest.raises(OSError, match="in use"):
        Sandbox(tracks=1, port=port).start()


def test_a_connection_is_kept_alive(opened: Open) -> None:
    bench = opened(tracks=1)
    with connected(bench) as connection:
        for _ in range(3):
            connection.sendall(head(bench, f"GET {TRACKS} HTTP/1.1"))
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")


def test_requests_that_come_in_pieces_or_together_are_all_answered(opened: Open) -> None:
    bench = opened(tracks=1)
    request = head(bench, f"GET {TRACKS} HTTP/1.1")
    with connected(bench) as connection:
        connection.sendall(request[:10])
        connection.sendall(request[10:] + request + head(bench, f"GET {TRACKS} HTTP/1.1", "Connection: close"))
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    assert received.count(b"HTTP/1.1 200 OK") == 3


@pytest.mark.parametrize("line", ["GET {} HTTP/1.0", "GET {} HTTP/1.1\r\nConnection: Close"])
def test_a_connection_is_closed_where_the_client_wants_it(opened: Open, line: str) -> None:
    bench = opened(tracks=1)
    assert answer_to(bench, head(bench, line.format(TRACKS))).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"hello\r\n\r\n", b"400"),
        (b"GET / SPDY/1\r\n\r\n", b"400"),
        (b"POST /oauth/token HTTP/1.1\r\nContent-Length: ten\r\n\r\n", b"400"),
        (b"POST /oauth/token HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"POST /oauth/token HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", b"413"),
        (b"POST /oauth/token HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"411"),
        (b"GET / HTTP/1.1\r\nX: " + LONG, b"431"),
    ],
)
def test_what_is_no_request_is_refused_and_the_connection_closed(opened: Open, sent: bytes, status: bytes) -> None:
    with connected(opened(tracks=1)) as connection:
        connection.sendall(sent)
        assert connection.recv(65536).startswith(b"HTTP/1.1 " + status)


def test_a_client_that_leaves_in_mid_request_does_no_harm(opened: Open) -> None:
    bench = opened(tracks=1)
    for sent in (b"", b"GET / HT", b"POST /oauth/token HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc"):
        with connected(bench) as connection:
            connection.sendall(sent)
    assert bench.ids()


def test_head_has_no_body(opened: Open) -> None:
    bench = opened(tracks=1)
    assert bench.http.head(TRACKS).status_code == 405
    assert bench.ids()


def test_many_clients_at_once_are_answered_rightly(opened: Open) -> None:
    bench = opened(tracks=500)
    expected = bench.true_ids
    offsets = [*range(0, 500, 50)] * 5
    with ThreadPoolExecutor(8) as pool:
        pages = list(pool.map(bench.ids, offsets))
    assert pages == [expected[offset : offset + 50] for offset in offsets]
    assert sorted(record.number for record in bench.sandbox.requests) == list(range(1, 51))


@pytest.mark.parametrize(
    "busy",
    [
        lambda bench: None,
        connected,
        lambda bench: bench.ids() and bench.http,
        lambda bench: (bench.sandbox.script(["stall"]), asked_without_waiting(bench))[1],
        lambda bench: (bench.sandbox.script(["huge_body"]), asked_without_waiting(bench))[1],
        lambda bench: (bench.sandbox.switch(latency_seconds=60), asked_without_waiting(bench))[1],
    ],
    ids=["untouched", "connected", "kept alive", "stalling", "sending", "late"],
)
def test_stopping_leaves_no_thread_and_no_socket_whatever_goes_on(
    opened: Open, busy: Callable[[Bench], object]
) -> None:
    threads, sockets = sandbox_threads(), open_sockets()
    bench = opened(tracks=3)
    client = busy(bench)
    assert len(sandbox_threads()) > len(threads)
    bench.sandbox.stop()
    assert sandbox_threads() == threads
    if isinstance(client, socket.socket):
        client.close()
    bench.http.close()
    assert open_sockets() <= sockets


def asked_without_waiting(bench: Bench) -> socket.socket:
    connection = connected(bench)
    connection.sendall(head(bench, f"GET {TRACKS} HTTP/1.1"))
    while not bench.sandbox.requests:
        pass
    return connection


def test_a_stopped_sandbox_can_start_again_with_its_state(opened: Open) -> None:
    bench = opened(tracks=3)
    bench.sandbox.unfavourite("ada", bench.true_ids[0])
    bench.sandbox.stop()
    bench.sandbox.stop()
    with pytest.raises(RuntimeError, match="not running"):
        _ = bench.sandbox.url
    bench.sandbox.start()
    bench.sandbox.start()
    bench.http.base_url = bench.sandbox.url
    assert bench.ids() == bench.true_ids
    assert len(bench.true_ids) == 2
