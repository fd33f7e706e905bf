"""``favsync report year``: a year in review as text, JSON, a page, or a card to share."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
from sqlalchemy import func, select

from etl import __version__, clock
from etl.cli.context import Context
from etl.db.engine import read_transaction
from etl.db.tables import runs
from etl.reporting.html import write_year
from etl.reporting.query import known_accounts, require_accounts
from etl.reporting.year import read_history, review
from etl.reporting.year_text import year_text

CARDS = ("upright", "wide")
PAGE, PICTURE = ".html", ".svg"


def show_year(
    context: Context, text: str | None, accounts: Sequence[str], output: Path | None, card: str | None
) -> None:
    """Show or write the year ``text``, by default that of the newest look, of ``accounts`` (default: all)."""
    ending = output.suffix.lower() if output else ""
    if output is not None and (ending not in (PAGE, PICTURE) or context.json):
        raise click.UsageError("a year is written to a file that ends in .html (the page) or .svg (the card)")
    if card is not None and ending != PICTURE:
        raise click.UsageError("--card is the shape of a picture: add -o FILE.svg")
    with read_transaction(context.open_database()) as connection:
        require_accounts(connection, accounts)
        names = list(dict.fromkeys(accounts)) or known_accounts(connection)
        newest: datetime | None = connection.execute(select(func.max(runs.c.observed_at))).scalar()
        now = clock.now()
        year = _year(text) if text else (newest or now).astimezone(UTC).year
        reviews = [review(read_history(connection, name), year, now.date()) for name in names]
    if output is not None:
        write_year(reviews, output, __version__, (card or CARDS[0]) if ending == PICTURE else None)
        context.say(f"{output} is written")
    elif context.json:
        context.show_json(reviews)
    else:
        click.echo("\n\n".join(map(year_text, reviews)) or "there is no account yet")


def _year(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) == 4 and 1 <= int(text) < 9999):
        raise click.UsageError(f"{text[:20]!r} is not a year, such as 2026")
    return int(text)
