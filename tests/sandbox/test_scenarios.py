"""Faults, one by one and by scenario. What is done to connections is in `test_server`."""

from __future__ import annotations

from collections import Counter
from email.utils import parsedate_to_datetime

import pytest

from etl.sandbox import FAULTS, SCENARIOS, Fault, Sandbox, faults
from etl.sandbox.faults import AnswerFault
from tests.sandbox.service import START, TRACKS, USER, Answer, Service

ANSWERS = {name: fault for name, fault in FAULTS.items() if isinstance(fault, AnswerFault)}


def faulty(service: Service, fault: Fault | str) -> Answer:
    service.sandbox.script([fault])
    return service.ask(limit=50)


def outcome(service: Service, offset: int = 0) -> tuple[object, ...]:
    reply = service.ask(offset=offset, limit=20).reply
    return reply.status, dict(reply.headers).get("Retry-After"), reply.delivery and reply.delivery.name, reply.body


def test_a_script_is_followed_request_by_request() -> None:
    service = Service(tracks=60)
    service.sandbox.script(["http_500", None, faults.http(503)])
    service.sandbox.script(["empty_page"])
    assert service.ask(USER).status == 200  # uses up no entry of the script
    answers = [service.ask() for _ in range(5)]
    assert [answer.status for answer in answers] == [500, 200, 503, 200, 200]
    assert [len(answer.json.get("data") or ()) for answer in answers] == [0, 20, 0, 0, 20]
    with pytest.raises(ValueError, match="no fault 'flood', only empty_page, null_page"):
        service.sandbox.script(["flood"])


@pytest.mark.parametrize(
    ("fault", "kept"),
    [
        ("empty_page", []),
        (faults.short_page(4), [0, 1, 2, 3, 4, 5]),
        (faults.short_page(4, "start"), [4, 5, 6, 7, 8, 9]),
        (faults.short_page(4, "middle"), [0, 1, 2, 7, 8, 9]),
        (faults.short_page(50), []),
    ],
)
def test_a_page_misses_items_where_asked(fault: Fault | str, kept: list[int]) -> None:
    service = Service(tracks=10)
    items = faulty(service, fault).json["data"]
    assert [item["track_id"] for item in items] == [service.true_ids[index] for index in kept]


def test_a_page_can_be_null_repeated_or_stale() -> None:
    service = Service(tracks=100)
    assert faulty(service, "null_page").json["data"] is None
    service.sandbox.script([None, "repeated_page"])
    assert service.ids(0) == service.ids(50)
    before = service.true_ids
    for track_id in before[:3]:
        service.sandbox.unfavourite("ada", track_id)
    service.sandbox.script([faults.stale(2), faults.stale(99), faults.stale(0)])
    assert [service.ids()[:3] for _ in range(4)] == [before[1:4], before[:3], before[3:6], before[3:6]]


@pytest.mark.parametrize("name", ANSWERS)
def test_another_answer_has_its_status_header_and_body(name: str) -> None:
    service = Service(tracks=3, error_base=550_000)
    fault, answer = ANSWERS[name], faulty(service, name)
    assert answer.status == fault.status
    if isinstance(fault.retry_after, str | None):
        assert answer.headers.get("Retry-After") == fault.retry_after
    else:
        assert (parsedate_to_datetime(answer.headers["Retry-After"]) - START).total_seconds() == fault.retry_after
    if fault.pad:
        assert len(answer.reply.body) > 50 * 1024 * 1024
        assert answer.reply.body.startswith(b'{"desc":null,"code":0,"counts":1,"data":[{"track_id":1,')
    elif fault.body is None:
        assert answer.json["code"] == 550_050
    else:
        assert answer.reply.body == fault.body
    assert service.ids() == service.true_ids
    if fault.location:
        expected = f"{TRACKS}?limit=50" if fault.location == "same" else fault.location
        assert answer.headers["Location"] == expected


def test_an_unknown_scenario_is_refused() -> None:
    with pytest.raises(ValueError, match="no scenario 'chaos', only quiet, mid_walk_changes"):
        Sandbox().play("chaos")


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_scenario_repeats_under_its_seed(scenario: str) -> None:
    def run() -> list[object]:
        service = Service(scenario, tracks=100, seed=7)
        outcomes: list[object] = []
        for offset in [*range(0, 100, 20)] * 3:
            outcomes.append(outcome(service, offset))
            if scenario == "stale_replica":  # it shows only changes
                service.sandbox.move_to_front("ada", service.true_ids[-1])
        return outcomes

    assert run() == run()


@pytest.mark.parametrize("scenario", ["mid_walk_changes", "short_page", "repeated_page", "error_storm", "emptied_list"])
def test_a_fault_rate_of_zero_makes_a_scenario_quiet(scenario: str) -> None:
    service = Service(scenario, tracks=100, fault_rate=0)
    before = service.true_ids
    assert service.ids(0) + service.ids(50) + service.ids(0) + service.ids(50) == before * 2
    assert service.sandbox.history("ada") == []


def test_the_list_changes_in_three_ways_between_requests() -> None:
    service = Service("mid_walk_changes", tracks=100, fault_rate=1)
    for _ in range(30):
        front = service.ids(0)[0]
        assert front == service.true_ids[0]
        last = service.sandbox.history("ada")[-1]
        assert last.change == "removed" or last.track_id == front
    assert {change for _, change, _ in service.sandbox.history("ada")} == {"added", "removed", "moved"}
    assert len(Service("mid_walk_changes", tracks=0, fault_rate=1).ids()) == 1


def test_a_list_is_emptied_after_its_first_complete_reading() -> None:
    service = Service("emptied_list", tracks=80)
    assert [len(service.ids(offset)) for offset in (0, 0, 49, 79)] == [50, 50, 31, 1]
    assert service.ids(0) == service.true_ids == []
    assert Counter(change for _, change, _ in service.sandbox.history("ada")) == {"removed": 80}
    service.sandbox.favourite("ada", service.sandbox.documented_track)
    assert [service.ids(0) for _ in range(3)] == [[service.sandbox.documented_track]] * 3
