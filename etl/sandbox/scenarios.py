"""Named hostile scenarios: what goes wrong, and how often.

Everything is decided with the chance of one request, made from (seed, request counter), so that a run can be repeated.
A scenario is a value: switch positions, and functions from chance to a fault or to an intended change of the list.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal, NamedTuple

from etl.sandbox import faults
from etl.sandbox.dirt import DIRT
from etl.sandbox.faults import Fault
from etl.sandbox.state import SandboxList
from etl.sandbox.switches import Switches


class Effect(NamedTuple):
    """A change that somebody makes to a list between two requests; ``at`` None = where the service puts new favourites."""

    change: Literal["add", "remove", "move", "empty"]
    track_id: int = 0
    at: int | None = None


class RequestContext(NamedTuple):
    """What a scenario may look at when it decides about a request."""

    account: SandboxList
    track_ids: Sequence[int]
    offset: int


@dataclass(frozen=True, slots=True)
class Scenario:
    """What goes wrong. ``rate`` is how often; ``hits_all`` = every documented GET, not only the favourites."""

    name: str
    description: str
    rate: float = 0.0
    positions: Mapping[str, Any] = field(default_factory=dict)
    fault: Callable[[Random], Fault] | None = None
    intent: Callable[[Random, RequestContext], Effect | None] | None = None
    hits_all: bool = False


def scenario_named(name: str | None) -> Scenario:
    """Return the scenario; None is the quiet one.

    Raises: ValueError for an unknown name.
    """
    if name is not None and name not in _SCENARIOS:
        raise ValueError(f"there is no scenario {name!r}, only {', '.join(_SCENARIOS)}")
    return _SCENARIOS[name or "quiet"]


def mutation(switches: Switches, chance: Random, situation: RequestContext) -> Effect | None:
    """Return what the switch ``mutation`` does to the list before this request."""
    account = situation.account
    if situation.offset < 1 or switches.mutation == "none":
        return None
    if switches.mutation == "delete_front":
        return Effect("remove", account.tracks[0]) if account.tracks else None
    return _added(chance, situation, at=0)


def _added(chance: Random, situation: RequestContext, at: int | None = None) -> Effect | None:
    account, track_ids, _ = situation
    for track_id in chance.sample(track_ids, min(50, len(track_ids))):
        if track_id not in account:
            return Effect("add", track_id, at)
    spare = next((track_id for track_id in track_ids if track_id not in account), None)
    return None if spare is None else Effect("add", spare, at)


def _any_change(chance: Random, situation: RequestContext) -> Effect | None:
    kind = chance.choice(("add", "remove", "move"))
    tracks = situation.account.tracks
    if kind == "add" or not tracks:
        return _added(chance, situation)
    return Effect("remove", chance.choice(tracks)) if kind == "remove" else Effect("move", chance.choice(tracks))


def _emptied(_: Random, situation: RequestContext) -> Effect | None:
    account = situation.account
    is_due = account.is_read_to_end and situation.offset == 0 and not account.was_emptied
    return Effect("empty") if is_due and account.tracks else None


def _storm(chance: Random) -> Fault:
    return chance.choice(
        (
            faults.http(500),
            faults.http(502, html=True),
            faults.http(503, html=True),
            faults.http(503, retry_after="0"),
            faults.http(429, retry_after="0"),
            faults.http(429, retry_after="1"),
            faults.http(429),
            faults.reset(),
            faults.truncated(),
            faults.disconnect(),
            faults.stall(0.2),
        )
    )


_ALL = (
    Scenario("quiet", "nothing goes wrong"),
    Scenario(
        "mid_walk_changes",
        "tracks are added, removed and moved to the front between page requests",
        0.2,
        intent=_any_change,
    ),
    Scenario(
        "empty_page", "a page comes back empty in the middle of the list", 0.2, fault=lambda _: faults.empty_page()
    ),
    Scenario(
        "short_page",
        "a page ends up to ten items early",
        0.2,
        fault=lambda chance: faults.short_page(chance.randint(1, 10)),
    ),
    Scenario("repeated_page", "the page before is answered again", 0.2, fault=lambda _: faults.repeated_page()),
    Scenario("offset_ignored", "every page is the first one", positions={"ignore_offset": True}),
    Scenario("page_cap", "pages hold at most 20 items, whatever is asked", positions={"page_cap": 20}),
    Scenario("counts_page", "`counts` is the size of the page", positions={"counts": "page"}),
    Scenario("counts_total", "`counts` is the size of the list", positions={"counts": "total"}),
    Scenario("counts_wobbling", "`counts` is another number on every page", positions={"counts": "wobbling"}),
    Scenario("counts_absent", "there is no `counts`", positions={"counts": "absent"}),
    Scenario("shuffled_order", "the list is shuffled for every request", positions={"order": "shuffled_per_request"}),
    Scenario(
        "stale_replica",
        "some requests are answered from a replica that lags up to five changes behind",
        0.3,
        fault=lambda chance: faults.stale(chance.randint(1, 5)),
    ),
    Scenario(
        "error_storm",
        "many requests get 5xx, 429, a reset, half an answer or no answer",
        0.3,
        fault=_storm,
        hits_all=True,
    ),
    Scenario(
        "emptied_list", "once the list was read to its end, the next reading finds it cleared", 1.0, intent=_emptied
    ),
    Scenario(
        "dirty_data",
        "entries are empty, doubled, missing or of another type than documented",
        positions={"dirt": frozenset(DIRT) - {"single_as_object", "title_lone_surrogate"}},
    ),
)
_SCENARIOS: Mapping[str, Scenario] = {scenario.name: scenario for scenario in _ALL}
SCENARIOS: Mapping[str, str] = {scenario.name: scenario.description for scenario in _ALL}
