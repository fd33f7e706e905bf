"""The calendar, daily snapshots, retention, artist churn and the views across accounts, counted again in Python."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from itertools import combinations
from typing import Any

import pytest
from sqlalchemy import Connection, select

from etl.db.tables import accounts, runs, track_artists
from tests.support.seeded import intervals, rows_of

DAY = timedelta(days=1)


def looks_of(connection: Connection) -> dict[str, list[datetime]]:
    query = select(accounts.c.name, runs.c.observed_at).join(runs, runs.c.account_id == accounts.c.account_id)
    found: dict[str, list[datetime]] = defaultdict(list)
    for name, observed_at in connection.execute(
        query.where(runs.c.observed_at.is_not(None), runs.c.outcome != "failed")
    ):
        found[name].append(observed_at)
    return found


def is_there(stay: Any, at: datetime) -> bool:
    return stay.valid_from < at and (stay.valid_to is None or stay.valid_to >= at)


def end_of(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + DAY


def next_month(day: date) -> date:
    return (day.replace(day=28) + 4 * DAY).replace(day=1)


def test_the_calendar_has_each_day_from_first_to_last_look(seeded: Connection) -> None:
    looks = [at.date() for own in looks_of(seeded).values() for at in own]
    first, last = min(looks), max(looks)
    rows = rows_of(seeded, "dim_date")
    assert [row["day"] for row in rows] == [first + n * DAY for n in range((last - first).days + 1)]
    for row in rows:
        day = row["day"]
        assert (row["year"], row["month_number"], row["weekday"]) == (day.year, day.month, day.isoweekday())
        assert (row["quarter"], row["month"]) == ((day.month + 2) // 3, day.replace(day=1))
        assert (row["week"], row["is_weekend"]) == (day - day.weekday() * DAY, day.weekday() > 4)


def test_daily_snapshots_have_every_day_and_its_looks(seeded: Connection) -> None:
    looks, stays = looks_of(seeded), intervals(seeded)
    found: dict[str, list[date]] = defaultdict(list)
    for row in rows_of(seeded, "daily-snapshots", order_by=("day",)):
        own = [stay for account, stay in stays if account == row["account"]]
        on_day = [at for at in looks[row["account"]] if at.date() == row["day"]]
        began = [stay for stay in own if stay.valid_from.date() == row["day"]]
        assert (row["looks"], row["looked"]) == (len(on_day), bool(on_day))
        assert row["favourites"] == sum(is_there(stay, end_of(row["day"])) for stay in own)
        assert row["added"] == sum(stay.added_after is not None for stay in began)
        assert row["already_there"] == len(began) - row["added"]
        assert row["removed"] == sum(stay.valid_to is not None and stay.valid_to.date() == row["day"] for stay in own)
        found[row["account"]].append(row["day"])
    for account, own_looks in looks.items():
        first, last = min(own_looks).date(), max(own_looks).date()
        assert found[account] == [first + n * DAY for n in range((last - first).days + 1)]


def test_retention_counts_what_each_month_added_and_is_left(seeded: Connection) -> None:
    looks, wanted = looks_of(seeded), {}
    for account, own_looks in looks.items():
        added = [stay for name, stay in intervals(seeded) if name == account and stay.added_after is not None]
        for cohort in {stay.valid_from.date().replace(day=1) for stay in added}:
            own = [stay for stay in added if stay.valid_from.date().replace(day=1) == cohort]
            month, months = cohort, 0
            while next_month(month) <= max(own_looks).date().replace(day=1):
                kept = sum(stay.valid_to is None or stay.valid_to.date() >= next_month(month) for stay in own)
                wanted[account, cohort, months] = (month, len(own), kept)
                month, months = next_month(month), months + 1
    rows = rows_of(seeded, "retention")
    found = {(row["account"], row["cohort"], row["months"]): (row["month"], row["size"], row["kept"]) for row in rows}
    assert found == wanted
    assert len(rows) == len(wanted) > 20
    assert all(row["share"] == pytest.approx(row["kept"] / row["size"], abs=0.00006) for row in rows)


def test_artist_churn_sums_the_artist_changes(seeded: Connection) -> None:
    changes = rows_of(seeded, "artist-changes")
    now = Counter(row["account"] for row in rows_of(seeded, "artists") if row["current_favourites"])
    rows = rows_of(seeded, "artist-churn", order_by=("month",))
    for row in rows:
        own = Counter(
            each["change"]
            for each in changes
            if each["account"] == row["account"] and each["changed_at"].date().replace(day=1) == row["month"]
        )
        assert (row["gained"], row["lost"], row["already_there"]) == (own["gained"], own["lost"], own["already there"])
        assert row["total"] == row["before"] + row["already_there"] + row["gained"] - row["lost"]
        assert row["churn"] == (pytest.approx(row["lost"] / row["before"], abs=0.00006) if row["before"] else None)
    assert {row["account"]: row["total"] for row in rows} == now


def owners(connection: Connection) -> tuple[dict[int, set[str]], dict[int, set[str]]]:
    """Return the accounts that have each track now, and those that had it ever."""
    now: dict[int, set[str]] = defaultdict(set)
    ever: dict[int, set[str]] = defaultdict(set)
    for account, stay in intervals(connection):
        ever[stay.track_id].add(account)
        if stay.valid_to is None:
            now[stay.track_id].add(account)
    return now, ever


def artists_of(connection: Connection) -> dict[int, set[int]]:
    found: dict[int, set[int]] = defaultdict(set)
    for track_id, artist_id in connection.execute(select(track_artists.c.track_id, track_artists.c.artist_id)):
        found[track_id].add(artist_id)
    return found


def test_popular_tracks_and_artists_count_accounts(seeded: Connection) -> None:
    now, ever = owners(seeded)
    rows = {row["track_id"]: row for row in rows_of(seeded, "popular-tracks")}
    assert rows.keys() == ever.keys()
    for track_id, row in rows.items():
        assert (row["accounts"], row["accounts_ever"]) == (len(now[track_id]), len(ever[track_id]))
        assert row["accounts_lost"] == len(ever[track_id] - now[track_id])
    credits = artists_of(seeded)
    for row in rows_of(seeded, "popular-artists"):
        own = [track_id for track_id in ever if row["artist_id"] in credits[track_id]]
        current, former = ({account for each in own for account in found[each]} for found in (now, ever))
        assert (row["accounts"], row["accounts_ever"]) == (len(current), len(former))
        assert row["accounts_lost"] == len(former - current)
        assert row["favourites"] == sum(len(now[each]) for each in own)


def test_trends_are_two_spans_of_thirty_days_to_the_newest_look(seeded: Connection) -> None:
    until = max(at for own in looks_of(seeded).values() for at in own)
    middle, begin = until - 30 * DAY, until - 60 * DAY
    wanted: dict[int, Counter[str]] = defaultdict(Counter)
    for _, stay in intervals(seeded):
        if stay.added_after is not None and stay.valid_from > begin:
            wanted[stay.track_id]["added" if stay.valid_from > middle else "added_before"] += 1
        if stay.valid_to is not None and stay.valid_to > middle:
            wanted[stay.track_id]["removed"] += 1
    rows = rows_of(seeded, "trending-tracks")
    names = ("added", "removed", "added_before")
    assert {row["track_id"]: tuple(row[name] for name in names) for row in rows} == {
        track_id: tuple(found[name] for name in names) for track_id, found in wanted.items()
    }
    assert all(row["rise"] == row["added"] - row["added_before"] and row["until"] == until for row in rows)
    credits = artists_of(seeded)
    for row in rows_of(seeded, "trending-artists"):
        own = [found for track_id, found in wanted.items() if row["artist_id"] in credits[track_id]]
        assert tuple(row[name] for name in names) == tuple(sum(found[name] for found in own) for name in names)


def test_co_favourites_are_pairs_of_popular_tracks(seeded: Connection) -> None:
    now, _ = owners(seeded)
    popular = sorted((track_id for track_id in now if now[track_id]), key=lambda each: (-len(now[each]), each))[:100]
    wanted = {
        (one, other): len(now[one] & now[other])
        for one, other in combinations(sorted(popular), 2)
        if len(now[one] & now[other]) > 1
    }
    rows = rows_of(seeded, "co-favourites")
    assert {(row["track_id"], row["other_track_id"]): row["accounts"] for row in rows} == wanted
    for row in rows:
        counts = (len(now[row["track_id"]]), len(now[row["other_track_id"]]))
        assert (row["accounts_of_track"], row["accounts_of_other"]) == counts
        assert row["share"] == pytest.approx(row["accounts"] / counts[0], abs=0.00006)
    assert wanted
