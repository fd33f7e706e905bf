"""The digest: what changed in an account's favourites since a run or an instant, and how far each channel has received it.

Favourites that the first snapshot found are counted, not listed, because they are not new.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    TableClause,
    and_,
    column,
    exists,
    func,
    insert,
    literal_column,
    or_,
    select,
    table,
    true,
    update,
)  # fmt: skip
from sqlalchemy.types import NullType

from etl.db.tables import accounts, digests, runs
from etl.db.types import Instant
from etl.load.baseline import is_observation
from etl.model.records import Outcome, Review
from etl.reporting.column_types import column_converters, is_instant
from etl.reporting.query import looks_of

ATTRIBUTES: Final = ("title", "artists", "album")
"""The attributes of tracks whose changes a digest lists."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class DigestRange:
    """What a digest covers: the runs after ``after_run``, or everything since ``instant``.

    ``held_run``: the run whose held or missing favourites the last digest announced. If the operator approved it since, its
    removals are included.
    """

    instant: datetime | None = None
    after_run: int | None = None
    held_run: int | None = None


@dataclass(frozen=True, slots=True)
class Digest:
    """What changed. ``added``, ``back`` (added again after a removal), ``removed``: rows of ``report_favourite_changes``.

    A removal is included when it is recorded. Before that the track is missing; ``missing``: how many are missing now, by the
    instant since which they are, the newest first; ``newly_missing``: how many of them were not in the last digest.
    ``there``: number of favourites that the first snapshot found. ``lost``: new rows of ``report_unavailable``.
    ``facts``: rows of ``report_track_changes`` about current favourites. ``troubles``: runs that failed or were partial.
    ``held``: the run and number of removals that wait for approval now. ``since``: the last look before the range, with which
    its looks are compared, or the instant that was asked for.
    """

    account: str
    since: datetime | None
    until: datetime | None
    favourites: int
    added: list[Row] = field(default_factory=list)
    back: list[Row] = field(default_factory=list)
    removed: list[Row] = field(default_factory=list)
    missing: list[Row] = field(default_factory=list)
    newly_missing: int = 0
    there: int = 0
    lost: list[Row] = field(default_factory=list)
    facts: list[Row] = field(default_factory=list)
    troubles: list[Row] = field(default_factory=list)
    held: tuple[int, int] | None = None

    @property
    def has_content(self) -> bool:
        """True if there is anything to report."""
        return self.has_changes or bool(self.newly_missing or self.lost or self.facts or self.troubles or self.held)

    @property
    def has_changes(self) -> bool:
        """True if favourites were added or removed."""
        return bool(self.added or self.back or self.removed or self.there)


@dataclass(frozen=True, slots=True)
class Cursor:
    """A channel has received everything up to ``run_id``, and that removals of ``held_run_id`` wait: held or only missing."""

    run_id: int
    held_run_id: int | None
    told_at: datetime


def _view(name: str, *columns: str) -> TableClause:
    """Return a view with the columns that conditions need."""
    return table(name, *(column(each, Instant() if is_instant(each) else NullType()) for each in columns))


_CHANGES = _view("report_favourite_changes", "account", "run_id", "change", "changed_at", "title", "track_id")
_CURRENT = _view("report_current_favourites", "account", "track_id", "title")
_MISSING = _view("report_missing", "account", "missing_since")
_REGRETTED = _view("report_regretted_removals", "account", "track_id", "returned_at")
_RUNS = _view("report_runs", "account", "run_id", "outcome", "reason", "started_at", "observed_at", "retracted_at")
_TRACK_CHANGES = _view("report_track_changes", "track_id", "changed_at", "field")
_UNAVAILABLE = _view("report_unavailable", "account", "track_id", "since")
_VERSIONS = _view("track_versions", "track_id", "valid_to")
_EVERYTHING: ColumnElement[Any] = literal_column("*")


