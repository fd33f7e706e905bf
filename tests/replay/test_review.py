"""Held removals: the evidence, the word of the operator, and what a later observation makes of it. And a plan writes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from etl.sandbox import Sandbox
from tests.conftest import ENGINES, FilledDatabase, NewDatabase
from tests.support.commands import run_command
from tests.support.database import Database, open_database, settings

TRACKS = 40


def new_sandbox() -> Sandbox:
    return Sandbox(tracks=TRACKS, seed=21)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with new_sandbox() as running:
        yield running


class Scene:
    """A list of which most is gone, to be seen by a run that is held."""

    def __init__(self, database: Database, sandbox: Sandbox, url: str) -> None:
        self.database, self.sandbox = database, sandbox
        self.environ = settings(sandbox, url)
        self.whole = sandbox.favourites("ada")
        self.left = self.whole[:5]
        spare = [track_id for track_id in sandbox.catalogue.track_ids if track_id not in self.whole]
        self.new, self.newer = spare[:2]
        sandbox.set_favourites("ada", [self.new, *self.left])
        self.held: CompletedProcess[str] | None = None

    def favsync(self, *words: str):
        return run_command(self.environ, *words)

    @property
    def favourites(self) -> set[int]:
        return self.database.open_tracks("default")


def hold(url: str) -> CompletedProcess[str]:
    """Fill the database with a run that is whole and one that is held; return what the second answered."""
    with new_sandbox() as sandbox, open_database(url) as database:
        assert run_command(settings(sandbox, url), "sync").returncode == 0
        return Scene(database, sandbox, url).favsync("sync", "--json")


@pytest.fixture(params=ENGINES)
def scene(
    request: pytest.FixtureRequest, filled_database: FilledDatabase[CompletedProcess[str]], sandbox: Sandbox
) -> Iterator[Scene]:
    url, held = filled_database(request.param, hold)
    with open_database(url) as database:
        scene = Scene(database, sandbox, url)
        scene.held = held
        yield scene


def test_mass_removal_is_held_and_additions_apply(scene: Scene) -> None:
    assert scene.held.returncode == 7
    (report,) = json.loads(scene.held.stdout)
    assert (report["outcome"], report["held"], report["added"], report["removed"], report["proven"]) == (
        "held",
        35,
        1,
        0,
        True,
    )
    assert "favsync runs approve 2" in report["reason"]
    assert scene.favourites == {*scene.whole, scene.new}
    shown = json.loads(scene.favsync("runs", "show", "2", "--json").stdout)
    assert {each["track_id"] for each in shown["held_tracks"]} == {*scene.whole} - {*scene.left}
    assert [
        row["run_id"] for row in json.loads(scene.favsync("runs", "list", "--outcome", "held", "--json").stdout)
    ] == [2]


def test_one_approval_applies_them_and_the_gate_is_open_again(scene: Scene) -> None:
    approved = scene.favsync("runs", "approve", "2")
    assert (approved.returncode, approved.stderr) == (0, "")
    assert "35 removals recorded" in approved.stdout
    assert scene.favourites == {scene.new, *scene.left}
    assert {row[7] for row in scene.database.history() if row[3]} == {2}
    assert scene.favsync("sync").returncode == 0
    assert scene.database.equals_replay("default")
    again = scene.favsync("runs", "approve", "2")
    assert again.returncode == 2
    assert "approved already" in again.stderr


def test_rejection_keeps_favourites_while_the_list_is_the_same(scene: Scene) -> None:
    assert scene.favsync("runs", "reject", "2").returncode == 0
    assert scene.favourites == {*scene.whole, scene.new}
    assert scene.favsync("runs", "approve", "2").returncode == 2
    same = scene.favsync("sync")
    assert (same.returncode, "the operator rejected these removals" in same.stdout) == (0, True)
    scene.sandbox.set_favourites("ada", [scene.new, *scene.left[1:]])
    assert scene.favsync("sync").returncode == 7
    scene.sandbox.set_favourites("ada", [scene.new, *scene.whole])
    assert scene.favsync("sync").returncode == 0
    assert scene.database.removed_tracks("default") == []
    assert scene.database.equals_replay("default")


@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_later_proven_run_supersedes_a_held_one(scene: Scene, verb: str) -> None:
    scene.sandbox.set_favourites("ada", [scene.newer, *scene.whole])
    assert scene.favsync("sync").returncode == 0
    refused = scene.favsync("runs", verb, "2")
    assert refused.returncode == 2
    assert "no longer held: run 3 read the list after it" in refused.stderr
    assert "`favsync runs show 3`" in refused.stderr
    assert "superseded by run 3" in scene.favsync("runs", "show", "2").stdout
    assert scene.favourites == {*scene.whole, scene.newer}
    assert scene.database.removed_tracks("default") == [scene.new]


def test_the_account_names_the_newest_held_run(scene: Scene) -> None:
    scene.sandbox.set_favourites("ada", scene.left)
    assert scene.favsync("sync").returncode == 7
    refused = scene.favsync("runs", "approve", "2")
    assert (refused.returncode, "`favsync runs approve --account default`" in refused.stderr) == (2, True)
    approved = scene.favsync("runs", "approve", "--account", "default", "--json")
    assert json.loads(approved.stdout) == {"run_id": 3, "decision": "approved", "removals": 36}
    assert scene.favourites == {*scene.left}
    assert scene.database.equals_replay("default")
    again = scene.favsync("runs", "reject", "--account", "default")
    assert (again.returncode, "no removal of account default waits" in again.stderr) == (2, True)


def test_what_is_only_missing_is_recorded_by_account(scene: Scene) -> None:
    scene.environ["FAVSYNC_REMOVAL_GRACE"] = "48h"
    scene.sandbox.set_favourites("ada", scene.whole)
    assert scene.favsync("sync").returncode == 0
    by_number = scene.favsync("runs", "approve", "3")
    assert (by_number.returncode, "run 3 is not held but succeeded" in by_number.stderr) == (2, True)
    assert "`favsync runs approve --account default`" in by_number.stderr
    kept = scene.favsync("runs", "reject", "--account", "default")
    assert kept.stdout == "run 3 rejected: 1 removal discarded; the favourites stay\n"
    assert scene.favsync("sync").returncode == 0
    shown = json.loads(scene.favsync("runs", "show", "4", "--json").stdout)
    assert [each["track_id"] for each in shown["missing_tracks"]] == [scene.new]
    assert (shown["user_confirmed"], shown["removal_grace_seconds"]) == (True, 48 * 3600)
    assert scene.favsync("runs", "approve", "--account", "default").returncode == 0
    assert scene.favourites == {*scene.whole}
    (removed,) = json.loads(scene.favsync("runs", "show", "4", "--json").stdout)["removed_tracks"]
    assert (removed["track_id"], removed["removal_reason"]) == (scene.new, "unfavourited")
    assert scene.database.equals_replay("default")


@pytest.mark.parametrize("words", [("approve",), ("reject", "2", "--account", "default")])
def test_a_review_takes_either_a_run_or_an_account(scene: Scene, words: tuple[str, ...]) -> None:
    refused = scene.favsync("runs", *words)
    assert (refused.returncode, "name either" in refused.stderr) == (2, True)


def test_a_partial_run_after_it_does_not_supersede_it(scene: Scene) -> None:
    scene.sandbox.switch(ignore_offset=True)
    scene.sandbox.set_favourites("ada", dict.fromkeys([scene.newer, *scene.whole, *scene.sandbox.catalogue.track_ids]))
    assert scene.favsync("sync").returncode == 6
    assert scene.favsync("runs", "approve", "2").returncode == 0
    assert scene.database.equals_replay("default")


def test_approval_keeps_tracks_seen_by_a_later_partial_run(scene: Scene) -> None:
    back = scene.whole[20]
    more = [track_id for track_id in scene.sandbox.catalogue.track_ids if track_id not in scene.whole][5:60]
    scene.sandbox.switch(ignore_offset=True)
    scene.sandbox.set_favourites("ada", [back, *scene.left, *more])
    assert scene.favsync("sync").returncode == 6
    assert scene.favsync("runs", "approve", "2").returncode == 0
    assert back in scene.favourites
    assert scene.database.equals_replay("default")


def test_an_emptied_list_takes_one_approval(scene: Scene) -> None:
    scene.sandbox.set_favourites("ada", [])
    assert scene.favsync("sync").returncode == 7
    assert scene.favourites != set()
    assert scene.favsync("runs", "approve", "3").returncode == 0
    assert scene.favourites == set()
    assert scene.favsync("sync").returncode == 0


@pytest.mark.parametrize(("run_id", "words"), [("1", "is not held but succeeded"), ("99", "there is no run 99")])
def test_only_a_held_run_can_be_decided_on(scene: Scene, run_id: str, words: str) -> None:
    before = scene.database.history()
    for verb in ("approve", "reject"):
        refused = scene.favsync("runs", verb, run_id)
        assert refused.returncode == 2
        assert words in refused.stderr
    assert scene.database.history() == before


def test_threshold_of_the_settings_applies(scene: Scene) -> None:
    left = [scene.new, *scene.whole[4::5]]  # with the last of both lists, so that nothing looks cut off
    scene.sandbox.set_favourites("ada", left)
    scene.environ["FAVSYNC_REMOVAL_BRAKE"] = "100,1.0"
    assert scene.favsync("sync").returncode == 0
    assert scene.favourites == {*left}


def test_plan_equals_the_next_sync_and_writes_nothing(new_database: NewDatabase, sandbox: Sandbox) -> None:
    url = new_database("sqlite")
    folder = Path(url.removeprefix("sqlite:///")).parent
    environ = settings(sandbox, url)
    assert run_command(environ, "sync").returncode == 0
    gone = sandbox.favourites("ada")[7]
    sandbox.unfavourite("ada", gone)
    spare = next(track_id for track_id in sandbox.catalogue.track_ids if track_id not in sandbox.favourites("ada"))
    sandbox.favourite("ada", spare)
    before = contents(folder)
    (plan,) = json.loads(run_command(environ, "sync", "--plan", "--json").stdout)
    assert plan["plan"] == {"added": [spare], "removed": [gone], "held": [], "missing": []}
    assert contents(folder) == before
    (done,) = json.loads(run_command(environ, "sync", "--json").stdout)
    assert {name: done[name] for name in ("added", "removed", "held", "favourites", "changed", "outcome")} == {
        name: plan[name] for name in ("added", "removed", "held", "favourites", "changed", "outcome")
    }
    sandbox.set_favourites("ada", [])
    before = contents(folder)
    planned = run_command(environ, "sync", "--plan", "--json")
    assert planned.returncode == 7
    assert len(json.loads(planned.stdout)[0]["plan"]["held"]) == TRACKS
    assert contents(folder) == before


def test_a_plan_writes_nothing_on_postgresql_either(scene: Scene) -> None:
    scene.sandbox.set_favourites("ada", scene.whole[3:])
    before = scene.database.history(), scene.database.sizes()
    planned = scene.favsync("sync", "--plan", "--json")
    assert json.loads(planned.stdout)[0]["plan"]["removed"]
    assert (scene.database.history(), scene.database.sizes()) == before


def test_a_plan_without_a_database_makes_none(sandbox: Sandbox, tmp_path: Path) -> None:
    planned = run_command(settings(sandbox, f"sqlite:///{tmp_path}/new/favsync.db"), "sync", "--plan", "--json")
    assert planned.returncode == 0
    assert len(json.loads(planned.stdout)[0]["plan"]["added"]) == TRACKS
    assert list(tmp_path.iterdir()) == []


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return name, time of change and bytes of every file; of what SQLite keeps in memory for readers, that it is there."""
    return {
        path.name: (0, b"") if path.name.endswith("-shm") else (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.iterdir()
    }
