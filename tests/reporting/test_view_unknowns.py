"""Unknown attributes in the views: not zero, not "not playable", and left out of shares."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, update

from etl.db.tables import accounts, favourites, runs, superseded_versions, track_artists, track_versions, tracks
from tests.reporting.test_view_numbers import members
from tests.support.seeded import Histories, changed, intervals, rows_of


@pytest.fixture
def half_known(histories: Histories, seeded: Connection) -> Iterator[Connection]:
    """Return the history in which every second track has neither markets nor a duration."""
    unknown = update(tracks).where(tracks.c.track_id % 2 == 0).values(market_set_id=None, duration_seconds=None)
    with changed(histories.engine(seeded.dialect.name), unknown) as connection:
        yield connection


def current(connection: Connection) -> dict[str, list[int]]:
    found = defaultdict(list)
    for account, stay in intervals(connection):
        if stay.valid_to is None:
            found[account].append(stay.track_id)
    return found


def test_shares_of_markets_are_of_the_known_favourites(half_known: Connection) -> None:
    sets = members(half_known)
    of = dict(half_known.execute(select(tracks.c.track_id, tracks.c.market_set_id)).all())
    own = current(half_known)
    rows = rows_of(half_known, "market-coverage")
    reach: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for row in rows:
        known = [sets[of[track_id]] for track_id in own[row["account"]] if of[track_id] is not None]
        available = sum(row["market_code"] in codes for codes in known)
        unknown = len(own[row["account"]]) - len(known)
        assert (row["available"], row["known"], row["unknown"]) == (available, len(known), unknown)
        assert unknown > 0
        assert row["share"] == pytest.approx(available / len(known), abs=0.00006)
        reach[row["account"], row["region"]].update(available=available, known=len(known))
    for row in rows_of(half_known, "market-reach"):
        sums = reach[row["account"], row["region"]]
        assert row["share"] == pytest.approx(sums["available"] / sums["known"], abs=0.00006)


def test_a_playing_time_is_null_where_no_duration_is_known(half_known: Connection) -> None:
    lengths = dict(half_known.execute(select(tracks.c.track_id, tracks.c.duration_seconds)).all())
    credits = defaultdict(set)
    for track_id, artist_id in half_known.execute(select(track_artists.c.track_id, track_artists.c.artist_id)):
        credits[artist_id].add(track_id)
    own = current(half_known)
    found = Counter[str]()
    for row in rows_of(half_known, "artists"):
        now = [lengths[track_id] for track_id in own[row["account"]] if track_id in credits[row["artist_id"]]]
        known = [seconds for seconds in now if seconds is not None]
        assert row["known_durations"] == len(known)
        assert row["total_seconds"] == (sum(known) if known or not now else None)
        found[str(type(row["total_seconds"]))] += 1
    assert len(found) == 2


def test_no_known_market_has_no_share(histories: Histories, seeded: Connection) -> None:
    unknown = update(tracks).values(market_set_id=None)
    with changed(histories.engine(seeded.dialect.name), unknown) as connection:
        rows = rows_of(connection, "market-coverage")
        assert {(row["share"], row["available"], row["known"]) for row in rows} == {(None, 0, 0)}
        assert {row["share"] for row in rows_of(connection, "market-reach")} == {None}
        assert rows_of(connection, "unavailable") == []


def test_unavailable_since_ignores_versions_without_markets(histories: Histories, seeded: Connection) -> None:
    row = next(row for row in rows_of(seeded, "unavailable") if len(versions_of(seeded, row["track_id"])) == 1)
    before = datetime(2020, 1, 1, tzinfo=UTC)
    version = versions_of(seeded, row["track_id"])[0]
    unknown = {name: version[name] for name in ("track_id", "title", "album_id", "facts", "facts_digest")}
    older = insert(superseded_versions).values(
        **unknown, market_set_id=None, valid_from=before, valid_to=version["valid_from"]
    )
    with changed(histories.engine(seeded.dialect.name), older) as connection:
        (again,) = [
            each
            for each in rows_of(connection, "unavailable")
            if each["favourite_id"] == row["favourite_id"] and each["account"] == row["account"]
        ]
        assert again["since"] == version["valid_from"] == row["since"]


def versions_of(connection: Connection, track_id: int) -> list[dict[str, Any]]:
    query = select(track_versions).where(track_versions.c.track_id == track_id)
    return [dict(row) for row in connection.execute(query.order_by(track_versions.c.valid_from)).mappings()]


def test_a_loss_before_the_favourite_began_is_left_out(histories: Histories, seeded: Connection) -> None:
    row = rows_of(seeded, "market-losses")[0]
    own = (favourites.c.account_id == row["account_id"]) & (favourites.c.favourite_id == row["favourite_id"])
    later = update(favourites).where(own).values(valid_from=row["lost_at"])
    with changed(histories.engine(seeded.dialect.name), later) as connection:
        rows = rows_of(connection, "market-losses", accounts=(row["account"],))
        assert rows
        assert not [
            each for each in rows if each["favourite_id"] == row["favourite_id"] and each["lost_at"] <= row["lost_at"]
        ]


def test_an_import_has_no_duration_and_a_full_refresh_has(histories: Histories, seeded: Connection) -> None:
    first, second = seeded.execute(select(runs.c.run_id).where(runs.c.requests > 0).limit(2)).scalars()
    imported = update(runs).where(runs.c.run_id == first).values(trigger="backfill", requests=0)
    refreshed = update(runs).where(runs.c.run_id == second).values(trigger="backfill")
    with changed(histories.engine(seeded.dialect.name), imported, refreshed) as connection:
        seconds = {row["run_id"]: row["seconds"] for row in rows_of(connection, "runs")}
    assert seconds[first] is None
    assert seconds[second] > 0


def test_runs_separate_additions_from_the_first_look(seeded: Connection) -> None:
    rows = rows_of(seeded, "runs")
    there = Counter(account for account, stay in intervals(seeded) if stay.added_after is None)
    for account in there:
        own = [row for row in rows if row["account"] == account]
        assert sum(row["already_there"] for row in own) == there[account] == own[-1]["already_there"]


def test_intervals_are_named_by_account_and_favourite(seeded: Connection) -> None:
    wanted = {(stay.account_id, stay.favourite_id): stay.track_id for _, stay in intervals(seeded)}
    ids = dict(seeded.execute(select(accounts.c.account_id, accounts.c.name)).all())
    for view in (
        "current-favourites",
        "favourite-history",
        "favourite-changes",
        "missing",
        "unavailable",
        "market-losses",
        "regretted-removals",
    ):
        rows = rows_of(seeded, view)
        assert rows
        for row in rows:
            assert wanted[row["account_id"], row["favourite_id"]] == row["track_id"]
            assert ids[row["account_id"]] == row["account"]


def test_every_view_with_an_account_has_its_id(histories: Histories, seeded: Connection) -> None:
    from etl.reporting.query import Query, run_query
    from etl.reporting.views import views

    ids = dict(seeded.execute(select(accounts.c.name, accounts.c.account_id)).all())
    for view in views().values():
        result = run_query(seeded, Query(view))
        if "account" in result.columns:
            at, by = result.columns.index("account"), result.columns.index("account_id")
            assert all(ids[row[at]] == row[by] for row in result.rows), view.name
