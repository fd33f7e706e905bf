"""PostgreSQL engines: the user's connection options, and a session that no default of a server, role or variable changes.

libpq parses the URL, so whatever its documentation allows works here: several hosts, sockets, TLS and ``options``. The
settings on which favsync depends are set by a statement, because connection poolers refuse start-up options.
"""

from __future__ import annotations

import select
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry

from etl import clock
from etl.db.remedies import POOLED
from etl.errors import DatabaseError, SettingsError

CONNECT_SECONDS = 10
IDLE_SECONDS = 10.0
# What changes the text of values, the meaning of statements, or ends a connection that only holds a lock.
SESSION = {
    "client_encoding": "UTF8",
    "datestyle": "ISO, MDY",
    "intervalstyle": "postgres",
    "timezone": "UTC",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "standard_conforming_strings": "on",
    "transform_null_equals": "off",
    "array_nulls": "on",
    "quote_all_identifiers": "off",
}
SESSION_SINCE_14 = {"idle_session_timeout": "0"}
POOLED_CHECKS = 2  # a pooler that hands out its connections in turn needs the second one
Connect = Callable[[], "psycopg.Connection[Any]"]


def postgresql_engine(url: str, *, is_pooled: bool = False) -> Engine:
    """Return an engine for a ``postgresql://`` URL; nothing is connected yet.

    ``is_pooled``: a pooler lends a connection for one transaction, so each transaction has its settings.

    Raises: SettingsError, if libpq does not accept the URL. Connections raise DatabaseError for a database that is not
    UTF-8, and SettingsError for a pooler in transaction mode.
    """
    options = connection_options(url)
    if is_pooled:
        options["prepare_threshold"] = None  # the next server process does not know what was prepared
    engine = create_engine(
        _shown(options),
        connect_args=options,
        execution_options={"is_pooled": is_pooled},
        isolation_level="READ COMMITTED",  # whatever the server's default is: who waited for a lock must see what it waited for
        max_overflow=-1,  # as many as the scheduler has workers; no more is ever asked for
    )
    is_checked = threading.Event()

    def prepare(connection: psycopg.Connection[Any], _record: object) -> None:
        backend = _prepare_session(connection, is_pooled=is_pooled)
        # A pooler has process numbers of its own.
        if backend != connection.info.backend_pid and not (is_pooled or is_checked.is_set()):
            if not keeps_session(connection, lambda: psycopg.connect(**options)):
                raise SettingsError(
                    "FAVSYNC_DATABASE_URL leads to a connection pooler in transaction mode (such as PgBouncer), which "
                    "loses the locks and settings of a session",
                    remedy=POOLED,
                )
            is_checked.set()

    event.listen(engine, "connect", prepare)
    _check_idle_connections(engine)
    if is_pooled:
        statement = session_statement(is_local=True).decode()
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(statement))
    return engine


def _check_idle_connections(engine: Engine) -> None:
    """Replace pooled connections that the server has ended, without a statement at each checkout.

    The socket of a connection that waits in the pool is readable only if the server ended it, or said something else. After
    `IDLE_SECONDS` a statement asks: a network may lose a connection in silence.
    """

    def returned(_connection: object, record: ConnectionPoolEntry) -> None:
        record.info["returned_at"] = clock.monotonic()

    def lent(connection: psycopg.Connection[Any], record: ConnectionPoolEntry, _proxy: object) -> None:
        returned_at = record.info.get("returned_at")
        if returned_at is None:
            return
        try:
            poll = select.poll()
            poll.register(connection.fileno(), select.POLLIN)
            if poll.poll(0) or clock.monotonic() - returned_at > IDLE_SECONDS:
                engine.dialect.do_ping(connection)  # type: ignore[arg-type]
        except psycopg.Error:
            raise InvalidatePoolError from None  # the pool connects again

    event.listen(engine, "checkin", returned)
    event.listen(engine, "checkout", lent)


