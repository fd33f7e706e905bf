"""Queries of a view: which accounts, since when, as of when, in which order, how many rows.

User input becomes a bound value or the name of a column that the view has, and never SQL. A result has the same order on both
engines: the user's columns, then the view's own order, with NULL last and text compared by code points.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Date,
    FromClause,
    Text,
    bindparam,
    collate,
    column,
    literal,
    select,
    table,
    text,
)  # fmt: skip
from sqlalchemy.types import NullType

from etl.db.tables import accounts, runs
from etl.db.types import Instant
from etl.errors import UsageError, did_you_mean
from etl.load.accounts import every_account
from etl.load.baseline import is_observation
from etl.reporting.column_types import DAYS, column_converters
from etl.reporting.views import View, views, with_phrases

TEXT_OID: Final = 25
"""PostgreSQL's number of the type ``text``, which sorts by the locale of the database unless a collation is named."""

# A table expression hides the table of the same name, so the view's own SQL reads the favourites as of the instant. A favourite
# is included only where the answer is a sure yes: at or before the last observation that saw it.
_FAVOURITES_AS_OF: Final = """looks AS (
    SELECT r.account_id, r.observed_at, min(r.started_at) AS started_at,
        max(CASE WHEN r.proves_absence AND coalesce(r.decision, '') <> 'rejected' THEN 1 ELSE 0 END) AS proves_absence
    FROM runs r
    WHERE ${observation(r)}
    GROUP BY r.account_id, r.observed_at
),
known AS MATERIALIZED (
    SELECT l.account_id, max(CASE WHEN l.observed_at = m.observed_at THEN l.started_at END) AS seen_until,
        max(CASE WHEN l.proves_absence = 1 THEN l.started_at END) AS absent_until
    FROM looks l
    JOIN (SELECT account_id, max(observed_at) AS observed_at FROM looks GROUP BY account_id) m ON m.account_id = l.account_id
    GROUP BY l.account_id
),
favourites AS (
    SELECT f.account_id, f.favourite_id, f.track_id, f.valid_from, f.added_after, NULL AS missing_since,
        CASE WHEN f.valid_to <= :as_of THEN f.valid_to END AS valid_to
    FROM SCHEMA.favourites f
    JOIN known k ON k.account_id = f.account_id
    WHERE f.valid_from <= :as_of AND (f.valid_to IS NULL OR :as_of < f.valid_to OR :as_of <= k.absent_until)
    AND NOT EXISTS (  -- it may have left, or be back
        SELECT 1 FROM SCHEMA.favourites o
        WHERE o.account_id = f.account_id AND o.track_id = f.track_id AND (o.valid_to IS NULL OR :as_of < o.valid_to)
        AND CASE WHEN o.valid_from <= :as_of THEN :as_of > coalesce(o.removed_after, o.last_seen_at, k.seen_until)
            ELSE :as_of > o.added_after END
    )
)"""
"""The tracks that are favourites at ``:as_of``, or were and are not; none of which that is unknown (`transform.as_of`)."""


# An engine does not always restrict what a view counts to the accounts that are asked for; these tables do.
_NARROWED: Final = """accounts AS (SELECT * FROM SCHEMA.accounts WHERE name IN :names),
runs AS (SELECT * FROM SCHEMA.runs WHERE account_id IN (SELECT account_id FROM accounts)),
favourites AS (SELECT * FROM SCHEMA.favourites WHERE account_id IN (SELECT account_id FROM accounts))"""


@dataclass(frozen=True, slots=True)
class Query:
    """A query of ``view``. ``order_by``: columns, descending with a leading ``-`` or a trailing `` desc``."""

    view: View
    accounts: Sequence[str] = ()
    since: datetime | None = None
    limit: int | None = None
    order_by: Sequence[str] = ()
    as_of: datetime | None = None


@dataclass(frozen=True, slots=True)
class ResultSet:
    """The columns, and an iterator of the rows."""

    columns: tuple[str, ...]
    rows: Iterator[tuple[Any, ...]]

    def only(self, wanted: Sequence[str]) -> ResultSet:
        """Return the result with the ``wanted`` columns in that order, or with all columns where ``wanted`` is empty.

        Raises: UsageError, for an unknown column.
        """
        places = [_position(self.columns, name, "this report") for name in _split(wanted)]
        if not places:
            return self
        return ResultSet(
            tuple(self.columns[at] for at in places), (tuple(row[at] for at in places) for row in self.rows)
        )


