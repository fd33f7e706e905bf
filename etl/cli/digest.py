"""``favsync digest``: the changes since the last digest, for mail or chat."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta

import click
from sqlalchemy import Engine

from etl import clock
from etl.cli.commands import verb
from etl.cli.context import Context
from etl.cli.options import accounts_argument
from etl.cli.time_input import instant
from etl.db.engine import read_transaction, write_transaction
from etl.errors import NotDelivered, SettingsError
from etl.load.accounts import enabled_accounts
from etl.monitor.webhook import Webhook
from etl.monitor.webhook import send as send_digest
from etl.reporting.digest import Cursor, Digest, DigestRange, cursor_of, newest_cursor, set_cursor
from etl.reporting.digest import digest as make_digest
from etl.reporting.digest_text import digest_fields, digest_text, payload

FORMATS = ("text", "markdown", "html", "json", "chat", "discord")
FIRST = timedelta(days=7)


@verb("digest")
@accounts_argument
@click.option("--since", metavar="TIME", type=instant, help="Show the changes since then; no cursor moves.")
@click.option("--format", "format_", type=click.Choice(FORMATS), help="Output format. [default: text]")
@click.option(
    "--channel", metavar="NAME", default="default", help="The receiver; each channel has a cursor of its own."
)
@click.option(
    "--peek/--no-peek",
    "peek",
    default=None,
    help="Do not move the cursor: the next digest repeats these changes. [default: --peek on a terminal]",
)
@click.option(
    "--send",
    is_flag=True,
    help="Send it to the webhook of FAVSYNC_DIGEST_URL, in FAVSYNC_DIGEST_FORMAT, as `favsync schedule` does.",
)
def digest(
    context: Context,
    accounts: tuple[str, ...],
    since: datetime | None,
    format_: str | None,
    channel: str,
    peek: bool | None,
    send: bool,
) -> None:
    r"""Summarise what changed in ACCOUNTs, or in all enabled ones, since the last digest; the first covers 7 days.

    A terminal shows the digest and does not move the cursor. Without changes, standard output stays empty, except with
    JSON, which is always a list of accounts.

    \b
    favsync digest | mail -E -s "Favourites" you@example.org
    favsync digest --since "7 days ago" --format html >week.html
    FAVSYNC_DIGEST_URL=https://chat.example.org/hook favsync digest --send
    """
    if context.json and format_ not in (None, "json"):
        raise click.UsageError(f"--json and --format {format_} exclude each other")
    engine = context.open_database()
    if send:
        beside = {"since": since, "format": format_, "peek": peek, "channel": channel, "json": context.json}
        for name, value in beside.items():
            if value not in (None, False, "default"):
                raise click.UsageError(
                    f"--send and --{name} exclude each other: the webhook has a channel and a format of its own"
                )
        _send(context, engine, accounts)
        return
    now = clock.now()
    digests: list[Digest] = []
    cursors: dict[int, Cursor] = {}
    with read_transaction(engine) as connection:
        for account in enabled_accounts(connection, accounts):
            newest = newest_cursor(connection, account.account_id, now)
            if newest is not None:
                former = cursor_of(connection, account.account_id, channel)
                changes = DigestRange(instant=since or now - FIRST)
                if since is None and former is not None:
                    changes = DigestRange(after_run=former.run_id, held_run=former.held_run_id)
                digests.append(make_digest(connection, account.name, changes))
                cursors[account.account_id] = newest
    _show(context, digests, "json" if context.json else format_ or "text")
    sys.stdout.flush()  # the cursor moves only after the digest is written
    peek = _is_peek(context, peek, digests)
    if since is None and not peek:
        with write_transaction(engine) as connection:
            for account_id, cursor in cursors.items():
                set_cursor(connection, account_id, channel, cursor)


def _is_peek(context: Context, peek: bool | None, digests: list[Digest]) -> bool:
    """Return ``peek``; if it is not given, True on a terminal, where a person only looks."""
    if peek is None and sys.stdout.isatty() and any(each.has_content for each in digests):
        context.say("shown on a terminal, so the cursor did not move: --no-peek moves it")
    return sys.stdout.isatty() if peek is None else peek


def _show(context: Context, found: list[Digest], format_: str) -> None:
    changed = [each for each in found if each.has_content]
    if format_ == "json":
        context.show_json([digest_fields(each) for each in found])
    elif format_ in ("chat", "discord"):
        for each in changed:
            click.echo(payload(format_, each)[1].decode())
    elif changed:
        click.echo("\n\n".join(digest_text(each, format_) for each in changed))
    else:
        context.say("no changes")


def _send(context: Context, engine: Engine, names: tuple[str, ...]) -> None:
    """Send each account's digest; a failure does not stop the others."""
    url = context.config.digest_url
    if url is None:
        raise SettingsError("FAVSYNC_DIGEST_URL is not set", remedy="set it to the address of your chat's webhook")
    with read_transaction(engine) as connection:
        accounts = enabled_accounts(connection, names)
    first = DigestRange(instant=clock.now() - FIRST)
    failure: NotDelivered | None = None
    webhook = Webhook(url.reveal(), context.config.digest_format)
    for account in accounts:
        try:
            is_sent = send_digest(engine, account, webhook, first)
            context.say(f"{account.name}: {'sent' if is_sent else 'no changes'}")
        except NotDelivered as error:
            failure = error
    if failure is not None:
        raise failure
