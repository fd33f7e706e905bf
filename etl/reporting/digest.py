"""What changed in an account's favourites since some point: the digest.

The point is a run (everything that later runs found), one run alone, or an instant. What a first look found is counted, not
listed: those favourites are not new.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from etl.reporting.column_types import column_converters, instant_text

TOLD_FACTS = "'title', 'artists', 'album'"
TROUBLES = "'failed', 'partial'"
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class DigestRange:
    """Where a digest begins: after run ``after_run``, or at ``instant``, or it tells of run ``run`` alone.

    ``held_run``: a run that held removals at the last digest; what it removed by now is news as well.
    """

    instant: datetime | None = None
    after_run: int | None = None
    held_run: int | None = None
    run: int | None = None


@dataclass(frozen=True, slots=True)
class Digest:
    """What changed. ``added``, ``back`` (added again after a removal) and ``removed`` are rows of ``report_favourite_changes``.

    ``there``: favourites that the first look found. ``lost``: rows of ``report_unavailable`` that are new. ``facts``: rows of
    ``report_track_changes`` about current favourites. ``troubles``: runs that failed or could not prove the list.
    ``held``: run and number of removals that wait for a person's word now.
    """

    account: str
    since: datetime | None
    until: datetime | None
    favourites: int
    added: list[Row] = field(default_factory=list)
    back: list[Row] = field(default_factory=list)
    removed: list[Row] = field(default_factory=list)
    there: int = 0
    lost: list[Row] = field(default_factory=list)
    facts: list[Row] = field(default_factory=list)
    troubles: list[Row] = field(default_factory=list)
    held: tuple[int, int] | None = None

    @property
    def has_news(self) -> bool:
        """Whether there is anything to tell."""
        return bool(
            self.added
            or self.back
            or self.removed
            or self.there
            or self.lost
            or self.facts
            or self.troubles
            or self.held
        )

    @property
    def has_changes(self) -> bool:
        """Whether the favourites themselves changed."""
        return bool(self.added or self.back or self.removed or self.there)


def digest_after(connection: Connection, run_id: int) -> Digest:
    """Return what the run ``run_id`` alone changed, for whoever tells people after each sync; see `Digest.has_changes`."""
    sql = "SELECT c.name FROM runs r JOIN accounts c ON c.account_id = r.account_id WHERE r.run_id = :run"
    account = connection.execute(text(sql), {"run": run_id}).scalar_one()
    return digest(connection, account, DigestRange(run=run_id))


def digest(connection: Connection, account: str, since: DigestRange) -> Digest:
    """Return what changed in the favourites of ``account`` since ``since``."""
    asked = _DigestQueries(connection, account, since)
    first, last = asked.bounds()
    changes = asked.rows(
        f"SELECT * FROM report_favourite_changes WHERE account = :account AND {asked.changes}"  # noqa: S608
        " ORDER BY changed_at DESC, title, track_id"
    )
    listed = [row for row in changes if row["not_before"] is not None]
    returned = asked.returned()
    added = [row for row in listed if row["change"] == "added"]
    return Digest(
        account=account,
        since=since.instant or first,
        until=last,
        favourites=asked.favourites(),
        added=[row for row in added if (row["track_id"], row["changed_at"]) not in returned],
        back=[row for row in added if (row["track_id"], row["changed_at"]) in returned],
        removed=[row for row in listed if row["change"] == "removed"],
        there=len(changes) - len(listed),
        lost=asked.lost(first),
        facts=asked.facts(first),
        troubles=asked.troubles(),
        held=asked.held(),
    )


class _DigestQueries:
    """Questions about one account and one span."""

    def __init__(self, connection: Connection, account: str, since: DigestRange) -> None:
        self.connection = connection
        self.is_sqlite = connection.dialect.name == "sqlite"
        self.since = since
        self.values: Row = {"account": account}
        if since.run is not None:
            self.runs, self.changes = "run_id = :run", "run_id = :run"
            self.values["run"] = since.run
        elif since.instant is not None:
            self.runs, self.changes = "started_at >= :instant", "changed_at >= :instant"
            self.values["instant"] = self.bound(since.instant)
        else:
            self.runs = "run_id > :after"
            self.changes = "(run_id > :after OR (run_id = :held AND change = 'removed'))"
            self.values |= {"after": since.after_run or 0, "held": since.held_run or 0}

    def bound(self, instant: datetime) -> datetime | str:
        """Return ``instant`` as the driver takes it."""
        return instant_text(instant) if self.is_sqlite else instant

    def rows(self, sql: str, **values: Any) -> list[Row]:
        """Return the rows that ``sql`` gives, as the views' own types."""
        result = self.connection.execute(text(sql), self._used(sql, self.values | values))
        columns = list(result.keys())
        reads = column_converters(columns)
        return [
            {name: read(value) for name, read, value in zip(columns, reads, row, strict=True) if name != "account"}
            for row in result
        ]

    @staticmethod
    def _used(sql: str, values: Row) -> Row:
        return {name: value for name, value in values.items() if f":{name}" in sql}

    def bounds(self) -> tuple[datetime | None, datetime | None]:
        """Return when the first and the last look of the span ended."""
        sql = f"""SELECT min(observed_at) AS first_at, max(observed_at) AS last_at FROM report_runs
            WHERE account = :account AND observed_at IS NOT NULL AND retracted_at IS NULL AND {self.runs}"""  # noqa: S608
        (row,) = self.rows(sql)
        return row["first_at"], row["last_at"]

    def favourites(self) -> int:
        """Return how many favourites there are now."""
        sql = "SELECT count(*) AS favourites FROM report_current_favourites WHERE account = :account"
        return int(self.rows(sql)[0]["favourites"])

    def returned(self) -> set[tuple[int, datetime]]:
        """Return the tracks that came back, and when."""
        sql = "SELECT track_id, returned_at FROM report_regretted_removals WHERE account = :account"
        return {(row["track_id"], row["returned_at"]) for row in self.rows(sql)}

    def lost(self, first: datetime | None) -> list[Row]:
        """Return the favourites that can no longer be played at home since the ``first`` look of the span."""
        if first is None:
            return []
        sql = """SELECT u.* FROM report_unavailable u WHERE u.account = :account AND u.since >= :first
            AND EXISTS (SELECT 1 FROM track_versions v WHERE v.track_id = u.track_id AND v.valid_to = u.since)
            ORDER BY u.since DESC, u.track_id"""
        return self.rows(sql, first=self.bound(first))

    def facts(self, first: datetime | None) -> list[Row]:
        """Return what else was changed in current favourites since the ``first`` look of the span."""
        if first is None:
            return []
        sql = f"""SELECT t.*, f.title FROM report_track_changes t
            JOIN report_current_favourites f ON f.track_id = t.track_id AND f.account = :account
            WHERE t.changed_at >= :first AND t.field IN ({TOLD_FACTS}) ORDER BY t.changed_at DESC, t.track_id, t.field"""  # noqa: S608
        return self.rows(sql, first=self.bound(first))

    def troubles(self) -> list[Row]:
        """Return the runs of the span that did not prove the list."""
        sql = f"""SELECT run_id, outcome, reason, started_at FROM report_runs
            WHERE account = :account AND {self.runs} AND outcome IN ({TROUBLES}) ORDER BY run_id DESC"""  # noqa: S608
        return self.rows(sql)

    def held(self) -> tuple[int, int] | None:
        """Return the run whose removals wait now, and how many they are."""
        sql = """SELECT r.run_id, r.held FROM runs r JOIN accounts c ON c.account_id = r.account_id
            WHERE c.name = :account AND r.outcome = 'held' AND r.decision IS NULL AND r.retracted_at IS NULL
            AND NOT EXISTS (SELECT 1 FROM runs o WHERE o.account_id = r.account_id AND o.proven AND o.retracted_at IS NULL
                AND o.outcome IS NOT NULL AND o.observed_at > r.observed_at)"""
        found = self.rows(sql)
        return (found[0]["run_id"], found[0]["held"]) if found else None
