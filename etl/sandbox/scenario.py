"""The record of a scenario, and what its functions take and return. Apart, so that both lists of scenarios can import it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal, NamedTuple

from etl.sandbox.distortions import Distortion
from etl.sandbox.faults import Fault
from etl.sandbox.state import SandboxList


class Effect(NamedTuple):
    """A change of a list between two requests; ``at`` None = where the service puts new favourites."""

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
    """What goes wrong. ``rate`` is how often; ``hits_all`` = every GET, not only the favourites."""

    description: str
    rate: float = 0.0
    positions: Mapping[str, Any] = field(default_factory=dict)
    fault: Callable[[Random], Fault] | None = None
    effect: Callable[[Random, RequestContext], Effect | None] | None = None
    hits_all: bool = False
    distortion: Distortion | None = None
