"""``favsync report``: a report as a table or a file, and the HTML report."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from sqlalchemy import Connection

from etl.cli.commands import verb
from etl.cli.completers import account_names, report_names
from etl.cli.context import Context
from etl.cli.options import WholeNumber, wide_option
from etl.cli.progress_bar import page_counter
from etl.cli.time_input import instant
from etl.cli.year import CARDS, YearOptions, show_year
from etl.db.engine import read_transaction
from etl.errors import counted
from etl.load.accounts import every_account
from etl.reporting.html import write_report
from etl.reporting.list_as_of import list_at
from etl.reporting.parquet import write_parquet
from etl.reporting.query import Query, ResultSet, run_query
from etl.reporting.render import render
from etl.reporting.views import view_named, views
from etl.transform.as_of import Presence

ENDINGS = {
    ".csv": "csv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".md": "markdown",
    ".parquet": "parquet",
}
FORMATS = ("table", *dict.fromkeys(ENDINGS.values()))
ACCOUNTS_IN_LINES = 12
HTML, YEAR = "html", "year"


@verb("report")
@click.argument("name", required=False, shell_complete=report_names)
@click.argument("year", required=False)
@click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    help="Output format. [default: by the ending of FILE, else table]",
)
@click.option(
    "--account",
    "accounts",
    metavar="NAME",
    multiple=True,
    shell_complete=account_names,
    help="Only rows of this account, or of those that match a pattern such as 'u*'; repeatable.",
)
@click.option("--since", metavar="TIME", type=instant, help="Only rows since then.")
@click.option(
    "--as-of",
    metavar="TIME",
    type=instant,
    help="The state at that time, for current-favourites, artists, albums, genres, market-coverage, market-reach, "
    "unavailable and completeness. Only certain favourites count; track attributes are the current ones.",
)
@click.option(
    "--order-by", metavar="COLUMN", multiple=True, help="Sort by COLUMN; -COLUMN sorts descending; repeatable."
)
@click.option(
    "--columns",
    metavar="COLUMN",
    multiple=True,
    help="Only these columns, in this order; repeatable, or separated by commas.",
)
@click.option(
    "--limit",
    metavar="N",
    type=WholeNumber(0),
    help="At most N rows; 0 means all. [default: 200 for a table on a terminal, else all]",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="Write to FILE instead of standard output; required for parquet and html. - is standard output.",
)
@click.option("--card", type=click.Choice(CARDS), help="Shape of the card of a year: 1080 x 1920 or 1200 x 630 pixels.")
@click.option(
    "--covers",
    is_flag=True,
    help="Fetch the covers of the tracks that a year names, and put them on its page or card; nothing else is fetched.",
)
@wide_option
def report(
    context: Context,
    /,
    name: str | None,
    year: str | None,
    format_: str | None,
    accounts: tuple[str, ...],
    output: Path | None,
    limit: int | None,
    card: str | None,
    **how: Any,
) -> None:
    r"""Show the report NAME, or write it to a file; without NAME, list the reports.

    `favsync report html -o FILE` writes an HTML page, `favsync report year YEAR` looks back on a year.

    \b
    favsync report
    favsync report current-favourites --limit 20
    favsync report daily-changes --since "3 months ago" --format csv >changes.csv
    favsync report artists --order-by -ever_favourites | head
    favsync report html -o report.html
    favsync report year 2026 -o 2026.html
    favsync report year 2026 --account ada --card wide -o ada.png
    """
    if context.json and format_ not in (None, "json"):
        raise click.UsageError(f"--json and --format {format_} exclude each other")
    kind, covers = (name or "").lower(), how.pop("covers")
    wanted = "json" if context.json else format_ or _format_of(None if kind == YEAR else output, is_page=kind == HTML)
    if wanted == "parquet" and name is not None and str(output or "-") == "-":
        raise click.UsageError("parquet needs a file: add -o FILE")
    if name is None:
        _list(context, wanted)
    elif kind in (HTML, YEAR):
        given = (how | {"format": format_, "limit": limit}).items()
        idle = [f"--{word.replace('_', '-')}" for word, value in given if value not in (None, (), False)]
        _show_special(context, kind, idle, YearOptions(year, accounts, output, card, covers))
    elif year is not None or card is not None or covers:
        raise click.UsageError("only `favsync report year` takes a year, a card or covers")
    else:
        columns: Sequence[str] = how.pop("columns")
        view = view_named(name)
        with read_transaction(context.open_database()) as connection:
            query = Query(view, accounts=accounts, limit=limit or None, **how)
            result = run_query(connection, query).only(columns)
            if output is None or str(output) == "-":
                count = context.show_rows(result.columns, result.rows, wanted, is_limited=limit is None)
                if not count and wanted == "table" and output is None:
                    context.say("no rows")
            else:
                context.say(f"{output} is written: {counted(_write(result, wanted, output), 'row')}")
            if query.as_of is not None:
                _say_unknown(context, connection, query.accounts, query.as_of)


def _format_of(output: Path | None, *, is_page: bool) -> str:
    """Return the format that the ending of the file means. Raises click.UsageError for one that means none."""
    ending = output.suffix.lower() if output and str(output) != "-" else ""
    known = (".html", ".htm") if is_page else (".txt", *ENDINGS)
    if output is not None and str(output) != "-" and ending not in known:
        kind = f"{ending!r}, which means no format" if ending else "no ending"
        other = "" if is_page else ", or choose one with --format"
        raise click.UsageError(f"{output} has {kind}: end its name with {', '.join(known)}{other}")
    return ENDINGS.get(ending, "table")


def _show_special(context: Context, kind: str, idle: list[str], options: YearOptions) -> None:
    """Write the HTML report, or show a year. ``idle``: options that neither has."""
    if kind == YEAR and idle:
        raise click.UsageError(f"the review of a year has no {' and no '.join(idle)}")
    if kind == YEAR:
        show_year(context, options)
        return
    own = {"--json": context.json, "--card": options.card, "--covers": options.covers}
    if idle := [*idle, *(option for option, value in own.items() if value)]:
        raise click.UsageError(f"the HTML report has no {' and no '.join(idle)}: it covers the whole history")
    if options.year is not None:
        raise click.UsageError(
            "the HTML report covers the whole history; "
            f"`favsync report year {shlex.quote(options.year)}` looks back on a year"
        )
    _write_html(context, options.accounts, options.output)


def _write(result: ResultSet, format_: str, output: Path) -> int:
    """Write the result into the file, and return its number of rows."""
    if format_ == "parquet":
        return write_parquet(result, output)
    try:
        stream = output.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise click.UsageError(f"{output} cannot be written: {error.strerror}") from error
    with stream:
        return render(format_, result.columns, result.rows, stream)


def _list(context: Context, format_: str) -> None:
    """List the reports: for people the titles, for programs also what a row is."""
    rows = [(view.short, view.title, view.row) for view in sorted(views().values(), key=lambda view: view.short)]
    rows.append((YEAR, "A year in review", "A year of an account: found, loved, lost, come back."))
    rows.append((HTML, "Everything, with charts and a map", "One page for a browser, with charts and a map."))
    shown = 2 if format_ == "table" else 3
    context.show_rows(("report", "shows", "row")[:shown], [row[:shown] for row in rows], format_)


def _say_unknown(context: Context, connection: Connection, names: Sequence[str], as_of: datetime) -> None:
    """Report how many tracks are unknown at that time, in a line an account or, of many, in one; they are not among the rows."""
    unknown: dict[str, int] = {}
    for account in every_account(connection, names):
        listed = list_at(connection, account.account_id, as_of)
        unknown[account.name] = sum(each.answer is Presence.UNKNOWN for each in listed)
    found = {name: count for name, count in unknown.items() if count}
    if len(found) > ACCOUNTS_IN_LINES:
        found = {counted(len(found), "account"): sum(found.values())}
    for name, count in found.items():
        command = f"favsync as-of {as_of:%Y-%m-%dT%H:%M:%SZ}"
        context.say(f"{name}: {counted(count, 'track')} unknown at that time: `{command}` lists them")


def _write_html(context: Context, accounts: Sequence[str], output: Path | None) -> None:
    if output is None:
        raise click.UsageError("the HTML report needs a file: add -o FILE")
    with read_transaction(context.open_database()) as connection, page_counter(context) as show:
        pages = write_report(connection, output, accounts, show)
    if pages:
        context.say(
            f"{output} is written: an overview of {pages:,} accounts, with a page of each in {output.stem}_files"
        )
    elif str(output) != "-":
        context.say(f"{output} is written ({output.stat().st_size / 1e6:.1f} MB): open it in a browser")
