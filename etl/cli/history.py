"""``favsync history``: what happened to a track, an artist's tracks or an account, as a person would tell it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from etl.cli.commands import Verb
from etl.cli.context import Context, pass_context
from etl.cli.options import WholeNumber, account_argument, json_option
from etl.cli.time_input import INSTANT

if TYPE_CHECKING:
    from sqlalchemy import Column, Connection

    from etl.reporting.timeline import Event

SHOWN_TRACKS = 12
WORDS = {
    "title": "title", "track_number": "number on the album", "isrc": "ISRC", "duration_seconds": "length in seconds",
    "album_title": "album", "album_id": "album's id", "artists": "artists", "genres": "genres", "markets": "markets",
    "web_url": "web address", "mobile_url": "mobile address", "artwork_url": "artwork",
}  # fmt: skip


@click.command("history", cls=Verb)
@account_argument
@click.option("--track", metavar="ID", help="The story of this track: its id, or its title.")
@click.option("--artist", metavar="NAME", help="The story of the tracks of this artist: a name, or an id.")
@click.option("--since", metavar="TIME", type=INSTANT, help='Only what happened from then on, as "3 months ago".')
@click.option("--limit", metavar="N", type=WholeNumber(1), help="Only the newest N events.")
@json_option
@pass_context
def history(
    context: Context,
    account: str | None,
    track: str | None,
    artist: str | None,
    since: datetime | None,
    limit: int | None,
) -> None:
    r"""Tell what happened to the favourites of ACCOUNT, or of all accounts, oldest first.

    Nobody saw the moment at which a track was added or removed: each event lies between two times at which favsync looked.

    \b
    favsync history --since "3 months ago"
    favsync history --track 54230705
    favsync history --track "Baba Yangu"
    favsync history ada --artist "Burna Boy"
    """
    from etl.db.engine import read_transaction
    from etl.db.migrate import ready_engine
    from etl.load.accounts import every_account, find_accounts
    from etl.reporting.timeline import events

    engine = ready_engine(context.config.database_url.reveal())
    with read_transaction(engine) as connection:
        accounts = find_accounts(connection, [account]) if account else every_account(connection)
        found = events(connection, accounts, _tracks(connection, track, artist))
    found = [event for event in found if since is None or event.at >= since]
    found = found[-limit:] if limit else found
    if context.json:
        context.show_json([asdict(event) for event in found])
        return
    for line in _track_story(found) if track or artist else _account_story(found):
        context.show(line)
    if not found:
        context.say("nothing happened" + (f" since {since:%Y-%m-%d %H:%M:%S} UTC" if since else " yet"))


def _tracks(connection: Connection, track: str | None, artist: str | None) -> set[int] | None:
    """Return the tracks that are meant, None for all."""
    from etl.cli.suggestions import unknown
    from etl.db.tables import artists, tracks
    from etl.reporting.timeline import tracks_by, tracks_called, tracks_of_artist

    if track is not None and artist is not None:
        raise click.UsageError("--track and --artist exclude each other")
    if track is not None:
        meant = tracks_called(connection, track)
        if not meant:
            remedy = "`favsync report favourite-history` lists those that were ever seen"
            raise unknown("track", track, _names(connection, tracks.c.title), remedy=remedy)
        return meant
    if artist is None:
        return None
    by = tracks_of_artist(connection, artist)
    if not by:
        remedy = "`favsync report artists` lists those of your favourites"
        raise unknown("artist", artist, _names(connection, artists.c.name), remedy=remedy)
    return tracks_by(connection, by)


def _names(connection: Connection, column: Column[str]) -> list[str]:
    from sqlalchemy import select

    return [name for name in connection.execute(select(column)).scalars() if name]


def _track_story(found: Sequence[Event]) -> Iterator[str]:
    """Tell track by track."""
    by_track = sorted(found, key=lambda event: (event.title or "", event.track_id))
    for track_id, group in groupby(by_track, key=lambda event: event.track_id):
        told = list(group)
        artists = f" by {told[0].artists}" if told[0].artists else ""
        yield f"{told[0].title or 'a track without a title'}{artists} (track {track_id})"
        for event in told:
            yield f"  {_sentence(event)}"


def _sentence(event: Event) -> str:
    who = f"{event.account}: " if event.account else ""
    again = " again" if event.is_again else ""
    if event.change == "there":
        return f"{who}first seen by {_time(event.at)}; nobody knows since when it was there"
    if event.change == "changed":
        return f"{_time(event.at)}: {_changed(event)}"
    return f"{who}{event.change}{again} between {_time(event.not_before)} and {_time(event.at)}"


def _changed(event: Event) -> str:
    word = WORDS.get(event.field or "", event.field)
    if isinstance(event.old_value, list) and isinstance(event.new_value, list) and event.field in ("markets", "genres"):
        gained = [each for each in event.new_value if each not in event.old_value]
        lost = [each for each in event.old_value if each not in event.new_value]
        parts = [f"{sign} {_short(', '.join(each))}" for sign, each in (("gained", gained), ("lost", lost)) if each]
        return f"{word}: {', '.join(parts)}"
    return f"{word} was {_value(event.old_value)}, became {_value(event.new_value)}"


def _value(value: Any) -> str:
    if value in (None, []):
        return "nothing"
    if isinstance(value, list):
        return _short(", ".join(map(str, value)))
    return _short(f'"{value}"' if isinstance(value, str) else str(value))


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:79]}…"


def _account_story(found: Sequence[Event]) -> Iterator[str]:
    """Tell observation by observation."""
    shown = [event for event in found if event.change != "changed"]
    facts = [event for event in found if event.change == "changed"]
    grouped = groupby(
        sorted([*shown, *facts], key=lambda event: (event.at, event.account or "~", event.change)),
        key=lambda event: (event.at, event.account, event.change),
    )
    for (at, account, change), group in grouped:
        told = list(group)
        who = f"{account}: " if account else ""
        if change == "changed":
            tracks = {event.track_id for event in told}
            yield f"{_time(at)}  facts of {len(tracks):,} {_plural(len(tracks), 'track')} changed"
            yield from (f"    {_title(event)}: {_changed(event)}" for event in told[:SHOWN_TRACKS])
        else:
            yield f"{_time(at)}  {who}{_headline(change, told)}"
            yield from (f"    {_title(event)}{_bound(event)}" for event in told[:SHOWN_TRACKS])
        if len(told) > SHOWN_TRACKS:
            yield f"    … and {len(told) - SHOWN_TRACKS:,} more"


def _headline(change: str, told: Sequence[Event]) -> str:
    count = f"{len(told):,} {_plural(len(told), 'favourite')}"
    return f"{count} seen for the first time, nobody knows since when" if change == "there" else f"{count} {change}"


def _bound(event: Event) -> str:
    again = "again, " if event.is_again else ""
    return f" ({again}after {_time(event.not_before)})" if event.not_before else ""


def _title(event: Event) -> str:
    artists = f" by {event.artists}" if event.artists else ""
    return f"{event.title or f'track {event.track_id}'}{artists}"


def _plural(count: int, noun: str) -> str:
    return noun if count == 1 else f"{noun}s"


def _time(instant: datetime | None) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S}Z" if instant else "an unknown time"
