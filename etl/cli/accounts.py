"""``favsync accounts``: whose favourites are copied.

Invariant: a token comes from standard input, the environment or a file, never from an argument, which every user of the machine
could read.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from etl.cli.accounts_remove import remove
from etl.cli.commands import VerbGroup
from etl.cli.context import Context, pass_context
from etl.cli.options import json_option
from etl.cli.sync import worst_exit_code

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from etl.accounts.token_input import TokenInput
    from etl.boomplay.payloads import User

name_argument = click.argument("name")
token_env_option = click.option(
    "--token-env", metavar="VAR", help="Take the token from this environment variable. Without a key, it stays there."
)
token_file_option = click.option(
    "--token-file", metavar="PATH", help="Keep the token in this file (mode 0600), made from standard input if missing."
)
schedule_option = click.option(
    "--schedule", metavar="TEXT", help='Such as "every 6h" or "0 3 * * 1 Africa/Lagos"; "default": FAVSYNC_SCHEDULE.'
)
region_option = click.option(
    "--region", metavar="CODE", help="The account's market, such as NG, if not the user's own."
)


@click.group("accounts", cls=VerbGroup)
def accounts() -> None:
    """Add, list, change, check and remove accounts; sign in to Boomplay.

    Tokens are kept encrypted in the database where FAVSYNC_ENCRYPTION_KEY is set, and outside of it where it is not.
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
    """Add the account NAME. Its token is asked for, or read from standard input.

    The first line is the access token; a second line, if you have one, is the refresh token. Boomplay is asked whose token it is;
    the same user twice is refused.
    """
    from etl.accounts.manage import add_account, require_new

    settings = {"schedule": _schedule(schedule), "region": _region(region)}
    engine = _engine(context, create=True)
    require_new(engine, name)
    given = _given(context, token_env, token_file)
    _, user = add_account(context.config, engine, name, given, settings)
    _tell_user(context, "added", name, user, given.note)


@accounts.command("list")
@json_option
@pass_context
def list_(context: Context) -> None:
    """List the accounts, with the state of their tokens."""
    from etl.accounts.manage import list_accounts

    rows = list_accounts(_engine(context))
    hidden = () if context.json else ("boomplay_user_id", "plan", "created_at")
    columns = [name for name in (rows[0] if rows else {"account": None}) if name not in hidden]
    context.show_rows(columns, [[row[name] for name in columns] for row in rows])


@accounts.command("set")
@name_argument
@schedule_option
@click.option("--enable/--disable", "enabled", default=None, help="Whether it is synced.")
@region_option
@click.option("--name", "new_name", metavar="NEW", help="Another name for it; its history stays with it.")
@click.option("--token", is_flag=True, help="Give it another token, asked for or read from standard input.")
@token_env_option
@token_file_option
@json_option
@pass_context
def set_(context: Context, /, name: str, **asked: Any) -> None:
    """Change the account NAME: schedule, region, name, token, and whether it is synced."""
    from etl.accounts.manage import give_token, set_account
    from etl.errors import UsageError

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
        raise UsageError("nothing is to be changed", remedy="`favsync accounts set --help` shows what can be")
    engine = _engine(context)
    note = ""
    if wants_token:
        given = _given(context, asked["token_env"], asked["token_file"])
        give_token(context.config, engine, name, given)
        note = f"; {given.note}"
    if values:
        set_account(context.config, engine, name, values)
    if context.json:
        context.show_json({"account": name, **values, "token": wants_token})
    else:
        context.show(f"account {values.get('name', name)} is changed{note}")
    if wants_token:
        _tell_disabled(context, engine, values.get("name", name))


@accounts.command("check")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@json_option
@pass_context
def check(context: Context, names: tuple[str, ...]) -> int:
    """Try the tokens of the accounts, all enabled ones if none is named: does it work, whose is it, how long.

    A token that was found dead is tried too, and lives again if Boomplay takes it. Exit code 4 if one does not work.
    """
    from etl.accounts.manage import check_account
    from etl.db.engine import read_transaction
    from etl.load.accounts import find_accounts

    engine = _engine(context)
    with read_transaction(engine) as connection:
        found = [account.name for account in find_accounts(connection, names)]
    checks = [check_account(context.config, engine, name) for name in found]
    columns = (
        "account",
        "works",
        "user_name",
        "boomplay_user_id",
        "region",
        "token",
        "token_place",
        "expires_at",
        "error",
    )
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
    context.show_rows(columns, rows)
    for each in checks:
        if each.error is not None and each.error.remedy and not context.json:
            context.say(f"{each.account}: {each.error.remedy}")
    return context.exit_code


