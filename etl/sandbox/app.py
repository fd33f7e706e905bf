"""The sandbox's routes: which request gets which answer, and whether it may.

Every answer is modelled on Boomplay's documentation; none is recorded from the service. Only the endpoints that favsync
calls are answered.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from etl.sandbox import control, oauth
from etl.sandbox.faults import AnswerFault, DeliveryFault
from etl.sandbox.messages import (
    Refusal,
    SandboxReply,
    SandboxRequest,
    envelope,
    enveloped,
    json_list,
    refused,
)
from etl.sandbox.pages import faulty_answer, favourites_reply
from etl.sandbox.state import SandboxList
from etl.sandbox.tokens import user_id
from etl.sandbox.world import APP_ID, RequestRecord, World

TRACKS, USER, TRACKS_BY_IDS = "/favourite/v1/tracks", "/user/getUserInfo", "/track/v1/trackIds"
MAX_IDS = 20


def answer(world: World, request: SandboxRequest) -> SandboxReply:
    """Return the reply to any request."""
    with world.lock:
        if request.path.startswith(control.PREFIX):
            return control.answer(world, request)
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        record = RequestRecord(
            world.count("requests"),
            world.now(),
            request.method,
            request.path,
            request.query,
            token=f"{token[:4]}…" if token else "",
        )
        world.records.append(record)
        try:
            reply = _answer(world, request, record)
        except Refusal as refusal:
            reply = refused(refusal, world.switches)
        except BaseException as failure:  # noqa: BLE001 - also a hook's pytest.fail, which `Sandbox` raises again
            world.failures.append(failure)
            reply = refused(Refusal("bug", repr(failure)), world.switches)
        if request.method == "HEAD":
            reply = replace(reply, body=b"")
        record.status = 0 if reply.delivery and not reply.delivery.share else reply.status
        delay = world.switches.latency_seconds
        return replace(reply, delay_seconds=delay) if delay else reply


def _answer(world: World, request: SandboxRequest, record: RequestRecord) -> SandboxReply:
    if request.path == "/oauth/consent":
        _require_method(request, "GET")
        return oauth.consent(world, request)
    if token_endpoint := oauth.token_endpoint(world, request.path):
        _require_method(request, "POST")
        return token_endpoint(world, request)
    if request.path not in (TRACKS, USER, TRACKS_BY_IDS):
        raise Refusal("no_page", request.path)
    _require_method(request, "GET")
    name = _authorised(world, request, "app" if request.path == TRACKS_BY_IDS else "user")
    record.user = name
    switches = world.switches
    if switches.throttling != "none" and world.count("throttled") % switches.throttle_every == 0:
        raise Refusal("throttled")
    if request.path == TRACKS:
        return favourites_reply(world, world.lists[name or ""], request, record)
    reply = _by_ids(world, request) if request.path == TRACKS_BY_IDS else _user(world, world.lists[name or ""])
    fault = world.next_fault("others", world.count("others"))
    record.fault = fault.name if fault else None
    if isinstance(fault, AnswerFault):
        return faulty_answer(fault, world, request)
    return replace(reply, delivery=fault) if isinstance(fault, DeliveryFault) else reply


def _user(world: World, account: SandboxList) -> SandboxReply:
    active = world.active_distortion()
    user_info = active.distortion.user_info if active else "own"
    if user_info == "fails":
        raise Refusal("unavailable")
    user = account.user
    url = "https://img.example.invalid/group10/M00/00/01/a0000000000000000000000000000001_200_200.jpg"
    return enveloped(
        {
            "user_id": user.user_id if user_info == "own" else user_id(world.seed, "another user"),
            "user_name": user.name if user_info == "own" else "another user",
            "avatar": {"width": 200, "height": 200, "url": url},
            "region": user.region,
            "plan": user.plan,
        }
    )


def _by_ids(world: World, request: SandboxRequest) -> SandboxReply:
    words = [word for word in request.query.get("ids", "").split(",") if word]
    if not 1 <= len(words) <= MAX_IDS or any(not word.isdecimal() or len(word) > 18 for word in words):
        raise Refusal("parameter", f"ids must be 1 to {MAX_IDS} numbers")
    found: list[bytes] = []
    for track_id in map(int, words):
        try:
            if track_id in world.catalogue.withdrawn:
                raise LookupError
            found.append(world.catalogue.item(track_id))
        except LookupError:
            if world.switches.unknown_ids == "error":
                raise Refusal("unknown_id", str(track_id)) from None
            if world.switches.unknown_ids == "null":
                found.append(b"null")
    return SandboxReply(body=envelope(json_list(found)))


def _require_method(request: SandboxRequest, method: str) -> None:
    if request.method != method:
        raise Refusal("method", f"only {method}")


def _authorised(world: World, request: SandboxRequest, kind: Literal["user", "app"]) -> str | None:
    """Return the name of the token's user; None for an app token, which only the endpoints for apps take."""
    headers, switches = request.headers, world.switches
    if headers.get("app_id") != APP_ID:
        raise Refusal("app_id")
    if switches.strict_headers and not headers.get("content-type", "").startswith("application/json"):
        raise Refusal("content_type")
    scheme, _, token = headers.get("authorization", "").rpartition(" ")
    if not token or not (scheme == "Bearer" or (switches.bare_token and not scheme)):
        raise Refusal("token_missing")
    grant = world.tokens.grant(token)
    if grant is None:
        raise Refusal("token_unknown")
    if grant.is_revoked:
        raise Refusal("token_revoked")
    if grant.expires_at <= world.now():
        raise Refusal("token_expired")
    if kind == "user" and grant.user is None:
        raise Refusal("token_kind", "a user token")
    if kind == "app" and grant.user is not None and not switches.user_token_everywhere:
        raise Refusal("token_kind", "an app token")
    return grant.user
