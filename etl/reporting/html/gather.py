"""What the HTML report tells of one account, as plain values for JSON.

Every number that the page shows comes from a view, or is counted here from the rows of one; the page counts nothing but what a
reader searches for. Large lists are packed: texts and instants once each, rows by their numbers (`packing`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, text

from etl.reporting.html.packing import packed_stays
from etl.reporting.html.trends import Stay, Trends
from etl.reporting.query import Query, run_query
from etl.reporting.views import view_named

Row = dict[str, Any]

TOP: Final = 12
COMERS: Final = 8
CHANGES: Final = 400
RUNS: Final = 120
LISTED: Final = 300
ENDED: Final = 5_000
MONTH: Final = timedelta(days=30)
YEAR: Final = timedelta(days=365)


def account_story(connection: Connection, account: str) -> Row:
    """Return everything that the page tells of ``account``."""
    told = _Teller(connection, account)
    runs = told.rows("runs", order_by=("run_id",))
    looks = {run["observed_at"]: run["run_id"] for run in runs if run["observed_at"] and run["retracted_at"] is None}
    first, last = min(looks, default=None), max(looks, default=None)
    stays = told.rows("favourite-history", order_by=("-valid_from", "track_id"))
    current = told.rows("current-favourites", order_by=("-valid_from", "track_id"))
    daily = told.rows("daily-changes", order_by=("day",))
    story: Row = {
        "account": told.person(),
        "looks": {"first": first, "first_run": looks.get(first), "last": last, "runs": len(runs)},
        "freshness": told.one("freshness"),
        "daily": [[row["day"], row["added"], row["removed"], row["total"], row["already_there"]] for row in daily],
        "survival": [[row["days"], row["at_risk"], row["removed"], row["survival"]] for row in told.rows("survival")],
        "half_life": told.one("half-life"),
        "regrets": _some(told.rows("regretted-removals"), LISTED),
        "unavailable": _some(told.rows("unavailable"), LISTED),
        "losses": told.losses(),
        "coverage": _coverage(told.rows("market-coverage", order_by=("market_code",))),
        "reach": told.rows("market-reach", order_by=("continent", "share")),
        "completeness": told.rows("completeness"),
        "changes": _some(told.rows("favourite-changes", limit=CHANGES + 1), CHANGES),
        "runs": runs[-RUNS:],
        "outcomes": dict(Counter(run["outcome"] for run in runs if run["outcome"])),
        "tracks": packed_stays(current, [stay for stay in stays if not stay["is_current"]], ENDED),
        "summary": _summary(current, daily, last),
    }
    return story | _who(told, stays, last)


class _Teller:
    """Asks the views about one account."""

    def __init__(self, connection: Connection, account: str) -> None:
        self.connection = connection
        self.account = account

    def rows(self, view: str, *, order_by: Sequence[str] = (), limit: int | None = None) -> list[Row]:
        """Return the account's rows of ``view``, without the account's name."""
        question = Query(view_named(view), accounts=(self.account,), order_by=order_by, limit=limit)
        answer = run_query(self.connection, question)
        return [
            {name: value for name, value in zip(answer.columns, row, strict=True) if name != "account"}
            for row in answer.rows
        ]

    def one(self, view: str) -> Row | None:
        """Return the account's only row of ``view``, None if it has none."""
        return next(iter(self.rows(view)), None)

    def person(self) -> Row:
        """Return who the account is."""
        sql = """SELECT c.name, c.user_name, c.plan, c.region, m.name AS region_name
            FROM accounts c LEFT JOIN markets m ON m.market_code = upper(c.region) WHERE c.name = :name"""
        return dict(self.connection.execute(text(sql), {"name": self.account}).mappings().one())

    def credits(self, kind: str) -> dict[int, list[int]]:
        """Return the artists, genres or the album of each track that was ever a favourite of the account."""
        source = "tracks" if kind == "album" else f"track_{kind}s"
        sql = f"""SELECT DISTINCT l.track_id, l.{kind}_id FROM {source} l
            JOIN favourites f ON f.track_id = l.track_id
            JOIN accounts c ON c.account_id = f.account_id
            WHERE c.name = :name AND l.{kind}_id IS NOT NULL"""  # noqa: S608 - kind is ours
        found: dict[int, list[int]] = {}
        for track_id, key in self.connection.execute(text(sql), {"name": self.account}):
            found.setdefault(track_id, []).append(key)
        return found

    def losses(self) -> list[Row]:
        """Return how many current favourites each market lost, those that lost most first."""
        sql = """SELECT coalesce(market, market_code) AS market, region, count(*) AS tracks FROM report_market_losses
            WHERE account = :name GROUP BY market_code, market, region ORDER BY tracks DESC, market_code"""
        return [dict(row) for row in self.connection.execute(text(sql), {"name": self.account}).mappings()]


