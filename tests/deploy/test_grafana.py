"""deploy/grafana: each query of the dashboard, asked as the role that Grafana is given; each metric, against the service's."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import yaml

from etl.db.engine import open_engine
from etl.db.migrate import upgrade
from etl.model.records import Outcome, Trigger
from etl.model.result import RunResult
from etl.monitor.metrics import Metrics
from etl.monitor.overview import CalendarStatus, OverviewReader, summed
from etl.scheduler.service import FinishedRun, ServiceStatus
from tests.conftest import NewDatabase
from tests.deploy.history import lived, source_of, synced
from tests.deploy.promql import unanswered
from tests.deploy.roles import Roles, roles_in
from tests.house.source import ROOT
from tests.support.lists import START

FOLDER = ROOT / "deploy/grafana"
DASHBOARD = json.loads((FOLDER / "dashboards/favsync.json").read_text(encoding="utf-8"))
PANELS = {panel["title"]: panel for panel in DASHBOARD["panels"] if panel["type"] != "row"}
QUERIES = {
    title: target["rawSql"] for title, panel in PANELS.items() for target in panel["targets"] if "rawSql" in target
}
# The panel adds up sets of markets, because the view takes ten times as long for a thousand accounts.
BY_VIEW = """SELECT coalesce(region, 'not a country'), sum(available) / sum(known) FROM report_market_coverage
    WHERE account IN ($account) GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 15"""
EXPRESSIONS = [target["expr"] for panel in PANELS.values() for target in panel["targets"] if "expr" in target]
# What Grafana puts in place of its macros, as its PostgreSQL data source documents them.
MACROS = (
    (
        r"\$__timeFilter\(([^()]+(?:\([^()]*\))?[^()]*)\)",
        r"\1 BETWEEN now() - interval '30 days' AND now() + interval '1 day'",
    ),
    (r"\$__timeGroup\(([^,()]+), '1h'\)", r"floor(extract(epoch from \1) / 3600) * 3600"),
    (r"\$account\b", "'ada', 'ben'"),
)


def expanded(sql: str) -> str:
    """Return ``sql`` as Grafana sends it."""
    for macro, text in MACROS:
        sql = re.sub(macro, text, sql)
    assert "$" not in sql
    return sql


@pytest.fixture(scope="module")
def asked(postgres: Any) -> Iterator[dict[str, tuple[list[str], list[Any]]]]:
    """Every query's columns and rows, on a database in which two accounts have lived."""
    url = postgres.create()
    try:
        with roles_in(url) as roles:
            answers = _answers(roles)
        yield answers
    finally:
        postgres.drop(url)


def _answers(roles: Roles) -> dict[str, tuple[list[str], list[Any]]]:
    upgrade(roles.migrate)
    roles.grant()
    lived(roles.sync)
    ben = source_of(range(1, 31))
    ben.user_id = "another"
    synced(roles.sync, ben, "ben")
    del ben.items[:20]
    synced(roles.sync, ben, "ben")
    found = {}
    with psycopg.connect(roles.report) as connection:
        for title, sql in (*QUERIES.items(), (BY_VIEW, BY_VIEW)):
            cursor = connection.execute(expanded(sql).encode())
            found[title] = ([column.name for column in cursor.description or ()], cursor.fetchall())
    return found


@pytest.mark.postgresql
def test_every_query_of_the_dashboard_has_an_answer(asked: dict[str, tuple[list[str], list[Any]]]) -> None:
    silent = {title for title, (_, rows) in asked.items() if not rows}
    assert silent <= {"Cannot be played at home"}, "nothing there is unplayable in this history"


@pytest.mark.postgresql
@pytest.mark.parametrize(
    ("title", "rows"),
    [
        ("Accounts", [(2,)]),
        ("Never proven", [(0,)]),
        ("Held removals", [(20,)]),
        ("Added and removed a day", [(2, -4)]),
    ],
)
def test_what_the_dashboard_says_is_so(
    title: str, rows: list[Any], asked: dict[str, tuple[list[str], list[Any]]]
) -> None:
    columns, found = asked[title]
    assert [
        tuple(int(value) for name, value in zip(columns, row, strict=True) if name != "time") for row in found
    ] == rows