def digest(connection: Connection, account: str, since: DigestRange) -> Digest:
    """Return what changed in the favourites of ``account`` in the range ``since``."""

    def rows(query: Select[Any]) -> list[Row]:
        result = connection.execute(query)
        columns = list(result.keys())
        converters = column_converters(columns)
        named = [zip(columns, converters, row, strict=True) for row in result]
        return [{name: convert(value) for name, convert, value in row if name != "account"} for row in named]

    of_account = (_RUNS.c.account == account, _in_range(_RUNS, _RUNS.c.started_at, since))
    observed = (_RUNS.c.observed_at.is_not(None), _RUNS.c.retracted_at.is_(None))
    bounds = select(func.min(_RUNS.c.observed_at, type_=Instant), func.max(_RUNS.c.observed_at, type_=Instant))
    first, last = connection.execute(bounds.where(*of_account, *observed)).one()
    before = [look for look in looks_of(connection, account) if first and look < first]

    is_in_range = _in_range(_CHANGES, _CHANGES.c.changed_at, since)
    query = select(_EVERYTHING).select_from(_CHANGES).where(_CHANGES.c.account == account, is_in_range)
    changes = rows(query.order_by(_CHANGES.c.changed_at.desc(), _CHANGES.c.title, _CHANGES.c.track_id))
    by_change: dict[str, list[Row]] = {}
    for row in changes:
        by_change.setdefault(row["change"], []).append(row)
    added = by_change.get("added", [])
    returns = select(_REGRETTED.c.track_id, _REGRETTED.c.returned_at).where(_REGRETTED.c.account == account)
    returned = {(row["track_id"], row["returned_at"]) for row in rows(returns)}

    troubles = select(*_RUNS.c["run_id", "outcome", "reason", "started_at"]).order_by(_RUNS.c.run_id.desc())
    since_when = select(_MISSING.c.missing_since, func.count().label("tracks")).where(_MISSING.c.account == account)
    current = select(func.count()).select_from(_CURRENT).where(_CURRENT.c.account == account)
    return Digest(
        account=account,
        since=since.instant or (before[-1] if before else first),
        until=last,
        favourites=connection.execute(current).scalar_one(),
        added=[row for row in added if (row["track_id"], row["changed_at"]) not in returned],
        back=[row for row in added if (row["track_id"], row["changed_at"]) in returned],
        removed=by_change.get("removed", []),
        missing=rows(since_when.group_by(_MISSING.c.missing_since).order_by(_MISSING.c.missing_since.desc())),
        newly_missing=len(by_change.get("missing", [])),
        there=len(by_change.get("already there", [])),
        lost=rows(_newly_unavailable(account, first)) if first else [],
        facts=rows(_changed_attributes(account, first)) if first else [],
        troubles=rows(troubles.where(*of_account, _RUNS.c.outcome.in_((Outcome.FAILED, Outcome.PARTIAL)))),
        held=_held_now(connection, account),
    )


def _in_range(view: TableClause, time: ColumnElement[Any], since: DigestRange) -> ColumnElement[bool]:
    """Return the condition that a row of runs or changes belongs to the range."""
    if since.instant is not None:
        if view is not _CHANGES:
            return time >= since.instant
        recorded = select(_RUNS.c.run_id).where(_RUNS.c.started_at >= since.instant)
        return or_(time >= since.instant, and_(view.c.change == "removed", view.c.run_id.in_(recorded)))
    is_later = view.c.run_id > (since.after_run or 0)
    if since.held_run is None or view is not _CHANGES:
        return is_later
    approved = select(runs.c.run_id).where(runs.c.run_id == since.held_run, runs.c.decision == Review.APPROVED)
    return or_(is_later, and_(view.c.run_id.in_(approved), view.c.change == "removed"))


def _newly_unavailable(account: str, first: datetime) -> Select[Any]:
    """Select the favourites that lost the account's own market at or after ``first``."""
    lost = select(true()).where(
        _VERSIONS.c.track_id == _UNAVAILABLE.c.track_id, _VERSIONS.c.valid_to == _UNAVAILABLE.c.since
    )
    query = select(_EVERYTHING).select_from(_UNAVAILABLE)
    query = query.where(_UNAVAILABLE.c.account == account, _UNAVAILABLE.c.since >= first, exists(lost))
    return query.order_by(_UNAVAILABLE.c.since.desc(), _UNAVAILABLE.c.track_id)


