"""A question to a view: whose rows, since when, as of when, in which order, how many.

Everything that a person typed is bound as a value or is the name of a column that the view has; nothing else reaches the SQL.
Without an order of one's own the view's has effect, NULL last, text by its characters on both engines, so the same question
has the same answer everywhere.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from etl.errors import UsageError
from etl.reporting.as_of_views import ctes, require_as_of
from etl.reporting.column_types import DAYS, column_converters, instant_text
from etl.reporting.views import View

TEXT_OID = 25


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked of ``view``. ``order_by``: columns, a leading ``-`` or a trailing `` desc`` turns one round."""

    view: View
    accounts: Sequence[str] = ()
    since: datetime | None = None
    limit: int | None = None
    order_by: Sequence[str] = ()
    as_of: datetime | None = None


@dataclass(frozen=True, slots=True)
class ResultSet:
    """The columns and, as they come, the rows."""

    columns: tuple[str, ...]
    rows: Iterator[tuple[Any, ...]]

    def only(self, wanted: Sequence[str]) -> ResultSet:
        """Return the answer with the ``wanted`` columns alone, in that order; without any, as it is.

        Raises: UsageError, naming the columns that there are.
        """
        places = [_place(self.columns, name.strip()) for each in wanted for name in each.split(",") if name.strip()]
        if not places:
            return self
        return ResultSet(
            tuple(self.columns[at] for at in places), (tuple(row[at] for at in places) for row in self.rows)
        )


def _place(columns: Sequence[str], name: str, source: str = "this report") -> int:
    known = name.lower().replace("-", "_")
    if known not in columns:
        near = difflib.get_close_matches(known, columns, n=2)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise UsageError(f"{source} has no column {name!r}", remedy=f"{hint}its columns are {', '.join(columns)}")
    return columns.index(known)


def run_query(connection: Connection, question: Query) -> ResultSet:
    """Put ``question`` to the database and return its answer; the rows are read while the connection is open.

    Raises:
        UsageError: the view has no such column, no time or no account, or cannot be asked as of a time.
    """
    if question.as_of is not None:
        require_as_of(question.view)
    source, values = _source(connection, question)
    columns, texts = _columns(connection, source, values)
    sql = source + _where(connection, question, columns, values) + _order(connection, question, columns, texts)
    if question.limit is not None:
        sql += " LIMIT :limit"
        values["limit"] = question.limit
    return ResultSet(columns, _read(connection, columns, sql, values))


def known_accounts(connection: Connection) -> list[str]:
    """Return the names of all accounts."""
    return list(connection.execute(text("SELECT name FROM accounts ORDER BY account_id")).scalars())


def _read(
    connection: Connection, columns: Sequence[str], sql: str, values: dict[str, Any]
) -> Iterator[tuple[Any, ...]]:
    """Put the query when the first row is asked for, and read row by row: who stops early leaves no cursor open."""
    reads = column_converters(columns)
    with connection.execute(text(sql), values, execution_options={"stream_results": True}) as result:
        for row in result:
            yield tuple(read(value) for read, value in zip(reads, row, strict=True))


def _source(connection: Connection, question: Query) -> tuple[str, dict[str, Any]]:
    """Return the beginning of the query, and its values so far."""
    name = question.view.name
    if question.as_of is None:
        return f"SELECT * FROM {name}", {}  # noqa: S608 - the name of one of our views
    dialect = connection.dialect.name
    return f"{ctes(question.view, dialect)} SELECT * FROM {name}", {"as_of": _bound(connection, question.as_of)}  # noqa: S608


def _bound(connection: Connection, instant: datetime) -> datetime | str:
    return instant if connection.dialect.name == "postgresql" else instant_text(instant)


def _columns(connection: Connection, source: str, values: dict[str, Any]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return the columns, and which of them PostgreSQL would sort by its locale."""
    with connection.execute(text(f"{source} LIMIT 0"), values) as nothing:
        described: Sequence[Any] = nothing.cursor.description or ()
    names = tuple(each[0] for each in described)
    return names, frozenset(each[0] for each in described if each[1] == TEXT_OID)


def _where(connection: Connection, question: Query, columns: Sequence[str], values: dict[str, Any]) -> str:
    conditions = []
    if question.accounts:
        _require(question.view, "account", columns, "--account")
        require_accounts(connection, question.accounts)
        names = {f"account_{number}": name for number, name in enumerate(question.accounts)}
        values.update(names)
        conditions.append(f"account IN ({', '.join(f':{name}' for name in names)})")
    if question.since is not None:
        column = question.view.since
        if column is None:
            raise UsageError(
                f"{question.view.name} has no time of its own, so --since does not apply",
                remedy="leave --since out" + ("; --as-of tells how it stood then" if question.view.is_past else ""),
            )
        values["since"] = question.since.date().isoformat() if column in DAYS else _bound(connection, question.since)
        is_day = column in DAYS and connection.dialect.name == "postgresql"
        conditions.append(f"{column} >= " + ("CAST(:since AS date)" if is_day else ":since"))
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _require(view: View, column: str, columns: Sequence[str], option: str) -> None:
    if column not in columns:
        raise UsageError(f"{view.name} is about all accounts together", remedy=f"leave {option} out")


def require_accounts(connection: Connection, wanted: Sequence[str]) -> None:
    """Make sure that these accounts are there.

    Raises:
        UsageError: one is not; the error names the nearest ones.
    """
    known = known_accounts(connection)
    for name in wanted:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=2)
            hint = f"did you mean {' or '.join(near)}? " if near else ""
            raise UsageError(f"there is no account {name!r}", remedy=f"{hint}`favsync accounts list` shows them")


def _order(connection: Connection, question: Query, columns: Sequence[str], texts: frozenset[str]) -> str:
    asked = [part.strip() for each in question.order_by for part in each.split(",") if part.strip()]
    own = [part.strip() for part in question.view.order.split(",") if part.strip()]
    terms: dict[str, bool] = {}
    for each in (*asked, *own):
        name, is_down = _direction(each)
        _place(columns, name, question.view.name)
        terms.setdefault(name, is_down)
    return (
        f" ORDER BY {', '.join(_term(connection, name, down, texts) for name, down in terms.items())}" if terms else ""
    )


def _direction(written: str) -> tuple[str, bool]:
    """Return the column and whether it is to fall: ``-name``, ``name desc``, ``name:desc``."""
    name = written.lower().replace(":", " ").removeprefix("-").split()
    return (name[0] if name else written).replace("-", "_"), written.startswith("-") or name[-1:] == ["desc"]


def _term(connection: Connection, name: str, is_down: bool, texts: frozenset[str]) -> str:
    column = f'{name} COLLATE "C"' if name in texts and connection.dialect.name == "postgresql" else name
    return f"{name} IS NULL, {column}{' DESC' if is_down else ''}"