@accounts.command("rekey")
@json_option
@pass_context
def rekey(context: Context) -> None:
    """Encrypt all stored tokens with the first key of FAVSYNC_ENCRYPTION_KEY; then the older keys may go."""
    from etl.accounts.manage import rekey as rekey_tokens

    count = rekey_tokens(context.config, _engine(context))
    if context.json:
        context.show_json({"encrypted_anew": count})
    else:
        context.show(f"encrypted anew: {count}; every stored token opens with the first key, so older keys may go")


@accounts.command("login")
@name_argument
@click.option(
    "--no-browser", is_flag=True, help="Open no browser here: show the address, and ask for the one it ends at."
)
@token_file_option
@click.option(
    "--timeout", metavar="SECONDS", type=click.IntRange(1, 3600), default=300, show_default=True, help="Wait so long."
)
@json_option
@pass_context
def login(context: Context, name: str, no_browser: bool, token_file: str | None, timeout: int) -> None:
    """Sign in to Boomplay in a browser, and give the account NAME the token; a new account is added.

    The browser comes back to BOOMPLAY_REDIRECT_URI, which Boomplay must know to the last character.
    """
    from etl.accounts.login import sign_in
    from etl.accounts.manage import add_account, give_token, require_new
    from etl.accounts.token_input import TokenInput, token_location
    from etl.accounts.token_rows import account_id_of
    from etl.cli.signals import stop_event
    from etl.db.engine import read_transaction

    place, reference, note = token_location(context.config, file=token_file)
    engine = _engine(context, create=True)
    with read_transaction(engine) as connection:
        is_new = account_id_of(connection, name) is None
    if is_new:
        require_new(engine, name)
    paste = _pasted if no_browser else None
    with stop_event() as stop:
        token = sign_in(context.config, context.say, paste=paste, timeout_seconds=timeout, stop=stop)
    given = TokenInput(token, place, reference, note)
    if is_new:
        _, user = add_account(context.config, engine, name, given, {})
    else:
        user = give_token(context.config, engine, name, given)
    _tell_user(context, "signed in", name, user, note)
    _tell_disabled(context, engine, name)


def _tell_disabled(context: Context, engine: Engine, name: str) -> None:
    """Say so where a token was given to an account that is not synced."""
    from etl.accounts.manage import is_enabled

    if not is_enabled(engine, name):
        context.say(f"account {name} is disabled: `favsync accounts set {name} --enable` has it synced again")


def _engine(context: Context, *, create: bool = False) -> Engine:
    from etl.db.migrate import ready_engine

    return ready_engine(context.config.database_url.reveal(), create=create)


def _given(context: Context, variable: str | None, file: str | None) -> TokenInput:
    from etl.accounts.token_input import read_token

    return read_token(context.config, _asked("access token"), variable=variable, file=file)


def _asked(what: str) -> Callable[[], str]:
    """Return a function that asks a person without showing the answer, or reads what is piped in."""

    def ask() -> str:
        if not sys.stdin.isatty():
            return sys.stdin.read()
        first = click.prompt(what, hide_input=True, err=True)
        second = click.prompt("refresh token (Enter: none)", hide_input=True, default="", show_default=False, err=True)
        return f"{first}\n{second}"

    return ask


def _pasted() -> str:
    if sys.stdin.isatty():
        return str(click.prompt("the address that the browser ended at", err=True))
    return sys.stdin.readline().strip()


def _schedule(text: str | None) -> str | None:
    """Return a schedule that can be read, None for the default one."""
    from etl.scheduler.schedule import parse

    if text is None or text.strip().lower() == "default":
        return None
    return parse(text).text.strip()


def _region(text: str | None) -> str | None:
    from etl.errors import UsageError

    if text is None or not text.strip():
        return None
    code = text.strip().upper()
    if not (len(code) == 2 and code.isascii() and code.isalpha()):
        raise UsageError(f"{text!r} is no market", remedy="write its two letters, such as NG")
    return code


def _tell_user(context: Context, done: str, name: str, user: User, note: str) -> None:
    if context.json:
        fields = {"user_name": user.user_name, "boomplay_user_id": user.user_id, "region": user.region}
        context.show_json({"account": name, "done": done, **fields, "note": note})
        return
    context.show(f"{done}: account {name} is {user.user_name or user.user_id}, {user.region or 'of no region'}")
    context.say(f"{note}; `favsync sync {name}` syncs it now")
