"""What a machine can do to a run: a full disk, a database that may not be written or goes away, a clock that goes back."""

from __future__ import annotations

import ctypes
import os
import resource
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from sqlalchemy import event, text

from etl.errors import DatabaseError
from etl.load import raw
from etl.sandbox import Sandbox
from tests.conftest import NewDatabase
from tests.support.commands import run_command
from tests.support.database import Database, favsync, open_database, settings
from tests.support.lists import FakeSource, item

CAPABILITY_VERSION, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 0x20080522, 1, 2


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(tracks=120, seed=11) as running:
        yield running


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with open_database(database_url) as opened:
        yield opened


def items(*track_ids: int) -> FakeSource:
    return FakeSource(items=[item(track_id) for track_id in track_ids])


@contextmanager
def without_privileges() -> Iterator[None]:
    """Let permissions count for root too, in this thread and those that it starts."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, kept = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, kept) == 0
    fewer = type(kept)(*kept)
    fewer[0] &= ~(1 << CAP_DAC_OVERRIDE | 1 << CAP_DAC_READ_SEARCH)  # the first word: what is effective
    assert libc.capset(header, fewer) == 0
    try:
        yield
    finally:
        assert libc.capset(header, kept) == 0


def no_file_above(size: int) -> Any:
    """Return what lets no file grow above ``size`` bytes in the process that is about to start: a full disk, in effect."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def one_clear_line(talk: str) -> bool:
    """Say whether ``talk`` names a failure in one line, its remedy in another, and nothing else."""
    lines = talk.splitlines()
    return len(lines) == 2 and "what to do: " in lines[1] and "Traceback" not in talk


def path_of(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


@pytest.mark.parametrize("room", [0, 8_192, 81_920])
def test_a_full_disk_ends_the_run_with_5_and_changes_nothing(
    new_database: NewDatabase, sandbox: Sandbox, room: int
) -> None:
    url = new_database("sqlite")
    environ = settings(sandbox, url)
    with open_database(url) as database:
        database.account("default")
        before = database.history(), database.sizes()["raw_items"]
    result = favsync(environ, "sync", preexec_fn=no_file_above(room))
    assert result.returncode == 5
    assert one_clear_line(result.stderr), result.stderr
    assert "disk" in result.stderr
    with open_database(url) as database:
        assert (database.history(), database.sizes()["raw_items"]) == before
        assert run_command(environ, "sync").returncode == 0
        assert database.open_tracks("default") == set(sandbox.favourites("ada"))
        failed = database.rows("SELECT reason FROM runs WHERE outcome = 'failed'")
        assert len(failed) <= 1
        assert all(reason == "interrupted" or "disk" in reason for (reason,) in failed)


def test_disk_full_during_the_load_changes_nothing(new_database: NewDatabase) -> None:
    with open_database(new_database("sqlite")) as database:
        database.sync(items(*range(1, 10)))
        before = database.history()
        pages = database.rows("PRAGMA page_count")[0][0]
        with database.engine.connect() as connection:
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 2}")
        report = database.sync(items(*range(1, 900)))
        assert report.exit_code == 5
        assert "full" in (report.reason or "")
        assert report.error
        assert "make room" in report.error.remedy
        assert database.history() == before
        database.engine.dispose()
        assert database.sync(items(*range(1, 900))).outcome == "succeeded"


@pytest.mark.parametrize(("file_mode", "folder_mode"), [(0o400, 0o700), (0o600, 0o500), (0o400, 0o500), (0o000, 0o700)])
def test_read_only_database_ends_the_run_with_5(
    new_database: NewDatabase, sandbox: Sandbox, tmp_path: Path, file_mode: int, folder_mode: int
) -> None:
    folder = tmp_path / "closed"
    folder.mkdir()
    path_of(new_database("sqlite")).rename(folder / "favsync.db")
    url = f"sqlite:///{folder}/favsync.db"
    environ = settings(sandbox, url)
    assert run_command(environ, "sync").returncode == 0
    with open_database(url) as database:
        before = database.history()
    (folder / "favsync.db.lock-1").unlink()
    (folder / "favsync.db").chmod(file_mode)
    folder.chmod(folder_mode)
    with without_privileges():
        result = run_command(environ, "sync")
    folder.chmod(0o700)
    (folder / "favsync.db").chmod(0o600)
    assert result.returncode == 5
    assert one_clear_line(result.stderr), result.stderr
    with open_database(url) as database:
        assert database.history() == before


