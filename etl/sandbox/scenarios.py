"""Named scenarios: what goes wrong, and how often. ``scenarios.json`` lists them; what needs code is here.

Random decisions use the generator of one request, made from (seed, request number), so that a run can be repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from random import Random
from typing import Any

import msgspec

from etl.sandbox import faults
from etl.sandbox.distortions import Distortion
from etl.sandbox.faults import FAULTS, Fault
from etl.sandbox.state import SandboxList

# Changes a list before a request. Gets the generator, the list, the catalogue's tracks and the offset that is asked for.
ListChange = Callable[[Random, SandboxList, Sequence[int], int], None]


@dataclass(frozen=True, slots=True)
class Scenario:
    """What goes wrong: switch positions and a distortion at every request, a fault or a change of the list at some.

    ``rate`` is their share. ``hits_all``: faults hit every GET, not only those of the favourites.
    """

    description: str
    rate: float = 0.0
    hits_all: bool = False
    switches: Mapping[str, Any] = field(default_factory=dict)
    distortion: Distortion | None = None
    fault: Callable[[Random], Fault] | None = None
    change: ListChange | None = None


def _any_change(rng: Random, account: SandboxList, track_ids: Sequence[int], _: int) -> None:
    kind = rng.choice(("add", "remove", "move"))
    if kind == "add" or not account.tracks:
        drawn = rng.sample(track_ids, min(50, len(track_ids)))
        new = next((track_id for track_id in [*drawn, *track_ids] if track_id not in account), None)
        if new is not None:
            account.add(new)
    elif kind == "remove":
        account.remove(rng.choice(account.tracks))
    else:
        account.move(rng.choice(account.tracks))


def _emptied(_: Random, account: SandboxList, __: Sequence[int], offset: int) -> None:
    if account.is_read_to_end and offset == 0 and not account.was_emptied and account.tracks:
        account.replace(())
        account.was_emptied = True


_STORM = (
    *(FAULTS[name] for name in ("http_500", "http_502", "http_503", "http_429", "http_429_zero")),
    *(FAULTS[name] for name in ("reset", "truncated", "disconnect")),
    faults.http(503, retry_after="0"),
    faults.http(429, retry_after="1"),
    faults.stall(0.2),
)
_CHANGES: Mapping[str, ListChange] = {"mid_walk_changes": _any_change, "emptied_list": _emptied}
_FAULTS: Mapping[str, Callable[[Random], Fault]] = {
    "empty_page": lambda _: FAULTS["empty_page"],
    "short_page": lambda rng: faults.short_page(rng.randint(1, 10)),
    "repeated_page": lambda _: FAULTS["repeated_page"],
    "stale_replica": lambda rng: faults.stale(rng.randint(1, 5)),
    "error_storm": lambda rng: rng.choice(_STORM),
}


def _scenario(name: str, fields: dict[str, Any]) -> Scenario:
    distortion = Distortion(**fields.pop("distortion")) if "distortion" in fields else None
    return Scenario(**fields, distortion=distortion, fault=_FAULTS.get(name), change=_CHANGES.get(name))


_LISTED: dict[str, dict[str, dict[str, Any]]] = msgspec.json.decode(
    files("etl.sandbox").joinpath("scenarios.json").read_bytes()
)
_SCENARIOS = {name: _scenario(name, fields) for group in _LISTED.values() for name, fields in group.items()}
SCENARIOS: Mapping[str, str] = {name: scenario.description for name, scenario in _SCENARIOS.items()}
WRONG_SERVICES = tuple(_LISTED["wrong"])


def scenario_named(name: str | None) -> tuple[str, Scenario]:
    """Return the scenario with its name; None is the quiet one.

    Raises: ValueError for an unknown name.
    """
    name = name or "quiet"
    if name not in _SCENARIOS:
        raise ValueError(f"There is no scenario {name!r}, only {', '.join(_SCENARIOS)}.")
    return name, _SCENARIOS[name]
