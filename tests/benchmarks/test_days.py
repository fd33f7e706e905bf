"""What the days of the hostile benchmark count, with subjects that are right or wrong in a known way."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest

from benchmarks.hostile.days import (
    KINDS,
    LONG_LIES,
    SCHEDULES,
    SHORT_LIES,
    USER,
    FakeClock,
    FavouriteRow,
    Weeks,
    run_weeks,
    weeks_of,
)
from benchmarks.hostile.days_favsync import FavsyncSubject
from benchmarks.hostile.results import Tally
from etl.sandbox import Sandbox, SandboxRequest

DAY = timedelta(days=1)


class OracleSubject:
    """Knows the truth, and records it at each sync."""

    def __init__(self, sandbox: Sandbox, clock: FakeClock) -> None:
        self.sandbox, self.clock = sandbox, clock
        self.found: dict[int, FavouriteRow] = {}
        self.closed: list[FavouriteRow] = []
        self.last: datetime | None = None
        self.syncs: list[datetime] = []

    def listed(self) -> set[int]:
        return set(self.sandbox.favourites(USER))

    def sync(self) -> datetime | None:
        now, listed = self.clock.now(), self.listed()
        for track_id in set(self.found) - listed:
            row = self.found.pop(track_id)
            self.closed.append(row._replace(valid_to=now, removed_after=self.last))
        for track_id in listed - set(self.found):
            self.found[track_id] = FavouriteRow(track_id, now, None, None)
        self.last = now
        self.syncs.append(now)
        return None

    def rows(self) -> list[FavouriteRow]:
        return [*self.closed, *self.found.values()]

    def is_held(self) -> bool:
        return False

    def close(self) -> None:
        pass


class CredulousSubject(OracleSubject):
    """Believes one reading of the list, whatever it shows."""

    def listed(self) -> set[int]:
        token = self.sandbox.users[USER].access_token
        headers = {"app_id": self.sandbox.app_id, "authorization": f"Bearer {token}"}
        listed: set[int] = set()
        for offset in range(0, 250, 50):
            target = f"/favourite/v1/tracks?offset={offset}&limit=50"
            reply = self.sandbox.answer(SandboxRequest("GET", target, headers, connection=len(self.syncs)))
            if reply.status == 200:
                listed |= {int(item["track_id"]) for item in json.loads(reply.body)["data"] if item}
        return listed


class NeverRemovingSubject(OracleSubject):
    def listed(self) -> set[int]:
        return super().listed() | set(self.found)


class HoldingSubject(NeverRemovingSubject):
    def is_held(self) -> bool:
        return bool(set(self.found) - set(self.sandbox.favourites(USER)))


class LateSubject(OracleSubject):
    """Records removals with bounds that begin after the removal."""

    def rows(self) -> list[FavouriteRow]:
        end = self.clock.now() + DAY
        return [
            row._replace(removed_after=row.valid_to, valid_to=end) if row.valid_to else row for row in super().rows()
        ]


class ImpatientSubject(OracleSubject):
    def sync(self) -> datetime | None:
        super().sync()
        return self.clock.now() + timedelta(hours=2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_subject_that_knows_the_truth_is_right(kind: str) -> None:
    tally = run_weeks(OracleSubject, Weeks(kind, "six-hourly", timedelta(hours=5), "1"))
    assert (tally.false, tally.bounds, tally.missed, tally.lacking, tally.held) == (0, 0, 0, 0, 0)
    assert tally.runs > 80
    assert tally.removals > 0


def credulous(kind: str) -> Tally:
    """Return the tally of the weeks of six seeds, up to the first false removal."""
    total = Tally()
    for seed in range(6):
        total.add(run_weeks(CredulousSubject, Weeks(kind, "hourly", timedelta(hours=5), str(seed), quiet_days=2)))
        if total.false:
            break
    return total


@pytest.mark.parametrize(
    "kind",
    [
        "window, total true",
        "window, then 400",
        "artists hidden",
        "albums hidden, total true",
        "creeping",
        "filter after slice",
        "many items flap",
        "cut list",
        "empty list",
        "foreign list",
        "deep pages refused",
        "null entries",
    ],
)
def test_a_credulous_subject_removes_falsely(kind: str) -> None:
    tally = credulous(kind)
    assert tally.false > 0
    assert tally.messages[0].startswith(kind)


def test_a_quiet_service_deceives_no_one() -> None:
    tally = credulous("quiet")
    assert (tally.false, tally.bounds, tally.missed, tally.lacking) == (0, 0, 0, 0)


def test_removals_not_recorded_are_missed_or_waiting() -> None:
    weeks = Weeks("quiet", "daily", None, "1")
    missed, held = run_weeks(NeverRemovingSubject, weeks), run_weeks(HoldingSubject, weeks)
    assert missed.missed == held.waiting > 0
    assert (missed.waiting, missed.held, held.missed, held.held) == (0, 0, 0, 1)


def test_bounds_that_miss_the_removal_are_counted() -> None:
    tally = run_weeks(LateSubject, Weeks("quiet", "daily", None, "1"))
    assert tally.bounds == tally.removals > 0
    assert tally.false == 0


def test_a_trial_repeats_and_a_subject_may_look_sooner() -> None:
    weeks = Weeks("creeping", "daily", timedelta(hours=20), "7")
    assert run_weeks(CredulousSubject, weeks) == run_weeks(CredulousSubject, weeks)
    assert run_weeks(ImpatientSubject, weeks).runs > 10 * run_weeks(OracleSubject, weeks).runs


def test_four_trials_of_a_kind_have_the_four_schedules() -> None:
    assert [weeks_of("creeping", number, 1).schedule for number in range(4)] == list(SCHEDULES)
    assert {weeks_of("quiet", number, 1).lie for number in range(20)} == set(SHORT_LIES)
    assert {weeks_of("quiet", number, 1, is_long=True).lie for number in range(3)} == set(LONG_LIES)
    assert {weeks_of(kind, 0, 1, is_quick=True).schedule for kind in KINDS} == {"daily", "six-hourly"}


def test_favsync_is_right_under_a_quiet_service() -> None:
    tally = run_weeks(FavsyncSubject, Weeks("quiet", "daily", None, "1", days=5, quiet_days=10))
    assert (tally.false, tally.bounds, tally.missed, tally.lacking, tally.held) == (0, 0, 0, 0, 0)
    assert tally.removals > 0
