from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from etl.sandbox import Sandbox, run
from tests.sandbox.client import TRACKS, Open, SandboxClient

LONG = b"x" * 70_000


def connected(client: SandboxClient) -> socket.socket:
    address = urlsplit(client.sandbox.url)
    assert address.hostname
    return socket.create_connection((address.hostname, address.port or 0), timeout=60)


def answer_to(client: SandboxClient, sent: bytes) -> bytes:
    """Send bytes, and return everything until the connection is closed."""
    with connected(client) as connection:
        connection.sendall(sent)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def head(client: SandboxClient, *lines: str) -> bytes:
    token = client.sandbox.users["ada"].access_token
    return "\r\n".join([*lines, f"app_id: {client.sandbox.app_id}", f"AUTHORIZATION: Bearer {token}", "", ""]).encode()


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
    client = opened(tracks=1)
    with connected(client) as connection:
        for _ in range(3):
            connection.sendall(head(client, f"GET {TRACKS} HTTP/1.1"))
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")


def test_requests_in_pieces_or_together_are_answered(opened: Open) -> None:
    client = opened(tracks=1)
    request = head(client, f"GET {TRACKS} HTTP/1.1")
    with connected(client) as connection:
        connection.sendall(request[:10])
        connection.sendall(request[10:] + request + head(client, f"GET {TRACKS} HTTP/1.1", "Connection: close"))
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    assert received.count(b"HTTP/1.1 200 OK") == 3


@pytest.mark.parametrize("line", ["GET {} HTTP/1.0", "GET {} HTTP/1.1\r\nConnection: Close"])
def test_a_connection_is_closed_on_request(opened: Open, line: str) -> None:
    client = opened(tracks=1)
    assert answer_to(client, head(client, line.format(TRACKS))).startswith(b"HTTP/1.1 200 OK")


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
    with connected(opened(tracks=1)) as connection:
        connection.sendall(sent)
        assert connection.recv(65536).startswith(b"HTTP/1.1 " + status)


def test_a_client_that_leaves_in_mid_request_does_no_harm(opened: Open) -> None:
    client = opened(tracks=1)
    for sent in (b"", b"GET / HT", b"POST /oauth/token HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc"):
        with connected(client) as connection:
            connection.sendall(sent)
    assert client.ids()


def test_many_clients_at_once_are_answered_rightly(opened: Open) -> None:
    client = opened(tracks=500)
    expected = client.true_ids
    offsets = [*range(0, 500, 50)] * 5
    with ThreadPoolExecutor(8) as pool:
        pages = list(pool.map(client.ids, offsets))
    assert pages == [expected[offset : offset + 50] for offset in offsets]
    assert sorted(record.number for record in client.sandbox.requests) == list(range(1, 51))


@pytest.mark.parametrize(
    "busy",
    [
        lambda client: None,
        connected,
        lambda client: client.ids() and client.http,
        lambda client: (client.sandbox.script(["stall"]), asked_without_waiting(client))[1],
        lambda client: (client.sandbox.script(["huge_body"]), asked_without_waiting(client))[1],
        lambda client: (client.sandbox.switch(latency_seconds=60), asked_without_waiting(client))[1],
    ],
    ids=["untouched", "connected", "kept alive", "stalling", "sending", "late"],
)
def test_stopping_leaves_no_thread_and_no_socket(opened: Open, busy: Callable[[SandboxClient], object]) -> None:
    threads, sockets = sandbox_threads(), open_sockets()
    client = opened(tracks=3)
    connection = busy(client)
    assert len(sandbox_threads()) > len(threads)
    client.sandbox.stop()
    assert sandbox_threads() == threads
    if isinstance(connection, socket.socket):
        connection.close()
    client.http.close()
    assert open_sockets() <= sockets


def asked_without_waiting(client: SandboxClient) -> socket.socket:
    connection = connected(client)
    connection.sendall(head(client, f"GET {TRACKS} HTTP/1.1"))
    while not client.sandbox.requests:
        pass
    return connection


def test_a_stopped_sandbox_can_start_again_with_its_state(opened: Open) -> None:
    client = opened(tracks=3)
    client.sandbox.unfavourite("ada", client.true_ids[0])
    client.sandbox.stop()
    client.sandbox.stop()
    with pytest.raises(RuntimeError, match="not running"):
        _ = client.sandbox.url
    client.sandbox.start()
    client.sandbox.start()
    client.http.base_url = client.sandbox.url
    assert client.ids() == client.true_ids
    assert len(client.true_ids) == 2


SCRIPT = """
from etl.sandbox import run
run(tracks=3, scenario="counts_absent", announce=lambda sandbox: print(sandbox.url, flush=True))
print("returned")
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_running_serves_until_a_signal(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        url = process.stdout.readline().strip()
        about = httpx.get(f"{url}/_sandbox/", trust_env=False, verify=False).json()
        assert (about["scenario"], len(about["users"]["ada"]["favourites"])) == ("counts_absent", 3)
        process.send_signal(number)
        assert process.stdout.read() == "returned\n"
    assert process.returncode == 0


def test_running_restores_the_callers_signals() -> None:
    before = signal.getsignal(signal.SIGTERM)

    def interrupt(_: Sandbox) -> None:
        raise KeyboardInterrupt

    run(interrupt, tracks=1)
    assert signal.getsignal(signal.SIGTERM) is before
    thread = threading.Thread(target=run, args=(interrupt,), kwargs={"tracks": 1})  # where signals cannot be set
    thread.start()
    thread.join()


def test_the_sandbox_imports_nothing_else_of_favsync() -> None:
    sources = Path(__file__).parents[2].joinpath("etl", "sandbox").glob("*.py")
    lines = [line for source in sources for line in source.read_text("utf-8").splitlines() if "import" in line.split()]
    assert len(lines) > 50
    assert [line for line in lines if line.startswith(("from etl", "import etl")) and "etl.sandbox" not in line] == []