def test_a_read_only_database_can_still_be_looked_at(sandbox: Sandbox, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/favsync.db"
    environ = settings(sandbox, url)
    assert run_command(environ, "sync").returncode == 0
    (tmp_path / "favsync.db").chmod(0o400)
    with without_privileges():
        result = run_command(environ, "runs", "list")
    assert result.returncode == 0
    assert "succeeded" in result.stdout


def test_unreadable_file_and_folder_are_named_with_a_remedy(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "favsync.db").write_bytes(b"")
    (tmp_path / "favsync.db").chmod(0o000)
    for name, remedy in (
        ("favsync.db", "let this user read and write both"),
        (".", "name a file in FAVSYNC_DATABASE_URL"),
    ):
        environ = settings(sandbox, f"sqlite:///{tmp_path}/{name}")
        with without_privileges():
            result = run_command(environ, "runs", "list")
        assert result.returncode == 5
        assert one_clear_line(result.stderr), result.stderr
        assert remedy in result.stderr


def test_a_file_that_is_no_database_is_named(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "favsync.db").write_bytes(b"something else\n" * 100)
    result = run_command(settings(sandbox, f"sqlite:///{tmp_path}/favsync.db"), "sync")
    assert result.returncode == 5
    assert one_clear_line(result.stderr), result.stderr
    assert "not SQLite" in result.stderr


def test_unreachable_server_is_named_without_its_password(sandbox: Sandbox) -> None:
    environ = settings(sandbox, "postgresql://ada:marker-password@127.0.0.1:1/favsync")
    result = run_command(environ, "sync")
    assert result.returncode == 5
    assert one_clear_line(result.stderr), result.stderr
    assert "marker-password" not in result.stdout + result.stderr


@pytest.mark.postgresql
@pytest.mark.parametrize("moment", ["before", "after"])
def test_server_lost_in_a_transaction_changes_nothing(
    new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    url = new_database("postgresql")
    with open_database(url) as database, open_database(url) as assassin:
        database.sync(items(1, 2, 3))
        before, sizes = database.history(), database.sizes()
        snapshot = raw.store_snapshot

        def store_and_lose(*args: Any, **kwargs: Any) -> int:
            if moment == "after":
                snapshot(*args, **kwargs)
            with assassin.engine.begin() as connection:
                everybody = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                connection.execute(text(f"{everybody} AND pid <> pg_backend_pid()"))
            return snapshot(*args, **kwargs)

        monkeypatch.setattr(raw, "store_snapshot", store_and_lose)
        report = database.sync(items(2, 3, 4))
        monkeypatch.undo()
        assert report.exit_code == 5
        assert report.error
        assert database.history() == before
        assert database.sizes() == {**sizes, "runs": sizes["runs"] + 1}
        assert database.run(report.run_id or 0).outcome == "failed"
        assert database.sync(items(2, 3, 4)).outcome == "succeeded"
        assert database.open_tracks() == {2, 3, 4}


FULL = """
CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'could not extend file "base/1/2": No space left on device' USING ERRCODE = 'disk_full';
END $$;
CREATE TRIGGER full_disk BEFORE INSERT ON favourites EXECUTE FUNCTION full_disk();
"""
STANDBY = "ALTER ROLE CURRENT_USER IN DATABASE {} SET default_transaction_read_only = on"


@pytest.mark.postgresql
@pytest.mark.parametrize(("statement", "words"), [(FULL, "make room"), (STANDBY, "not a standby")])
def test_full_or_read_only_server_changes_nothing(new_database: NewDatabase, statement: str, words: str) -> None:
    url = new_database("postgresql")
    with open_database(url) as database:
        database.sync(items(1, 2, 3))
        before = database.history(), database.sizes()["raw_items"]
        with database.engine.begin() as connection:
            connection.exec_driver_sql(statement.format(database.engine.url.database))
        database.engine.dispose()
        try:
            report = database.sync(items(2, 3, 4))
            error = report.error
        except DatabaseError as raised:
            error = raised
        assert error is not None
        assert (error.exit_code, words in error.remedy) == (5, True), error
        assert (database.history(), database.sizes()["raw_items"]) == before


def test_sqlite_write_lock_of_another_program_is_awaited(new_database: NewDatabase) -> None:
    url = new_database("sqlite")
    with open_database(url) as database, closing(sqlite3.connect(path_of(url), check_same_thread=False)) as holder:
        holder.isolation_level = None
        release = threading.Thread(target=holder.execute, args=["ROLLBACK"])

        def hold(number: int) -> None:
            if number == 1:
                holder.execute("BEGIN IMMEDIATE")

        def release_once(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            if statement == "BEGIN IMMEDIATE" and holder.in_transaction and release.ident is None:
                release.start()  # while this transaction waits, or just before

        event.listen(database.engine, "before_cursor_execute", release_once)
        source = items(1, 2)
        source.before = hold
        assert database.sync(source).outcome == "succeeded"
        release.join()
        assert database.rows("PRAGMA busy_timeout") == [(60_000,)]


def test_clock_set_back_is_reported_and_history_continues(database: Database) -> None:
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    lists = [(noon, [1, 2, 3]), (noon - timedelta(hours=1), [2, 3, 4]), (noon - timedelta(minutes=30), [3, 4])]
    reports = []
    for instant, track_ids in lists:
        with time_machine.travel(instant, tick=False):
            reports.append(database.sync(items(*track_ids)))
    assert [report.outcome for report in reports] == ["succeeded"] * 3
    assert "3600 s behind" in (reports[1].reason or "")
    assert "1800 s behind" in (reports[2].reason or "")
    observed = [database.run(run_id).observed_at for run_id in (1, 2, 3)]
    assert observed == sorted(set(observed))
    assert observed[0] == noon
    assert database.open_tracks() == {3, 4}
    assert database.removed_tracks() == [1, 2]
    assert database.equals_replay()
    with time_machine.travel(noon + timedelta(hours=1), tick=False):
        report = database.sync(items(3, 4, 5))
    assert (report.outcome, report.reason) == ("succeeded", None)


def test_clock_set_back_is_reported_by_an_unchanged_run(database: Database) -> None:
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    for instant, outcome in ((noon, "succeeded"), (noon - timedelta(days=1), "unchanged")):
        with time_machine.travel(instant, tick=False):
            report = database.sync(items(1, 2))
        assert report.outcome == outcome
    assert "behind" in (report.reason or "")
    assert database.run(2).observed_at > database.run(1).observed_at


@pytest.mark.once_on_postgresql
@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Africa/Casablanca"])
def test_an_hour_that_comes_twice_is_two_hours(database: Database, monkeypatch: pytest.MonkeyPatch, zone: str) -> None:
    monkeypatch.setenv("TZ", zone)
    before = _last_instant_before_the_clock_goes_back(ZoneInfo(zone))
    instants = [before - timedelta(minutes=30), before + timedelta(minutes=1), before + timedelta(minutes=40)]
    for instant, track_ids in zip(instants, ([1, 2], [3, 2], [4, 2]), strict=True):
        with time_machine.travel(instant.astimezone(ZoneInfo(zone)), tick=False):
            assert database.sync(items(*track_ids)).reason is None
    assert [database.run(run_id).observed_at for run_id in (1, 2, 3)] == instants
    rows = [row for row in database.history() if row[1] == 3]
    assert rows[0][2:4] == (instants[1], instants[2])


def _last_instant_before_the_clock_goes_back(zone: ZoneInfo) -> datetime:
    instant = datetime(2026, 1, 1, tzinfo=UTC)
    while True:
        after = instant + timedelta(minutes=30)
        if after.astimezone(zone).utcoffset() < instant.astimezone(zone).utcoffset():  # type: ignore[operator]
            return instant
        instant = after


def test_files_are_made_for_their_owner_alone(sandbox: Sandbox, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    environ = settings(sandbox, f"sqlite:///{folder}/favsync.db")
    modes: dict[str, int] = {}

    def look(_request: object) -> None:
        modes.update({path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()})

    sandbox.before_request = look
    umask = os.umask(0)
    try:
        assert run_command(environ, "sync").returncode == 0
    finally:
        os.umask(umask)
    look(None)
    assert {"favsync.db", "favsync.db-wal", "favsync.db-shm", "favsync.db.lock-1"} <= set(modes)
    assert set(modes.values()) == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700
