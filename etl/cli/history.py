"""``favsync history``: what happened to a track, an artist's tracks or an account."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from itertools import groupby
from typing import Any

import click
from sqlalchemy import Column, Connection, select

from etl.cli.commands import unknown, verb
from etl.cli.context import Context, moment
from etl.cli.options import WholeNumber, account_argument
from etl.cli.time_input import instant
from etl.db.engine import read_transaction
from etl.db.tables import artists, tracks
from etl.errors import counted
from etl.load.accounts import every_account
from etl.reporting.timeline import Event, artists_called, events, tracks_by, tracks_called

SHOWN_TRACKS = 12
WORDS = {
    "title": "title", "track_number": "number on the album", "isrc": "ISRC", "duration_seconds": "length in seconds",
    "album_title": "album", "album_id": "album id", "artists": "artists", "genres": "genres", "markets": "markets",
    "web_url": "web address", "mobile_url": "mobile address", "artwork_url": "artwork",
}  # fmt: skip


@verb("history")
@account_argument
@click.option("--track", metavar="ID", help="Only this track: an id or a title.")
@click.option("--artist", metavar="NAME", help="Only the tracks of this artist: a name or an id.")
@click.option("--since", metavar="TIME", type=instant, help='Only events since then, such as "3 months ago".')
@click.option("--limit", metavar="N", type=WholeNumber(0), help="Only the newest N events; 0 means all.")
def history(
    context: Context,
    account: str | None,
    track: str | None,
    artist: str | None,
    since: datetime | None,
    limit: int | None,
) -> None:
    r"""Show what happened to the favourites of ACCOUNT, or of all accounts, oldest first.

    The exact moment of a change is unknown: each event lies between two snapshots.

    \b
    favsync history --since "3 months ago"
    favsync history --track 54230705
    favsync history --track "Baba Yangu"
    favsync history ada --artist "Burna Boy"
    """
    with read_transaction(context.open_database()) as connection:
        accounts = every_account(connection, [account] if account else [])
        found = events(connection, accounts, _tracks(connection, track, artist))
    found = [event for event in found if since is None or event.at >= since][-(limit or 0) :]
    if context.json:
        context.show_json([asdict(event) for event in found])
        return
    context.show(*(_lines_by_track(found) if track or artist else _lines_by_snapshot(found)))
    if not found:
        context.say("no events" + (f" since {moment(since)}" if since else " yet"))


def _tracks(connection: Connection, track: str | None, artist: str | None) -> set[int] | None:
    """Return the ids of the chosen tracks, None for all."""
    if track is not None and artist is not None:
        raise click.UsageError("--track and --artist exclude each other")
    if track is not None:
        called = tracks_called(connection, track)
        if not called:
            remedy = "`favsync report favourite-history` lists all tracks ever seen"
            raise unknown("track", track, _names(connection, tracks.c.title), remedy=remedy)
        return called
    if artist is None:
        return None
    by = artists_called(connection, artist)
    if not by:
        remedy = "`favsync report artists` lists the artists of your favourites"
        raise unknown("artist", artist, _names(connection, artists.c.name), remedy=remedy)
    return tracks_by(connection, by)


def _names(connection: Connection, column: Column[str]) -> list[str]:
    return [name for name in connection.execute(select(column)).scalars() if name]


def _lines_by_track(found: Sequence[Event]) -> Iterator[str]:
    by_track = sorted(found, key=lambda event: (event.title or "", event.track_id))
    for track_id, group in groupby(by_track, key=lambda event: event.track_id):
        own = list(group)
        by = f" by {own[0].artists}" if own[0].artists else ""
        yield f"{own[0].title or 'a track without a title'}{by} (track {track_id})"
        for event in own:
            who = f"{event.account}: " if event.account else ""
            again = " again" if event.is_again else ""
            if event.change == "there":
                yield f"  {who}first seen {_time(event.at)}; when it was added is unknown"
            elif event.change == "changed":
                yield f"  {_time(event.at)}: {_changed(event)}"
            else:
                reason = f" ({event.removal_reason})" if event.removal_reason else ""
                span = f"between {_time(event.not_before)} and {_time(event.at)}"
                span = f"at {_time(event.at)}" if _is_same_minute(event) else span
                yield f"  {who}{event.change}{again} {span}{reason}"


def _lines_by_snapshot(found: Sequence[Event]) -> Iterator[str]:
    grouped = groupby(
        sorted(found, key=lambda event: (event.at, event.account or "~", event.change)),
        key=lambda event: (event.at, event.account, event.change),
    )
    for (at, account, change), group in grouped:
        own = list(group)
        headline = f"{counted(len(own), 'favourite')} {change}"
        if change == "there":
            headline = f"{counted(len(own), 'favourite')} seen for the first time; when they were added is unknown"
        elif change == "changed":
            headline = f"{counted(len({event.track_id for event in own}), 'track')} changed"
        yield f"{_time(at)}  {f'{account}: ' if account else ''}{headline}"
        for event in own[:SHOWN_TRACKS]:
            by = f" by {event.artists}" if event.artists else ""
            after = f"after {_time(event.not_before)}" if event.not_before and not _is_same_minute(event) else None
            details = ", ".join(filter(None, ("again" if event.is_again else None, after, event.removal_reason)))
            more = f": {_changed(event)}" if change == "changed" else f" ({details})" if details else ""
            yield f"    {event.title or f'track {event.track_id}'}{by}{more}"
        if len(own) > SHOWN_TRACKS:
            yield f"    … and {len(own) - SHOWN_TRACKS:,} more"


def _is_same_minute(event: Event) -> bool:
    """True if both bounds of the event are in one minute, so a range of them says no more than one."""
    return event.not_before is not None and f"{event.not_before:%Y%m%d%H%M}" == f"{event.at:%Y%m%d%H%M}"


def _changed(event: Event) -> str:
    """Return what changed about a track."""
    word = WORDS.get(event.field or "", event.field)
    if isinstance(event.old_value, list) and isinstance(event.new_value, list) and event.field in ("markets", "genres"):
        gained = [each for each in event.new_value if each not in event.old_value]
        lost = [each for each in event.old_value if each not in event.new_value]
        parts = [f"{sign} {_value(each)}" for sign, each in (("gained", gained), ("lost", lost)) if each]
        return f"{word}: {', '.join(parts)}"
    return f"{word} was {_value(event.old_value)}, became {_value(event.new_value)}"


def _value(value: Any) -> str:
    if value in (None, []):
        return "nothing"
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    text = f'"{text}"' if isinstance(value, str) else text
    return text if len(text) <= 80 else f"{text[:79]}…"


def _time(instant: datetime | None) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S}Z" if instant else "an unknown time"
