from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import httpx
import pytest

from etl.sandbox import SCENARIOS, Sandbox, faults
from tests.sandbox.bench import ALBUMS, Bench, Open

NAMED = [
    "quiet",
    "mid_walk_changes",
    "empty_page",
    "short_page",
    "repeated_page",
    "offset_ignored",
    "page_cap",
    "counts_page",
    "counts_total",
    "counts_wobbling",
    "counts_absent",
    "shuffled_order",
    "stale_replica",
    "error_storm",
    "emptied_list",
    "dirty_data",
]


def outcome(bench: Bench, offset: int) -> object:
    try:
        answer = bench.get(offset=offset, limit=20)
    except httpx.TransportError as broken:
        return type(broken).__name__
    return (answer.status_code, answer.headers.get("retry-after"), answer.content)


def run(opened: Open, scenario: str, **options: object) -> list[object]:
    """Read the list three times over, with a change after each page that the scenario may lag behind."""
    bench = opened(tracks=100, scenario=scenario, **options)
    outcomes = []
    for offset in [*range(0, 100, 20)] * 3:
        outcomes.append(outcome(bench, offset))
        if scenario == "stale_replica":
            bench.sandbox.move_to_front("ada", bench.true_ids[-1])
    return outcomes


def sizes(bench: Bench, requests: int = 60) -> list[int]:
    """Ask for the same full page again and again, and count its items."""
    return [len(bench.ids(20, 20)) for _ in range(requests)]


def test_every_scenario_is_named_and_described_in_a_line() -> None:
    assert list(SCENARIOS) == NAMED
    assert all(description and "\n" not in description for description in SCENARIOS.values())


def test_an_unknown_scenario_is_refused_with_those_that_exist() -> None:
    with pytest.raises(ValueError, match="no scenario 'chaos', only quiet, mid_walk_changes"):
        Sandbox(scenario="chaos")


@pytest.mark.parametrize("scenario", NAMED)
def test_a_scenario_can_be_repeated_answer_for_answer_under_its_seed(opened: Open, scenario: str) -> None:
    assert run(opened, scenario, seed=7) == run(opened, scenario, seed=7)


@pytest.mark.parametrize(
    "scenario",
    ["mid_walk_changes", "empty_page", "short_page", "repeated_page", "stale_replica", "error_storm", "shuffled_order"],
)
def test_another_seed_brings_other_mishaps(opened: Open, scenario: str) -> None:
    def shape(seed: int) -> list[object]:
        bench = opened(tracks=100, seed=seed, scenario=scenario)
        true_ids = bench.true_ids
        shapes: list[object] = []
        for _ in range(30):
            bench.sandbox.move_to_front("ada", bench.true_ids[-1])
            try:
                shapes.append([true_ids.index(track_id) for track_id in bench.ids(40, 20) if track_id in true_ids])
            except (httpx.HTTPError, TypeError, ValueError) as mishap:
                shapes.append(type(mishap).__name__)
        return shapes

    assert shape(1) != shape(2)


@pytest.mark.parametrize(
    "scenario",
    [
        "quiet",
        "mid_walk_changes",
        "empty_page",
        "short_page",
        "repeated_page",
        "stale_replica",
        "error_storm",
        "emptied_list",
    ],
)
def test_at_a_fault_rate_of_zero_a_scenario_is_quiet(opened: Open, scenario: str) -> None:
    bench = opened(tracks=100, scenario=scenario, fault_rate=0)
    before = bench.true_ids
    for _ in range(3):
        assert bench.ids(0) + bench.ids(50) == before
    assert bench.sandbox.history("ada") == []


def test_a_quiet_sandbox_answers_the_list_as_it_is(opened: Open) -> None:
    bench = opened(tracks=100, scenario="quiet")
    assert bench.ids(0) + bench.ids(50) == bench.true_ids


def test_the_list_changes_in_all_three_ways_between_requests(opened: Open) -> None:
    bench = opened(tracks=100, scenario="mid_walk_changes")
    for _ in range(60):
        before = bench.true_ids
        page = bench.ids(0)
        assert page == bench.true_ids[:50]
        assert len(set(before) ^ set(bench.true_ids)) <= 1
    assert set(Counter(change for _, change, _ in bench.sandbox.history("ada"))) == {"added", "removed", "moved"}


def test_changes_at_a_rate_of_one_come_before_each_request_and_moves_go_to_the_front(opened: Open) -> None:
    bench = opened(tracks=100, scenario="mid_walk_changes", fault_rate=1)
    for _ in range(20):
        front = bench.ids(0)[0]
        last = bench.sandbox.history("ada")[-1]
        assert last.change == "removed" or last.track_id == front
    assert len(bench.sandbox.history("ada")) == 20


def test_an_emptied_account_grows_again_when_its_list_changes(opened: Open) -> None:
    bench = opened(tracks=0, scenario="mid_walk_changes", fault_rate=1)
    assert len(bench.ids()) == 1