def connection_options(url: str) -> dict[str, Any]:
    """Return libpq's options of ``url``, and favsync's own where neither URL nor environment has another value."""
    names = [name for name, _ in parse_qsl(urlsplit(url).query, keep_blank_values=True)]
    defaults = {option.keyword.decode(): option.val for option in psycopg.pq.Conninfo.get_defaults()}
    for name in names:
        if name not in defaults and name != "ssl":
            raise SettingsError(
                f"FAVSYNC_DATABASE_URL has the option {name[:40]!r}, which PostgreSQL does not know",
                remedy="see 'Parameter Key Words' in PostgreSQL's documentation of libpq",
            )
        if names.count(name) > 1:
            raise SettingsError(
                f"FAVSYNC_DATABASE_URL has the option {name!r} twice",
                remedy="write several hosts as postgresql://user@host1:5432,host2:5432/database",
            )
    try:
        given = conninfo_to_dict(url)
    except psycopg.Error:  # its text may contain the password
        raise SettingsError(
            "FAVSYNC_DATABASE_URL is not a URL that PostgreSQL accepts",
            remedy="percent-encode @ : / ? # [ ] % and blanks in user, password and options",
        ) from None
    ours: dict[str, Any] = {"fallback_application_name": "favsync"}
    if not defaults["connect_timeout"] and "service" not in given:
        ours["connect_timeout"] = CONNECT_SECONDS
    return {**ours, **given, "client_encoding": "UTF8"}


def _shown(options: Mapping[str, Any]) -> URL:
    """Return the URL for messages. Connections use ``options`` themselves."""
    host, port = options.get("host"), str(options.get("port", ""))
    is_single = host is not None and "," not in host and not host.startswith(("/", "@"))
    return URL.create(
        "postgresql+psycopg",
        username=options.get("user"),
        password=options.get("password"),
        host=host if is_single else None,
        port=int(port) if is_single and port.isdigit() else None,
        database=options.get("dbname"),
        query={} if is_single or host is None else {"host": host},
    )


def session_statement(*, is_local: bool = False) -> bytes:
    """Return the statement that sets `SESSION`. ``is_local``: for the transaction, else for the session."""
    return f"SELECT {_set_all(SESSION, is_local=is_local)}".encode()


def _set_all(settings: Mapping[str, str], *, is_local: bool) -> str:
    """Return the columns of a query that sets ``settings``. ``is_local``: for the transaction, else for the session."""
    return ", ".join(f"set_config('{name}', '{value}', {str(is_local).lower()})" for name, value in settings.items())


def _prepare_session(connection: psycopg.Connection[Any], *, is_pooled: bool) -> int:
    """Set `SESSION`, unless each transaction does, and return the number of the server's process.

    Raises: DatabaseError, if the database is not UTF-8.
    """
    settings = SESSION | (SESSION_SINCE_14 if connection.info.server_version >= 140_000 else {})
    columns = "pg_backend_pid(), current_setting('server_encoding')"
    if not is_pooled:
        columns += f", {_set_all(settings, is_local=False)}"
    connection.autocommit = True  # a setting ends with a transaction that is undone
    backend, encoding, *_ = connection.execute(f"SELECT {columns}".encode()).fetchone() or (0, "")
    connection.autocommit = False
    if encoding != "UTF8":
        name = connection.info.dbname
        raise DatabaseError(
            f"the database {name} has the encoding {encoding}, in which titles cannot be stored; favsync needs UTF8",
            remedy="create another: `createdb --encoding=UTF8 --template=template0 NAME`, then move the data with pg_dump",
        )
    return int(backend)


def keeps_session(connection: psycopg.Connection[Any], connect: Connect) -> bool:
    """True if ``connection`` has a server process of its own. A pooler in transaction mode lends the same one to others.

    ``connect``: opens another connection to the same place. Each holds a transaction, so that its process is not lent again.
    """
    connection.autocommit = True
    try:
        mine = _backend(connection)
        with ExitStack() as stack:
            for _ in range(POOLED_CHECKS):
                other = stack.enter_context(connect())
                if _backend(other) == mine or _backend(connection) != mine:
                    return False
    finally:
        connection.autocommit = False
    return True


def _backend(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    return int(row[0]) if row else 0
