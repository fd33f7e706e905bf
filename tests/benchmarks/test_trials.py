"""What the hostile benchmark counts as a false removal, a late one and a missed one."""

from collections.abc import Callable, Iterable
from datetime import timedelta

import pytest

from benchmarks.hostile.__main__ import main
from benchmarks.hostile.results import ResultsFile, Tally
from benchmarks.hostile.trials import USER, Watch, run_days
from etl.extract.snapshot import RunOptions
from etl.model.records import RemovalThreshold
from etl.sandbox import Sandbox

UNGUARDED = RunOptions(threshold=RemovalThreshold(10**6, 1.0))
"""No grace, and a threshold that nothing exceeds."""


class FakeTool:
    """A tool that returns given favourites, after the list changed during its sync."""

    def __init__(self) -> None:
        self.favourites: frozenset[int] = frozenset()
        self.meanwhile: Callable[[], object] = lambda: None

    def sync(self) -> frozenset[int]:
        self.meanwhile()
        return self.favourites

    def settle(self) -> frozenset[int]:
        return self.favourites

    def close(self) -> None:
        pass


def counted(
    watch: Watch, tool: FakeTool, favourites: Iterable[int], meanwhile: Callable[[], object] = lambda: None
) -> Tally:
    """Sync once and return what that added to the counts of removals, false ones and late ones."""
    before = Tally(removals=watch.tally.removals, false=watch.tally.false, late=watch.tally.late)
    tool.favourites, tool.meanwhile = frozenset(favourites), meanwhile
    watch.sync(tool)
    after = watch.tally
    return Tally(
        removals=after.removals - before.removals, false=after.false - before.false, late=after.late - before.late
    )


def test_a_removal_is_false_if_the_track_never_left() -> None:
    with Sandbox(tracks=5, users=(USER,)) as sandbox:
        tracks = sandbox.favourites(USER)
        watch, tool = Watch(sandbox, Tally(), "test"), FakeTool()
        counted(watch, tool, tracks)
        assert counted(watch, tool, tracks[1:]) == Tally(removals=0, false=1)


def test_a_removal_is_true_if_the_track_left_and_came_back() -> None:
    with Sandbox(tracks=5, users=(USER,)) as sandbox:
        gone, *rest = sandbox.favourites(USER)
        watch, tool = Watch(sandbox, Tally(), "test"), FakeTool()
        counted(watch, tool, [gone, *rest])
        sandbox.unfavourite(USER, gone)
        sandbox.favourite(USER, gone)
        assert counted(watch, tool, rest) == Tally(removals=1, false=0)
        counted(watch, tool, [gone, *rest], meanwhile=lambda: sandbox.unfavourite(USER, gone))
        assert counted(watch, tool, rest, meanwhile=lambda: sandbox.favourite(USER, gone)) == Tally(removals=1, false=0)


def test_an_unseen_removal_is_late_and_at_the_end_missed() -> None:
    with Sandbox(tracks=5, users=(USER,)) as sandbox:
        gone, *rest = sandbox.favourites(USER)
        watch, tool = Watch(sandbox, Tally(), "test"), FakeTool()
        counted(watch, tool, [gone, *rest])
        assert counted(watch, tool, [gone, *rest], meanwhile=lambda: sandbox.unfavourite(USER, gone)) == Tally()
        assert counted(watch, tool, [gone, *rest]) == Tally(late=1)
        watch.settle(tool)
        assert (watch.tally.late, watch.tally.missed, watch.tally.lacking) == (0, 1, 0)


def test_a_removal_of_a_track_that_left_and_came_back_may_wait() -> None:
    with Sandbox(tracks=5, users=(USER,)) as sandbox:
        gone, *rest = sandbox.favourites(USER)
        watch, tool = Watch(sandbox, Tally(), "test", memory=timedelta(days=9)), FakeTool()
        counted(watch, tool, [gone, *rest])
        sandbox.unfavourite(USER, gone)
        sandbox.favourite(USER, gone)
        counted(watch, tool, [gone, *rest])
        assert counted(watch, tool, rest[1:]) == Tally(removals=1, false=1)


@pytest.mark.parametrize("service", ["cut_list", "foreign_list", "hidden_albums"])
def test_days_count_what_runs_without_their_guards_remove(service: str) -> None:
    hasty, patient = run_days(service, 1, 1, UNGUARDED), run_days(service, 1, 1)
    assert hasty.false > 0
    assert hasty.messages[0].startswith(service)
    assert (patient.false, patient.missed, patient.lacking) == (0, 0, 0)
    assert patient.removals > 0


def test_tables_show_every_stored_trial_and_run_none(tmp_path, monkeypatch, capsys) -> None:
    file = tmp_path / "results.jsonl"
    for tool, trials in (("favsync", 3), ("dlt", 1)):
        for number in range(trials):
            ResultsFile(file, tool, 7).add("quiet", number, Tally(trials=1, runs=6, late=number))
    ResultsFile(file, "dlt", 8).add("quiet", 0, Tally(trials=1, runs=6))
    command = ["hostile", "--tables", "--results", str(file), "--tools", "favsync,dlt", "--seed", "7"]
    monkeypatch.setattr("sys.argv", command)
    assert main() == 0
    assert "| quiet | 18 / 6 | 0 / 0 | 0 / 0 | 3 / 0 | 0.0 / 0.0 |" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["hostile", "--tables"])
    with pytest.raises(SystemExit):
        main()
