"""Pages of the favourites list, and what faults make of them."""

from __future__ import annotations

from email.utils import formatdate
from typing import NamedTuple

from etl.sandbox.distortions import ListRequest, ServedPage
from etl.sandbox.faults import AnswerFault, DeliveryFault, Fault, ListFault
from etl.sandbox.messages import Refusal, SandboxReply, SandboxRequest, envelope, failure_body, json_list
from etl.sandbox.state import SandboxList
from etl.sandbox.world import RequestRecord, World

DEFAULT_LIMIT, MAX_LIMIT = 20, 50


class PageRange(NamedTuple):
    """What is asked for, after defaults and limits."""

    offset: int
    limit: int


def favourites_reply(
    world: World, account: SandboxList, request: SandboxRequest, record: RequestRecord
) -> SandboxReply:
    """Answer a favourites request, after the changes of the list and with the faults that are due.

    Raises: Refusal for parameters that the switches refuse.
    """
    number = world.count("favourites")
    world.change_list(account, record, number)
    fault = world.next_fault("favourites", number)
    record.fault = fault.name if fault else None
    if isinstance(fault, AnswerFault):
        return faulty_answer(fault, world, request)
    now, asked, distortion = world.now(), _page_range(world, request), world.active_distortion()
    address = f"{account.user.name} {request.target}"
    if distortion:
        bypasses = "no-cache" in request.headers.get("cache-control", "")
        if body := distortion.cached(address, now, bypasses=bypasses):
            return SandboxReply(body=body)
        page, total, is_refused = distortion.page(
            world.catalogue, account, ListRequest(number, asked.offset, asked.limit, request.connection), now
        )
    else:
        page, total, is_refused = _page(world, account, asked, fault, number)
    if is_refused or (asked.offset and asked.offset >= total and world.switches.past_end == "error"):
        raise Refusal("past_end")
    if asked.offset + asked.limit >= total > 0:
        account.is_read_to_end = True
    page = account.last_page = _with_fault(page, account.last_page, fault)
    is_null = isinstance(fault, ListFault) and fault.name == "null_page"
    body = _body(world, asked, page, total, is_null, number)
    if distortion and distortion.distortion.cache_seconds:
        distortion.cache[address] = (now, body)
    return SandboxReply(body=body, delivery=fault if isinstance(fault, DeliveryFault) else None)


def faulty_answer(fault: AnswerFault, world: World, request: SandboxRequest) -> SandboxReply:
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


def _page(world: World, account: SandboxList, asked: PageRange, fault: Fault | None, number: int) -> ServedPage:
    """Return the page of the true list, or of a stale one, in the order that is switched on."""
    ids = account.stale(fault.behind) if isinstance(fault, ListFault) and fault.name == "stale" else account.tracks
    if world.switches.order == "shuffled_per_request":
        ids = world.rng("order", number).sample(ids, len(ids))
    return ServedPage(ids[asked.offset : asked.offset + asked.limit], len(ids))


def _body(world: World, asked: PageRange, page: list[int], total: int, is_null: bool, number: int) -> bytes:
    entries = [world.catalogue.item(track_id) for track_id in page]
    is_object = len(entries) == 1 and "single_as_object" in world.switches.malformed
    is_null |= asked.offset >= total > 0 and world.switches.past_end == "null"
    payload = b"null" if is_null else entries[0] if is_object else json_list(entries)
    return envelope(payload, counts=_counts(world, len(page), total, number))


def _page_range(world: World, request: SandboxRequest) -> PageRange:
    switches = world.switches
    offset, limit = _integer(request, "offset", 0), _integer(request, "limit", DEFAULT_LIMIT)
    if switches.limit_out_of_range == "error" and (offset < 0 or not 1 <= limit <= MAX_LIMIT):
        raise Refusal("parameter", "limit must be 1 to 50, and offset at least 0")
    limit = min(max(limit, 1), MAX_LIMIT, switches.page_cap or MAX_LIMIT)
    return PageRange(0 if switches.ignore_offset else max(offset, 0), limit)


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
