"""A small HTTP/1.1 server for loopback: one thread a connection, one send an answer.

It is not built on `http.server` because the sandbox must break off, reset and drip answers, end all its threads at once when
it is stopped, and take little processor time beside the client that is being measured.
"""

from __future__ import annotations

import itertools
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress

from etl.sandbox.faults import DeliveryFault
from etl.sandbox.messages import SandboxReply, SandboxRequest

_MAX_HEAD = 64 * 1024
_MAX_BODY = 16 * 1024 * 1024
_RECEIVE = 64 * 1024
_WHOLE = DeliveryFault("whole", 1, "keep")
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Server:
    """Answers requests with ``answer``, which is called from many threads.

    Raises: OSError for a port that is taken.
    """

    def __init__(self, answer: Callable[[SandboxRequest], SandboxReply], port: int) -> None:
        self._answer = answer
        self._lock = threading.Lock()
        self._open: dict[socket.socket, threading.Thread] = {}
        self._numbers = itertools.count(1)
        self._is_stopping = False
        self._listener = socket.create_server(("127.0.0.1", port), backlog=128)
        self._thread = threading.Thread(target=self._accept, name="favsync-sandbox", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where the server listens, without a slash at the end."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def stop(self) -> None:
        """Break off everything and return when all threads have ended and all sockets are closed."""
        with self._lock:
            self._is_stopping = True
            threads = list(self._open.values())
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        with suppress(OSError):
            socket.create_connection(self._listener.getsockname()).close()  # wakes the thread that accepts
        for thread in (self._thread, *threads):
            thread.join()

    def _accept(self) -> None:
        with self._listener:
            while not self._is_stopping:
                with suppress(OSError):
                    self._begin(self._listener.accept()[0])

    def _begin(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        thread = threading.Thread(target=self._serve, args=(connection,), name="favsync-sandbox-c", daemon=True)
        with self._lock:
            if self._is_stopping:
                connection.close()
                return
            self._open[connection] = thread
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        number = next(self._numbers)
        buffer = bytearray()
        is_open = True
        try:
            with suppress(OSError):
                while is_open and (request := _read(connection, buffer)) is not None:
                    request.connection = number
                    reply = self._answer(request)
                    _pause(connection, reply.delay_seconds)
                    is_open = _send(connection, reply) and request.headers.get("connection", "").lower() != "close"
        except _UnreadableRequest as unreadable:
            with suppress(OSError):
                _send(connection, SandboxReply(unreadable.status, headers=(("Connection", "close"),)))
        finally:
            with self._lock:
                del self._open[connection]
                connection.close()


class _UnreadableRequest(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def _read(connection: socket.socket, buffer: bytearray) -> SandboxRequest | None:
    """Return the next request, None at the end of the connection. ``buffer``: received and not yet read."""
    while (end := buffer.find(b"\r\n\r\n")) < 0:
        if len(buffer) > _MAX_HEAD:
            raise _UnreadableRequest(431)
        if not _receive(connection, buffer):
            return None
    request, length = _parsed(buffer[:end].decode("latin-1"))
    del buffer[: end + 4]
    while len(buffer) < length:
        if not _receive(connection, buffer):
            return None
    request.body = bytes(buffer[:length])
    del buffer[:length]
    return request


def _receive(connection: socket.socket, buffer: bytearray) -> bool:
    chunk = connection.recv(_RECEIVE)
    buffer += chunk
    return bool(chunk)


def _parsed(head: str) -> tuple[SandboxRequest, int]:
    """Return the request without its body, and the length of the body."""
    first, *lines = head.split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise _UnreadableRequest(400)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if words[2] == "HTTP/1.0":
        headers["connection"] = "close"
    if "transfer-encoding" in headers:
        raise _UnreadableRequest(411)
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()):
        raise _UnreadableRequest(400)
    if int(length) > _MAX_BODY:
        raise _UnreadableRequest(413)
    return SandboxRequest(words[0], words[1], headers), int(length)


def _send(connection: socket.socket, reply: SandboxReply) -> bool:
    """Send the reply as its delivery fault says; return True if the connection stays open."""
    delivery = reply.delivery or _WHOLE
    head = reply.head()
    if delivery.share < 1:
        if delivery.share:
            connection.sendall(head + reply.body[: int(len(reply.body) * delivery.share)])
        _pause(connection, delivery.seconds)
    else:
        sent = head + reply.body
        size = -(-len(sent) // delivery.pieces)
        for start in range(0, len(sent), size):
            _pause(connection, delivery.seconds / delivery.pieces)
            connection.sendall(sent[start : start + size])
    if delivery.then == "reset":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    return delivery.then == "keep"


def _pause(connection: socket.socket, seconds: float) -> None:
    """Wait, but not longer than the client does, nor beyond `Server.stop`: both end the connection."""
    if seconds <= 0:
        return
    connection.settimeout(seconds)
    try:
        if not connection.recv(1, socket.MSG_PEEK):
            raise ConnectionAbortedError
    except TimeoutError:
        pass
    finally:
        connection.settimeout(None)
