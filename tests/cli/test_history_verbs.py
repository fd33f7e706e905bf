"""The verbs of time travel as a person types them, mistakes included; and every command that docs/time-travel.md shows."""

from __future__ import annotations

import io
import json
import re
import shlex
import shutil
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from etl.backfill.import_files import ImportOptions, import_paths
from etl.cli import main
from etl.db.engine import open_engine
from etl.model.records import Item
from tests.support.database import ROOT
from tests.support.lists import item
from tests.support.past import LATER, account_in

Run = Callable[..., tuple[int, str, str]]
DOCUMENT = (ROOT / "docs/time-travel.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"```\n(.*?)```", DOCUMENT, re.DOTALL) for line in block.splitlines()]


@pytest.fixture
def run(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs ``favsync`` in an empty folder, and returns its code and what it printed."""
    monkeypatch.setenv("FAVSYNC_DATABASE_URL", database_url)
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    engine = open_engine(database_url)
    account_in(engine)
    engine.dispose()

    def run_(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run_


def body(*items: int | Item) -> str:
    bodies = ((item(each) if isinstance(each, int) else each).body.decode() for each in items)
    return f'{{"code":0,"data":[{",".join(bodies)}]}}'


def write_exports() -> None:
    """Write the files that the document speaks of."""
    known = item(54230705, track_title="Baba Yangu", artists=[{"artist_id": 9, "artist_name": "Burna Boy"}])
    Path("2025-11-03.json").write_text(body(*range(1, 30), known))
    Path("exports").mkdir()
    for day in range(1, 13):
        Path(f"exports/2025-06-{day:02}.json").write_text(body(*range(day, 20 + day)))
    with zipfile.ZipFile("old.zip", "w") as archive:
        archive.writestr("2024-01-01.csv", "track_id\n1\n2\n")
    Path("ids.csv").write_text("track_id\n3\n4\n")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # the verbs have tests on both engines
def test_every_command_of_the_document_works(run: Run) -> None:
    write_exports()
    assert len(COMMANDS) > 12
    run_verb = {}
    for command in COMMANDS:
        name, *words = shlex.split(command)
        assert name == "favsync"
        if (words[0] == "prune" and "--plan" not in words) or "--erase" in words:
            assert run(*words)[0] == 2, "confirmation is needed"
            words.append("--yes")
        code, out, err = run(*words)
        assert code == 0, (command, out, err)
        run_verb[command] = out + err
    whole = next(out for command, out in run_verb.items() if "--complete" in command)
    assert "30 items, the whole list" in whole
    assert "the history matches its" in run_verb["favsync rebuild --check"]
    assert "is restored to the history" in run_verb["favsync runs retract 12 --undo"]
    assert run("accounts", "list", "--json")[1] == "[]\n"


def test_an_empty_complete_list_waits_for_approval(run: Run, database_url: str) -> None:
    Path("2025-11-03.json").write_text(body(*range(1, 21)))
    Path("2025-11-04.json").write_text("[]")
    code, _, err = run("backfill", "--from", "2025-11-03.json", "--from", "2025-11-04.json", "--complete")
    assert code == 7
    assert "run 2 now holds removals" in err
    assert "its 20 removals are held" in run("runs", "show", "2")[1]
    assert json.loads(run("as-of", "2025-11-04", "--json")[1])[0]["answer"] == "unknown"
    assert run("runs", "approve", "2")[0] == 0
    assert json.loads(run("as-of", "2025-11-04", "--json")[1]) == []
    assert run("rebuild", "--check")[0] == 0


def test_an_empty_list_before_a_full_one_removes_nothing(run: Run) -> None:
    for day, ids in (("03", range(1, 21)), ("04", ()), ("05", range(1, 21))):
        Path(f"2025-11-{day}.json").write_text(body(*ids))
    code, _, err = run("backfill", "--from", ".", "--complete")
    assert code == 0
    assert "run 2 would remove more favourites than the threshold allows, and removes none: run 3 read" in err
    assert len(json.loads(run("as-of", "2025-11-04", "--json")[1])) == 20
    assert run("rebuild", "--check")[0] == 0


def test_an_older_import_shows_what_it_changed(run: Run) -> None:
    Path("2025-11-03.json").write_text(body(1, 2))
    Path("2025-11-01.json").write_text(body(2, 3))
    run("backfill", "--from", "2025-11-03.json", "--complete")
    code, out, _ = run("backfill", "--from", "2025-11-01.json", "--complete")
    assert code == 0
    assert "ada: intervals of the history: 2 new, 1 gone, 1 with other bounds" in out
    assert "this changed the history: 2 new, 1 gone, 1 with other bounds" in run("runs", "show", "2")[1]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("as-of", "ada", "2025-11-03"), 2, "the time comes first: `favsync as-of 2025-11-03 ada`"),
        (("as-of", "3", "months", "ago"), 2, "quote a time with blanks"),
        (("as-of",), 2, "a time is missing"),
        (("as-of", "soon"), 2, "'soon' is not a time"),
        (("as-of", "2025-11-03", "bob"), 2, "accounts are: ada"),
        (("as-of", "1999-01-01"), 0, "the first snapshot is of 2025-11-01 00:00:00 UTC"),
        (("as-of", "2099-01-01"), 0, "the newest snapshot is of 2025-11-05T00:00:00Z"),
        (("history", "--track", "5"), 2, "there is no track '5'"),
        (("history", "--track", "99999999999999999999"), 2, "there is no track"),
        (("history", "--track", "Trak 1"), 2, "did you mean Track 1"),
        (("history", "--artist", "tist 2"), 2, "did you mean Artist 2 or"),
        (("history", "--artist", "99999999999999999999"), 2, "there is no artist"),
        (("history", "--track", "1", "--artist", "2"), 2, "exclude each other"),
        (("history", "--since", "2099-01-01"), 0, "no events since 2099-01-01"),
        (("runs", "retract", "9"), 2, "there is no run 9"),
        (("runs", "retract", "99999999999999999999"), 2, "is too large"),
        (("runs", "show", "99999999999999999999"), 2, "is too large"),
        (("runs", "show", "one"), 2, "'one' is not a valid whole number"),
        (("runs", "list", "--limit", "99999999999999999999"), 2, "is too large"),
        (("report", "runs", "--limit", "99999999999999999999"), 2, "is too large"),
        (("runs", "retract", "1", "--undo"), 2, "run 1 is not retracted"),
        (("backfill", "--from", "nowhere"), 2, "there is no file or folder 'nowhere'"),
        (("backfill", "--complete"), 2, "name the files with --from"),
        (("backfill", __file__), 2, "name the file with --from"),
        (("prune",), 2, "name what to delete"),
        (("prune", "--keep-daily", "soon"), 2, "'soon' is not an age"),
        (("rebuild", "bob"), 2, "there is no account 'bob'"),
        (("export", "--to", "x", "--format", "xlsx"), 2, "not one of"),
    ],
)
def test_a_mistake_is_answered_with_a_way_on(run_verb: Run, arguments: tuple[str, ...], code: int, words: str) -> None:
    found, _, err = run_verb(*arguments)
    assert (found, words in err) == (code, True), err


@pytest.fixture(scope="module")
def short(sqlite_template: Callable[[], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a short history on SQLite, and the exports that it was made of."""
    folder = tmp_path_factory.mktemp("short")
    shutil.copyfile(sqlite_template(), folder / "short.db")
    engine = open_engine(f"sqlite:///{folder}/short.db")
    ada = account_in(engine)
    titled = item(2, track_title="Ọmọ Ọba")
    for day, items in (("01", [1, titled]), ("03", [titled]), ("05", [1, 2])):
        path = folder / f"2025-11-{day}.json"
        path.write_text(body(*items))
        import_paths(engine, ada, [path], ImportOptions(is_complete=True), LATER)
    engine.dispose()
    return folder


@pytest.fixture
def run_verb(short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs ``favsync`` over a copy of the short history."""
    for path in short.iterdir():
        shutil.copyfile(path, tmp_path / path.name)
    monkeypatch.setenv("FAVSYNC_DATABASE_URL", f"sqlite:///{tmp_path}/short.db")

    def run_(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run_


def test_as_of_shows_the_attributes_and_bounds_of_that_time(run_verb: Run) -> None:
    (row,) = json.loads(run_verb("as-of", "2025-11-03", "--json")[1])
    assert (row["answer"], row["track_id"], row["title"]) == ("yes", 2, "Ọmọ Ọba")
    assert (row["added_after"], row["valid_from"], row["valid_to"]) == (None, "2025-11-01T00:00:00.000000Z", None)
    every = json.loads(run_verb("as-of", "2025-11-03", "ada", "--all", "--json")[1])
    gone = next(each for each in every if each["track_id"] == 1)
    assert (gone["answer"], gone["removed_after"], gone["valid_to"]) == (
        "no",
        "2025-11-01T00:00:00.000000Z",
        "2025-11-03T00:00:00.000000Z",
    )
    changes = json.loads(run_verb("as-of", "--diff", "2025-11-01", "2025-11-03", "--json")[1])
    assert [(each["change"], each["track_id"]) for each in changes] == [("removed", 1)]


def test_as_of_latest_is_the_newest_known_moment(run_verb: Run) -> None:
    code, out, _ = run_verb("as-of", "latest", "--json")
    assert code == 0
    assert {row["answer"] for row in json.loads(out)} == {"yes"}
    assert out == run_verb("as-of", json.loads(out)[0]["as_of"], "ada", "--json")[1]
    assert "2 yes, 0 unknown" in run_verb("as-of", "LATEST", "ada")[2]
    assert "the time comes first: `favsync as-of latest ada`" in run_verb("as-of", "ada", "latest")[2]


def test_a_difference_counts_what_is_unknown(run_verb: Run) -> None:
    _, _, err = run_verb("as-of", "--diff", "latest", "2025-11-03")
    assert "1 added, 0 removed, 0 unknown" in err
    _, _, err = run_verb("as-of", "--diff", "2026-01-01", "2027-01-01")
    assert "0 added, 0 removed, 2 unknown (--all lists them)" in err
    assert "nothing is known after 2025-11-05 00:00:00 UTC" in err
    rows = json.loads(run_verb("as-of", "--diff", "2026-01-01", "2027-01-01", "--all", "--json")[1])
    assert {(row["change"], row["before"], row["after"]) for row in rows} == {("unknown", "unknown", "unknown")}


def test_imports_have_no_duration_and_reasons_of_their_own(run: Run) -> None:
    for day in ("03", "05"):
        Path(f"2025-11-{day}.json").write_text(body(1, 2))
    run("backfill", "--from", ".", "--complete")
    first, second = (json.loads(run("runs", "show", number, "--json")[1]) for number in ("1", "2"))
    assert first["duration_seconds"] is None
    for each, day in ((first, "03"), (second, "05")):
        assert each["reason"].startswith("from ")
        assert each["reason"].endswith(f"2025-11-{day}.json; one of 2 that were imported together")


@pytest.mark.parametrize("name", ["2", "Ọmọ Ọba", "ỌMỌ ỌBA", "track 2"])
def test_a_track_is_found_by_id_and_by_any_title_it_had(run_verb: Run, name: str) -> None:
    code, out, _ = run_verb("history", "--track", name)
    assert code == 0
    assert "first seen 2025-11-01 00:00:00Z; when it was added is unknown" in out
    assert 'title was "Ọmọ Ọba", became "Track 2"' in out


def test_the_history_of_an_account_and_of_an_artist(run_verb: Run) -> None:
    out = run_verb("history", "ada")[1]
    assert "2 favourites seen for the first time" in out
    assert "1 favourite removed" in out
    assert "again, after" in out
    artist = run_verb("history", "--artist", "artist 2")[1]
    assert "removed between 2025-11-01 00:00:00Z and 2025-11-03 00:00:00Z" in artist
    assert "added again between 2025-11-03 00:00:00Z and 2025-11-05 00:00:00Z" in artist


def test_a_removed_account_keeps_its_history(run_verb: Run) -> None:
    assert run_verb("accounts", "remove", "ada")[0] == 0
    assert json.loads(run_verb("as-of", "2025-11-03", "--json")[1])
    assert run_verb("history")[1]


def test_an_erased_account_is_reported_with_counts(run_verb: Run) -> None:
    code, out, err = run_verb("accounts", "remove", "ada", "--erase", "--yes")
    assert code == 0
    assert "deleted: 3 runs, 3 intervals, 2 tracks of no other account" in out
    assert "backups, exports and reports" in err
    assert "there is no account yet" in run_verb("as-of", "now")[2]


def test_storing_no_raw_items_is_warned_about(run_verb: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    again = ("backfill", "--from", str(tmp_path / "2025-11-01.json"), "--complete")
    assert "cannot be applied" not in run_verb(*again)[2]
    monkeypatch.setenv("FAVSYNC_KEEP_RAW", "false")
    assert "a later fix in the parser cannot be applied" in run_verb(*again)[2]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("accounts", "remove", "ada", "--erase"), "nothing was deleted"),
        (("prune", "--raw-older-than", "1 day"), "nothing was deleted"),
        (("rebuild",), "nothing was written"),
    ],
)
def test_a_refused_confirmation_changes_nothing(
    run_verb: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: str
) -> None:
    with sqlite3.connect(tmp_path / "short.db") as connection:
        if arguments == ("rebuild",):
            connection.execute("DELETE FROM track_genres WHERE track_id = 1")
        before = list(connection.iterdump())
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    code, _, err = run_verb(*arguments)
    assert (code, words in err) == (0, True), err
    assert list(sqlite3.connect(tmp_path / "short.db").iterdump()) == before


class Terminal(io.StringIO):
    """A person at a terminal who types this."""

    def isatty(self) -> bool:
        """Say that it is one."""
        return True


@pytest.mark.parametrize("verb", ["sync", "backfill"])
def test_without_account_and_token_no_database_is_created(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAVSYNC_DATABASE_URL", f"sqlite:///{tmp_path}/new.db")
    assert main([verb]) == 2
    assert "there is no account to sync" in capsys.readouterr().err
    assert list(tmp_path.glob("new.db*")) == []
