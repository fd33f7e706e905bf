"""A fake service on loopback that sends scripted answers, as bytes or through a callback with the socket."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from etl.boomplay.waiting import Clock

Reply = bytes | Callable[[socket.socket], None]


def reply(body: object = b"", status: int = 200, **headers: str) -> bytes:
    """One HTTP answer; anything but bytes is sent as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Because", f"Content-Length: {len(raw)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + raw


def listing(*track_ids: object, **more: object) -> bytes:
    """A page that holds tracks with these ids."""
    return reply({"desc": None, "code": 0, "data": [{"track_id": track_id} for track_id in track_ids], **more})


def hang_up(connection: socket.socket) -> None:
    """Close without an answer."""
    connection.shutdown(socket.SHUT_RDWR)


@dataclass
class Request:
    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def target(self) -> str:
        return self.line.split()[1]


@dataclass
class Service:
    """Answers with the replies of its script, then with ``always``; records the requests."""

    always: Reply = b""
    requests: list[Request] = field(default_factory=list)
    script: deque[Reply] = field(default_factory=deque)
    tls: ssl.SSLContext | None = None
    connections: int = 0
    respond: Callable[[Request], bytes] | None = None

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self.is_closing = threading.Event()
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def answers(self, *replies: Reply) -> None:
        self.script.extend(replies)

    def close(self) -> None:
        self.is_closing.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listener.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while not self.is_closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
                self._open.append(connection)
            with connection, connection.makefile("rb") as stream:
                while (request := _read(stream)) is not None:
                    self.requests.append(request)
                    answer = self.script.popleft() if self.script else self.always
                    if self.respond is not None:
                        answer = self.respond(request)
                    if isinstance(answer, bytes):
                        connection.sendall(answer)
                    else:
                        answer(connection)
                        return
        except OSError:
            pass
        finally:
            connection.close()


def _read(stream: Any) -> Request | None:
    line = stream.readline().decode().strip()
    if not line:
        return None
    headers: dict[str, str] = {}
    while field_line := stream.readline().decode().strip():
        name, _, value = field_line.partition(":")
        headers[name.lower()] = value.strip()
    return Request(line, headers, stream.read(int(headers.get("content-length", 0))))


class FakeTime:
    """A clock that moves only in waits, and records each wait."""

    def __init__(self, jitter: float = 1.0) -> None:
        self.start = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        self.elapsed = 0.0
        self.waits: list[float] = []
        self.timing = Clock(self.now, lambda: self.elapsed, lambda: jitter, self.wait)

    def now(self) -> datetime:
        return self.start + timedelta(seconds=self.elapsed)

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.elapsed += seconds
        return False
