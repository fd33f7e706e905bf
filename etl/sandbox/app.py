"""The stand-in's routes: which request is answered by what, and whether it may be.

Every answer is modelled on Boomplay's documentation, none is recorded from the service.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal

from etl.sandbox import control, lookups, oauth
from etl.sandbox.pages import broken, favourites_reply
from etl.sandbox.refusals import Refusal, refused
from etl.sandbox.state import SandboxList
from etl.sandbox.wire import SandboxReply, SandboxRequest
from etl.sandbox.world import APP_ID, RequestRecord, World, masked

FAVOURITES = ("/favourite/v1/tracks", "/favourite/v1/albums", "/favourite/v1/playlists")

_OF_USERS: Mapping[str, Callable[[World, SandboxList], SandboxReply]] = {
    "/user/getUserInfo": lookups.user,
    "/user/playlists": lookups.user_playlists,
}
_OF_APPS: Mapping[str, Callable[[World, SandboxRequest], SandboxReply]] = {
    "/track/v1/trackIds": lambda world, request: lookups.by_ids(world, request, world.catalogue.item),
    "/album/v1/albumIds": lambda world, request: lookups.by_ids(
        world, request, lambda number: world.catalogue.album(number, is_long=True)
    ),
    "/artist/v1/artistIds": lambda world, request: lookups.by_ids(world, request, world.catalogue.artist),
    "/playlist/v1/playlistIds": lambda world, request: lookups.by_ids(
        world, request, lambda number: world.catalogue.playlist(number, is_long=True)
    ),
    "/search/v1": lookups.search,
    "/charts/v1/weekly/albums": lambda world, _: lookups.weekly_albums(world),
}
_WITH_WORD: Mapping[str, Callable[[World, str], SandboxReply]] = {
    "/track/v1/isrc/": lookups.by_isrc,
    "/track/v1/analysis/": lookups.track_plays,
    "/album/v1/analysis/": lookups.album_plays,
    "/charts/v1/playlist/detail/": lookups.chart,
}


class App:
    """Answers requests out of a `World`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def answer(self, request: SandboxRequest) -> SandboxReply:
        """Return the reply to any request."""
        world = self._world
        with world.lock:
            if request.path.startswith(control.PREFIX):
                return control.answer(world, request)
            record = _record(world, request)
            reply = self._answer_or_refuse(request, record)
            if request.method == "HEAD":
                reply = replace(reply, body=b"")
            record.status = 0 if reply.delivery and not reply.delivery.share else reply.status
            return replace(reply, delay_seconds=delay) if (delay := world.switches.latency_seconds) else reply

    def _answer_or_refuse(self, request: SandboxRequest, record: RequestRecord) -> SandboxReply:
        world = self._world
        try:
            return _answered(world, request, record)
        except Refusal as refusal:
            return refused(refusal, world.switches)
        except BaseException as failure:  # noqa: BLE001 - also a hook's pytest.fail, which `Sandbox` raises again
            world.failures.append(failure)
            return refused(Refusal("bug", repr(failure)), world.switches)


def _record(world: World, request: SandboxRequest) -> RequestRecord:
    token = request.headers.get("authorization", "").removeprefix("Bearer ")
    number = world.count("requests")
    record = RequestRecord(number, world.now(), request.method, request.path, request.query, masked(token))
    world.records.append(record)
    return record


def _answered(world: World, request: SandboxRequest, record: RequestRecord) -> SandboxReply:
    if request.path == "/oauth/consent":
        _check_method(request, "GET")
        return oauth.consent(world, request)
    if token_endpoint := oauth.token_endpoint(world, request.path):
        _check_method(request, "POST")
        return token_endpoint(world, request)
    if request.path in FAVOURITES or request.path in _OF_USERS:
        return _user_reply(world, request, record)
    return _app_reply(world, request, record)


def _user_reply(world: World, request: SandboxRequest, record: RequestRecord) -> SandboxReply:
    _check_method(request, "GET")
    name = _authorised(world, request, "user")
    account = world.accounts[name or ""]
    record.user = name
    _check_throttle(world)
    if request.path in FAVOURITES:
        return favourites_reply(world, account, request, record)
    return _perhaps_broken(world, request, record, _OF_USERS[request.path](world, account))


def _app_reply(world: World, request: SandboxRequest, record: RequestRecord) -> SandboxReply:
    answer = _app_endpoint(request.path)
    if answer is None:
        raise Refusal("no_page", request.path)
    _check_method(request, "GET")
    record.user = _authorised(world, request, "app")
    _check_throttle(world)
    return _perhaps_broken(world, request, record, answer(world, request))


def _app_endpoint(path: str) -> Callable[[World, SandboxRequest], SandboxReply] | None:
    if path in _OF_APPS:
        return _OF_APPS[path]
    prefix, _, word = path.rpartition("/")
    answer = _WITH_WORD.get(f"{prefix}/")
    return (lambda world, _: answer(world, word)) if answer and word else None


def _perhaps_broken(world: World, request: SandboxRequest, record: RequestRecord, reply: SandboxReply) -> SandboxReply:
    fault = world.fault("others", world.count("others"))
    record.fault = fault.name if fault else None
    return broken(reply, fault, world, request)


def _check_method(request: SandboxRequest, method: str) -> None:
    if request.method != method:
        raise Refusal("method", f"only {method}")


def _check_throttle(world: World) -> None:
    if world.switches.throttling != "none" and world.count("throttled") % world.switches.throttle_every == 0:
        raise Refusal("throttled")


def _authorised(world: World, request: SandboxRequest, kind: Literal["user", "app"]) -> str | None:
    """Return the name of the token's user, None for an app token, which only the endpoints for apps take."""
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
    is_wrong_kind = grant.user is None if kind == "user" else grant.user and not switches.user_token_everywhere
    if is_wrong_kind:
        raise Refusal("token_kind", f"an {kind} token" if kind == "app" else "a user token")
    return grant.user