def _changed_attributes(account: str, first: datetime) -> Select[Any]:
    """Select the changes of current favourites' `ATTRIBUTES` at or after ``first``."""
    every_column: ColumnElement[Any] = literal_column("report_track_changes.*")
    query = select(every_column, _CURRENT.c.title).join_from(
        _TRACK_CHANGES,
        _CURRENT,
        and_(_CURRENT.c.track_id == _TRACK_CHANGES.c.track_id, _CURRENT.c.account == account),
    )
    query = query.where(_TRACK_CHANGES.c.changed_at >= first, _TRACK_CHANGES.c.field.in_(ATTRIBUTES))
    return query.order_by(_TRACK_CHANGES.c.changed_at.desc(), _TRACK_CHANGES.c.track_id, _TRACK_CHANGES.c.field)


def _held_now(connection: Connection, account: str) -> tuple[int, int] | None:
    """Return the run whose removals wait for approval, and their number. A later proven run replaces a held one."""
    held = runs.alias("held")
    later = select(true()).where(
        runs.c.account_id == held.c.account_id,
        is_observation,
        runs.c.proves_absence,
        runs.c.observed_at > held.c.observed_at,
    )
    query = select(held.c.run_id, held.c.held).join(accounts, accounts.c.account_id == held.c.account_id)
    query = query.where(accounts.c.name == account, held.c.outcome == Outcome.HELD, held.c.decision.is_(None))
    row = connection.execute(query.where(held.c.retracted_at.is_(None), ~exists(later))).first()
    return None if row is None else (row.run_id, row.held)


def cursor_of(connection: Connection, account_id: int, channel: str) -> Cursor | None:
    """Return how far ``channel`` has received the account's digests, None before the first one."""
    query = select(digests).where(digests.c.account_id == account_id, digests.c.channel == channel)
    row = connection.execute(query).first()
    return None if row is None else Cursor(row.run_id, row.held_run_id, row.told_at)


def newest_cursor(connection: Connection, account_id: int, now: datetime) -> Cursor | None:
    """Return the cursor of a digest that contains everything, None before the first run that ended."""
    ended = (runs.c.account_id == account_id, runs.c.outcome.is_not(None))
    run_id = connection.execute(select(func.max(runs.c.run_id)).where(*ended)).scalar()
    waits = (runs.c.outcome == Outcome.HELD) | (runs.c.missing > 0)  # the operator may approve both
    held = select(func.max(runs.c.run_id)).where(*ended, waits, runs.c.decision.is_(None))
    return None if run_id is None else Cursor(run_id, connection.execute(held).scalar(), now)


def set_cursor(connection: Connection, account_id: int, channel: str, cursor: Cursor) -> None:
    """Store how far ``channel`` has received the account's digests."""
    values = {"run_id": cursor.run_id, "held_run_id": cursor.held_run_id, "told_at": cursor.told_at}
    own = (digests.c.account_id == account_id, digests.c.channel == channel)
    if connection.execute(update(digests).where(*own).values(**values)).rowcount == 0:
        connection.execute(insert(digests).values(account_id=account_id, channel=channel, **values))


def is_reported_hold(connection: Connection, account_id: int, cursor: Cursor | None, run_id: int) -> bool:
    """True if the channel knows what ``run_id`` holds: every proven run since the reported hold holds as many removals."""
    if cursor is None or cursor.held_run_id is None:
        return False
    query = select(runs.c.outcome, runs.c.held, runs.c.decision).where(
        runs.c.account_id == account_id,
        runs.c.run_id.between(cursor.held_run_id, run_id),
        runs.c.proves_absence,
        is_observation,
    )
    found = connection.execute(query.distinct()).all()
    return len(found) == 1 and found[0].outcome == Outcome.HELD and found[0].decision is None
