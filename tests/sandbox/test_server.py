"""What only sockets show: connections, deliveries, and the end of threads."""

from __future__ import annotations

import os
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest

from etl.sandbox import Sandbox, faults
from tests.sandbox.service import TRACKS

LONG = b"x" * 70_000


class Client:
    """A running sandbox with an HTTP client that is authorised as its first user."""

    def __init__(self, stack: ExitStack, tracks: int) -> None:
        self.sandbox = stack.enter_context(Sandbox(tracks=tracks))
        token = self.sandbox.users["ada"].access_token
        headers = {"app_id": self.sandbox.app_id, "Authorization": f"Bearer {token}"}
        # verify=False: plain HTTP needs no certificates, and loading them would take longer than the test
        client = httpx.Client(base_url=self.sandbox.url, headers=headers, timeout=None, trust_env=False, verify=False)
        self.http = stack.enter_context(client)
        self.head = f"app_id: {self.sandbox.app_id}\r\nAUTHORIZATION: Bearer {token}\r\n\r\n"

    def ids(self, offset: int = 0) -> list[int]:
        answer = self.http.get(TRACKS, params={"offset": offset, "limit": 50})
        return [item["track_id"] for item in answer.json()["data"]]

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", int(self.sandbox.url.rpartition(":")[2])))

    def request(self, line: str = "GET {} HTTP/1.1") -> bytes:
        return f"{line.format(TRACKS)}\r\n{self.head}".encode()

    def send_only(self) -> socket.socket:
        """Send a request without reading the answer; return once the sandbox has it."""
        arrived = threading.Event()
        self.sandbox.before_request = lambda _: arrived.set()
        connection = self.connect()
        connection.sendall(self.request())
        arrived.wait()
        return connection


Open = Callable[[int], Client]


@pytest.fixture
def opened() -> Iterator[Open]:
    """Open sandboxes, each with a client, and close them all in the end."""
    with ExitStack() as stack:
        yield lambda tracks: Client(stack, tracks)


def received(connection: socket.socket) -> bytes:
    """Return everything until the connection is closed."""
    with connection:
        return b"".join(iter(lambda: connection.recv(65536), b""))


def sandbox_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("favsync-sandbox")]


def open_sockets() -> int:
    found = 0
    for link in Path("/dev/fd").iterdir():
        with suppress(OSError):  # the listing's own descriptor is closed by now
            found += stat.S_ISSOCK(os.fstat(int(link.name)).st_mode)
    return found


@pytest.mark.parametrize("last", ["GET {} HTTP/1.0", "GET {} HTTP/1.1\r\nConnection: Close"])
def test_requests_in_pieces_or_together_are_answered(opened: Open, last: str) -> None:
    client = opened(1)
    with pytest.raises(OSError, match="in use"):
        Sandbox(tracks=1).start(int(client.sandbox.url.removeprefix("http://127.0.0.1:")))
    connection, request = client.connect(), client.request()
    connection.sendall(request[:10])
    connection.sendall(request[10:] + request + client.request(last))
    assert received(connection).count(b"HTTP/1.1 200 OK") == 3


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
def test_an_unreadable_request_is_refused(opened: Open, sent: bytes, status: bytes) -> None:
    with opened(1).connect() as connection:
        connection.sendall(sent)
        assert connection.recv(65536).startswith(b"HTTP/1.1 " + status)


def test_a_client_that_leaves_in_mid_request_does_no_harm(opened: Open) -> None:
    client = opened(1)
    for sent in (b"", b"GET / HT", b"POST /oauth/token HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc"):
        with client.connect() as connection:
            connection.sendall(sent)
    assert client.ids()


def test_many_clients_at_once_are_answered_rightly(opened: Open) -> None:
    client = opened(500)
    expected, offsets = client.sandbox.favourites("ada"), [*range(0, 500, 50)] * 5
    with ThreadPoolExecutor(8) as pool:
        pages = list(pool.map(client.ids, offsets))
    assert pages == [expected[offset : offset + 50] for offset in offsets]
    assert sorted(record.number for record in client.sandbox.requests) == list(range(1, 51))


def test_a_delivery_sends_half_or_all_in_pieces(opened: Open) -> None:
    client = opened(60)
    client.sandbox.script([faults.drip(0.01, pieces=8), "truncated"])
    assert client.ids() == client.sandbox.favourites("ada")[:50]
    connection = client.connect()
    connection.sendall(client.request())
    head, _, body = received(connection).partition(b"\r\n\r\n")
    promised = int(head.rpartition(b"Content-Length: ")[2])
    assert promised == len(client.http.get(TRACKS).content)
    assert len(body) == promised // 2


@pytest.mark.parametrize(
    "busy",
    [
        lambda client: None,
        Client.connect,
        lambda client: client.ids() and client.http,
        lambda client: (client.sandbox.script(["stall"]), client.send_only())[1],
        lambda client: (client.sandbox.script(["huge_body"]), client.send_only())[1],
        lambda client: (client.sandbox.switch(latency_seconds=60), client.send_only())[1],
    ],
    ids=["untouched", "connected", "kept alive", "stalling", "sending", "late"],
)
def test_stopping_leaves_no_thread_and_no_socket(opened: Open, busy: Callable[[Client], object]) -> None:
    threads, sockets = sandbox_threads(), open_sockets()
    client = opened(3)
    connection = busy(client)
    assert len(sandbox_threads()) > len(threads)
    client.sandbox.stop()
    assert sandbox_threads() == threads
    if isinstance(connection, socket.socket):
        connection.close()
    client.http.close()
    assert open_sockets() <= sockets


def test_a_stopped_sandbox_starts_again_with_its_state(opened: Open) -> None:
    client = opened(3)
    client.sandbox.unfavourite("ada", client.sandbox.favourites("ada")[0])
    client.sandbox.stop()
    client.sandbox.stop()
    with pytest.raises(RuntimeError, match="not running"):
        _ = client.sandbox.url
    client.sandbox.start()
    client.sandbox.start()
    client.http.base_url = client.sandbox.url
    assert client.ids() == client.sandbox.favourites("ada")
    assert len(client.ids()) == 2
