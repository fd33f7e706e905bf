"""The control path ``/_sandbox/``: look at the sandbox and change it over HTTP. It is favsync's own, no part of Boomplay.

Like everything here it is reached on loopback only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import msgspec

from etl.sandbox.faults import FAULTS
from etl.sandbox.messages import SandboxReply, SandboxRequest
from etl.sandbox.scenarios import SCENARIOS
from etl.sandbox.switches import Switches
from etl.sandbox.world import APP_ID, APP_SECRET, World

PREFIX = "/_sandbox/"
ABOUT = (
    "This is favsync's stand-in for the Boomplay Open API. It is modelled on the public documentation;"
    " nothing in it was recorded from the service, and it is not affiliated with Boomplay."
)


class ControlOrder(msgspec.Struct, forbid_unknown_fields=True):
    """What is posted to the control path; without ``user`` the first one is meant."""

    user: str | None = None
    track_id: int | None = None
    at: int | None = None
    fields: dict[str, Any] | None = None
    scenario: str | None = None
    faults: list[str | None] = []
    switches: dict[str, Any] = {}


def answer(world: World, request: SandboxRequest) -> SandboxReply:
    """Answer a request to the control path. The caller holds the world's lock."""
    name, status = request.path.removeprefix(PREFIX), 200
    try:
        if request.method == "GET" and not name:
            answered = _about(world)
        elif request.method == "POST" and name in _VERBS:
            answered = _VERBS[name](world, msgspec.json.decode(request.body, type=ControlOrder))
        else:
            answered, status = {"error": "no such control", "post": sorted(_VERBS)}, 404
    except (ValueError, LookupError) as wrong:
        answered, status = {"error": str(wrong)}, 400
    return SandboxReply(status, msgspec.json.encode(answered) + b"\n")


def _about(world: World) -> dict[str, Any]:
    return {
        "about": ABOUT,
        "app_id": APP_ID,
        "app_secret": APP_SECRET,
        "users": {name: asdict(each.user) | {"favourites": each.tracks} for name, each in world.lists.items()},
        "scenario": world.scenario_name,
        "switches": asdict(world.switches),
        "requests": world.counts["requests"],
        "scenarios": dict(SCENARIOS),
        "faults": list(FAULTS),
        "post": sorted(_VERBS),
    }


def _favourite(world: World, order: ControlOrder) -> dict[str, Any]:
    account = world.list_of(order.user)
    track_id = order.track_id or next((each for each in world.catalogue.track_ids if each not in account), None)
    if track_id is None:
        raise LookupError("Every track of the catalogue is a favourite already.")
    world.favourite(order.user, track_id, order.at)
    return {"user": account.user.name, "track_id": track_id, "favourites": len(account.tracks)}


def _unfavourite(world: World, order: ControlOrder) -> dict[str, Any]:
    if order.track_id is None:
        raise ValueError("track_id is missing")
    account = world.list_of(order.user)
    account.remove(order.track_id)
    return {"user": account.user.name, "favourites": len(account.tracks)}


def _change(world: World, order: ControlOrder) -> dict[str, Any]:
    if order.track_id is None or order.fields is None:
        raise ValueError("track_id or fields is missing")
    world.change_track(order.track_id, **order.fields)
    return {"track_id": order.track_id}


def _play(world: World, order: ControlOrder) -> dict[str, Any]:
    if unknown := order.switches.keys() - asdict(world.base).keys():
        raise ValueError(f"There is no switch {min(unknown)}.")
    base = msgspec.convert({**asdict(world.base), **order.switches}, Switches)
    world.script(order.faults)
    world.play(order.scenario or world.scenario_name)
    world.switch(**asdict(base))
    return {"scenario": world.scenario_name, "switches": asdict(world.switches), "faults": len(world.scripted)}


_VERBS: Mapping[str, Callable[[World, ControlOrder], dict[str, Any]]] = {
    "favourite": _favourite,
    "unfavourite": _unfavourite,
    "change": _change,
    "play": _play,
}
