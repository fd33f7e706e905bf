"""``favsync as-of``: the favourites at a time, and the changes between two times."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click
from sqlalchemy import Connection

from etl.cli.commands import verb
from etl.cli.context import Context, moment
from etl.cli.options import WholeNumber, wide_option
from etl.cli.time_input import instant
from etl.db.engine import read_transaction
from etl.errors import UsageError
from etl.load.accounts import Account, every_account
from etl.reporting.list_as_of import UNKNOWN, AsOfRow, changes_between, list_at, observation_range
from etl.transform.as_of import ObservationRange

BOUNDS = ("added_after", "valid_from", "removed_after", "valid_to")
COLUMNS = ("account", "answer", "track_id", "title", "artists", *BOUNDS)
LATEST = "latest"
CHANGE_COLUMNS = ("account", "change", "track_id", "title", "artists", "before", "after")


@verb("as-of")
@click.argument("words", metavar="T [ACCOUNT]", nargs=-1)
@click.option(
    "--all",
    "is_all",
    is_flag=True,
    help="Also list tracks that were not favourites; with --diff, also tracks whose change is unknown.",
)
@click.option(
    "--diff", nargs=2, metavar="T1 T2", help="Show what was added and removed between two times, instead of T."
)
@click.option("--limit", metavar="N", type=WholeNumber(0), help="At most N rows; 0 means all.")
@wide_option
def as_of(
    context: Context, words: tuple[str, ...], is_all: bool, diff: tuple[str, str] | None, limit: int | None
) -> None:
    r"""Show the favourites of ACCOUNT, or of all accounts, at the time T, with the track attributes of that time.

    A track is added or removed between two snapshots, and the exact moment is unknown. So the answer for each track is
    yes, no or unknown, with its bounds: added after ADDED_AFTER and by VALID_FROM, removed after REMOVED_AFTER and by
    VALID_TO. Before the first snapshot and after the newest one, everything is unknown; `latest` is the newest moment
    that is known.

    \b
    favsync as-of latest
    favsync as-of 2025-11-03
    favsync as-of "3 months ago" ada --all
    favsync as-of --diff 2025-01-01 2025-07-01
    """
    instants, names = _split(words, diff)
    columns, answer = (CHANGE_COLUMNS, _changes) if diff else (COLUMNS, _favourites)
    rows: list[dict[str, Any]] = []
    messages: list[str] = []
    with read_transaction(context.open_database()) as connection:
        for account in every_account(connection, names):
            newest = observation_range(connection, account.account_id).seen_until
            known = [at or newest for at in instants]
            if None in known:
                messages.append(f"{account.name}: there is no snapshot yet")
                continue
            message, found = answer(connection, account, sorted(filter(None, known)), is_all=is_all)
            messages.append(message)
            rows += found
    rows = rows[: limit or None]
    if context.json:
        context.show_json(rows)
        return
    for message in messages or ["there is no account yet, so there is no history"]:
        context.say(message)
    context.show_rows(columns, ([row[name] for name in columns] for row in rows), is_limited=limit is None)


def _split(words: Sequence[str], diff: tuple[str, str] | None) -> tuple[list[datetime | None], Sequence[str]]:
    """Return the times (None: the latest) and the account among the words; with --diff there is no time among them."""
    given = list(words)
    if diff is None and not given:
        raise click.UsageError("a time is missing, such as `favsync as-of latest` or `favsync as-of 2025-11-03`")
    names = given if diff else given[1:]
    if len(names) > 1:
        raise click.UsageError(f"only one account is allowed; quote a time with blanks: {' '.join(given)!r}")
    if names and _is_time(names[0]) and not _is_time(given[0]):
        raise click.UsageError(f"the time comes first: `favsync as-of {shlex.join([names[0], given[0]])}`")
    return [None if text.lower() == LATEST else instant(text) for text in diff or given[:1]], names


def _is_time(text: str) -> bool:
    if text.lower() == LATEST:
        return True
    try:
        instant(text)
    except UsageError:
        return False
    return True


def _favourites(
    connection: Connection, account: Account, instants: Sequence[datetime], *, is_all: bool
) -> tuple[str, list[dict[str, Any]]]:
    """Return a summary, and the rows of the account's tracks: first those that were favourites."""
    listed = list_at(connection, account.account_id, instants[0])
    answers = ("yes", "unknown", "no")
    counts = ", ".join(f"{sum(each.answer == word for each in listed):,} {word}" for word in answers)
    observed = observation_range(connection, account.account_id)
    summary = f"{account.name} at {moment(instants[0])}: {counts}{_hint(account.name, instants[0], observed)}"
    rows = [
        {"account": account.name, "as_of": instants[0], **_fields(row)}
        for answer in (answers if is_all else answers[:2])
        for row in listed
        if row.answer == answer
    ]
    return summary, rows


def _hint(name: str, at: datetime, observed: ObservationRange) -> str:
    if observed.seen_until is None or observed.seen_from is None:
        return "; there is no snapshot yet"
    if at < observed.seen_from:
        return f"; the first snapshot is of {moment(observed.seen_from)}"
    if at <= observed.seen_until:
        return ""
    newest = observed.seen_until.replace(tzinfo=None).isoformat() + "Z"
    if observed.absent_from is None or observed.absent_from > observed.seen_until:
        return f"; the newest snapshot is of {newest}, and a single snapshot shows no other time"
    return f"; the newest snapshot is of {newest}: `favsync as-of {newest} {shlex.quote(name)}` shows it"


def _fields(row: AsOfRow) -> dict[str, Any]:
    track, stay = row.track, row.stay
    return {
        "answer": str(row.answer),
        "track_id": row.track_id,
        "title": track.title,
        "artists": ", ".join(artist.name or str(artist.artist_id) for artist in track.artists) or None,
        "album": track.album_title,
        "genres": list(track.genres),
        "duration_seconds": track.duration_seconds,
        "isrc": track.isrc,
        "market_count": len(track.markets) or None,
        "facts_since": row.facts_since,
        **{name: getattr(stay, name) for name in BOUNDS},
    }


def _changes(
    connection: Connection, account: Account, instants: Sequence[datetime], *, is_all: bool
) -> tuple[str, list[dict[str, Any]]]:
    """Return a summary, and the rows of the account's changes."""
    changes = changes_between(connection, account.account_id, instants[0], instants[1])
    known = [change for change in changes if change.word != UNKNOWN]
    rows = []
    for change in changes if is_all else known:
        fields = _fields(change.after)
        row = {"account": account.name, "change": change.word}
        row |= {name: fields[name] for name in ("track_id", "title", "artists")}
        row |= {"before": str(change.before.answer), "after": str(change.after.answer)}
        rows.append(row | {name: fields[name] for name in BOUNDS})
    counts = [f"{sum(change.word == word for change in known):,} {word}" for word in ("added", "removed")]
    unknown = len(changes) - len(known)
    counts.append(f"{unknown:,} unknown{' (--all lists them)' if unknown and not is_all else ''}")
    newest = observation_range(connection, account.account_id).seen_until
    if newest is None or newest < instants[1]:
        counts.append(f"nothing is known after {moment(newest)}" if newest else "there is no snapshot yet")
    span = " to ".join(f"{each:%Y-%m-%d %H:%M:%S}" for each in instants)
    return f"{account.name} from {span} UTC: {', '.join(counts)}", rows
