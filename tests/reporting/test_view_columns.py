"""The views: the columns that are promised, and the same rows on both engines."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Connection, select, text

from etl.db.engine import read_transaction
from etl.db.tables import metadata
from etl.reporting.query import Query, run_query
from etl.reporting.views import views
from tests.support.seeded import THREE_YEARS, Histories

NUMBERED_APART = {"raw_items", "snapshots"}  # PostgreSQL numbers the items of a snapshot in another order
NOW_COLUMNS = {"seconds_since_proven": 3600.0}

CONTRACT = {
    "track_markets": "track_id market_code",
    "report_current_favourites": "account track_id title artists album genres duration_seconds isrc market_count"
    " first_seen_at added_after web_url missing_since",
    "report_favourite_history": "account track_id title artists valid_from valid_to added_after removed_after is_current"
    " days_kept removal_reason",
    "report_favourite_changes": "account changed_at not_before change track_id title artists run_id",
    "report_daily_changes": "account day added removed total",
    "report_artists": "account artist_id name current_favourites ever_favourites removed_favourites total_seconds",
    "report_albums": "account album_id name current_favourites ever_favourites removed_favourites total_seconds",
    "report_genres": "account genre_id name current_favourites ever_favourites removed_favourites total_seconds",
    "report_market_coverage": "account market_code market region available favourites share",
    "report_unavailable": "account region track_id title artists since",
    "report_market_changes": "track_id title market_code change changed_at",
    "report_track_changes": "track_id changed_at field old_value new_value",
    "report_runs": "account run_id trigger outcome reason proven started_at seconds favourites added removed held rejected",
    "report_freshness": "account last_proven_at last_run_at last_outcome seconds_since_proven",
}


@pytest.mark.parametrize("name", CONTRACT)
def test_a_view_of_the_contract_has_its_columns_first(seeded: Connection, name: str) -> None:
    columns = run_query(seeded, Query(views()[name], limit=0)).columns
    wanted = tuple(CONTRACT[name].split())
    assert columns[: len(wanted)] == wanted


def test_every_view_of_the_contract_is_there() -> None:
    assert set(CONTRACT) <= set(views())


@pytest.mark.postgresql
def test_three_years_of_syncs_are_equal_on_both_engines(histories: Histories) -> None:
    found = []
    for engine in ("sqlite", "postgresql"):
        with read_transaction(histories.engine(engine, THREE_YEARS)) as connection:
            tables = [each for each in metadata.sorted_tables if each.name not in NUMBERED_APART]
            columns = {each.name: [column for column in each.c if column.name != "facts"] for each in tables}
            found.append({name: set(map(tuple, connection.execute(select(*each)))) for name, each in columns.items()})
    ours, theirs = found
    assert len(ours["runs"]) > 35
    assert len(ours["superseded_versions"]) > 10
    assert [name for name, rows in ours.items() if rows != theirs[name]] == []


@pytest.mark.postgresql
@pytest.mark.parametrize("name", list(views()))
def test_a_view_has_the_same_rows_on_both_engines(histories: Histories, name: str) -> None:
    found = {}
    for engine in ("sqlite", "postgresql"):
        with read_transaction(histories.engine(engine)) as connection:
            answer = run_query(connection, Query(views()[name]))
            found[engine] = (answer.columns, list(answer.rows))
    (columns, ours), (other_columns, theirs) = found.values()
    assert columns == other_columns
    assert ours, "the history gives this view nothing to show, so nothing was compared"
    assert len(ours) == len(theirs)
    for row, other in zip(ours, theirs, strict=True):
        for column, value, same in zip(columns, row, other, strict=True):
            if column == "facts":  # the text that SQLite keeps
                assert json.loads(value) == same, column
            elif column in NOW_COLUMNS and value is not None:
                assert value == pytest.approx(same, abs=NOW_COLUMNS[column])
            else:
                assert (value, type(value)) == (same, type(same)), column


@pytest.mark.parametrize("view", views().values(), ids=lambda view: view.name)
def test_a_view_describes_its_row_and_sorts_by_its_columns(seeded: Connection, view: Any) -> None:
    assert view.row.endswith(".")
    assert view.row[0].isupper()
    assert view.order
    run_query(seeded, Query(view, limit=1))
    if view.since:
        run_query(seeded, Query(view, limit=1, since=datetime(2026, 1, 1, tzinfo=UTC)))


NARROW = {view.name for view in views().values() if view.is_narrow}
ACROSS_ACCOUNTS = {
    "report_popular_tracks", "report_popular_artists", "report_trending_tracks", "report_trending_artists", "report_co_favourites",
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in views() if name not in NARROW | ACROSS_ACCOUNTS])
def test_a_query_of_one_account_scans_no_other(histories: Histories, name: str) -> None:
    with read_transaction(histories.engine("sqlite")) as connection:
        columns = run_query(connection, Query(views()[name], limit=0)).columns
        whose = " WHERE account = 'ada'" if "account" in columns else ""
        plan = connection.execute(text(f"EXPLAIN QUERY PLAN SELECT * FROM {name}{whose}")).all()
    scanned = [row[3] for row in plan if re.match(r"SCAN (f|favourites|c)\b", row[3])]
    assert scanned == []


@pytest.mark.parametrize("name", sorted(NARROW))
def test_a_narrow_query_has_the_rows_of_its_account(seeded: Connection, name: str) -> None:
    every = run_query(seeded, Query(views()[name]))
    wanted = [row for row in every.rows if row[every.columns.index("account")] == "kofi"]
    narrow = run_query(seeded, Query(views()[name], accounts=("kofi",)))
    assert narrow.columns == every.columns
    assert list(narrow.rows) == wanted != []
