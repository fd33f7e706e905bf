"""A connection pooler like PgBouncer, for tests: many clients share few connections of the server."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import threading
from types import TracebackType
from typing import Self

import psycopg
from sqlalchemy import make_url

ENCRYPTION_REQUESTS = (80877103, 80877104)  # TLS, GSSAPI
READY, IDLE, END = b"Z", b"I", b"X"


class Pooler:
    """Serves a database on a loopback port. ``is_session``: a client keeps its connection, else for a transaction only.

    ``in_turn``: hand out the connection that waited longest, else the one that was used last.
    """

    def __init__(self, url: str, *, is_session: bool = False, in_turn: bool = False, connections: int = 0) -> None:
        self._target = make_url(url)
        self._is_session = is_session
        self._next = 0 if in_turn else -1
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._idle: list[socket.socket] = []
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._welcome = b""
        self._idle += [self._connect() for _ in range(max(connections, 1))]

    @property
    def url(self) -> str:
        """The URL of the database through this pooler."""
        port = self._listener.getsockname()[1]
        return f"postgresql://{self._target.username}@127.0.0.1:{port}/{self._target.database}"

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        for each in self._sockets:
            with contextlib.suppress(OSError):  # a socket that its thread has closed
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for each in [self._listener, *self._sockets]:
            each.close()

    def _connect(self) -> socket.socket:
        """Connect to the server, and keep the parameters that it reports for the clients."""
        with psycopg.connect(self._target.render_as_string(hide_password=False)) as probe:
            folder, port = probe.info.host, probe.info.port
        if folder.startswith("/"):
            server = socket.socket(socket.AF_UNIX)
            server.connect(f"{folder}/.s.PGSQL.{port}")
        else:
            server = socket.create_connection((folder, port))
        words = f"user\0{self._target.username}\0database\0{self._target.database}\0\0".encode()
        server.sendall(struct.pack("!ii", len(words) + 8, 196608) + words)
        self._welcome = b""
        kind = b""
        while kind != READY:
            kind, body = _message(server)
            if kind == b"S":
                self._welcome += kind + struct.pack("!i", len(body) + 4) + body
        self._sockets.append(server)
        return server

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(client)
            self._threads.append(threading.Thread(target=self._serve, args=[client]))
            self._threads[-1].start()

    def _serve(self, client: socket.socket) -> None:
        try:
            while (code := struct.unpack("!i", _startup(client)[:4])[0]) in ENCRYPTION_REQUESTS:
                client.sendall(b"N")
            assert code == 196608
            key = b"K" + struct.pack("!i", 12) + os.urandom(8)  # a process number of its own, as poolers have
            client.sendall(b"R" + struct.pack("!ii", 8, 0) + self._welcome + key + READY + struct.pack("!i", 5) + IDLE)
            while (sent := client.recv(1 << 16)) and not (sent[:1] == END and len(sent) == 5):
                self._lend(client, sent)
        except (OSError, struct.error):
            return

    def _lend(self, client: socket.socket, sent: bytes) -> None:
        """Give the client a connection of the server for a transaction, or for as long as it stays."""
        server = self._idle.pop(self._next) if self._idle else self._connect()
        server.sendall(sent)
        while True:
            for each in select.select([client, server], [], [])[0]:
                if each is server:
                    kind, body = _message(server)
                    client.sendall(kind + struct.pack("!i", len(body) + 4) + body)
                    if kind == READY and body == IDLE and not self._is_session:
                        self._idle.append(server)
                        return
                elif not (more := client.recv(1 << 16)) or (more[:1] == END and len(more) == 5):
                    server.close()
                    return
                else:
                    server.sendall(more)


def _startup(client: socket.socket) -> bytes:
    return _exactly(client, struct.unpack("!i", _exactly(client, 4))[0] - 4)


def _message(server: socket.socket) -> tuple[bytes, bytes]:
    kind, size = struct.unpack("!ci", _exactly(server, 5))
    return kind, _exactly(server, size - 4)


def _exactly(stream: socket.socket, size: int) -> bytes:
    read = b""
    while len(read) < size:
        part = stream.recv(size - len(read))
        if not part:
            raise OSError("closed")
        read += part
    return read
