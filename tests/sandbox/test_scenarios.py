from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import httpx
import pytest

from etl.sandbox import SCENARIOS, Sandbox, faults
from tests.sandbox.client import BY_IDS, USER, Open, SandboxClient


def outcome(client: SandboxClient, offset: int = 0) -> tuple[object, ...]:
    try:
        answer = client.get(offset=offset, limit=20)
    except httpx.TransportError as broken:
        return (type(broken).__name__,)
    return (answer.status_code, answer.headers.get("retry-after"), answer.content)


def run(opened: Open, scenario: str, seed: int) -> list[object]:
    """Read the list three times, with a change after each page that a stale replica may not show."""
    client = opened(tracks=100, scenario=scenario, seed=seed)
    outcomes: list[object] = []
    for offset in [*range(0, 100, 20)] * 3:
        outcomes.append(outcome(client, offset))
        if scenario == "stale_replica":
            client.sandbox.move_to_front("ada", client.true_ids[-1])
    return outcomes


def sizes(client: SandboxClient) -> list[int]:
    """Ask for the same full page again and again, and count its items."""
    return [len(client.ids(20, 20)) for _ in range(60)]


def test_an_unknown_scenario_is_refused() -> None:
    with pytest.raises(ValueError, match="no scenario 'chaos', only quiet, mid_walk_changes"):
        Sandbox(scenario="chaos")


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_scenario_repeats_under_its_seed(opened: Open, scenario: str) -> None:
    assert SCENARIOS[scenario]
    assert run(opened, scenario, 7) == run(opened, scenario, 7)


def test_a_fault_rate_of_zero_makes_a_scenario_quiet(opened: Open) -> None:
    for scenario in ("mid_walk_changes", "short_page", "repeated_page", "error_storm", "emptied_list"):
        client = opened(tracks=100, scenario=scenario, fault_rate=0)
        before = client.true_ids
        assert client.ids(0) + client.ids(50) + client.ids(0) + client.ids(50) == before * 2
        assert client.sandbox.history("ada") == []


def test_the_list_changes_in_three_ways_between_requests(opened: Open) -> None:
    client = opened(tracks=100, scenario="mid_walk_changes", fault_rate=1)
    for _ in range(30):
        front = client.ids(0)[0]
        assert front == client.true_ids[0]
        last = client.sandbox.history("ada")[-1]
        assert last.change == "removed" or last.track_id == front
    assert Counter(change for _, change, _ in client.sandbox.history("ada")).keys() == {"added", "removed", "moved"}


def test_an_empty_list_grows_when_it_changes(opened: Open) -> None:
    assert len(opened(tracks=0, scenario="mid_walk_changes", fault_rate=1).ids()) == 1


def test_some_pages_are_empty_short_or_repeated(opened: Open) -> None:
    assert set(sizes(opened(tracks=100, scenario="empty_page"))) == {0, 20}
    assert all(10 <= size <= 20 for size in sizes(opened(tracks=100, scenario="short_page")))
    client = opened(tracks=100, scenario="repeated_page")
    pages = [client.ids(offset, 20) for offset in [*range(0, 100, 20)] * 8]
    assert 0 < sum(page == before for before, page in pairwise(pages)) < 20


@pytest.mark.parametrize(
    ("scenario", "holds"),
    [
        ("offset_ignored", lambda client: client.ids(40, 20) == client.true_ids[:20]),
        ("page_cap", lambda client: client.ids(40, 50) == client.true_ids[40:60]),
        ("counts_page", lambda client: client.get(limit=7).json()["counts"] == 7),
        ("counts_total", lambda client: client.get(limit=7).json()["counts"] == 100),
        ("counts_absent", lambda client: "counts" not in client.get(limit=7).json()),
        ("counts_wobbling", lambda client: len({client.get(limit=7).json()["counts"] for _ in range(9)}) > 1),
        ("shuffled_order", lambda client: client.ids(0) != client.ids(0)),
    ],
)
def test_a_scenario_of_switches_sets_them(opened: Open, scenario: str, holds: Callable[[SandboxClient], bool]) -> None:
    assert holds(opened(tracks=100, scenario=scenario))


def test_a_stale_replica_lags_for_some_requests_only(opened: Open) -> None:
    client = opened(tracks=40, scenario="stale_replica")
    lists = [client.true_ids]
    stale = 0
    for _ in range(60):
        client.sandbox.move_to_front("ada", client.true_ids[-1])
        lists.append(client.true_ids)
        page = client.ids()
        stale += page != lists[-1]
        assert page in lists[-6:]
    assert 5 < stale < 40


def test_a_storm_brings_every_sort_of_failure(opened: Open) -> None:
    client = opened(tracks=40, scenario="error_storm", fault_rate=0.6)
    seen = {outcome(client)[:2] for _ in range(100)}
    assert {("ReadError",), ("RemoteProtocolError",), (200, None), (500, None), (502, None), (503, None)} <= seen
    assert {(503, "0"), (429, "0"), (429, "1"), (429, None)} <= seen


def test_a_storm_hits_the_other_endpoints_too(opened: Open) -> None:
    client = opened(tracks=40, scenario="error_storm", fault_rate=1)
    for path in (USER, f"{BY_IDS}?ids=1"):
        with pytest.raises((httpx.TransportError, httpx.HTTPStatusError)):
            client.http.get(path).raise_for_status()


def test_a_list_is_emptied_after_its_first_complete_reading(opened: Open) -> None:
    client = opened(tracks=80, scenario="emptied_list")
    assert [len(client.ids(offset)) for offset in (0, 0, 49, 79)] == [50, 50, 31, 1]
    assert client.ids(0) == client.true_ids == []
    assert Counter(change for _, change, _ in client.sandbox.history("ada")) == {"removed": 80}
    client.sandbox.favourite("ada", client.sandbox.documented_track)
    assert [client.ids(0) for _ in range(3)] == [[client.sandbox.documented_track]] * 3


def test_a_scenario_begins_and_ends_while_it_runs(opened: Open) -> None:
    client = opened(tracks=100)
    client.sandbox.play("page_cap")
    client.sandbox.switch(past_end="null")
    assert (len(client.ids()), client.sandbox.switches.past_end) == (20, "null")
    client.sandbox.play(None)
    assert (len(client.ids()), client.sandbox.switches.past_end) == (50, "null")


def test_a_scripted_fault_precedes_the_scenarios(opened: Open) -> None:
    client = opened(tracks=100, scenario="empty_page", fault_rate=1)
    client.sandbox.script([None, faults.short_page(1)])
    assert [len(client.ids()) for _ in range(3)] == [50, 49, 0]
