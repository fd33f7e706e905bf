"""Requests, replies and refusals of the sandbox as values, and their bytes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from etl.sandbox.faults import DeliveryFault
from etl.sandbox.switches import Switches

JSON = "application/json;charset=UTF-8"
HTML = "text/html;charset=UTF-8"

# Boomplay documents no error codes, so the numbers are visibly made up: `Switches.error_base` plus the first column.
REFUSALS: Mapping[str, tuple[int, int, str]] = {
    "app_id": (1, 401, "the header app_id is missing or unknown"),
    "token_missing": (2, 401, "the header Authorization is missing or is not Bearer"),
    "token_unknown": (3, 401, "the access token is unknown"),
    "token_expired": (4, 401, "the access token has expired"),
    "token_revoked": (5, 401, "the access token was revoked"),
    "token_kind": (6, 403, "this needs the other kind of token"),
    "content_type": (7, 415, "the header Content-Type must be application/json"),
    "parameter": (10, 400, "a parameter is wrong"),
    "past_end": (11, 400, "the offset is behind the end"),
    "unknown_id": (12, 404, "an id is unknown"),
    "no_page": (20, 404, "there is no such path"),
    "method": (21, 405, "the path does not take this method"),
    "throttled": (30, 429, "too many requests"),
    "app_secret": (40, 401, "app_id and app_secret do not belong together"),
    "grant_type": (41, 400, "the grant_type is not accepted"),
    "body": (42, 400, "the body is not the JSON object that was expected"),
    "code": (43, 400, "the code is unknown, used or expired"),
    "refresh_token": (44, 400, "the refresh token is unknown, used or revoked"),
    "redirect_uri": (45, 400, "the redirect_uri is not registered, character for character"),
    "unavailable": (50, 500, "the service failed"),
    "bug": (99, 500, "the sandbox itself failed"),
}


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


def json_list(entries: list[bytes]) -> bytes:
    """Return the JSON list of entries that are JSON already."""
    return b"[%s]" % b",".join(entries)


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