@pytest.mark.postgresql
def test_the_panel_of_regions_says_what_the_view_says(asked: dict[str, tuple[list[str], list[Any]]]) -> None:
    shown, wanted = asked["Market coverage by region"][1], asked[BY_VIEW][1]
    assert [(region, float(share)) for region, share in shown] == [
        (region, pytest.approx(float(share))) for region, share in wanted
    ]
    assert len({share for _, share in shown}) > 1


@pytest.mark.postgresql
def test_each_outcome_of_a_run_is_counted(asked: dict[str, tuple[list[str], list[Any]]]) -> None:
    found: dict[str, int] = {}
    for _, outcome, count in asked["Runs by outcome"][1]:
        found[outcome] = found.get(outcome, 0) + count
    assert found == {"succeeded": 4, "unchanged": 1, "held": 1}


@pytest.mark.postgresql
def test_time_series_are_in_the_form_that_grafana_draws(asked: dict[str, tuple[list[str], list[Any]]]) -> None:
    for title, panel in PANELS.items():
        for target in panel["targets"]:
            if target.get("format") == "time_series":
                columns, rows = asked[title]
                assert columns[0] == "time", title
                assert [row[0] for row in rows] == sorted(row[0] for row in rows), title


@pytest.mark.postgresql
def test_the_choice_of_accounts_is_readable(new_database: NewDatabase) -> None:
    (choice,) = DASHBOARD["templating"]["list"]
    with psycopg.connect(new_database("postgresql")) as connection:
        connection.execute(choice["query"].encode())


def test_every_metric_of_the_dashboard_exists(new_database: NewDatabase) -> None:
    url = new_database("sqlite")
    synced(url, source_of([1]))
    engine = open_engine(url)
    calendar = CalendarStatus(0, 0.0, 0)
    metrics = Metrics(OverviewReader(engine, "every 1h").read, ServiceStatus, calendar=lambda: calendar)
    report = RunResult(account="ada", trigger=Trigger.SCHEDULE, started_at=START, outcome=Outcome.SUCCEEDED)
    metrics.count(FinishedRun(report, {"200": 1}))
    exposition = metrics.text().decode()
    engine.dispose()
    assert EXPRESSIONS
    expressions = [text.replace("$__rate_interval", "5m") for text in EXPRESSIONS]
    assert unanswered(expressions, exposition) == []


def test_each_metric_of_the_workers_has_a_panel() -> None:
    metrics = Metrics(lambda: summed([]), calendar=lambda: CalendarStatus(0, 0.0, 0))
    names = set(re.findall(r"^# TYPE (\S+)", metrics.text().decode(), re.MULTILINE))
    workers = {name for name in names if name.startswith(("favsync_due", "favsync_in_work", "favsync_budget"))}
    assert len(workers) == 5
    assert {name for name in workers if any(name in text for text in EXPRESSIONS)} == workers


def test_panels_that_list_accounts_are_limited() -> None:
    for title, panel in PANELS.items():
        texts = [target.get("rawSql") or target["expr"] for target in panel["targets"]]
        if panel["type"] in ("table", "bargauge") or any(
            "{account" in text or "account AS metric" in text for text in texts
        ):
            assert all(re.search(r"\bLIMIT \d+\b|\btopk\(\d+,", text) for text in texts), title


def test_panels_use_only_sources_that_are_provisioned() -> None:
    provisioned = yaml.safe_load((FOLDER / "provisioning/datasources/favsync.yaml").read_text(encoding="utf-8"))
    known = {(source["type"], source["uid"]) for source in provisioned["datasources"]}
    used = [each["datasource"] for panel in PANELS.values() for each in (panel, *panel["targets"])]
    assert {(source["type"], source["uid"]) for source in used} == known


def test_panels_have_numbers_of_their_own_and_do_not_overlap() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    taken: dict[tuple[int, int], str] = {}
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, (panel["title"], taken[x, y])
                taken[x, y] = panel["title"]
