"""``favsync accounts``: the accounts whose favourites are copied, and their tokens.

A token comes from standard input, the environment or a file, never from an argument: arguments are visible to every user of
the machine.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import click
from sqlalchemy import Engine

from etl.accounts import manage
from etl.accounts.login import sign_in
from etl.accounts.token_input import TokenInput, read_token, token_location
from etl.accounts.token_rows import account_id_of
from etl.boomplay.payloads import User
from etl.cli.accounts_remove import remove
from etl.cli.commands import VerbGroup
from etl.cli.context import Context, pass_context
from etl.cli.options import json_option
from etl.cli.signals import stop_event
from etl.cli.sync import worst_exit_code
from etl.db.engine import read_transaction
from etl.errors import UsageError
from etl.load.accounts import find_accounts
from etl.scheduler.schedule import parse

CHECK_COLUMNS = (
    "account", "works", "user_name", "boomplay_user_id", "region", "token", "token_place", "expires_at", "error",
)  # fmt: skip
name_argument = click.argument("name")
token_env_option = click.option(
    "--token-env",
    metavar="VAR",
    help="Read the token from this environment variable, at each sync if there is no encryption key.",
)
token_file_option = click.option(
    "--token-file",
    metavar="PATH",
    help="Store the token in this file (mode 0600); it is created from standard input if missing.",
)
schedule_option = click.option(
    "--schedule",
    metavar="TEXT",
    help='When to sync, such as "every 6h" or "0 3 * * 1 Africa/Lagos"; "default" means FAVSYNC_SCHEDULE.',
)
region_option = click.option(
    "--region", metavar="CODE", help="The account's market, such as NG, if it differs from the user's."
)


@click.group("accounts", cls=VerbGroup)
def accounts() -> None:
    """Add, list, change, check and remove accounts; sign in to Boomplay.

    With FAVSYNC_ENCRYPTION_KEY, tokens are stored encrypted in the database; without it, outside of the database.
    """


accounts.add_command(remove)


@accounts.command("add")
@name_argument
@token_env_option
@token_file_option
@schedule_option
@region_option
@json_option
@pass_context
def add(
    context: Context, name: str, token_env: str | None, token_file: str | None, schedule: str | None, region: str | None
) -> None:
    """Add the account NAME, with a token that is prompted for or read from standard input.

    The first line is the access token, an optional second line the refresh token. Boomplay reports the token's user; a user
    can have only one account.
    """
    settings = {"schedule": _schedule(schedule), "region": _region(region)}
    engine = context.open_database(create=True)
    manage.require_new(engine, name)
    given = _read_token(context, token_env, token_file)
    _, user = manage.add_account(context.config, engine, name, given, settings)
    _show_user(context, "added", name, user, given.note)


@accounts.command("list")
@json_option
@pass_context
def list_(context: Context) -> None:
    """List the accounts and the state of their tokens."""
    rows = manage.list_accounts(context.open_database())
    hidden = () if context.json else ("boomplay_user_id", "plan", "created_at")
    columns = [name for name in (rows[0] if rows else {"account": None}) if name not in hidden]
    context.show_rows(columns, [[row[name] for name in columns] for row in rows])


@accounts.command("set")
@name_argument
@schedule_option
@click.option("--enable/--disable", "enabled", default=None, help="Sync the account, or stop syncing it.")
@region_option
@click.option("--name", "new_name", metavar="NEW", help="Rename the account; its history stays.")
@click.option("--token", is_flag=True, help="Replace the token; it is prompted for or read from standard input.")
@token_env_option
@token_file_option
@json_option
@pass_context
def set_(context: Context, /, name: str, **asked: Any) -> None:
    """Change the account NAME: its schedule, region, name or token; enable or disable it."""
    values: dict[str, Any] = {}
    if asked["schedule"] is not None:
        values["schedule"] = _schedule(asked["schedule"])
    if asked["region"] is not None:
        values["region"] = _region(asked["region"])
    if asked["enabled"] is not None:
        values["enabled"] = asked["enabled"]
    if asked["new_name"] is not None:
        values["name"] = asked["new_name"]
    wants_token = asked["token"] or asked["token_env"] is not None or asked["token_file"] is not None
    if not values and not wants_token:
        raise UsageError("no changes given", remedy="`favsync accounts set --help` lists the options")
    engine = context.open_database()
    note = ""
    if wants_token:
        given = _read_token(context, asked["token_env"], asked["token_file"])
        manage.give_token(context.config, engine, name, given)
        note = f"; {given.note}"
    if values:
        manage.set_account(context.config, engine, name, values)
    if context.json:
        context.show_json({"account": name, **values, "token": wants_token})
    else:
        context.show(f"account {values.get('name', name)} is changed{note}")
    if wants_token:
        _warn_if_disabled(context, engine, values.get("name", name))


@accounts.command("check")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@json_option
@pass_context
def check(context: Context, names: tuple[str, ...]) -> int:
    """Test the tokens of the accounts, or of all enabled ones: validity, user and expiry.

    A token that was marked dead is tested too, and marked valid if Boomplay accepts it. Exit code 4 if a token fails.
    """
    engine = context.open_database()
    with read_transaction(engine) as connection:
        found = [account.name for account in find_accounts(connection, names)]
    checks = [manage.check_account(context.config, engine, name) for name in found]
    rows = [
        (
            each.account,
            each.error is None,
            each.user.user_name if each.user else None,
            each.user.user_id if each.user else None,
            each.user.region if each.user else None,
            each.state,
            each.place,
            each.expires_at,
            str(each.error) if each.error else None,
        )
        for each in checks
    ]
    context.exit_code = worst_exit_code([each.error.exit_code if each.error else 0 for each in checks])
    context.show_rows(CHECK_COLUMNS, rows)
    for each in checks:
        if each.error is not None and each.error.remedy and not context.json:
            context.say(f"{each.account}: {each.error.remedy}")
    return context.exit_code


@accounts.command("rekey")
@json_option
@pass_context
def rekey(context: Context) -> None:
    """Encrypt all stored tokens with the first key of FAVSYNC_ENCRYPTION_KEY. Afterwards, remove the older keys."""
    count = manage.rekey(context.config, context.open_database())
    if context.json:
        context.show_json({"encrypted_anew": count})
    else:
        context.show(f"re-encrypted {count} tokens with the first key; the older keys can be removed")


@accounts.command("login")
@name_argument
@click.option("--no-browser", is_flag=True, help="Do not open a browser: print the address, and ask for the final one.")
@token_file_option
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.IntRange(1, 3600),
    default=300,
    show_default=True,
    help="How long to wait for the sign-in.",
)
@json_option
@pass_context
def login(context: Context, name: str, no_browser: bool, token_file: str | None, timeout: int) -> None:
    """Sign in to Boomplay in a browser and store the token for the account NAME, which is added if it is new.

    The browser returns to BOOMPLAY_REDIRECT_URI, which must be registered at Boomplay exactly as it is set here.
    """
    place, reference, note = token_location(context.config, file=token_file)
    engine = context.open_database(create=True)
    with read_transaction(engine) as connection:
        is_new = account_id_of(connection, name) is None
    if is_new:
        manage.require_new(engine, name)
    paste = partial(_ask_address, context) if no_browser else None
    with stop_event() as stop:
        token = sign_in(context.config, context.say, paste=paste, timeout_seconds=timeout, stop=stop)
    given = TokenInput(token, place, reference, note)
    if is_new:
        _, user = manage.add_account(context.config, engine, name, given, {})
    else:
        user = manage.give_token(context.config, engine, name, given)
    _show_user(context, "signed in", name, user, note)
    _warn_if_disabled(context, engine, name)


def _warn_if_disabled(context: Context, engine: Engine, name: str) -> None:
    if not manage.is_enabled(engine, name):
        context.say(f"account {name} is disabled: `favsync accounts set {name} --enable` enables it")


def _read_token(context: Context, variable: str | None, file: str | None) -> TokenInput:
    """Read the token from where the options say, else from a hidden prompt or from standard input."""

    def ask() -> str:
        if not context.can_ask:
            return _piped(sys.stdin.read if sys.stdin else str)
        first = click.prompt("access token", hide_input=True, err=True)
        second = click.prompt("refresh token (Enter: none)", hide_input=True, default="", show_default=False, err=True)
        return f"{first}\n{second}"

    return read_token(context.config, ask, variable=variable, file=file)


def _ask_address(context: Context) -> str:
    if context.can_ask:
        return str(click.prompt("the final address in the browser", err=True))
    return _piped(sys.stdin.readline if sys.stdin else str).strip()


def _piped(read: Callable[[], str]) -> str:
    """Return the piped input; a closed standard input is empty.

    Raises: UsageError, if it is not text.
    """
    try:
        return read()
    except UnicodeDecodeError:
        raise UsageError("standard input is not text", remedy="pipe the token as text, one line") from None


def _schedule(text: str | None) -> str | None:
    """Return the text of a valid schedule, None for the default one."""
    if text is None or text.strip().lower() == "default":
        return None
    return parse(text).text.strip()


def _region(text: str | None) -> str | None:
    if text is None or not text.strip():
        return None
    code = text.strip().upper()
    if not (len(code) == 2 and code.isascii() and code.isalpha()):
        raise UsageError(f"{text!r} is not a market", remedy="use its two-letter code, such as NG")
    return code


def _show_user(context: Context, done: str, name: str, user: User, note: str) -> None:
    if context.json:
        fields = {"user_name": user.user_name, "boomplay_user_id": user.user_id, "region": user.region}
        context.show_json({"account": name, "done": done, **fields, "note": note})
        return
    context.show(f"{done}: account {name} is {user.user_name or user.user_id}, region {user.region or 'unknown'}")
    context.say(f"{note}; `favsync sync {name}` syncs it now")
