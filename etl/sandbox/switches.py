"""The switches: one position for everything that Boomplay's documentation leaves open."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from typing import Literal, get_args, get_origin, get_type_hints

from etl.sandbox.malformed import MALFORMED_ROWS


@dataclass(frozen=True, slots=True, kw_only=True)
class Switches:
    """How the sandbox answers where the documentation is silent or contradicts itself; docs/sandbox.md describes each switch.

    The first position is the default. ``malformed``: names in `MALFORMED_ROWS`.

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
        checked = [(name, getattr(self, name), positions) for name, positions in POSITIONS.items()]
        checked += [("malformed", row, tuple(MALFORMED_ROWS)) for row in self.malformed]
        for name, position, positions in checked:
            if position not in positions:
                raise ValueError(f"The switch {name} has no position {position!r}, only {', '.join(positions)}.")


POSITIONS: dict[str, tuple[str, ...]] = {
    name: get_args(hint) for name, hint in get_type_hints(Switches).items() if get_origin(hint) is Literal
}
