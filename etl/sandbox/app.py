"""The sandbox's routes: which request gets which answer, and whether it may.

Every answer is modelled on Boomplay's documentation; none is recorded from the service. Only the endpoints that favsync
calls are answered.
"""

from __future__ import annotations

from dataclasses import replace
from email.utils import formatdate
from typing import Literal

from etl.sandbox import control, oauth
from etl.sandbox.distortions import ListRequest, ServedPage
from etl.sandbox.faults import AnswerFault, DeliveryFault, Fault, ListFault
from etl.sandbox.messages import Refusal, SandboxReply, SandboxRequest, envelope, enveloped, failure_body, refused
from etl.sandbox.state import SandboxList, user_id
from etl.sandbox.world import APP_ID, RequestRecord, World

CONSENT, USER = "/oauth/consent", "/user/getUserInfo"
TRACKS, TRACKS_BY_IDS = "/favourite/v1/tracks", "/track/v1/trackIds"
MAX_IDS = 20
DEFAULT_LIMIT, MAX_LIMIT = 20, 50


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
        return replace(reply, delay_seconds=world.switches.latency_seconds, second=int(record.time.timestamp()))


def _answer(world: World, request: SandboxRequest, record: RequestRecord) -> SandboxReply:
    token_endpoint = oauth.token_endpoint(world, request.path)
    if token_endpoint is None and request.path not in (CONSENT, TRACKS, USER, TRACKS_BY_IDS):
        raise Refusal("no_page", request.path)
    if request.method != ("POST" if token_endpoint else "GET"):
        raise Refusal("method", f"only {'POST' if token_endpoint else 'GET'}")
    if token_endpoint:
        return token_endpoint(world, request)
    if request.path == CONSENT:
        return oauth.consent(world, request)
    name = _authorised(world, request, "app" if request.path == TRACKS_BY_IDS else "user")
    record.user = name
    switches = world.switches
    if switches.throttling != "none" and world.count("throttled") % switches.throttle_every == 0:
        raise Refusal("throttled")
    if request.path == TRACKS:
        return _favourites(world, world.lists[name or ""], request, record)
    reply = _by_ids(world, request) if request.path == TRACKS_BY_IDS else _user(world, world.lists[name or ""])
    fault = world.next_fault("others", world.count("others"))
    record.fault = fault.name if fault else None
    if isinstance(fault, AnswerFault):
        return _faulty(fault, world, request)
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
    return SandboxReply(body=envelope(b"[%s]" % b",".join(found)))


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
    grant = world.tokens.grants.get(token)
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


def _favourites(world: World, account: SandboxList, request: SandboxRequest, record: RequestRecord) -> SandboxReply:
    """Answer a favourites request, after the changes of the list and with the faults that are due."""
    number = world.count("favourites")
    world.change_list(account, record, number)
    fault = world.next_fault("favourites", number)
    record.fault = fault.name if fault else None
    if isinstance(fault, AnswerFault):
        return _faulty(fault, world, request)
    now, asked, distortion = world.now(), _asked(world, request, number), world.active_distortion()
    address = f"{account.user.name} {request.target}"
    if distortion:
        bypasses = "no-cache" in request.headers.get("cache-control", "")
        if body := distortion.cached(address, now, bypasses=bypasses):
            return SandboxReply(body=body)
        served = distortion.page(account, asked, now)
    else:
        ids = account.stale(fault.behind) if isinstance(fault, ListFault) and fault.name == "stale" else account.tracks
        if world.switches.order == "shuffled_per_request":
            ids = world.rng("order", number).sample(ids, len(ids))
        served = ServedPage(ids[asked.offset : asked.offset + asked.limit], len(ids))
    past_end = world.switches.past_end
    if served.is_refused or (past_end == "error" and asked.offset >= served.total and asked.offset):
        raise Refusal("past_end")
    if asked.offset + asked.limit >= served.total > 0:
        account.is_read_to_end = True
    page = account.last_page = _with_fault(served.ids, account.last_page, fault)
    entries = [world.catalogue.item(track_id) for track_id in page]
    payload = b"[%s]" % b",".join(entries)
    if len(entries) == 1 and "single_as_object" in world.switches.malformed:
        payload = entries[0]
    if (past_end == "null" and asked.offset >= served.total > 0) or (fault and fault.name == "null_page"):
        payload = b"null"
    body = envelope(payload, counts=_counts(world, len(page), served.total, number))
    if distortion and distortion.distortion.cache_seconds:
        distortion.cache[address] = (now, body)
    return SandboxReply(body=body, delivery=fault if isinstance(fault, DeliveryFault) else None)


def _faulty(fault: AnswerFault, world: World, request: SandboxRequest) -> SandboxReply:
    """Return the reply that a fault puts in place of the answer."""
    headers = []
    if isinstance(fault.retry_after, str):
        headers.append(("Retry-After", fault.retry_after))
    elif fault.retry_after is not None:
        headers.append(("Retry-After", formatdate(world.now().timestamp() + fault.retry_after, usegmt=True)))
    if fault.location:
        headers.append(("Location", request.target if fault.location == "same" else fault.location))
    body = fault.body
    if fault.pad:
        body = envelope(b'[{"track_id":1,"track_title":"%s"}]' % (b"x" * fault.pad), counts=1)
    if body is None:
        body = failure_body(world.switches.error_base + 50, f"made-up failure {fault.status}")
    return SandboxReply(fault.status, body, fault.content_type, tuple(headers))


def _asked(world: World, request: SandboxRequest, number: int) -> ListRequest:
    """Return what is asked for, after defaults and limits."""
    switches = world.switches
    offset, limit = _integer(request, "offset", 0), _integer(request, "limit", DEFAULT_LIMIT)
    if switches.limit_out_of_range == "error" and (offset < 0 or not 1 <= limit <= MAX_LIMIT):
        raise Refusal("parameter", "limit must be 1 to 50, and offset at least 0")
    limit = min(max(limit, 1), MAX_LIMIT, switches.page_cap or MAX_LIMIT)
    return ListRequest(number, 0 if switches.ignore_offset else max(offset, 0), limit, request.connection)


def _integer(request: SandboxRequest, name: str, default: int) -> int:
    text = request.query.get(name)
    if text is None:
        return default
    if not text.removeprefix("-").isdecimal() or len(text) > 18:
        raise Refusal("parameter", f"{name} must be an integer")
    return int(text)


def _with_fault(page: list[int], before: list[int] | None, fault: Fault | None) -> list[int]:
    match fault:
        case ListFault("empty_page" | "null_page"):
            return []
        case ListFault("repeated_page") if before:
            return before
        case ListFault("short_page", missing, "end"):
            return page[: max(0, len(page) - missing)]
        case ListFault("short_page", missing, "start"):
            return page[missing:]
        case ListFault("short_page", missing, _):
            middle = max(0, (len(page) - missing) // 2)
            return page[:middle] + page[middle + missing :]
    return page


def _counts(world: World, page: int, total: int, number: int) -> int | None:
    match world.switches.counts:
        case "absent":
            return None
        case "page":
            return page
        case "total":
            return total
    wobbling = (total, page, 0, total + 7, total * 3 // 4, max(0, total - page))
    return world.rng("counts", number).choice(wobbling)
