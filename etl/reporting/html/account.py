"""The data of one account for the HTML report, as JSON values.

Every number comes from a view or is counted here from a view's rows. The page only counts what its search finds.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, column, func, select, table

from etl.db.tables import accounts, favourites, markets, track_artists, track_genres, tracks
from etl.reporting.html.packing import packed_stays
from etl.reporting.html.static import playing_time
from etl.reporting.html.trends import Stay, Trends, monthly_places
from etl.reporting.query import Query, looks_of, run_query
from etl.reporting.views import view_named

Row = dict[str, Any]

TOP: Final = 12
MAX_NAMES: Final = 8
MAX_PLACES: Final = 10
MAX_CHANGES: Final = 400
MAX_RUNS: Final = 120
MAX_LISTED: Final = 300
MAX_ENDED: Final = 5_000
MONTH: Final = timedelta(days=30)
YEAR: Final = timedelta(days=365)
ISRC_COUNTRIES: Final = {"QM": "US", "QT": "US", "QZ": "US", "UK": "GB"}
"""Prefixes of recording codes that are not the ISO code of their country."""
ISRC_PREFIX: Final = re.compile("[A-Za-z]{2}")
AGES: Final = {7: "a week", 30: "a month", 182: "half a year", 365: "a year", 730: "two years"}
LINKS: Final = {
    "artist": (track_artists, track_artists.c.artist_id),
    "album": (tracks, tracks.c.album_id),
    "genre": (track_genres, track_genres.c.genre_id),
}


def account_report(connection: Connection, account: str) -> Row:
    """Return everything that the page shows of ``account``."""

    def rows(view: str, *order_by: str, limit: int | None = None) -> list[Row]:
        query = Query(view_named(view), accounts=(account,), order_by=order_by, limit=limit)
        result = run_query(connection, query)
        named = (dict(zip(result.columns, row, strict=True)) for row in result.rows)
        return [{name: value for name, value in row.items() if name != "account"} for row in named]

    runs = rows("runs", "run_id")
    looks = looks_of(connection, account)
    first, last = (looks[0], looks[-1]) if looks else (None, None)
    stays = rows("favourite-history", "-valid_from", "track_id")
    current = rows("current-favourites", "-valid_from", "track_id")
    daily = rows("daily-changes", "day")
    survival = rows("survival", "days")
    coverage = ("market_code", "market", "region", "continent", "available", "share", "known", "is_iso")
    regrets = rows("regretted-removals")
    trends = Trends([Stay(row["track_id"], row["valid_from"], row["valid_to"]) for row in stays], last)
    return {
        "account": _account(connection, account),
        "looks": {"first": first, "last": last, "count": len(looks), "runs": len(runs)},
        "freshness": next(iter(rows("freshness")), None),
        "looked": sorted({at.date() for at in looks}),
        "daily": [[row["day"], row["added"], row["removed"], row["total"], row["already_there"]] for row in daily],
        "survival": [[row["days"], row["at_risk"], row["removed"], row["survival"]] for row in survival],
        "still_there": _still_there(
            stays, survival, {row["favourite_id"]: row["last_seen_at"] for row in rows("missing")}, last
        ),
        "half_life": next(iter(rows("half-life")), None),
        "regrets": _cut(regrets, MAX_LISTED),
        "comeback": _comeback(regrets, trends.year_ago),
        "unavailable": _cut(rows("unavailable"), MAX_LISTED),
        "losses": _losses(connection, account),
        "coverage": [{name: row[name] for name in coverage} for row in rows("market-coverage", "market_code")],
        "reach": rows("market-reach", "continent", "share"),
        "completeness": rows("completeness"),
        "vanished": _vanished(stays),
        "passport": _passport(connection, current),
        "changes": _cut(rows("favourite-changes", limit=MAX_CHANGES + 1), MAX_CHANGES),
        "runs": runs[-MAX_RUNS:],
        "outcomes": dict(Counter(run["outcome"] for run in runs if run["outcome"])),
        "tracks": packed_stays(current, [stay for stay in stays if not stay["is_current"]], MAX_ENDED),
        "summary": _summary(current, stays, daily, last),
        "months": trends.months,
        "favourites_by_month": trends.total.by_month,
        "year_ago": trends.year_ago,
        **{f"{kind}s": _names(connection, account, kind, rows(f"{kind}s"), trends) for kind in LINKS},
    }


def _account(connection: Connection, name: str) -> Row:
    columns = accounts.c["name", "user_name", "plan", "region"]
    is_region = markets.c.market_code == func.upper(accounts.c.region)
    query = select(*columns, markets.c.name.label("region_name")).select_from(accounts.outerjoin(markets, is_region))
    return dict(connection.execute(query.where(accounts.c.name == name)).mappings().one())


def _cut(rows: list[Row], limit: int) -> Row:
    """Return the first ``limit`` of ``rows``, and whether there are more."""
    return {"rows": rows[:limit], "count": len(rows), "is_cut": len(rows) > limit}


def _comeback(regrets: Sequence[Row], since: datetime | None) -> Row | None:
    """Return the current favourite that came back after ``since`` and had been away longest."""
    back = [row for row in regrets if since and row["is_current"] and row["returned_at"] > since]
    return max(back, key=lambda row: row["days_away"], default=None)


def _still_there(
    stays: Sequence[Row], survival: Sequence[Row], missing: Mapping[int, datetime], last: datetime | None
) -> Row:
    """Return the share of favourites that outlives each of `AGES`, up to the longest time for which one was watched.

    ``missing``: when each missing favourite was last seen. ``last``: the last look.
    """
    ends = [
        (stay["valid_to"] or missing.get(stay["favourite_id"], last), stay) for stay in stays if stay["added_after"]
    ]
    ages = [end - stay["valid_from"] for end, stay in ends if end]
    watched = max(ages, default=timedelta(0)).days
    steps = [(0, 1.0), *((row["days"], row["survival"]) for row in survival)]
    shares = {days: [share for age, share in steps if age <= days][-1] for days in AGES if days <= watched}
    return {"watched_days": watched, "ages": [[AGES[days], share] for days, share in shares.items()]}


def _losses(connection: Connection, account: str) -> list[Row]:
    """Return the number of current favourites that each market lost, largest first."""
    lost = table("report_market_losses", column("account"), column("market_code"), column("market"), column("region"))
    code, market, region = lost.c.market_code, lost.c.market, lost.c.region
    query = select(func.coalesce(market, code).label("market"), region, func.count().label("tracks"))
    query = query.where(lost.c.account == account).group_by(code, market, region)
    return [dict(row) for row in connection.execute(query.order_by(func.count().desc(), code)).mappings()]


def _vanished(stays: list[Row]) -> Row:
    """Return how many favourites left for each reason, and those that Boomplay withdrew, the newest first."""
    ended = sorted((stay for stay in stays if not stay["is_current"]), key=lambda stay: stay["valid_to"], reverse=True)
    fields = ("track_id", "title", "artists", "removed_after", "valid_to", "days_kept")
    withdrawn = [{name: stay[name] for name in fields} for stay in ended if stay["removal_reason"] == "withdrawn"]
    return {
        "count": len(ended),
        "reasons": dict(Counter(stay["removal_reason"] or "unknown" for stay in ended)),
        "withdrawn": _cut(withdrawn, MAX_LISTED),
    }


def _passport(connection: Connection, current: list[Row]) -> Row:
    """Return the countries in which the recording codes (ISRC) of the favourites were given, and of how many one is known."""
    codes = [row["isrc"][:2].upper() for row in current if row["isrc"] and ISRC_PREFIX.match(row["isrc"])]
    counts = Counter(ISRC_COUNTRIES.get(code, code) for code in codes)
    query = select(markets.c.market_code, markets.c.name).where(markets.c.is_iso)
    names = {row.market_code: row.name for row in connection.execute(query)}
    countries = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    return {"known": len(codes), "countries": [[code, names.get(code), count] for code, count in countries]}


def _summary(current: list[Row], stays: list[Row], daily: list[Row], last: datetime | None) -> Row:
    def within(span: timedelta) -> Row:
        since = (last - span).date() if last else date.max
        return {
            "added": sum(day["added"] for day in daily if day["day"] > since),
            "removed": sum(day["removed"] for day in daily if day["day"] > since),
        }

    months: Counter[date] = Counter()
    for day in daily:
        months[day["day"].replace(day=1)] += day["added"]
    busiest = max(months.items(), key=lambda each: each[1], default=None)
    summary = {
        "favourites": len(current),
        "missing": sum(row["missing_since"] is not None for row in current),
        "missing_since": min((row["missing_since"] for row in current if row["missing_since"]), default=None),
        "seconds": sum(row["duration_seconds"] or 0 for row in current),
        "known_durations": sum(row["duration_seconds"] is not None for row in current),
        "known_markets": sum(row["market_count"] is not None for row in current),
        "added": sum(day["added"] for day in daily),
        "added_tracks": len({row["track_id"] for row in stays if row["added_after"] is not None}),
        "removed": sum(day["removed"] for day in daily),
        "month": within(MONTH),
        "year": within(YEAR),
        "busiest_month": list(busiest) if busiest and busiest[1] else None,
    }
    return summary | {"playing_time": playing_time(summary)}


def _names(connection: Connection, account: str, kind: str, rows: list[Row], trends: Trends) -> Row:
    """Return the artists, albums or genres: the largest with their series, the new ones and those that left."""
    links, key = LINKS[kind]
    query = select(links.c.track_id, key).join(favourites, favourites.c.track_id == links.c.track_id).join(accounts)
    credits: dict[int, list[int]] = {}
    for track_id, number in connection.execute(query.where(accounts.c.name == account, key.is_not(None)).distinct()):
        credits.setdefault(track_id, []).append(number)
    series = trends.series(credits)
    current = [row for row in rows if row["current_favourites"]]
    for row in current[:TOP]:
        own = series[row[f"{kind}_id"]]
        row["series"], row["before"] = own.by_month, own.year_ago
    counts: list[tuple[str | None, int, int]] = [
        (row["name"], row["current_favourites"], series[row[f"{kind}_id"]].year_ago) for row in rows
    ]
    names = {row[f"{kind}_id"]: row["name"] for row in rows}
    places = monthly_places(series, MAX_PLACES) if kind == "artist" else {}
    return {
        "count": len(current),
        "ever": len(rows),
        "places": [[names.get(number), own] for number, own in places.items()],
        "top": current[:TOP],
        "came": _largest([(name, now) for name, now, before in counts if now and not before]),
        "left": _largest([(name, before) for name, now, before in counts if before and not now]),
        "risen": max(counts, key=lambda each: (each[1] - each[2], each[1]), default=None),
        "risen_share": max(counts, key=lambda each: _rise(each, trends), default=None),
        "favourites_year_ago": trends.total.year_ago,
    }


def _rise(counts: tuple[str | None, int, int], trends: Trends) -> float:
    """Return by how much the share of the favourites is larger than a year ago."""
    _, now, before = counts
    total = trends.total
    return now / max(1, *total.by_month[-1:]) - before / max(1, total.year_ago)


def _largest(found: Sequence[tuple[str | None, int]]) -> Row:
    ordered = sorted(found, key=lambda each: (-each[1], each[0] or ""))
    return {"count": len(ordered), "top": [list(each) for each in ordered[:MAX_NAMES]]}
