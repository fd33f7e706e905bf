"""Requests and replies of the stand-in as values, and their bytes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from etl.sandbox.faults import DeliveryFault

JSON = "application/json;charset=UTF-8"
HTML = "text/html;charset=UTF-8"
MARK = ("X-Favsync-Sandbox", "modelled-on-documentation")


@dataclass(slots=True)
class SandboxRequest:
    """One request. Header names are in lower case; of a repeated parameter the last one counts."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""
    path: str = field(init=False)
    query: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        """Split the target."""
        self.path, _, query = self.target.partition("?")
        self.query = dict(parse_qsl(query, keep_blank_values=True)) if query else {}


@dataclass(frozen=True, slots=True)
class SandboxReply:
    """One answer. ``delivery`` None = sent whole, ``delay_seconds`` after it was computed."""

    status: int = 200
    body: bytes = b""
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    delivery: DeliveryFault | None = None
    delay_seconds: float = 0.0

    def head(self) -> bytes:
        """Return the status line and the headers, up to the empty line."""
        lines = _first_lines(self.status, self.content_type, int(time.time()))
        extra = "".join(f"{name}: {value}\r\n" for name, value in self.headers)
        return f"{lines}{extra}Content-Length: {len(self.body)}\r\n\r\n".encode("latin-1")


@lru_cache(maxsize=64)
def _first_lines(status: int, content_type: str, second: int) -> str:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Made Up"
    mark = ": ".join(MARK)
    date = formatdate(second, usegmt=True)
    return f"HTTP/1.1 {status} {phrase}\r\nDate: {date}\r\n{mark}\r\nContent-Type: {content_type}\r\n"


def envelope(payload: bytes, *, counts: int | None = None) -> bytes:
    """Return a successful body around ``payload``, which is JSON."""
    number = b"" if counts is None else b'"counts":%d,' % counts
    return b'{"desc":null,"code":0,%s"data":%s}' % (number, payload)


def enveloped(payload: Any, *, counts: int | None = None) -> SandboxReply:
    """Return a successful reply around ``payload``, which is encoded here."""
    return SandboxReply(body=envelope(msgspec.json.encode(payload), counts=counts))


def json_list(entries: list[bytes]) -> bytes:
    """Return the JSON list of entries that are JSON already."""
    return b"[%s]" % b",".join(entries)
