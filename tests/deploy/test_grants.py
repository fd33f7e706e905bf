"""deploy/grants.sql against a real PostgreSQL: each role can do its work, and no more."""

from __future__ import annotations

import re
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import create_engine, select, text

from etl.accounts.token_rows import TokenLocation, TokenRow, TokenStatus, put_token_row
from etl.cli import main
from etl.db.engine import open_engine, write_transaction
from etl.db.migrate import upgrade
from etl.db.tables import metadata
from etl.load.accounts import ensure_account
from etl.monitor.database_health import missing_rights
from etl.reporting.views import views
from tests.conftest import NewDatabase, Postgres
from tests.deploy.history import faults, source_of, synced
from tests.deploy.roles import Roles, may, roles_in
from tests.monitor.test_status import NOW
from tests.support.lists import item

pytestmark = pytest.mark.postgresql

# Closed to favsync_report, each with its reason.
CLOSED = {
    "tokens": "holds tokens, encrypted; only their states are open",
    "walk_pages": "pages of a walk that broke off: nothing that anybody reports on",
}


@pytest.fixture(scope="module")
def granted(postgres: Postgres) -> Iterator[Roles]:
    """The roles, in a database that they migrated and were granted again, as an operator does it."""
    url = postgres.create()
    with roles_in(url) as roles:
        upgrade(roles.migrate)
        roles.grant()
        yield roles
    postgres.drop_now(url)


@pytest.fixture
def roles(granted: Roles, postgres: Postgres) -> Iterator[Roles]:
    """The same roles, in a copy of that database; rights on a database itself are not copied."""
    url = postgres.create(copy_of=granted.admin_url)
    roles = Roles(url, like=granted)
    roles.grant()
    yield roles
    postgres.drop_now(url)  # or the roles could not be dropped, as it depends on them


def test_sync_role_can_run_a_sync(roles: Roles) -> None:
    source = source_of(range(1, 401))
    assert synced(roles.sync, source).outcome == "succeeded"
    del source.items[3:6]
    source.items.insert(0, item(1000))
    second = synced(roles.sync, source)
    assert (second.outcome, second.added, second.removed) == ("succeeded", 1, 3)
    assert synced(roles.sync, source).outcome == "unchanged"
    assert faults(roles.sync) == []


def test_sync_role_has_every_right_that_doctor_checks(roles: Roles) -> None:
    engine = open_engine(roles.sync)
    assert missing_rights(engine) == []
    engine.dispose()


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE favourites CASCADE",
        "ALTER TABLE favourites ADD COLUMN x int",
        "ALTER TABLE favourites DISABLE TRIGGER favourites_check_update",
        "ALTER TABLE favourites DROP CONSTRAINT fk_favourites_track_id",
        "DROP TRIGGER runs_proof_stays ON runs",
        "CREATE OR REPLACE FUNCTION favourites_check() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "DROP VIEW report_runs",
        "CREATE TABLE mine (x int)",
        "TRUNCATE runs CASCADE",
        "UPDATE favsync_version SET version_num = '9999'",
        "CREATE ROLE mine",
    ],
)
def test_the_sync_role_cannot_change_the_schema(roles: Roles, statement: str) -> None:
    assert not may(roles.sync, statement)
    assert may(roles.admin_url, statement), "the statement proves nothing if nobody can run it"


def test_the_report_role_reads_every_view_and_every_open_table(roles: Roles) -> None:
    synced(roles.sync, source_of(range(1, 61)))
    with psycopg.connect(roles.report) as connection:
        for name in [*views(), *(set(metadata.tables) - set(CLOSED))]:
            connection.execute(f"SELECT * FROM {name}".encode())
        assert connection.execute("SELECT count(*) FROM report_current_favourites").fetchone() == (60,)


def test_every_table_is_open_to_reports_or_closed_for_a_reason(roles: Roles) -> None:
    readable = {name for name in metadata.tables if may(roles.report, f"SELECT * FROM {name}")}
    assert readable == set(metadata.tables) - set(CLOSED), "decide in deploy/grants.sql, or in CLOSED with a reason"


