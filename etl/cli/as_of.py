"""``favsync as-of``: the list at an instant, and what changed between two."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from etl.cli.commands import Verb
from etl.cli.context import Context, pass_context
from etl.cli.options import json_option
from etl.cli.time_input import instant as typed
from etl.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from etl.load.accounts import Account
    from etl.reporting.list_as_of import AsOfRow, ListChange
    from etl.transform.as_of import ObservationRange

COLUMNS = ("answer", "track_id", "title", "artists", "added_after", "valid_from", "removed_after", "valid_to")
CHANGE_COLUMNS = ("change", "track_id", "title", "artists", "before", "after")


@click.command("as-of", cls=Verb)
@click.argument("words", metavar="T [ACCOUNT]", nargs=-1)
@click.option(
    "--all", "is_all", is_flag=True, help="Also tracks that were not there; with --diff, also those nobody can tell."
)
@click.option(
    "--diff", nargs=2, metavar="T1 T2", help="What was added and removed between two times, in the place of T."
)
@json_option
@pass_context
def as_of(context: Context, words: tuple[str, ...], is_all: bool, diff: tuple[str, str] | None) -> None:
    r"""Show the favourites of ACCOUNT, or of all accounts, as they were at the time T, with the facts of tracks of then.

    Nobody knows when a track was added or removed, only between which two observations; so each answer is yes, no or
    unknown, with its bounds: added after ADDED_AFTER and by VALID_FROM, removed after REMOVED_AFTER and by VALID_TO. After
    the newest observation, and before the first, nothing is known.

    \b
    favsync as-of 2025-11-03
    favsync as-of "3 months ago" ada --all
    favsync as-of --diff 2025-01-01 2025-07-01
    """
    from etl.db.engine import read_transaction
    from etl.db.migrate import ready_engine
    from etl.load.accounts import every_account, find_accounts

    instants, names = _read(words, diff)
    engine = ready_engine(context.config.database_url.reveal())
    with read_transaction(engine) as connection:
        accounts = find_accounts(connection, names) if names else every_account(connection)
        if not accounts and not context.json:
            context.say("there is no account yet, so nothing is known of any time")
        if diff:
            _show_diff(context, connection, accounts, instants, is_all=is_all)
        else:
            _show_list(context, connection, accounts, instants[0], is_all=is_all)


def _read(words: Sequence[str], diff: tuple[str, str] | None) -> tuple[list[datetime], Sequence[str]]:
    """Tell the time from the account: with --diff there is no time among the words."""
    given = list(words)
    if diff is None and not given:
        raise click.UsageError("say a time, such as `favsync as-of 2025-11-03`")
    names = given if diff else given[1:]
    if len(names) > 1:
        raise click.UsageError(f"one account at most; a time with blanks needs quotes: {' '.join(given)!r}")
    if names and _is_time(names[0]) and not _is_time(given[0]):
        raise click.UsageError(f"the time comes first: `favsync as-of {_quoted(given[1])} {given[0]}`")
    return sorted(typed(text) for text in diff or given[:1]), names


def _is_time(text: str) -> bool:
    try:
        typed(text)
    except UsageError:
        return False
    return True


def _quoted(text: str) -> str:
    return f'"{text}"' if " " in text else text


def _show_list(
    context: Context, connection: Connection, accounts: Sequence[Account], instant: datetime, *, is_all: bool
) -> None:
    from etl.reporting.list_as_of import list_at, observation_range

    listed = {account.name: list_at(connection, account.account_id, instant) for account in accounts}
    if not context.json:
        for account in accounts:
            context.say(
                _summary(account.name, listed[account.name], instant, observation_range(connection, account.account_id))
            )
    shown = [
        (name, standing)
        for name, each in listed.items()
        for answer in ("yes", "unknown", "no")
        for standing in each
        if standing.answer == answer and (is_all or answer != "no")
    ]
    if context.json:
        context.show_json([{"account": name, "as_of": instant, **_fields(standing)} for name, standing in shown])
        return
    rows = ((name, *(_fields(standing)[column] for column in COLUMNS)) for name, standing in shown)
    context.show_rows(("account", *COLUMNS), rows)


def _summary(name: str, listed: Sequence[AsOfRow], instant: datetime, horizon: ObservationRange) -> str:
    counts = ", ".join(f"{sum(each.answer == word for each in listed):,} {word}" for word in ("yes", "unknown", "no"))
    line = f"{name} at {instant:%Y-%m-%d %H:%M:%S} UTC: {counts}"
    if horizon.seen_until is None or horizon.seen_from is None:
        return f"{line}; nothing was ever observed"
    if instant < horizon.seen_from:
        return f"{line}; nobody had looked before {horizon.seen_from:%Y-%m-%d %H:%M:%S} UTC"
    if instant > horizon.seen_until:
        newest = horizon.seen_until.replace(tzinfo=None).isoformat() + "Z"
        if horizon.absent_from is None or horizon.absent_from > horizon.seen_until:
            return f"{line}; nobody has looked since {newest}, and one observation alone tells of no time but its own"
        return f"{line}; nobody has looked since {newest}: `favsync as-of {newest} {name}` is the newest that is known"
    return line


def _fields(standing: AsOfRow) -> dict[str, Any]:
    track, stay = standing.track, standing.stay
    return {
        "answer": str(standing.answer),
        "track_id": standing.track_id,
        "title": track.title,
        "artists": ", ".join(artist.name or str(artist.artist_id) for artist in track.artists) or None,
        "album": track.album_title,
        "genres": list(track.genres),
        "duration_seconds": track.duration_seconds,
        "isrc": track.isrc,
        "market_count": len(track.markets),
        "facts_since": standing.facts_since,
        "added_after": stay.added_after,
        "valid_from": stay.valid_from,
        "removed_after": stay.removed_after,
        "valid_to": stay.valid_to,
    }


def _show_diff(
    context: Context, connection: Connection, accounts: Sequence[Account], instants: Sequence[datetime], *, is_all: bool
) -> None:
    from etl.reporting.list_as_of import UNKNOWN, changes_between

    rows: list[dict[str, Any]] = []
    for account in accounts:
        changes = changes_between(connection, account.account_id, instants[0], instants[1])
        sure = [change for change in changes if change.word != UNKNOWN]
        rows += _change_rows(account.name, changes if is_all else sure)
        if not context.json:
            counts = ", ".join(
                f"{sum(change.word == word for change in sure):,} {word}" for word in ("added", "removed")
            )
            unsure = len(changes) - len(sure)
            more = f"; of {unsure:,} more nobody can tell{'' if is_all else ' (--all lists them)'}" if unsure else ""
            span = " to ".join(f"{instant:%Y-%m-%d %H:%M:%S}" for instant in instants)
            context.say(f"{account.name} from {span} UTC: {counts}{more}")
    if context.json:
        context.show_json(rows)
    else:
        context.show_rows(
            ("account", *CHANGE_COLUMNS), [[row[name] for name in ("account", *CHANGE_COLUMNS)] for row in rows]
        )


def _change_rows(name: str, changes: Sequence[ListChange]) -> Iterator[dict[str, Any]]:
    for change in changes:
        fields = _fields(change.after)
        yield {
            "account": name,
            "change": change.word,
            "track_id": fields["track_id"],
            "title": fields["title"],
            "artists": fields["artists"],
            "before": str(change.before.answer),
            "after": str(change.after.answer),
            **{bound: fields[bound] for bound in ("added_after", "valid_from", "removed_after", "valid_to")},
        }
