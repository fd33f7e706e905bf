"""``favsync digest``: what changed since the last one, for a mail or a chat."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from etl.cli.commands import Verb
from etl.cli.context import Context, pass_context
from etl.cli.options import accounts_argument, json_option
from etl.cli.time_input import INSTANT

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from etl.reporting.digest import Cursor, Digest, DigestRange

FORMATS = ("text", "markdown", "html", "json", "chat", "discord")
FIRST = timedelta(days=7)


@click.command("digest", cls=Verb)
@accounts_argument
@click.option("--since", metavar="TIME", type=INSTANT, help="Tell what changed since then, and leave the marks alone.")
@click.option("--format", "format_", type=click.Choice(FORMATS), help="How it is written. [default: text]")
@click.option(
    "--channel",
    metavar="NAME",
    default="default",
    show_default=True,
    help="Whom it is for: each channel has its own mark.",
)
@click.option("--peek", is_flag=True, help="Do not move the mark: the next digest tells the same again.")
@click.option(
    "--send",
    is_flag=True,
    help="Send it to the webhook of FAVSYNC_DIGEST_URL, in FAVSYNC_DIGEST_FORMAT, as `favsync schedule` does.",
)
@json_option
@pass_context
def digest(
    context: Context,
    accounts: tuple[str, ...],
    since: datetime | None,
    format_: str | None,
    channel: str,
    peek: bool,
    send: bool,
) -> None:
    r"""Tell what changed in ACCOUNTs, or in all enabled ones, since the last digest; the first one tells of the last 7 days.

    Standard output stays empty when there is nothing to tell, but for JSON, which is a list of accounts then too.

    \b
    favsync digest | mail -E -s "Favourites" you@example.org
    favsync digest --since "7 days ago" --format html >week.html
    FAVSYNC_DIGEST_URL=https://chat.example.org/hook favsync digest --send
    """
    from etl.db.migrate import ready_engine

    if context.json and format_ not in (None, "json"):
        raise click.UsageError(f"--json and --format {format_} exclude each other")
    engine = ready_engine(context.config.database_url.reveal())
    if send:
        _refuse_beside_send(since=since, format=format_, peek=peek, channel=channel, json=context.json)
        _send(context, engine, accounts)
        return
    found, marks = _told(engine, accounts, since, channel)
    _show(context, found, "json" if context.json else format_ or "text")
    sys.stdout.flush()
    if since is None and not peek:
        _remember(engine, marks, channel)


def _told(
    engine: Engine, names: tuple[str, ...], since: datetime | None, channel: str
) -> tuple[list[Digest], dict[int, Cursor]]:
    """Return the digests, and by account the mark that they reach."""
    from etl import clock
    from etl.db.engine import read_transaction
    from etl.load.accounts import find_accounts
    from etl.reporting.digest import cursor_of, newest_cursor
    from etl.reporting.digest import digest as made

    now = clock.now()
    digests: list[Digest] = []
    marks: dict[int, Cursor] = {}
    with read_transaction(engine) as connection:
        for account in find_accounts(connection, names):
            reached = newest_cursor(connection, account.account_id, now)
            if reached is None:
                continue
            former = cursor_of(connection, account.account_id, channel)
            digests.append(made(connection, account.name, _begin(since, former, now)))
            marks[account.account_id] = reached
    return digests, marks


def _begin(since: datetime | None, former: Cursor | None, now: datetime) -> DigestRange:
    from etl.reporting.digest import DigestRange

    if since is not None or former is None:
        return DigestRange(instant=since or now - FIRST)
    return DigestRange(after_run=former.run_id, held_run=former.held_run_id)


def _show(context: Context, found: list[Digest], format_: str) -> None:
    from etl.reporting.digest_text import digest_fields, digest_text

    if format_ == "json":
        fields: list[dict[str, Any]] = [digest_fields(each) for each in found]
        context.show_json(fields)
        return
    news = [each for each in found if each.has_content]
    if format_ in ("chat", "discord"):
        from etl.reporting.digest_text import payload

        for each in news:
            click.echo(payload(format_, each)[1].decode())
        return
    if news:
        click.echo("\n\n".join(digest_text(each, format_) for each in news))
    else:
        context.say("nothing to tell")


def _refuse_beside_send(**given: Any) -> None:
    for name, value in given.items():
        if value not in (None, False, "default"):
            raise click.UsageError(
                f"--send and --{name} exclude each other: the webhook has a channel and a format of its own"
            )


def _send(context: Context, engine: Engine, names: tuple[str, ...]) -> None:
    """Send each account's digest; where one is not taken, the others are sent all the same."""
    from etl import clock
    from etl.db.engine import read_transaction
    from etl.errors import NotDelivered, SettingsError
    from etl.load.accounts import find_accounts
    from etl.monitor.webhook import send

    url = context.config.digest_url
    if url is None:
        raise SettingsError("FAVSYNC_DIGEST_URL is not set", remedy="set it to the address of your chat's webhook")
    with read_transaction(engine) as connection:
        accounts = find_accounts(connection, names)
    first = _begin(None, None, clock.now())
    failure: NotDelivered | None = None
    for account in accounts:
        try:
            is_told = send(engine, account, url.reveal(), context.config.digest_format, first)
            context.say(f"{account.name}: {'sent' if is_told else 'nothing to tell'}")
        except NotDelivered as error:
            failure = error
    if failure is not None:
        raise failure


def _remember(engine: Engine, marks: dict[int, Cursor], channel: str) -> None:
    from etl.db.engine import write_transaction
    from etl.reporting.digest import set_cursor

    with write_transaction(engine) as connection:
        for account_id, mark in marks.items():
            set_cursor(connection, account_id, channel, mark)
