"""What the views tell is what the tables tell, counted again here in Python."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from sqlalchemy import Connection, select, text, update

from etl.db.tables import accounts, market_set_members, runs, track_versions, tracks
from etl.reporting.query import Query, run_query
from etl.reporting.views import views
from tests.support.seeded import Histories, changed, intervals, rows_of


def test_daily_totals_are_what_counting_the_open_intervals_gives(seeded: Connection) -> None:
    stays = intervals(seeded)
    for row in rows_of(seeded, "daily-changes"):
        own = [stay for account, stay in stays if account == row["account"]]
        day: date = row["day"]
        end = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
        began = [stay for stay in own if stay.valid_from.date() == day]
        assert row["added"] == sum(stay.added_after is not None for stay in began)
        assert row["removed"] == sum(stay.valid_to is not None and stay.valid_to.date() == day for stay in own)
        assert row["already_there"] == sum(stay.added_after is None for stay in began)
        assert row["total"] == sum(
            stay.valid_from < end and (stay.valid_to is None or stay.valid_to >= end) for stay in own
        )


def test_weekly_churn_is_a_share_of_the_favourites_before_it(seeded: Connection) -> None:
    stays = intervals(seeded)
    for row in rows_of(seeded, "weekly-churn"):
        monday: date = row["week"]
        assert monday.weekday() == 0
        start = datetime(monday.year, monday.month, monday.day, tzinfo=UTC)
        end = start + timedelta(days=7)
        own = [stay for account, stay in stays if account == row["account"]]
        before = sum(stay.valid_from < start and (stay.valid_to is None or stay.valid_to >= start) for stay in own)
        removed = sum(stay.valid_to is not None and start <= stay.valid_to < end for stay in own)
        began = [stay for stay in own if start <= stay.valid_from < end]
        added = sum(stay.added_after is not None for stay in began)
        assert (row["before"], row["removed"]) == (before, removed)
        assert (row["added"], row["already_there"]) == (added, len(began) - added)
        assert row["churn"] == (pytest.approx(removed / before, abs=0.00006) if before else None)


def test_artists_count_tracks_now_ever_and_removed(seeded: Connection) -> None:
    links: dict[int, set[int]] = defaultdict(set)
    for track_id, artist_id in seeded.execute(text("SELECT track_id, artist_id FROM track_artists")):
        links[track_id].add(artist_id)
    lengths = dict(seeded.execute(select(tracks.c.track_id, tracks.c.duration_seconds)).all())
    now: dict[tuple[str, int], set[int]] = defaultdict(set)
    ever: dict[tuple[str, int], set[int]] = defaultdict(set)
    for account, stay in intervals(seeded):
        for artist_id in links[stay.track_id]:
            ever[account, artist_id].add(stay.track_id)
            if stay.valid_to is None:
                now[account, artist_id].add(stay.track_id)
    rows = rows_of(seeded, "artists")
    assert len(rows) == len(ever)
    for row in rows:
        key = (row["account"], row["artist_id"])
        assert row["current_favourites"] == len(now[key])
        assert row["ever_favourites"] == len(ever[key])
        assert row["removed_favourites"] == len(ever[key] - now[key])
        assert row["total_seconds"] == sum(lengths[track_id] or 0 for track_id in now[key])


def kaplan_meier(ages: list[tuple[int, bool]]) -> list[tuple[int, int, int, float]]:
    share, found = 1.0, []
    for age in sorted({age for age, is_gone in ages if is_gone}):
        at_risk = sum(other >= age for other, _ in ages)
        removed = sum(other == age and is_gone for other, is_gone in ages)
        share *= 1 - removed / at_risk
        found.append((age, at_risk, removed, share))
    return found


def test_survival_is_the_kaplan_meier_estimate(seeded: Connection) -> None:
    seen = dict(seeded.execute(text("SELECT account_id, max(observed_at) FROM runs GROUP BY account_id")).all())
    ages = defaultdict(list)
    for account, stay in intervals(seeded):
        if stay.added_after is not None:
            last = seen[stay.account_id]
            last = datetime.fromisoformat(last) if isinstance(last, str) else last
            end = stay.valid_to or stay.last_seen_at or last
            ages[account].append(((end - stay.valid_from).days, stay.valid_to is not None))
    rows = rows_of(seeded, "survival")
    for account, own in ages.items():
        own_rows = [row for row in rows if row["account"] == account]
        wanted = kaplan_meier(own)
        assert [(row["days"], row["at_risk"], row["removed"]) for row in own_rows] == [each[:3] for each in wanted]
        assert [row["survival"] for row in own_rows] == pytest.approx([each[3] for each in wanted], abs=0.00006)
        half = next((days for days, _, _, share in wanted if round(share, 4) <= 0.5), None)
        (life,) = rows_of(seeded, "half-life", accounts=(account,))
        assert (life["stays"], life["half_life_days"]) == (len(own), half)


def test_a_regretted_removal_is_followed_by_another_stay(seeded: Connection) -> None:
    stays = defaultdict(list)
    for account, stay in intervals(seeded):
        stays[account, stay.track_id].append(stay)
    wanted = Counter()
    for (account, track_id), own in stays.items():
        own.sort(key=lambda stay: stay.valid_from)
        for former, later in pairwise(own):
            wanted[account, track_id, former.valid_to, later.valid_from, own[-1].valid_to is None] += 1
    rows = rows_of(seeded, "regretted-removals")
    names = ("account", "track_id", "removed_at", "returned_at", "is_current")
    assert Counter(tuple(row[name] for name in names) for row in rows) == wanted
    assert wanted


def members(connection: Connection) -> dict[int, set[str]]:
    found: dict[int, set[str]] = defaultdict(set)
    for set_id, code in connection.execute(select(market_set_members)):
        found[set_id].add(code)
    return found


def test_market_coverage_counts_playable_favourites(seeded: Connection) -> None:
    sets = members(seeded)
    of = dict(seeded.execute(select(tracks.c.track_id, tracks.c.market_set_id)).all())
    current = defaultdict(list)
    for account, stay in intervals(seeded):
        if stay.valid_to is None:
            current[account].append(sets[of[stay.track_id]])
    rows = rows_of(seeded, "market-coverage")
    assert {row["account"] for row in rows} == set(current)
    for row in rows:
        available = sum(row["market_code"] in codes for codes in current[row["account"]])
        assert (row["available"], row["favourites"]) == (available, len(current[row["account"]]))
        assert row["share"] == pytest.approx(available / row["favourites"], abs=0.00006)


def test_market_changes_are_differences_of_adjacent_versions(seeded: Connection) -> None:
    sets = members(seeded)
    rows = seeded.execute(select(track_versions).order_by(track_versions.c.track_id, track_versions.c.valid_from)).all()
    wanted = Counter()
    for former, later in pairwise(rows):
        if former.track_id == later.track_id:
            old, new = sets[former.market_set_id], sets[later.market_set_id]
            wanted.update((later.track_id, code, "gained", later.valid_from) for code in new - old)
            wanted.update((later.track_id, code, "lost", later.valid_from) for code in old - new)
    names = ("track_id", "market_code", "change", "changed_at")
    assert Counter(tuple(row[name] for name in names) for row in rows_of(seeded, "market-changes")) == wanted
    assert wanted


def test_a_market_loss_is_a_former_market_of_a_favourite(seeded: Connection) -> None:
    sets = members(seeded)
    lost_at: dict[int, dict[str, datetime]] = defaultdict(dict)
    versions = select(track_versions.c["track_id", "market_set_id", "valid_to"]).order_by(track_versions.c.valid_to)
    for track_id, set_id, valid_to in seeded.execute(versions.where(track_versions.c.valid_to.is_not(None))):
        lost_at[track_id] |= dict.fromkeys(sets[set_id], valid_to)
    of = dict(seeded.execute(select(tracks.c.track_id, tracks.c.market_set_id)).all())
    wanted = {
        (account, stay.track_id, code, at)
        for account, stay in intervals(seeded)
        for code, at in lost_at[stay.track_id].items()
        if stay.valid_to is None and at > stay.valid_from and code not in sets[of[stay.track_id]]
    }
    rows = rows_of(seeded, "market-losses")
    assert {(row["account"], row["track_id"], row["market_code"], row["lost_at"]) for row in rows} == wanted
    assert len(rows) == len(wanted) > 0


def test_unavailable_favourites_lack_the_account_s_region(seeded: Connection) -> None:
    sets = members(seeded)
    of = dict(seeded.execute(select(tracks.c.track_id, tracks.c.market_set_id)).all())
    region = dict(seeded.execute(select(accounts.c.name, accounts.c.region)).all())
    wanted = {
        (account, stay.track_id)
        for account, stay in intervals(seeded)
        if stay.valid_to is None and region[account] not in sets[of[stay.track_id]]
    }
    rows = rows_of(seeded, "unavailable")
    assert {(row["account"], row["track_id"]) for row in rows} == wanted
    assert wanted
    for row in rows:
        versions = seeded.execute(
            select(track_versions)
            .where(track_versions.c.track_id == row["track_id"])
            .order_by(track_versions.c.valid_from)
        ).all()
        since = None
        for version in versions:
            is_here = row["region"] in sets[version.market_set_id]
            since = None if is_here else since or version.valid_from
        assert row["since"] == since


def test_artists_are_gained_and_lost_with_their_tracks(seeded: Connection) -> None:
    rows = sorted(rows_of(seeded, "artist-changes"), key=lambda row: row["changed_at"])
    here: dict[tuple[str, int], bool] = {}
    first_look: dict[str, datetime] = {}
    for account, stay in intervals(seeded):
        first_look[account] = min(stay.valid_from, first_look.get(account, stay.valid_from))
    for row in rows:
        key = (row["account"], row["artist_id"])
        is_first_look = row["changed_at"] == first_look[row["account"]]
        assert row["change"] == ("lost" if here.get(key) else "already there" if is_first_look else "gained")
        assert (row["favourites"] == 0) == (row["change"] == "lost")
        here[key] = row["change"] != "lost"
    now = {(row["account"], row["artist_id"]): bool(row["current_favourites"]) for row in rows_of(seeded, "artists")}
    assert here == now


def test_track_changes_have_both_values_and_ignore_genre_order(seeded: Connection) -> None:
    rows = rows_of(seeded, "track-changes")
    assert {"title", "genres"} <= {row["field"] for row in rows}
    assert all(row["old_value"] != row["new_value"] for row in rows)
    title = next(row for row in rows if row["field"] == "title")
    assert title["new_value"] == f"{title['old_value']} (Remastered)"


def test_a_retracted_run_is_no_proof_of_freshness(histories: Histories, seeded: Connection) -> None:
    engine = histories.engine(seeded.dialect.name)
    before = {row["account"]: row for row in rows_of(seeded, "freshness")}
    newest = seeded.execute(select(runs.c.run_id).where(runs.c.proven).order_by(runs.c.run_id.desc())).scalars().first()
    retracted = update(runs).where(runs.c.run_id == newest).values(retracted_at=datetime(2026, 7, 1, tzinfo=UTC))
    with changed(engine, retracted) as other:
        after = {row["account"]: row for row in rows_of(other, "freshness")}
    (account,) = [name for name in before if before[name]["last_proven_at"] != after[name]["last_proven_at"]]
    assert after[account]["last_proven_at"] < before[account]["last_proven_at"]
    assert after[account]["seconds_since_proven"] > before[account]["seconds_since_proven"]


def test_an_account_without_a_sync_is_in_freshness_only(histories: Histories, seeded: Connection) -> None:
    engine = histories.engine(seeded.dialect.name)
    new = accounts.insert().values(name="nobody", enabled=True, created_at=datetime(2026, 7, 1, tzinfo=UTC))
    with changed(engine, new) as other:
        for view in views().values():
            if "account" not in run_query(other, Query(view, limit=0)).columns:
                continue
            rows = rows_of(other, view.name, accounts=("nobody",))
            if view.name == "report_freshness":
                assert [row["last_proven_at"] for row in rows] == [None]
            else:
                assert rows == []