def test_some_pages_come_back_empty_and_the_others_whole(opened: Open) -> None:
    assert set(sizes(opened(tracks=100, scenario="empty_page"))) == {0, 20}


def test_some_pages_end_early(opened: Open) -> None:
    bench = opened(tracks=100, scenario="short_page")
    found = sizes(bench)
    assert found.count(20) > 30
    assert {10 <= size < 20 for size in found if size != 20} == {True}


def test_some_pages_are_the_one_before(opened: Open) -> None:
    bench = opened(tracks=100, scenario="repeated_page")
    pages = [bench.ids(offset, 20) for offset in [*range(0, 100, 20)] * 8]
    repeated = sum(page == before for before, page in pairwise(pages))
    assert 0 < repeated < 20


@pytest.mark.parametrize(
    ("scenario", "holds"),
    [
        ("offset_ignored", lambda bench: bench.ids(40, 20) == bench.true_ids[:20]),
        ("page_cap", lambda bench: bench.ids(40, 50) == bench.true_ids[40:60]),
        ("counts_page", lambda bench: bench.get(limit=7).json()["counts"] == 7),
        ("counts_total", lambda bench: bench.get(limit=7).json()["counts"] == 100),
        ("counts_absent", lambda bench: "counts" not in bench.get(limit=7).json()),
        ("counts_wobbling", lambda bench: len({bench.get(limit=7).json()["counts"] for _ in range(9)}) > 1),
        ("shuffled_order", lambda bench: bench.ids(0) != bench.ids(0)),
    ],
)
def test_a_scenario_of_switches_sets_them(opened: Open, scenario: str, holds: Callable[[Bench], bool]) -> None:
    assert holds(opened(tracks=100, scenario=scenario))


def test_a_replica_lags_behind_for_some_requests_only(opened: Open) -> None:
    bench = opened(tracks=40, scenario="stale_replica")
    lists = [bench.true_ids]
    stale = 0
    for _ in range(60):
        bench.sandbox.move_to_front("ada", bench.true_ids[-1])
        lists.append(bench.true_ids)
        page = bench.ids()
        stale += page != lists[-1]
        assert page in lists[-6:]
    assert 5 < stale < 40


def test_a_storm_brings_every_sort_of_failure_and_sound_answers_between(opened: Open) -> None:
    bench = opened(tracks=40, scenario="error_storm", fault_rate=0.6)
    seen = {outcome if isinstance(outcome, str) else outcome[:2] for outcome in (outcome_of(bench) for _ in range(100))}
    assert {"ReadError", "RemoteProtocolError", (200, None), (500, None), (502, None), (503, None)} <= seen
    assert {(503, "0"), (429, "0"), (429, "1"), (429, None)} <= seen


def outcome_of(bench: Bench) -> str | tuple[int, str | None]:
    try:
        answer = bench.get()
    except httpx.TransportError as broken:
        return type(broken).__name__
    return answer.status_code, answer.headers.get("retry-after")


def test_a_storm_hits_the_other_endpoints_too(opened: Open) -> None:
    bench = opened(tracks=40, scenario="error_storm", fault_rate=1)
    for path in ("/user/getUserInfo", "/charts/v1/weekly/albums", ALBUMS):
        with pytest.raises((httpx.TransportError, httpx.HTTPStatusError)):
            bench.get(path).raise_for_status()


def test_a_list_is_found_cleared_by_the_reading_after_the_first_complete_one(opened: Open) -> None:
    bench = opened(tracks=80, scenario="emptied_list")
    assert len(bench.ids(0)) == 50
    assert len(bench.ids(0)) == 50
    assert len(bench.ids(49)) == 31
    assert bench.ids(79) != []
    assert bench.ids(0) == bench.true_ids == []
    assert Counter(change for _, change, _ in bench.sandbox.history("ada")) == {"removed": 80}
    bench.sandbox.favourite("ada", bench.sandbox.documented_track)
    assert [bench.ids(0) for _ in range(3)] == [[bench.sandbox.documented_track]] * 3


def test_a_scenario_can_begin_and_end_while_the_sandbox_runs(opened: Open) -> None:
    bench = opened(tracks=100)
    bench.sandbox.play("page_cap")
    bench.sandbox.switch(past_end="null")
    assert (len(bench.ids()), bench.sandbox.switches.past_end) == (20, "null")
    bench.sandbox.play(None)
    assert (len(bench.ids()), bench.sandbox.switches.past_end) == (50, "null")


def test_a_scripted_fault_goes_before_the_scenarios(opened: Open) -> None:
    bench = opened(tracks=100, scenario="empty_page", fault_rate=1)
    bench.sandbox.script([None, faults.short_page(1)])
    assert [len(bench.ids()) for _ in range(3)] == [50, 49, 0]
