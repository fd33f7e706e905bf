"""``favsync accounts add --from``: many accounts of a CSV file."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Engine

from etl.accounts import manage
from etl.accounts.token_input import read_token
from etl.accounts.token_rows import account_id_of
from etl.cli.context import Context
from etl.db.engine import read_transaction
from etl.errors import ApiUnreachable, DatabaseError, FavsyncError, RateLimited, SettingsError, UsageError, counted
from etl.scheduler.schedule import parse

COLUMNS = ("name", "access_token", "refresh_token", "token_env", "token_file", "schedule", "region")
Row = dict[str, str]


def add_many(context: Context, file: str) -> None:
    """Add the accounts of the file. An account that cannot be added does not stop the others.

    Raises: UsageError, for a file that cannot be read; ApiUnreachable, RateLimited, SettingsError, DatabaseError.
    """
    rows = list(_rows(file))
    engine = context.open_database(create=True)
    results = []
    for row in rows:
        name = row["name"]
        error: FavsyncError | None = None
        with read_transaction(engine) as connection:
            is_there = account_id_of(connection, name) is not None
        try:
            done = "exists already" if is_there else _add(context, engine, row)
        except (SettingsError, DatabaseError, ApiUnreachable, RateLimited):
            raise  # the next account would fail too
        except FavsyncError as fault:
            error, done = fault, f"not added: {fault}"
        context.add_exit_codes([error.exit_code] if error else [])
        results.append({"account": name, "done": done.partition(":")[0], "error": str(error) if error else None})
        if not context.json:
            context.show(f"{name}: {done}")
            if error is not None and error.remedy:
                context.say(f"  what to do: {error.remedy}")
    added = sum(each["done"] == "added" for each in results)
    context.show_result(results, f"{counted(added, 'account')} of {len(results):,} added")


def _add(context: Context, engine: Engine, row: Row) -> str:
    """Add one account; return what was done."""
    plan = row["schedule"]
    settings = {
        "schedule": parse(plan).text.strip() if plan else None,
        "region": manage.market_code(engine, row["region"]) if row["region"] else None,
    }
    manage.require_new(engine, row["name"])
    given = read_token(
        context.config,
        lambda: f"{row['access_token']}\n{row['refresh_token']}",
        variable=row["token_env"] or None,
        file=row["token_file"] or None,
    )
    _, user = manage.add_account(context.config, engine, row["name"], given, settings)
    return f"added: {user.user_name or user.user_id}, region {settings['region'] or user.region or 'unknown'}"


def _rows(file: str) -> Iterator[Row]:
    """Yield the rows of the CSV file, each with every column. Raises UsageError."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as fault:
        reason = getattr(fault, "strerror", None) or "it is not UTF-8"
        raise UsageError(f"{file} cannot be read: {reason}", remedy="name a CSV file") from None
    reader = csv.DictReader(text.splitlines(), skipinitialspace=True)
    names = [name.strip() for name in reader.fieldnames or ()]
    wrong = [name for name in names if name not in COLUMNS]
    if wrong or "name" not in names:
        problem = f"has the column {wrong[0][:40]!r}" if wrong else "has no column 'name'"
        raise UsageError(f"{file} {problem}", remedy=f"its first line names columns, of {', '.join(COLUMNS)}")
    reader.fieldnames = names
    for row in reader:
        if None in row or not (row["name"] or "").strip():
            problem = "more values than columns" if None in row else "no name"
            raise UsageError(f"{file}, line {reader.line_num}: {problem}", remedy="correct the line; nothing was added")
        yield {column: (row.get(column) or "").strip() for column in COLUMNS}
