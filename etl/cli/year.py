"""``favsync report year``: a year in review as text, JSON, a page, or a card to share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from sqlalchemy import Connection, func, select

from etl import __version__, clock
from etl.boomplay.covers import fetch_covers
from etl.cli.context import Context
from etl.db.engine import read_transaction
from etl.db.tables import runs
from etl.errors import counted
from etl.load.accounts import every_account
from etl.reporting.html import write_year
from etl.reporting.year import artwork_urls, read_history, review
from etl.reporting.year_text import fact_tracks, year_text

CARDS = ("upright", "wide")
PAGE, PICTURES = ".html", (".svg", ".png")
COVER_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class YearOptions:
    """What of a year is wanted. ``year``: as typed, by default that of the newest look. ``accounts``: names or patterns."""

    year: str | None
    accounts: Sequence[str]
    output: Path | None
    card: str | None
    covers: bool

    def check(self, *, is_json: bool) -> None:
        """Raise click.UsageError for options that exclude each other."""
        ending = self.output.suffix.lower() if self.output else ""
        if self.output is not None and (ending not in (PAGE, *PICTURES) or is_json):
            raise click.UsageError(
                "a year is written to a file that ends in .html (the page), .svg or .png (the card to share)"
            )
        if self.card is not None and ending not in PICTURES:
            raise click.UsageError("--card is the shape of a picture: add -o FILE.png or -o FILE.svg")
        if self.covers and self.output is None:
            raise click.UsageError("--covers puts covers on a page or a card: add -o FILE")


def show_year(context: Context, options: YearOptions) -> None:
    """Show or write a year."""
    options.check(is_json=context.json)
    with read_transaction(context.open_database()) as connection:
        names = [account.name for account in every_account(connection, options.accounts)]
        newest: datetime | None = connection.execute(select(func.max(runs.c.observed_at))).scalar()
        now = clock.now()
        year = _year(options.year) if options.year else (newest or now).astimezone(UTC).year
        reviews = [review(read_history(connection, name), year, now.date()) for name in names]
        urls = _urls(connection, reviews) if options.covers else {}
    if options.output is not None:
        reviews = _with_covers(context, reviews, urls) if options.covers else reviews
        is_picture = options.output.suffix.lower() != PAGE
        write_year(reviews, options.output, __version__, (options.card or CARDS[0]) if is_picture else None)
        context.say(f"{options.output} is written")
    elif context.json:
        context.show_json(reviews)
    else:
        click.echo("\n\n".join(map(year_text, reviews)) or "there is no account yet")


def _urls(connection: Connection, reviews: Sequence[dict[str, Any]]) -> dict[int, str]:
    return artwork_urls(connection, {track["track_id"] for review in reviews for track in fact_tracks(review)})


def _with_covers(context: Context, reviews: list[dict[str, Any]], urls: dict[int, str]) -> list[dict[str, Any]]:
    """Return the reviews with the covers that could be fetched, and report those that could not."""
    seconds = min(COVER_SECONDS, context.config.timeout_seconds)
    pictures, refused = fetch_covers(urls.values(), context.config.api_url, seconds)
    if refused:
        context.say(f"{counted(len(refused), 'cover')} left out, for example: {next(iter(refused.values()))}")
    covers = {track_id: pictures[url] for track_id, url in urls.items() if url in pictures}
    return [review | {"covers": covers} for review in reviews]


def _year(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) == 4 and 1 <= int(text) < 9999):
        raise click.UsageError(f"{text[:20]!r} is not a year, such as 2026")
    return int(text)
