"""What a shell offers after a tab: names of accounts and reports, numbers of runs.

A shell shows the words and nothing else, so a database that cannot be read offers none.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from contextlib import redirect_stderr
from typing import TYPE_CHECKING

import click

from etl.errors import FavsyncError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from etl.cli.context import Context

RECENT_RUNS = 50


def _completer(
    read: Callable[[Context], Iterable[tuple[str, str]]],
) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Return a completer for the words that ``read`` returns, each with its explanation."""

    def complete(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        try:
            with redirect_stderr(io.StringIO()):
                found = list(read(ctx.find_root().obj.context))
        except FavsyncError:
            return []
        return [CompletionItem(word, help=text) for word, text in found if word.startswith(incomplete)]

    return complete


def _accounts(context: Context) -> Iterable[tuple[str, str]]:
    from etl.db.engine import read_transaction
    from etl.load.accounts import every_account

    with read_transaction(context.open_database()) as connection:
        return [(each.name, "" if each.enabled else "disabled") for each in every_account(connection)]


def _reports(_context: Context) -> Iterable[tuple[str, str]]:
    from etl.reporting.views import views

    return [("html", "One page with charts"), *((view.short, view.title) for view in views().values())]


def _runs(context: Context, outcome: str | None = None) -> Iterable[tuple[str, str]]:
    from etl.db.engine import read_transaction
    from etl.reporting.run_list import LIST_COLUMNS, list_runs

    with read_transaction(context.open_database()) as connection:
        found = list_runs(connection, outcome=outcome, limit=RECENT_RUNS)
    rows = (dict(zip(LIST_COLUMNS, row, strict=True)) for row in found)
    return [(str(row["run_id"]), f"{row['account']}: {row['outcome'] or 'in progress'}") for row in rows]


account_names = _completer(_accounts)
report_names = _completer(_reports)
run_ids = _completer(_runs)
held_run_ids = _completer(lambda context: _runs(context, "held"))
