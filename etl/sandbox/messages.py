"""Requests, replies and refusals of the sandbox as values, and their bytes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from etl.sandbox.faults import DeliveryFault
from etl.sandbox.switches import Switches

JSON = "application/json;charset=UTF-8"
HTML = "text/html;charset=UTF-8"

# Name, number, HTTP status, description. Boomplay documents no error codes, so they are visibly made up: `error_base` + number.
REFUSALS = msgspec.json.decode(
    files("etl.sandbox").joinpath("refusals.json").read_bytes(), type=dict[str, tuple[int, int, str]]
)


@dataclass(slots=True)
class SandboxRequest:
    """One request. Header names are in lower case; of a repeated parameter the last one counts.

    ``connection`` identifies the connection that it came by.
    """

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""
    connection: int = 0
    path: str = field(init=False)
    query: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        """Split the target."""
        self.path, _, query = self.target.partition("?")
        self.query = dict(parse_qsl(query, keep_blank_values=True)) if query else {}


@dataclass(frozen=True, slots=True)
class SandboxReply:
    """One answer. ``delivery`` None = sent whole, ``delay_seconds`` after it was computed.

    ``second``: its ``Date``, as Unix time.
    """

    status: int = 200
    body: bytes = b""
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    delivery: DeliveryFault | None = None
    delay_seconds: float = 0.0
    second: int = field(default_factory=lambda: int(time.time()))

    def head(self) -> bytes:
        """Return the status line and the headers, up to the empty line."""
        lines = _first_lines(self.status, self.content_type, self.second)
        extra = "".join(f"{name}: {value}\r\n" for name, value in self.headers)
        return f"{lines}{extra}Content-Length: {len(self.body)}\r\n\r\n".encode("latin-1")


class Refusal(Exception):
    """A request is refused; ``name`` is one of `REFUSALS`, ``detail`` is added to its text."""

    def __init__(self, name: str, detail: str = "") -> None:
        self.name = name
        self.number, self.status, description = REFUSALS[name]
        self.description = f"{description}: {detail}" if detail else description
        super().__init__(self.description)


def refused(refusal: Refusal, switches: Switches) -> SandboxReply:
    """Return the reply to a refused request, in the transport that is switched on."""
    headers: tuple[tuple[str, str], ...] = ()
    transport = switches.error_transport
    if refusal.name == "throttled":
        transport = "ok_code" if switches.throttling == "ok_code" else "http_envelope"
        headers = (("Retry-After", switches.retry_after),) if switches.throttling == "retry_after" else ()
    if transport == "http_html":
        page = f"<!doctype html><title>{refusal.status}</title><h1>{refusal.status}: made-up error page</h1>"
        return SandboxReply(refusal.status, page.encode(), HTML, headers)
    body = failure_body(switches.error_base + refusal.number, refusal.description)
    return SandboxReply(200 if transport == "ok_code" else refusal.status, body, headers=headers)


def failure_body(code: int, description: str) -> bytes:
    """Return an envelope that reports a failure."""
    return msgspec.json.encode({"desc": description, "code": code, "data": None})


def envelope(payload: bytes, *, counts: int | None = None) -> bytes:
    """Return a successful body around ``payload``, which is JSON."""
    number = b"" if counts is None else b'"counts":%d,' % counts
    return b'{"desc":null,"code":0,%s"data":%s}' % (number, payload)


def enveloped(payload: Any) -> SandboxReply:
    """Return a successful reply around ``payload``, which is encoded here."""
    return SandboxReply(body=envelope(msgspec.json.encode(payload)))


@lru_cache(maxsize=64)
def _first_lines(status: int, content_type: str, second: int) -> str:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Made Up"
    return (
        f"HTTP/1.1 {status} {phrase}\r\nDate: {formatdate(second, usegmt=True)}\r\n"
        f"X-Favsync-Sandbox: modelled-on-documentation\r\nContent-Type: {content_type}\r\n"
    )