def run_query(connection: Connection, query: Query) -> ResultSet:
    """Return the result of ``query``. Its rows can be read while the connection is open.

    Raises: UsageError, for an unknown column or account, or an option that the view does not have.
    """
    names = [account.name for account in every_account(connection, query.accounts)] if query.accounts else []
    source = _source(connection, query, names)
    statement = select(source).where(*_conditions(query, source, names)).order_by(*_order(query, source))
    columns = tuple(source.c.keys())

    def rows() -> Iterator[tuple[Any, ...]]:
        # Executed when the first row is read, and closed if the reader stops early.
        converters = column_converters(columns)
        streamed = {"stream_results": True}
        with connection.execute(statement.limit(query.limit), execution_options=streamed) as result:
            for row in result:
                yield tuple(convert(value) for convert, value in zip(converters, row, strict=True))

    return ResultSet(columns, rows())


def ctes(view: View, dialect: str, tables: str = _FAVOURITES_AS_OF) -> str:
    """Return the WITH clause under which ``view`` reads ``tables``: by default the favourites as of the parameter ``:as_of``.

    Attributes (titles, artists, markets) are the current ones.
    """
    wanted = {view.name}
    needed: list[View] = []
    for each in reversed(views().values()):  # a view follows those that it reads, so one pass finds all of them
        if each.name in wanted:
            needed.insert(0, each)
            wanted |= {other.name for other in views().values() if each.reads(other)}
    tables = tables.replace("SCHEMA.", "main." if dialect == "sqlite" else "")
    parts = [with_phrases(tables, dialect), *(f"{each.name} AS ({each.query(dialect)})" for each in needed)]
    return "WITH " + ", ".join(parts)


def looks_of(connection: Connection, account: str) -> list[datetime]:
    """Return when the list of ``account`` was read, in order. A failed or retracted run is no look."""
    query = select(runs.c.observed_at).join(accounts).where(accounts.c.name == account, is_observation)
    return list(connection.execute(query.distinct().order_by(runs.c.observed_at)).scalars())


def _source(connection: Connection, query: Query, names: Sequence[str]) -> FromClause:
    """Return the view as a table with its columns, or as a subquery over the favourites at ``query.as_of``."""
    view = query.view
    sql = f"SELECT * FROM {view.name}"  # noqa: S608 - the name of one of our own views
    values: dict[str, BindParameter[Any]] = {}
    if query.as_of is not None:
        if not view.is_past:
            possible = ", ".join(each.short for each in views().values() if each.is_past)
            raise UsageError(f"{view.name} has no earlier state to show", remedy=f"--as-of works with {possible}")
        sql = f"{ctes(view, connection.dialect.name)} {sql}"
        values = {"as_of": bindparam("as_of", query.as_of, Instant)}
    elif view.is_narrow and names:
        sql = f"{ctes(view, connection.dialect.name, _NARROWED)} {sql}"
        values = {"names": bindparam("names", names, expanding=True)}
    with connection.execute(text(f"{sql} LIMIT 0").bindparams(*values.values())) as nothing:
        described: Sequence[Any] = nothing.cursor.description or ()
    columns = [column(each[0], Text() if each[1] == TEXT_OID else NullType()) for each in described]
    if not values:
        return table(view.name, *columns)
    return text(sql).bindparams(*values.values()).columns(*columns).subquery(view.name)


def _conditions(query: Query, source: FromClause, names: Sequence[str]) -> Iterator[ColumnElement[bool]]:
    view = query.view
    if names:
        if "account" not in source.c:
            raise UsageError(f"{view.name} is about all accounts together", remedy="leave --account out")
        yield source.c.account.in_(names)
    if query.since is not None:
        if view.since is None:
            raise UsageError(
                f"{view.name} has no column of time, so --since does not apply",
                remedy="leave --since out" + ("; --as-of shows an earlier state" if view.is_past else ""),
            )
        is_day = view.since in DAYS
        start = literal(query.since.date(), Date) if is_day else literal(query.since, Instant)
        yield source.c[view.since] >= start


def _order(query: Query, source: FromClause) -> Iterator[ColumnElement[Any]]:
    directions: dict[str, bool] = {}
    for term in (*_split(query.order_by), *_split([query.view.order])):
        words = term.lower().replace(":", " ").removeprefix("-").split() or [term]
        name = source.c.keys()[_position(source.c.keys(), words[0], query.view.name)]
        directions.setdefault(name, term.startswith("-") or words[-1] == "desc")
    for name, is_descending in directions.items():
        found = source.c[name]
        key = collate(found, "C") if isinstance(found.type, Text) else found
        yield found.is_(None)
        yield key.desc() if is_descending else key


def _split(lists: Sequence[str]) -> list[str]:
    """Return the entries of comma-separated lists."""
    return [part.strip() for each in lists for part in each.split(",") if part.strip()]


def _position(columns: Sequence[str], name: str, source: str) -> int:
    known = name.lower().replace("-", "_")
    if known not in columns:
        hint = did_you_mean(known, columns)
        raise UsageError(f"{source} has no column {name!r}", remedy=f"{hint}its columns are {', '.join(columns)}")
    return columns.index(known)
