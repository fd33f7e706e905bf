"""The switches: one position for everything that Boomplay's documentation leaves open."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, fields
from typing import Literal, get_args, get_type_hints

from etl.sandbox.malformed import MALFORMED_ROWS


@dataclass(frozen=True, slots=True, kw_only=True)
class Switches:
    """How the sandbox answers where the documentation is silent or contradicts itself. The first position is the default.

    ``counts``: the number in the envelope. ``order``: of the favourites. ``limit_out_of_range``: a ``limit`` outside 1 to 50,
    or a negative ``offset``. ``past_end``: an ``offset`` at or behind the end. ``error_transport``: how a refusal travels;
    ``error_base`` + 1 to 99 are its made-up codes. ``unknown_ids``: in by-ids requests. ``token_answer``: its shape.
    ``grant_type``: the value that ``POST /oauth/token`` accepts; ``absent`` = the field must be missing. ``consent``: what the
    redirect carries, its values percent-encoded or raw. ``refresh``: whether refresh tokens work, and whether each use makes a
    new one. ``throttling``: how every ``throttle_every``-th request is refused, with ``retry_after`` as the header's text.

    ``page_cap``: at most so many items a page, whatever is asked. ``ignore_offset``: every page is the first one.
    ``strict_headers``: ``Content-Type`` is required on GET too. ``bare_token``: ``Authorization`` works without ``Bearer``.
    ``user_token_everywhere``: a user token is accepted where the documentation asks for an app's. ``fault_rate``: how often
    the scenario's faults happen, 0 to 1; None = its own rate. ``malformed``: names in `MALFORMED_ROWS`, each hitting
    ``malformed_share`` of the entries.

    Raises: ValueError for a position that does not exist.
    """

    counts: Literal["total", "page", "absent", "wobbling"] = "total"
    order: Literal["newest_first", "insertion", "shuffled_per_request"] = "newest_first"
    limit_out_of_range: Literal["clamp", "error"] = "clamp"
    past_end: Literal["empty", "null", "error"] = "empty"
    error_transport: Literal["http_envelope", "http_html", "ok_code"] = "http_envelope"
    error_base: int = 990_000
    unknown_ids: Literal["dropped", "null", "error"] = "dropped"
    token_answer: Literal["enveloped", "bare"] = "enveloped"  # noqa: S105 - a position
    grant_type: Literal["any", "clientCredentials", "client_credentials", "absent"] = "any"
    consent: Literal["fragment_token", "query_code", "denied"] = "fragment_token"
    consent_encoding: Literal["percent", "raw"] = "percent"
    exchange_path: str = "/oauth/userToken"
    refresh: Literal["none", "fixed", "rotating"] = "none"
    refresh_path: str = "/oauth/refreshToken"
    throttling: Literal["none", "retry_after", "bare", "ok_code"] = "none"
    throttle_every: int = 3
    retry_after: str = "1"
    page_cap: int | None = None
    ignore_offset: bool = False
    strict_headers: bool = False
    bare_token: bool = False
    user_token_everywhere: bool = True
    latency_seconds: float = 0.0
    token_lifetime_seconds: float = 7200.0
    fault_rate: float | None = None
    malformed: Set[str] = frozenset()
    malformed_share: float = 0.25

    def __post_init__(self) -> None:
        """Refuse positions that do not exist; ``malformed`` may be any set."""
        object.__setattr__(self, "malformed", frozenset(self.malformed))
        for name, positions in POSITIONS.items():
            _check(name, getattr(self, name), positions)
        for row in self.malformed:
            _check("malformed", row, tuple(MALFORMED_ROWS))


def _positions() -> dict[str, tuple[str, ...]]:
    hints = get_type_hints(Switches)
    names = [field.name for field in fields(Switches)]
    return {name: get_args(hints[name]) for name in names if getattr(hints[name], "__origin__", None) is Literal}


def _check(name: str, position: object, positions: tuple[str, ...]) -> None:
    if position not in positions:
        raise ValueError(f"The switch {name} has no position {position!r}, only {', '.join(positions)}.")


POSITIONS = _positions()
