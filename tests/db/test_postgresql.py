"""Connections to PostgreSQL: foreign settings change nothing, the user's options count, poolers are recognised."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from sqlalchemy import Engine, make_url, text

from etl.cli import main
from etl.db import migrate
from etl.db.engine import database_errors, open_engine, read_transaction
from etl.db.postgresql import SESSION
from etl.errors import DatabaseError, SettingsError
from tests.conftest import NewDatabase, Postgres
from tests.support.database import open_database
from tests.support.lists import START, FakeSource, item
from tests.support.pooler import Pooler

pytestmark = pytest.mark.postgresql
# Each changes how values are written or read, or how statements are understood.
HOSTILE = {
    "client_encoding": "LATIN1",
    "datestyle": "German",
    "intervalstyle": "iso_8601",
    "timezone": "Asia/Kathmandu",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "standard_conforming_strings": "off",
    "transform_null_equals": "on",
    "array_nulls": "off",
    "quote_all_identifiers": "on",
    "idle_session_timeout": "1s",
    "default_transaction_isolation": "serializable",
}
TITLES = ("Ọ̀rọ̀ ‘Ajé’", "Zażółć 𝄞 \\ '")


@pytest.fixture
def url(new_database: NewDatabase) -> str:
    return new_database("postgresql")


@pytest.fixture
def admin(postgres: Postgres) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        yield connection


def set_in_environment(monkeypatch: pytest.MonkeyPatch, _admin: object, _database: str) -> None:
    for name, setting in (("PGCLIENTENCODING", "client_encoding"), ("PGDATESTYLE", "datestyle"), ("PGTZ", "timezone")):
        monkeypatch.setenv(name, HOSTILE[setting])
    monkeypatch.setenv("PGOPTIONS", " ".join(f"-c {name}={value}" for name, value in HOSTILE.items()))


def set_in_database(_patch: object, admin: psycopg.Connection[Any], database: str) -> None:
    for name, value in HOSTILE.items():
        admin.execute(f"ALTER DATABASE {database} SET {name} = '{value}'".encode())


def set_in_role(_patch: object, admin: psycopg.Connection[Any], database: str) -> None:
    for name, value in HOSTILE.items():
        admin.execute(f"ALTER ROLE {admin.info.user} IN DATABASE {database} SET {name} = '{value}'".encode())


@pytest.mark.parametrize("set_elsewhere", [set_in_environment, set_in_database, set_in_role])
def test_settings_of_others_change_nothing(
    url: str, admin: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch, set_elsewhere: Callable[..., None]
) -> None:
    set_elsewhere(monkeypatch, admin, str(make_url(url).database))
    items = [item(number, track_title=title) for number, title in enumerate(TITLES, 1)]
    with open_database(url) as database:
        first = database.sync(FakeSource(items))
        assert (first.outcome, first.error) == ("succeeded", None)
        assert database.sync(FakeSource(items[:1])).removed == 1
        assert database.rows("SELECT title FROM tracks ORDER BY track_id") == [(title,) for title in TITLES]
        assert database.equals_replay()
        kept = database.rows("SELECT valid_to - valid_from, valid_to FROM favourites WHERE valid_to IS NOT NULL")
        assert kept[0][1] > START
        for name, value in SESSION.items():
            assert database.rows(f"SHOW {name}") == [(value,)]
        assert database.rows("SHOW idle_session_timeout") == [("0",)]


def test_search_path_of_the_user_counts(
    new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch, admin: psycopg.Connection[Any]
) -> None:
    for number, way in enumerate(("URL", "environment")):
        plain = new_database("postgresql", migrated=False)
        with psycopg.connect(plain, autocommit=True) as connection:
            connection.execute("CREATE SCHEMA music")
        url = plain
        if way == "URL":
            url = f"{plain}{'&' if '?' in plain else '?'}options=-csearch_path%3Dmusic"
        else:
            monkeypatch.setenv("PGOPTIONS", "-csearch_path=music")
        migrate.upgrade(url)
        with open_database(url) as database:
            assert database.sync(FakeSource([item(1)])).outcome == "succeeded"
            found = database.rows("SELECT DISTINCT schemaname FROM pg_tables WHERE schemaname NOT LIKE 'pg_%'")
            assert {schema for (schema,) in found} - {"information_schema"} == {"music"}, number


def options_of(engine: Engine) -> dict[str, str]:
    with engine.connect() as connection:
        pool = connection.connection.dbapi_connection
        assert isinstance(pool, psycopg.Connection)
        return pool.info.get_parameters() | {"password": pool.info.password}


def place(url: str) -> tuple[str, str, str]:
    """Return the folder of the server's socket, its user and its database."""
    with psycopg.connect(url) as connection:
        return connection.info.host, connection.info.user, connection.info.dbname


