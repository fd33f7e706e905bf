"""deploy/dbt: what it names exists, and what it claims holds. dbt itself is not here: the SQL is that of its generic tests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from sqlalchemy import Connection, inspect

from etl.db.engine import open_engine
from etl.reporting.views import views
from tests.conftest import FilledDatabase
from tests.deploy.history import lived
from tests.house.source import ROOT
from tests.support.lists import FakeSource

FOLDER = ROOT / "deploy/dbt"
pytestmark = pytest.mark.postgresql


def read(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))


(SOURCE,) = read("models/sources.yml")["sources"]
TABLES = {table["name"]: table for table in SOURCE["tables"]}
REFERENCE = re.compile(r"^source\('favsync', '(\w+)'\)$")


@pytest.fixture
def connection(filled_database: FilledDatabase[FakeSource]) -> Iterator[Connection]:
    url, _ = filled_database("postgresql", lived)
    engine = open_engine(url)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def claims() -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Yield (table, column, generic test, its arguments)."""
    for name, table in TABLES.items():
        for column in table["columns"]:
            for claim in column.get("data_tests", []):
                kind, given = next(iter(claim.items())) if isinstance(claim, dict) else (claim, {})
                yield name, column["name"], kind, given.get("arguments", {})


def counterexamples(table: str, column: str, kind: str, given: dict[str, Any]) -> str:
    """Return the query whose rows are what the generic test ``kind`` finds wrong."""
    if kind == "not_null":
        return f"SELECT 1 FROM {table} WHERE {column} IS NULL"
    if kind == "unique":
        return f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL GROUP BY {column} HAVING count(*) > 1"
    if kind == "accepted_values":
        values = ", ".join(f"'{value}'" for value in given["values"])
        return f"SELECT {column} FROM {table} WHERE {column} NOT IN ({values})"
    parent = REFERENCE.match(given["to"])
    assert kind == "relationships"
    assert parent
    return (
        f"SELECT 1 FROM {table} child LEFT JOIN {parent[1]} parent ON parent.{given['field']} = child.{column}"
        f" WHERE child.{column} IS NOT NULL AND parent.{given['field']} IS NULL"
    )


def test_every_table_and_column_exists(connection: Connection) -> None:
    there = inspect(connection)
    known = {*there.get_table_names(), *there.get_view_names()}
    assert set(TABLES) <= known
    for name, table in TABLES.items():
        columns = {column["name"] for column in there.get_columns(name)}
        assert {column["name"] for column in table["columns"]} <= columns, name


def test_what_it_claims_holds(connection: Connection) -> None:
    found = list(claims())
    assert len(found) > 80
    wrong = [claim for claim in found if connection.exec_driver_sql(counterexamples(*claim)).first()]
    assert not wrong


def test_a_claim_that_does_not_hold_is_found(connection: Connection) -> None:
    false: list[tuple[str, str, str, dict[str, Any]]] = [
        ("favourites", "valid_to", "not_null", {}),
        ("favourites", "account_id", "unique", {}),
        ("runs", "trigger", "accepted_values", {"values": ["schedule"]}),
        ("runs", "run_id", "relationships", {"to": "source('favsync', 'accounts')", "field": "account_id"}),
    ]
    assert all(connection.exec_driver_sql(counterexamples(*claim)).first() for claim in false)


def test_the_freshness_of_runs_can_be_asked(connection: Connection) -> None:
    settings = TABLES["runs"]["config"]
    assert set(settings["freshness"]) == {"warn_after", "error_after", "filter"}
    query = f"SELECT max({settings['loaded_at_field']}) FROM runs WHERE {settings['freshness']['filter']}"
    assert connection.exec_driver_sql(query).scalar() is not None


def test_exposures_name_what_the_dashboards_read() -> None:
    exposures = {each["name"]: each for each in read("models/exposures.yml")["exposures"]}
    for each in exposures.values():
        assert {"name", "type", "owner", "depends_on"} <= set(each)
        for reference in each["depends_on"]:
            found = REFERENCE.match(reference)
            assert found
            assert found[1] in TABLES
    dashboard = (ROOT / "deploy/grafana/dashboards/favsync.json").read_text(encoding="utf-8")
    asked = " ".join(re.findall(r'"(?:rawSql|query)": "(.*)"', dashboard))
    read_there = {name for name in TABLES if re.search(rf"\b(?:FROM|JOIN) \(?{name}\b", asked)}
    named = "\n".join(exposures["favsync_grafana"]["depends_on"])
    assert set(re.findall(r"'favsync', '(\w+)'", named)) == read_there


def test_every_view_of_the_contract_is_a_source() -> None:
    contract = {name for name in views() if name in TABLES}
    assert {"report_current_favourites", "report_favourite_history", "report_freshness", "track_markets"} <= contract


def test_no_source_holds_a_secret() -> None:
    assert "tokens" not in TABLES
