"""The control path ``/_sandbox/``: looking at the stand-in and changing it over HTTP. It is favsync's own, no part of Boomplay.

Reached on loopback only, like everything here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, TypeVar

import msgspec

from etl.sandbox.catalogue import DOCUMENTED_TRACK
from etl.sandbox.faults import FAULTS, named
from etl.sandbox.scenarios import SCENARIOS, Effect
from etl.sandbox.state import SandboxList
from etl.sandbox.switches import Switches
from etl.sandbox.wire import SandboxReply, SandboxRequest
from etl.sandbox.world import APP_ID, APP_SECRET, World

PREFIX = "/_sandbox/"
ABOUT = (
    "This is favsync's stand-in for the Boomplay Open API. It is modelled on the public documentation;"
    " nothing in it was recorded from the service, and it is not affiliated with Boomplay."
)

T = TypeVar("T")
Posted = dict[str, Any]


class ControlOrder(msgspec.Struct, forbid_unknown_fields=True):
    """What is posted to the control path; without ``user`` the first one is meant."""

    user: str | None = None
    track_id: int | None = None
    at: int | None = None
    track_ids: list[int] | None = None
    fields: dict[str, Any] | None = None
    scenario: str | None = None
    faults: list[str | None] | None = None
    switches: dict[str, Any] | None = None
    lifetime_seconds: float | None = None


def answer(world: World, request: SandboxRequest) -> SandboxReply:
    """Answer a request to the control path. The caller holds the world's lock."""
    name = request.path.removeprefix(PREFIX)
    try:
        if request.method == "GET" and name in _VIEWS:
            return _json(_VIEWS[name](world, request.query))
        if request.method == "POST" and name in _ACTIONS:
            return _json(_ACTIONS[name](world, msgspec.json.decode(request.body, type=ControlOrder)))
    except (ValueError, LookupError) as wrong:
        return _json({"error": str(wrong)}, 400)
    return _json({"error": "no such control", "get": sorted(_VIEWS), "post": sorted(_ACTIONS)}, 404)


def account_of(world: World, name: str | None) -> SandboxList:
    """Return the account of the user ``name``, or of the first user.

    Raises: LookupError for an unknown name.
    """
    wanted = name or next(iter(world.accounts))
    if wanted not in world.accounts:
        raise LookupError(f"the sandbox has no user {wanted!r}, only {', '.join(world.accounts)}")
    return world.accounts[wanted]


def _about(world: World, _: Mapping[str, str]) -> Posted:
    users = {
        name: asdict(account.user) | {"favourites": len(account.tracks)} for name, account in world.accounts.items()
    }
    return {
        "about": ABOUT,
        "app_id": APP_ID,
        "app_secret": APP_SECRET,
        "users": users,
        "scenario": world.scenario.name,
        "switches": asdict(world.switches),
        "scenarios": dict(SCENARIOS),
        "faults": list(FAULTS),
        "documented_track": DOCUMENTED_TRACK,
        "redirect_uris": sorted(world.redirect_uris),
        "get": sorted(_VIEWS),
        "post": sorted(_ACTIONS),
    }


def _state(world: World, query: Mapping[str, str]) -> Posted:
    account = account_of(world, query.get("user"))
    return {"user": account.user.name, "favourites": account.tracks, "requests": world.counts["requests"]}


def _history(world: World, query: Mapping[str, str]) -> Posted:
    account = account_of(world, query.get("user"))
    return {"user": account.user.name, "history": [change._asdict() for change in account.history]}


def _requests(world: World, _: Mapping[str, str]) -> Posted:
    return {"requests": [asdict(record) for record in world.records]}


def _favourite(world: World, order: ControlOrder) -> Posted:
    account = account_of(world, order.user)
    track_id = order.track_id or _newcomer(world, account)
    world.favourite(account, track_id, order.at)
    return {"track_id": track_id} | _length(account)


def _unfavourite(world: World, order: ControlOrder) -> Posted:
    account = account_of(world, order.user)
    account.remove(_given(order.track_id, "track_id"))
    return _length(account)


def _move(world: World, order: ControlOrder) -> Posted:
    account = account_of(world, order.user)
    world.carry_out(account, Effect("move", _given(order.track_id, "track_id"), order.at))
    return _length(account)


def _set(world: World, order: ControlOrder) -> Posted:
    account = account_of(world, order.user)
    track_ids = _given(order.track_ids, "track_ids")
    for track_id in track_ids:
        world.catalogue.item(track_id)
    account.replace(track_ids)
    return _length(account)


def _change(world: World, order: ControlOrder) -> Posted:
    track_id = _given(order.track_id, "track_id")
    world.catalogue.change(track_id, _given(order.fields, "fields"))
    return {"track_id": track_id}


def _scenario(world: World, order: ControlOrder) -> Posted:
    world.play(order.scenario)
    return {"scenario": world.scenario.name}


def _script(world: World, order: ControlOrder) -> Posted:
    world.script.extend(named(fault) for fault in _given(order.faults, "faults"))
    return {"waiting": len(world.script)}


def _switch(world: World, order: ControlOrder) -> Posted:
    given = _given(order.switches, "switches")
    if unknown := given.keys() - asdict(world.base).keys():
        raise ValueError(f"there is no switch {min(unknown)}")
    world.base = msgspec.convert({**asdict(world.base), **given}, Switches)
    world.play(world.scenario.name)
    return {"switches": asdict(world.switches)}


def _token(world: World, order: ControlOrder) -> Posted:
    user = account_of(world, order.user).user
    lifetime = world.switches.token_lifetime_seconds if order.lifetime_seconds is None else order.lifetime_seconds
    user.access_token = world.tokens.access(user.name, lifetime)
    return {"user": user.name, "access_token": user.access_token}


def _expire(world: World, order: ControlOrder) -> Posted:
    account = account_of(world, order.user)
    world.tokens.expire(account.user.name)
    return _length(account)


def _revoke(world: World, order: ControlOrder) -> Posted:
    account = account_of(world, order.user)
    world.tokens.revoke(account.user.name)
    return _length(account)


def _length(account: SandboxList) -> Posted:
    return {"user": account.user.name, "favourites": len(account.tracks)}


def _newcomer(world: World, account: SandboxList) -> int:
    for track_id in world.catalogue.track_ids:
        if track_id not in account:
            return track_id
    raise LookupError("every track of the catalogue is a favourite already")


def _given(value: T | None, name: str) -> T:
    if value is None:
        raise ValueError(f"{name} is missing")
    return value


def _json(answered: Posted, status: int = 200) -> SandboxReply:
    return SandboxReply(status, msgspec.json.encode(answered) + b"\n")


_VIEWS: Mapping[str, Callable[[World, Mapping[str, str]], Posted]] = {
    "": _about,
    "state": _state,
    "history": _history,
    "requests": _requests,
}
_ACTIONS: Mapping[str, Callable[[World, ControlOrder], Posted]] = {
    "favourite": _favourite,
    "unfavourite": _unfavourite,
    "move": _move,
    "set": _set,
    "change": _change,
    "scenario": _scenario,
    "script": _script,
    "switch": _switch,
    "token": _token,
    "expire": _expire,
    "revoke": _revoke,
}
