"""Named hostile scenarios: what goes wrong, and how often.

Everything is decided with the random generator of one request, made from (seed, request number), so that a run can be
repeated. A scenario is a value: switch positions, and functions from a generator to a fault or to a change of the list.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from etl.sandbox import faults
from etl.sandbox.faults import FAULTS
from etl.sandbox.malformed import MALFORMED_ROWS
from etl.sandbox.scenario import Effect, RequestContext, Scenario
from etl.sandbox.wrong_services import WRONG_SERVICES


def scenario_named(name: str | None) -> tuple[str, Scenario]:
    """Return the scenario with its name; None is the quiet one.

    Raises: ValueError for an unknown name.
    """
    name = name or "quiet"
    if name not in _SCENARIOS:
        raise ValueError(f"There is no scenario {name!r}, only {', '.join(_SCENARIOS)}.")
    return name, _SCENARIOS[name]


def _any_change(rng: Random, context: RequestContext) -> Effect | None:
    kind = rng.choice(("add", "remove", "move"))
    account, track_ids, _ = context
    if kind == "add" or not account.tracks:
        drawn = rng.sample(track_ids, min(50, len(track_ids)))
        new = next((track_id for track_id in [*drawn, *track_ids] if track_id not in account), None)
        return None if new is None else Effect("add", new)
    return Effect("remove" if kind == "remove" else "move", rng.choice(account.tracks))


def _emptied(_: Random, context: RequestContext) -> Effect | None:
    account = context.account
    is_due = account.is_read_to_end and context.offset == 0 and not account.was_emptied
    return Effect("empty") if is_due and account.tracks else None


# Rows that spoil the whole page or the identity of an entry; each has a scenario or a test of its own.
NOT_DIRTY_DATA = {"single_as_object", "title_lone_surrogate", "ids_as_floats", "entry_null", "entry_without_id"}
_STORM = (
    faults.http(500),
    faults.http(502, html=True),
    faults.http(503, html=True),
    faults.http(503, retry_after="0"),
    faults.http(429, retry_after="0"),
    faults.http(429, retry_after="1"),
    faults.http(429),
    faults.reset(),
    faults.truncated(),
    FAULTS["disconnect"],
    faults.stall(0.2),
)

_SCENARIOS: Mapping[str, Scenario] = {
    "quiet": Scenario("nothing goes wrong"),
    "mid_walk_changes": Scenario(
        "tracks are added, removed and moved to the front between page requests", 0.2, effect=_any_change
    ),
    "empty_page": Scenario(
        "a page comes back empty in the middle of the list", 0.2, fault=lambda _: FAULTS["empty_page"]
    ),
    "short_page": Scenario(
        "a page ends up to ten items early", 0.2, fault=lambda rng: faults.short_page(rng.randint(1, 10))
    ),
    "repeated_page": Scenario("the page before is answered again", 0.2, fault=lambda _: FAULTS["repeated_page"]),
    "offset_ignored": Scenario("every page is the first one", positions={"ignore_offset": True}),
    "page_cap": Scenario("pages hold at most 20 items, whatever is asked", positions={"page_cap": 20}),
    "counts_page": Scenario("`counts` is the size of the page", positions={"counts": "page"}),
    "counts_total": Scenario("`counts` is the size of the list", positions={"counts": "total"}),
    "counts_wobbling": Scenario("`counts` is another number on every page", positions={"counts": "wobbling"}),
    "counts_absent": Scenario("there is no `counts`", positions={"counts": "absent"}),
    "shuffled_order": Scenario("the list is shuffled for every request", positions={"order": "shuffled_per_request"}),
    "stale_replica": Scenario(
        "some requests are answered from a replica that lags up to five changes behind",
        0.3,
        fault=lambda rng: faults.stale(rng.randint(1, 5)),
    ),
    "error_storm": Scenario(
        "many requests get 5xx, 429, a reset, half an answer or no answer",
        0.3,
        fault=lambda rng: rng.choice(_STORM),
        hits_all=True,
    ),
    "emptied_list": Scenario(
        "once the list was read to its end, the next reading finds it cleared", 1.0, effect=_emptied
    ),
    "dirty_data": Scenario(
        "entries are empty, doubled, missing or of another type than documented",
        positions={"malformed": frozenset(MALFORMED_ROWS) - NOT_DIRTY_DATA},
    ),
    **WRONG_SERVICES,
}
SCENARIOS: Mapping[str, str] = {name: scenario.description for name, scenario in _SCENARIOS.items()}