def test_connection_options_of_the_url_are_kept(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    host, user, name = place(url)
    folder = quote(host, safe="")
    secret = "p@ss:/?#[]% +ü"
    given = f"postgresql://{user}:{quote(secret, safe='')}@{folder}/{name}?connect_timeout=7&application_name=my%20job&sslmode=disable"
    found = options_of(open_engine(given))
    expected = {"connect_timeout": "7", "application_name": "my job", "sslmode": "disable", "password": secret}
    assert found | expected == found
    monkeypatch.setenv("PGAPPNAME", "theirs")
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "9")
    found = options_of(open_engine(f"postgresql://{user}@{folder}/{name}"))
    assert (found["application_name"], found.get("connect_timeout")) == ("theirs", "9")


def test_favsync_names_itself_where_nobody_else_does(url: str) -> None:
    found = options_of(open_engine(url))
    assert (found["fallback_application_name"], found["connect_timeout"]) == ("favsync", "10")


def test_several_hosts_are_tried_in_order(url: str) -> None:
    host, user, name = place(url)
    for hosts in (f"%2Fnowhere,{quote(host, safe='')}", f"127.0.0.1:1,{quote(host, safe='')}:5432"):
        with open_database(f"postgresql://{user}@{hosts}/{name}") as database:
            assert database.rows("SELECT 1") == [(1,)]


@pytest.mark.parametrize(
    ("query", "named"),
    [("foo=1", "'foo'"), ("host=a&host=b", "'host' twice"), ("options=%zz", "not a URL"), ("Sslmode=x", "'Sslmode'")],
)
def test_options_that_are_unknown_are_named(
    query: str, named: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAVSYNC_DATABASE_URL", f"postgresql://ada:geheim@127.0.0.1/db?{query}")
    assert main(["db", "upgrade"]) == 2
    errors = capsys.readouterr().err
    assert named in errors
    assert "geheim" not in errors


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_another_encoding_is_refused_with_the_remedy(
    admin: psycopg.Connection[Any], postgres: Postgres, encoding: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    name = f"favsync_test_{encoding.lower()}"
    admin.execute(f"CREATE DATABASE {name} TEMPLATE template0 LOCALE 'C' ENCODING '{encoding}'".encode())
    try:
        url = make_url(postgres.url).set(database=name).render_as_string(hide_password=False)
        monkeypatch.setenv("FAVSYNC_DATABASE_URL", url)
        monkeypatch.setenv("BOOMPLAY_API_URL", "http://127.0.0.1:9")
        for verb in (["db", "upgrade"], ["doctor"], ["sync"]):
            main(verb)
            seen = "".join(capsys.readouterr())
            assert f"the database {name} has the encoding {encoding}" in seen
            assert "createdb --encoding=UTF8" in seen
    finally:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.mark.parametrize("in_turn", [False, True])
@pytest.mark.parametrize("connections", [1, 2, 3])
def test_a_pooler_in_transaction_mode_is_refused(url: str, in_turn: bool, connections: int) -> None:
    with Pooler(url, in_turn=in_turn, connections=connections) as pooler:
        engine = open_engine(pooler.url)
        with pytest.raises(SettingsError, match="pooler in transaction mode") as refused, read_transaction(engine):
            pass
        assert "FAVSYNC_DATABASE_POOLING=transaction" in refused.value.remedy
        engine.dispose()


def test_a_pooler_in_session_mode_is_used(url: str) -> None:
    with Pooler(url, is_session=True) as pooler, open_database(pooler.url) as database:
        assert database.sync(FakeSource([item(1)])).outcome == "succeeded"


@pytest.mark.parametrize(
    ("user", "name", "remedy"),
    [
        ("", "no such", "`createdb --encoding=UTF8 --template=template0 'no such'` creates it"),
        ("nobody_there", "", "`createuser --pwprompt nobody_there` creates it"),
    ],
)
def test_a_missing_database_or_role_says_how_to_create_it(url: str, user: str, name: str, remedy: str) -> None:
    host, owner, database = place(url)
    wrong = f"postgresql://{user or owner}@{quote(host, safe='')}/{quote(name or database)}"
    with pytest.raises(DatabaseError) as raised:
        migrate.upgrade(wrong)
    assert raised.value.remedy.startswith(remedy)


def test_a_schema_that_is_missing_is_the_remedy(url: str) -> None:
    wanted = f"{url}{'&' if '?' in url else '?'}options=-csearch_path%3Dnowhere"
    with pytest.raises(DatabaseError) as raised:
        migrate.upgrade(wanted)
    assert "create the schema that search_path names" in raised.value.remedy


def test_a_limit_of_the_role_is_named_by_its_state(url: str) -> None:
    engine = open_engine(url)
    with read_transaction(engine) as connection:
        connection.execute(text("SET LOCAL statement_timeout = 1"))
        with pytest.raises(DatabaseError) as raised, database_errors(engine):
            connection.execute(text("SELECT pg_sleep(3600)"))
    assert "statement_timeout" in raised.value.remedy
    engine.dispose()