def test_the_report_role_reads_no_token(roles: Roles) -> None:
    for statement in (
        "SELECT secret FROM tokens",
        "SELECT reference FROM tokens",
        "SELECT * FROM tokens",
        "COPY tokens TO STDOUT",
    ):
        assert not may(roles.report, statement)


@pytest.mark.parametrize("argv", [["status"], ["status", "--wide"], ["accounts", "list"]])
def test_the_report_role_runs_the_verbs_of_operators(
    roles: Roles, argv: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = open_engine(roles.sync)
    with write_transaction(engine) as connection:
        ensure_account(connection, "ada", NOW)
        account_id = connection.execute(select(metadata.tables["accounts"].c.account_id)).scalar_one()
        put_token_row(
            connection,
            TokenRow(
                account_id=account_id, place=TokenLocation.FILE, reference="t", updated_at=NOW, state=TokenStatus.DEAD
            ),
        )
    engine.dispose()
    monkeypatch.setenv("FAVSYNC_DATABASE_URL", roles.report)
    assert main(argv) == (4 if argv[0] == "status" else 0)
    assert re.search("ada.*dead", capsys.readouterr().out)


def test_the_report_role_writes_nothing(roles: Roles) -> None:
    statements = ("DELETE FROM {0}", "UPDATE {0} SET {1} = {1}", "INSERT INTO {0} SELECT * FROM {0} WHERE false")
    columns = {name: next(iter(table.columns)).name for name, table in metadata.tables.items()}
    tries = [each.format(name, column) for name, column in columns.items() for each in statements]
    assert not [each for each in tries if may(roles.report, f"SET TRANSACTION READ WRITE; {each}")]
    assert not [each for each in tries if not may(roles.sync, each)], "they prove nothing if nobody can run them"


@pytest.mark.parametrize("statement", ["CREATE TABLE mine (x int)", "CREATE TEMPORARY TABLE mine (x int)"])
def test_the_report_role_makes_nothing(roles: Roles, statement: str) -> None:
    assert not may(roles.report, f"SET TRANSACTION READ WRITE; {statement}")


def test_new_table_is_open_to_sync_and_closed_to_reports(roles: Roles) -> None:
    with psycopg.connect(roles.migrate) as connection:
        connection.execute("CREATE TABLE next_thing (thing_id bigserial PRIMARY KEY, secret text)")
    with psycopg.connect(roles.sync) as connection:
        connection.execute("INSERT INTO next_thing (secret) VALUES ('x')")
        connection.execute("UPDATE next_thing SET secret = 'y'")
        connection.execute("DELETE FROM next_thing")
    roles.grant()
    assert not may(roles.report, "SELECT 1 FROM next_thing")


def test_views_that_are_built_anew_keep_their_readers(roles: Roles) -> None:
    roles.admin(f"GRANT SELECT ON report_runs TO {roles.name('report')} WITH GRANT OPTION")
    upgrade(roles.migrate)
    for name in views():
        assert may(roles.report, f"SELECT 1 FROM {name}")
    assert may(roles.report, "SET TRANSACTION READ WRITE; GRANT SELECT ON report_runs TO PUBLIC")


def test_running_the_file_again_changes_nothing(roles: Roles) -> None:
    catalogue = text("SELECT relname, relacl::text, relowner FROM pg_class ORDER BY oid")
    admin = create_engine(roles.admin_url.replace("postgresql://", "postgresql+psycopg://"))
    with admin.connect() as connection:
        before = connection.execute(catalogue).all()
    roles.grant()
    with admin.connect() as connection:
        assert connection.execute(catalogue).all() == before
    admin.dispose()


def test_schema_of_another_owner_is_transferred(new_database: NewDatabase) -> None:
    url = new_database("postgresql", migrated=True)
    with roles_in(url) as roles:
        assert synced(roles.sync, source_of([1])).outcome == "succeeded"
        upgrade(roles.migrate)
        assert not may(roles.sync, "DROP TABLE favourites CASCADE")
        assert may(roles.report, "SELECT 1 FROM report_freshness")
