"""Queries of views: as of a time, since, order, account, and invalid ones."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, text, update

from etl.db.tables import favourites
from etl.errors import UsageError
from etl.load.accounts import enabled_accounts
from etl.load.baseline import interval_of
from etl.reporting.list_as_of import list_at, observation_range
from etl.reporting.views import views
from etl.transform.as_of import Presence
from tests.support.seeded import Histories, changed, intervals, rows_of


def test_as_of_lists_the_tracks_whose_answer_is_yes(seeded: Connection) -> None:
    stays = [interval_of(row) for _, row in intervals(seeded)]
    edges = sorted({at for stay in stays for at in (stay.valid_from, stay.added_after, stay.removed_after) if at})
    beyond = (edges[0] - timedelta(days=1), edges[-1] + timedelta(seconds=1), datetime(2027, 1, 1, tzinfo=UTC))
    found = 0
    for instant in (*edges[:: max(1, len(edges) // 9)], *beyond):
        wanted = {
            (account.name, standing.track_id)
            for account in enabled_accounts(seeded)
            for standing in list_at(seeded, account.account_id, instant)
            if standing.answer is Presence.YES
        }
        rows = rows_of(seeded, "current-favourites", as_of=instant)
        assert Counter((row["account"], row["track_id"]) for row in rows) == Counter(wanted)
        found += len(rows)
    assert found


def test_as_of_the_newest_observation_equals_the_present(histories: Histories, seeded: Connection) -> None:
    # Without the missing favourites, of which nothing is known at that time.
    listed = update(favourites).values(missing_since=None, last_seen_at=None)
    with changed(histories.engine(seeded.dialect.name), listed) as connection:
        assert_newest_is_the_present(connection)


def assert_newest_is_the_present(connection: Connection) -> None:
    for account in enabled_accounts(connection):
        newest = observation_range(connection, account.account_id).seen_until
        for view in views().values():
            if view.is_past:
                then = rows_of(connection, view.name, as_of=newest, accounts=(account.name,))
                now = rows_of(connection, view.name, accounts=(account.name,))
                for before, after in zip(then, now, strict=True):
                    differing = {name for name in after if before[name] != after[name]}
                    assert differing <= {"ever_favourites", "removed_favourites"}, view.name


def test_as_of_leaves_out_what_is_missing_then(seeded: Connection) -> None:
    missing = [(account, stay) for account, stay in intervals(seeded) if stay.missing_since]
    assert missing
    for account, stay in missing:
        before = rows_of(seeded, "current-favourites", as_of=stay.last_seen_at, accounts=(account,))
        is_known = stay.valid_from <= stay.last_seen_at  # not if a single read saw it
        assert (stay.track_id in {each["track_id"] for each in before}) == is_known
        assert {each["missing_since"] for each in before} == {None}
        after = rows_of(seeded, "current-favourites", as_of=stay.missing_since, accounts=(account,))
        assert stay.track_id not in {each["track_id"] for each in after}


def test_artists_as_of_a_time_count_the_tracks_that_were_there(seeded: Connection) -> None:
    instant = datetime(2026, 1, 15, tzinfo=UTC)
    there = rows_of(seeded, "current-favourites", as_of=instant)
    total = Counter(row["account"] for row in there)
    links = Counter(
        row["account"] for row in there
        for _ in seeded.execute(text("SELECT 1 FROM track_artists WHERE track_id = :id"), {"id": row["track_id"]})
    )  # fmt: skip
    found = Counter[str]()
    for row in rows_of(seeded, "artists", as_of=instant):
        found[row["account"]] += row["current_favourites"]
    assert found == links
    assert total


def test_what_is_unknown_at_a_time_is_neither_there_nor_removed(seeded: Connection) -> None:
    instants = sorted(
        {
            at
            for _, row in intervals(seeded)
            for at in (row.added_after, row.valid_from, row.removed_after, row.valid_to)
            if at
        }
    )
    seen = Counter[Presence]()
    for instant in (*instants[:: max(1, len(instants) // 12)], datetime(2027, 1, 1, tzinfo=UTC)):
        there, removed = Counter[str](), Counter[str]()
        for account in enabled_accounts(seeded):
            for row in list_at(seeded, account.account_id, instant):
                if row.track.album_id is not None and row.stay.valid_from <= instant:
                    there[account.name] += row.answer is Presence.YES
                    removed[account.name] += row.answer is Presence.NO
                    seen[row.answer] += 1
        rows = rows_of(seeded, "albums", as_of=instant)
        assert (
            Counter({name: sum(r["current_favourites"] for r in rows if r["account"] == name) for name in there})
            == there
        )
        assert (
            Counter({name: sum(r["removed_favourites"] for r in rows if r["account"] == name) for name in there})
            == removed
        )
        assert all(row["ever_favourites"] == row["current_favourites"] + row["removed_favourites"] for row in rows)
    assert set(seen) == set(Presence)


def test_a_view_of_changes_refuses_as_of(seeded: Connection) -> None:
    with pytest.raises(UsageError, match="no earlier state"):
        rows_of(seeded, "daily-changes", as_of=datetime(2026, 1, 1, tzinfo=UTC))


def test_since_order_and_limit_select_rows(seeded: Connection) -> None:
    since = datetime(2026, 5, 1, tzinfo=UTC)
    rows = rows_of(seeded, "favourite-changes", since=since, order_by=("title", "-changed_at"))
    everything = rows_of(seeded, "favourite-changes")
    assert len(rows) == sum(row["changed_at"] >= since for row in everything)
    assert [row["title"] for row in rows] == sorted(row["title"] for row in rows)
    assert rows_of(seeded, "favourite-changes", limit=3) == everything[:3]
    days = rows_of(seeded, "daily-changes", since=since)
    assert {row["day"] for row in days} == {
        row["day"] for row in rows_of(seeded, "daily-changes") if row["day"] >= since.date()
    }


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"order_by": ("titel",)}, "no column 'titel'"),
        ({"order_by": ("title; DROP TABLE runs",)}, "no column"),
        ({"accounts": ("adda",)}, "no account 'adda'"),
        ({"accounts": ("' OR '1'='1",)}, "no account"),
    ],
)
def test_unknown_columns_and_accounts_are_refused(seeded: Connection, how: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        rows_of(seeded, "current-favourites", **how)


def test_options_that_a_view_does_not_have_are_refused(seeded: Connection) -> None:
    with pytest.raises(UsageError, match="all accounts"):
        rows_of(seeded, "market-changes", accounts=("ada",))
    with pytest.raises(UsageError, match="--since does not apply"):
        rows_of(seeded, "artists", since=datetime(2026, 1, 1, tzinfo=UTC))
