"""Faults: ways in which one answer can go wrong.

A `ListFault` changes which items are answered, in a sound envelope. An `AnswerFault` answers something else instead. A
`DeliveryFault` breaks the sending of a sound answer. `FAULTS` names the usual ones; the functions make others to measure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

HUGE_BYTES = 50 * 1024 * 1024
_HTML = b"<!doctype html><title>Sandbox</title><h1>This is a made-up error page</h1>"


@dataclass(frozen=True, slots=True)
class ListFault:
    """Other items than asked for: none, some ``missing``, those of the page before, or a list ``behind`` by some changes."""

    name: Literal["empty_page", "null_page", "short_page", "repeated_page", "stale"]
    missing: int = 3
    where: Literal["end", "start", "middle"] = "end"
    behind: int = 1


@dataclass(frozen=True, slots=True)
class AnswerFault:
    """Another answer. ``body`` None = the envelope with a made-up code; ``pad`` bytes of filling make a body huge.

    ``retry_after`` is the header's text, or in seconds the distance of the date to send. ``location`` ``same`` redirects to
    the request's own address.
    """

    name: str
    status: int = 200
    body: bytes | None = None
    content_type: str = "application/json;charset=UTF-8"
    retry_after: str | float | None = None
    location: str | None = None
    pad: int = 0


@dataclass(frozen=True, slots=True)
class DeliveryFault:
    """How the bytes are sent: ``share`` of the body (0 = not even the head) in ``pieces`` over ``seconds``, ``then`` what."""

    name: str
    share: float
    then: Literal["keep", "close", "reset"]
    seconds: float = 0.0
    pieces: int = 1


Fault = ListFault | AnswerFault | DeliveryFault


def short_page(missing: int = 3, where: Literal["end", "start", "middle"] = "end") -> ListFault:
    """Leave out ``missing`` items of the page. What is missing in the middle cannot be seen from outside."""
    return ListFault("short_page", missing=missing, where=where)


def stale(behind: int = 1) -> ListFault:
    """Answer from a replica that has not seen the account's last ``behind`` changes."""
    return ListFault("stale", behind=behind)


def http(status: int, *, retry_after: str | float | None = None, html: bool = False) -> AnswerFault:
    """Answer with an HTTP status; ``retry_after`` as text, or as a number of seconds that is sent as a date."""
    fault = AnswerFault(f"http_{status}", status, retry_after=retry_after)
    return replace(fault, body=_HTML, content_type="text/html") if html else fault


def answer(body: bytes, content_type: str = "application/json;charset=UTF-8", status: int = 200) -> AnswerFault:
    """Answer these bytes."""
    return AnswerFault("answer", status, body, content_type)


def redirect(location: str = "same", status: int = 302) -> AnswerFault:
    """Redirect to ``location``, or to the request's own address."""
    return AnswerFault("redirect", status, b"", location=location)


def reset(share: float = 0.5) -> DeliveryFault:
    """Reset the connection after ``share`` of the body; at 0, before anything was sent."""
    return DeliveryFault("reset", share, "reset")


def truncated(share: float = 0.5) -> DeliveryFault:
    """Close the connection after ``share`` of the body that ``Content-Length`` promised."""
    return DeliveryFault("truncated", share, "close")


def stall(seconds: float = 60.0, share: float = 0.0) -> DeliveryFault:
    """Send nothing, or only ``share`` of the body, for ``seconds``; then close the connection."""
    return DeliveryFault("stall", share, "close", seconds)


def drip(seconds: float = 2.0, pieces: int = 20) -> DeliveryFault:
    """Send the whole answer, in ``pieces`` spread over ``seconds``."""
    return DeliveryFault("drip", 1, "keep", seconds, pieces)


_WRONG_BODIES = {
    "code_1": b'{"desc":"made-up failure","code":1,"data":null}',
    "empty_body": b"",
    "not_json": b'{"desc":null,"code":0,"data":[{"track_id":',
    "not_utf8": b'{"desc":"\xff\xfe","code":0,"data":[]}',
    "no_code": b'{"desc":null,"data":[]}',
    "code_as_text": b'{"desc":null,"code":"0","data":[]}',
    "top_level_list": b"[]",
    "json_null": b"null",
    "data_text": b'{"desc":null,"code":0,"data":"none"}',
    "data_object": b'{"desc":null,"code":0,"data":{}}',
    "data_missing": b'{"desc":null,"code":0}',
    "item_null": b'{"desc":null,"code":0,"counts":1,"data":[null]}',
    "item_without_id": b'{"desc":null,"code":0,"counts":1,"data":[{"track_title":"Nobody"}]}',
}
FAULTS: Mapping[str, Fault] = {
    "empty_page": ListFault("empty_page"),
    "null_page": ListFault("null_page"),
    "short_page": short_page(),
    "repeated_page": ListFault("repeated_page"),
    "stale": stale(),
    **{f"http_{status}": http(status) for status in (400, 401, 403, 404, 429, 500)},
    "http_429_zero": http(429, retry_after="0"),
    "http_429_seconds": http(429, retry_after="2"),
    "http_429_date": http(429, retry_after=2.0),
    "http_429_hours": http(429, retry_after="74214"),
    "http_429_nonsense": http(429, retry_after="soon"),
    **{f"http_{status}": http(status, html=True) for status in (502, 503, 504)},
    "http_503_seconds": http(503, retry_after="1"),
    **{name: answer(body) for name, body in _WRONG_BODIES.items()},
    "html_200": answer(_HTML, "text/html"),
    "huge_body": AnswerFault("huge_body", pad=HUGE_BYTES),
    "redirect_same": redirect(),
    "redirect_elsewhere": redirect("http://elsewhere.example.invalid/favourite/v1/tracks"),
    "reset": reset(),
    "reset_at_once": reset(0),
    "truncated": truncated(),
    "disconnect": DeliveryFault("disconnect", 0, "close"),
    "stall": stall(),
    "stall_in_body": stall(share=0.5),
    "drip": drip(),
}