def _some(rows: list[Row], limit: int) -> Row:
    """Return the first ``limit`` of ``rows``, and whether there are more."""
    return {"rows": rows[:limit], "count": len(rows), "is_cut": len(rows) > limit}


def _coverage(rows: list[Row]) -> list[Row]:
    keep = ("market_code", "market", "region", "continent", "available", "share")
    return [{name: row[name] for name in keep} for row in rows]


def _summary(current: list[Row], daily: list[Row], last: datetime | None) -> Row:
    def within(span: timedelta) -> Row:
        since = (last - span).date() if last else date.max
        return {
            "added": sum(day["added"] - day["already_there"] for day in daily if day["day"] > since),
            "removed": sum(day["removed"] for day in daily if day["day"] > since),
        }

    months: Counter[date] = Counter()
    for day in daily:
        months[day["day"].replace(day=1)] += day["added"] - day["already_there"]
    busiest = max(months.items(), key=lambda each: each[1], default=None)
    return {
        "favourites": len(current),
        "seconds": sum(row["duration_seconds"] or 0 for row in current),
        "added": sum(day["added"] - day["already_there"] for day in daily),
        "removed": sum(day["removed"] for day in daily),
        "month": within(MONTH),
        "year": within(YEAR),
        "busiest_month": list(busiest) if busiest and busiest[1] else None,
    }


def _who(told: _Teller, stays: list[Row], last: datetime | None) -> Row:
    """Return the artists, albums and genres of the account: the most favoured, how each went, who came and who left."""
    trends = Trends([Stay(row["track_id"], row["valid_from"], row["valid_to"]) for row in stays], last)
    found: Row = {"months": trends.months, "year_ago": trends.year_ago}
    for kind in ("artist", "album", "genre"):
        found[f"{kind}s"] = _course_of(kind, told, trends)
    return found


def _course_of(kind: str, told: _Teller, trends: Trends) -> Row:
    rows = told.rows(f"{kind}s")
    courses = trends.courses(told.credits(kind))
    here = [row for row in rows if row["current_favourites"]]
    for row in here[:TOP]:
        course = courses[row[f"{kind}_id"]]
        row["course"], row["before"] = course.by_month, course.year_ago
    counts: list[tuple[str | None, int, int]] = [
        (row["name"], row["current_favourites"], courses[row[f"{kind}_id"]].year_ago) for row in rows
    ]
    return {
        "count": len(here),
        "ever": len(rows),
        "top": here[:TOP],
        "by_month": [sum(month) for month in zip(*(each.by_month for each in courses.values()), strict=True)],
        "came": _most([(name, now) for name, now, before in counts if now and not before]),
        "left": _most([(name, before) for name, now, before in counts if before and not now]),
        "risen": max(counts, key=lambda each: (each[1] - each[2], each[1]), default=None),
    }


def _most(found: list[tuple[str | None, int]]) -> Row:
    """Return how many names there are, and those with most favourites."""
    ordered = sorted(found, key=lambda each: (-each[1], each[0] or ""))
    return {"count": len(ordered), "top": [list(each) for each in ordered[:COMERS]]}
