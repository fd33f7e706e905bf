"""Pages of the three favourites lists, and what scenarios make of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from email.utils import formatdate

from etl.sandbox.faults import AnswerFault, DeliveryFault, Fault, ListFault
from etl.sandbox.refusals import Refusal, failure_body
from etl.sandbox.state import SandboxList
from etl.sandbox.wire import SandboxReply, SandboxRequest, envelope, json_list
from etl.sandbox.world import RequestRecord, World

DEFAULT_LIMIT, MAX_LIMIT = 20, 50
CAPPED_AT = 10


@dataclass(frozen=True, slots=True)
class Range:
    """What is asked for, after defaults and limits."""

    offset: int
    limit: int


@dataclass(frozen=True, slots=True)
class Favourites:
    """One of the three lists: its ids and how an entry is served. ``is_paged`` = paging is documented for it."""

    path: str
    ids: list[int]
    entry: Callable[[int], bytes]
    is_paged: bool = False


def favourites_of(world: World, account: SandboxList, path: str) -> Favourites:
    """Return the list that is served under ``path``."""
    if path == "/favourite/v1/tracks":
        return Favourites(path, account.tracks, world.catalogue.item, is_paged=True)
    if path == "/favourite/v1/albums":
        return Favourites(path, account.albums, world.catalogue.album)
    return Favourites(path, account.playlists, world.catalogue.playlist)


def favourites_reply(
    world: World, account: SandboxList, request: SandboxRequest, record: RequestRecord
) -> SandboxReply:
    """Answer a favourites request, after whatever happens to the list and to the answer.

    Raises: Refusal for parameters that the switches refuse.
    """
    number = world.count("favourites")
    world.disturb(account, record, number)
    fault = world.fault("favourites", number)
    record.fault = fault.name if fault else None
    if isinstance(fault, AnswerFault):
        return faulty_answer(fault, world, request)
    favourites = favourites_of(world, account, request.path)
    body = _page(world, account, favourites, request, fault, number)
    return SandboxReply(body=body, delivery=fault if isinstance(fault, DeliveryFault) else None)


def broken(reply: SandboxReply, fault: Fault | None, world: World, request: SandboxRequest) -> SandboxReply:
    """Return what a fault makes of a reply that is no favourites list."""
    if isinstance(fault, AnswerFault):
        return faulty_answer(fault, world, request)
    return replace(reply, delivery=fault) if isinstance(fault, DeliveryFault) else reply


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


def _page(
    world: World,
    account: SandboxList,
    favourites: Favourites,
    request: SandboxRequest,
    fault: Fault | None,
    number: int,
) -> bytes:
    asked = _asked(world, favourites, request)
    ids = favourites.ids
    if isinstance(fault, ListFault) and fault.name == "stale" and favourites.is_paged:
        ids = account.stale(fault.behind)
    if world.switches.order == "shuffled_per_request" and favourites.is_paged:
        ids = world.chance("order", number).sample(ids, len(ids))
    if asked.offset and asked.offset >= len(ids) and world.switches.past_end == "error":
        raise Refusal("past_end")
    if favourites.is_paged and asked.offset + asked.limit >= len(ids) > 0:
        account.is_read_to_end = True
    page = _spoilt(ids[asked.offset : asked.offset + asked.limit], account.last_page.get(favourites.path), fault)
    account.last_page[favourites.path] = page
    is_null = asked.offset >= len(ids) > 0 and world.switches.past_end == "null"
    is_null |= isinstance(fault, ListFault) and fault.name == "null_page"
    payload = b"null" if is_null else _payload(world, favourites, page)
    return envelope(payload, counts=_counts(world, len(page), len(ids), number))


def _asked(world: World, favourites: Favourites, request: SandboxRequest) -> Range:
    switches = world.switches
    offset, limit = _whole(request, "offset", 0), _whole(request, "limit", DEFAULT_LIMIT)
    if switches.limit_out_of_range == "error" and (offset < 0 or not 1 <= limit <= MAX_LIMIT):
        raise Refusal("parameter", "limit must be 1 to 50, and offset at least 0")
    offset, limit = max(offset, 0), min(max(limit, 1), MAX_LIMIT)
    if not favourites.is_paged and switches.paging != "honoured":
        return Range(0, CAPPED_AT if switches.paging == "capped" else len(favourites.ids))
    if switches.page_cap is not None:
        limit = min(limit, switches.page_cap)
    return Range(0 if switches.ignore_offset else offset, limit)


def _whole(request: SandboxRequest, name: str, default: int) -> int:
    text = request.query.get(name)
    if text is None:
        return default
    if not text.removeprefix("-").isdecimal() or len(text) > 18:
        raise Refusal("parameter", f"{name} must be an integer")
    return int(text)


def _spoilt(page: list[int], before: list[int] | None, fault: Fault | None) -> list[int]:
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


def _payload(world: World, favourites: Favourites, page: list[int]) -> bytes:
    entries = [favourites.entry(number) for number in page]
    if len(entries) == 1 and "single_as_object" in world.switches.dirt:
        return entries[0]
    return json_list(entries)


def _counts(world: World, page: int, total: int, number: int) -> int | None:
    match world.switches.counts:
        case "absent":
            return None
        case "page":
            return page
        case "total":
            return total
    wobbling = (total, page, 0, total + 7, total * 3 // 4, max(0, total - page))
    return world.chance("counts", number).choice(wobbling)
