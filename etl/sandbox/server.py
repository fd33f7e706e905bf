"""A small HTTP/1.1 server for loopback: one thread a connection, one send an answer.

It is not built on `http.server` because the sandbox must break off, reset and drip answers, end all its threads at once when
it is stopped, and take little processor time beside the client that is being measured.
"""

from __future__ import annotations

import ipaddress
import itertools
import selectors
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

    Raises: ValueError for a host that is not loopback; OSError for a port that is taken.
    """

    def __init__(self, answer: Callable[[SandboxRequest], SandboxReply], host: str, port: int) -> None:
        self._answer = answer
        self._lock = threading.Lock()
        self._open: dict[socket.socket, threading.Thread] = {}
        self._numbers = itertools.count(1)
        self._is_stopping = False
        self._listener = _listener(host, port)
        self._waker, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._accept, name="favsync-sandbox", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where the server listens, without a slash at the end."""
        host, port = self._listener.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def stop(self) -> None:
        """Break off everything and return when all threads have ended and all sockets are closed."""
        with self._lock:
            if self._is_stopping:
                return
            self._is_stopping = True
            threads = list(self._open.values())
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self._waker.close()
        for thread in (self._thread, *threads):
            if thread is not threading.current_thread():
                thread.join()

    def _accept(self) -> None:
        with selectors.DefaultSelector() as selector, self._listener, self._woken:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)  # becomes readable when `stop` closes the waker
            while not self._is_stopping:
                if any(key.fileobj is self._listener for key, _ in selector.select()):
                    with suppress(OSError):
                        self._begin(self._listener.accept()[0])

    def _begin(self, connection: socket.socket) -> None:
        connection.setblocking(True)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        thread = threading.Thread(target=self._serve, args=(connection,), name="favsync-sandbox-c", daemon=True)
        with self._lock:
            if self._is_stopping:
                connection.close()
                return
            self._open[connection] = thread
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with suppress(OSError):
                _Connection(connection, next(self._numbers), self._answer).serve()
        finally:
            with self._lock:
                del self._open[connection]
                connection.close()


class _Connection:
    """One connection, from its first request to its end."""

    def __init__(
        self, connection: socket.socket, number: int, answer: Callable[[SandboxRequest], SandboxReply]
    ) -> None:
        self._socket = connection
        self._number = number
        self._answer = answer
        self._received = b""

    def serve(self) -> None:
        while True:
            try:
                request = self._read()
            except _UnreadableRequest as unreadable:
                self._send(SandboxReply(unreadable.status, headers=(("Connection", "close"),)))
                return
            if request is None:
                return
            request.connection = self._number
            reply = self._answer(request)
            self._pause(reply.delay_seconds)
            if not self._send(reply) or request.headers.get("connection", "").lower() == "close":
                return

    def _read(self) -> SandboxRequest | None:
        """Return the next request, None at the end of the connection."""
        while (end := self._received.find(b"\r\n\r\n")) < 0:
            if len(self._received) > _MAX_HEAD:
                raise _UnreadableRequest(431)
            if not self._receive():
                return None
        request, length = _parsed(self._received[:end].decode("latin-1"))
        self._received = self._received[end + 4 :]
        while len(self._received) < length:
            if not self._receive():
                return None
        request.body, self._received = self._received[:length], self._received[length:]
        return request

    def _receive(self) -> bool:
        chunk = self._socket.recv(_RECEIVE)
        self._received += chunk
        return bool(chunk)

    def _send(self, reply: SandboxReply) -> bool:
        """Send the reply as its delivery fault says; return True if the connection stays open."""
        delivery = reply.delivery or _WHOLE
        sent = reply.head() + reply.body
        if delivery.share < 1:
            sent = (
                sent[: len(sent) - len(reply.body) + int(len(reply.body) * delivery.share)] if delivery.share else b""
            )
            self._socket.sendall(sent)
            self._pause(delivery.seconds)
        else:
            size = -(-len(sent) // delivery.pieces)
            for start in range(0, len(sent), size):
                self._pause(delivery.seconds / delivery.pieces)
                self._socket.sendall(sent[start : start + size])
        if delivery.then == "reset":
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        return delivery.then == "keep"

    def _pause(self, seconds: float) -> None:
        """Wait, but not longer than the client does, nor beyond `Server.stop`: both end the connection."""
        if seconds <= 0:
            return
        self._socket.settimeout(seconds)
        try:
            if not self._socket.recv(1, socket.MSG_PEEK):
                raise ConnectionAbortedError
        except TimeoutError:
            pass
        finally:
            self._socket.settimeout(None)


class _UnreadableRequest(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


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


def _listener(host: str, port: int) -> socket.socket:
    address = "127.0.0.1" if host == "localhost" else host
    try:
        is_loopback = ipaddress.ip_address(address).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise ValueError(f"The sandbox listens on loopback only, not on {host!r}; use 127.0.0.1.")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.create_server((address, port), family=family, backlog=128)
