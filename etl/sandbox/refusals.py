"""Refusals: requests that the stand-in turns down, and how that travels.

Boomplay documents no error code, so the numbers are visibly made up: ``Switches.error_base`` plus the place in `REFUSALS`.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from etl.sandbox.switches import Switches
from etl.sandbox.wire import HTML, SandboxReply

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
    "bug": (99, 500, "the sandbox itself failed"),
}


class Refusal(Exception):
    """A request is turned down; ``name`` is one of `REFUSALS`, ``detail`` is added to its text."""

    def __init__(self, name: str, detail: str = "") -> None:
        self.name = name
        self.number, self.status, description = REFUSALS[name]
        self.description = f"{description}: {detail}" if detail else description
        super().__init__(self.description)


def failure_body(code: int, description: str) -> bytes:
    """Return an envelope that reports a failure."""
    return msgspec.json.encode({"desc": description, "code": code, "data": None})


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
