"""``favsync report``: what the views tell, as a table or a file, and the HTML report."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from etl.cli.commands import Verb
from etl.cli.context import Context, pass_context
from etl.cli.options import WholeNumber, json_option
from etl.cli.time_input import INSTANT

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from etl.reporting.query import Query, ResultSet

FORMATS = ("table", "csv", "json", "jsonl", "markdown", "parquet")
ENDINGS = {
    ".csv": "csv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".md": "markdown",
    ".parquet": "parquet",
}
HTML = "html"


@click.command("report", cls=Verb)
@click.argument("name", required=False)
@click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    help="How the rows are written. [default: as FILE's ending says, else table]",
)
@click.option("--account", "accounts", metavar="NAME", multiple=True, help="Only this account's rows; may be repeated.")
@click.option(
    "--since", metavar="TIME", type=INSTANT, help="Only rows from then on, by the time that the report is about."
)
@click.option(
    "--as-of",
    metavar="TIME",
    type=INSTANT,
    help="As it stood then: for current-favourites, artists, albums, genres, market-coverage, market-reach, unavailable and "
    "completeness. Counts what was surely there; names, markets and other facts of tracks are today's.",
)
@click.option("--order-by", metavar="COLUMN", multiple=True, help="Sort by it; -COLUMN from the top; may be repeated.")
@click.option(
    "--columns", metavar="COLUMN", multiple=True, help="Only these, in this order; may be repeated, or with commas."
)
@click.option("--limit", metavar="N", type=WholeNumber(0), help="At most N rows.")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="Write into FILE instead of standard output. Parquet and html need it; - is standard output.",
)
@json_option
@pass_context
def report(
    context: Context,
    /,
    name: str | None,
    format_: str | None,
    accounts: tuple[str, ...],
    output: Path | None,
    limit: int | None,
    **how: Any,
) -> None:
    r"""Show the report NAME; without NAME, list the reports. `favsync report html -o FILE` writes one to look at.

    \b
    favsync report
    favsync report current-favourites --limit 20
    favsync report daily-changes --since "3 months ago" --format csv >changes.csv
    favsync report artists --order-by -ever_favourites | head
    favsync report html -o report.html
    """
    from etl.reporting.query import Query
    from etl.reporting.views import view_named

    if context.json and format_ not in (None, "json"):
        raise click.UsageError(f"--json and --format {format_} exclude each other")
    wanted = "json" if context.json else format_ or ENDINGS.get(output.suffix.lower() if output else "", "table")
    if name is None:
        _list(wanted)
    elif name.lower() == HTML:
        _refuse_for_html(how | {"format": format_, "json": context.json, "limit": limit})
        _write_html(context, accounts, output)
    else:
        columns: Sequence[str] = how.pop("columns")
        question = Query(view_named(name), accounts=accounts, limit=limit, **how)
        _answer(context, question, columns, wanted, output)


def _refuse_for_html(given: dict[str, Any]) -> None:
    """Refuse what would have no effect on the page: nobody should believe that it had."""
    idle = [f"--{name.replace('_', '-')}" for name, value in given.items() if value not in (None, (), False)]
    if idle:
        raise click.UsageError(f"the HTML report takes no {' and no '.join(idle)}: it tells the whole history")


def _list(format_: str) -> None:
    """List the reports: for people a title that fits their terminal, for programs what a row is too."""
    from etl.reporting.render import render
    from etl.reporting.views import views

    rows = [(view.short, view.title, view.row) for view in sorted(views().values(), key=lambda view: view.short)]
    rows.append((HTML, "All of it to look at, in one file", "One page for a browser, with charts and a map."))
    shown = 2 if format_ == "table" else 3
    render(format_, ("report", "tells", "row")[:shown], [row[:shown] for row in rows], sys.stdout)


def _answer(context: Context, question: Query, columns: Sequence[str], format_: str, output: Path | None) -> None:
    from etl.db.engine import read_transaction
    from etl.db.migrate import ready_engine
    from etl.reporting.query import run_query

    with read_transaction(ready_engine(context.config.database_url.reveal())) as connection:
        count = _write(run_query(connection, question).only(columns), format_, output)
        if output is not None and str(output) != "-":
            context.say(f"{output} is written: {count:,} row{'' if count == 1 else 's'}")
        elif not count and format_ == "table":
            context.say("nothing to show")
        if question.as_of is not None:
            _say_unknown(context, connection, question.accounts, question.as_of)


def _say_unknown(context: Context, connection: Connection, names: Sequence[str], as_of: datetime) -> None:
    """Say of how many tracks the observations cannot tell whether they were there: they are not among the rows."""
    from etl.load.accounts import find_accounts
    from etl.reporting.list_as_of import list_at
    from etl.transform.as_of import Presence

    for account in find_accounts(connection, names):
        listed = list_at(connection, account.account_id, as_of)
        unknown = sum(each.answer is Presence.UNKNOWN for each in listed)
        if unknown:
            when = f"{as_of:%Y-%m-%dT%H:%M:%SZ}"
            context.say(
                f"{account.name}: whether {unknown:,} tracks were there then is unknown: `favsync as-of {when}` names them"
            )


def _write(answer: ResultSet, format_: str, output: Path | None) -> int:
    """Write the answer, and return how many rows it had."""
    from etl.reporting.query import ResultSet

    seen = 0

    def counted() -> Iterator[tuple[Any, ...]]:
        nonlocal seen
        for row in answer.rows:
            seen += 1
            yield row

    rows = ResultSet(answer.columns, counted())
    if format_ == "parquet":
        from etl.reporting.parquet import write_parquet

        write_parquet(rows, _file(output, "parquet"))
        return seen
    from etl.reporting.render import render

    with _stream(output) as stream:
        render(format_, rows.columns, rows.rows, stream)
    return seen


@contextmanager
def _stream(output: Path | None) -> Iterator[TextIO]:
    """Give what to write to: the file, or standard output."""
    if output is None or str(output) == "-":
        yield sys.stdout
        return
    try:
        stream = output.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise click.UsageError(f"{output} cannot be written: {error.strerror}") from error
    with stream:
        yield stream


def _file(output: Path | None, what: str) -> Path:
    if output is None:
        raise click.UsageError(f"{what} is for a file: say which with -o FILE")
    return output


def _write_html(context: Context, accounts: Sequence[str], output: Path | None) -> None:
    from etl.db.engine import read_transaction
    from etl.db.migrate import ready_engine
    from etl.reporting.html import write_report

    page = _file(output, "the HTML report")
    with read_transaction(ready_engine(context.config.database_url.reveal())) as connection:
        write_report(connection, page, accounts)
    if str(page) != "-":
        context.say(f"{page} is written ({page.stat().st_size / 1e6:.1f} MB): open it in a browser")
