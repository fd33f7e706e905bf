"""``favsync accounts``: the accounts whose favourites are copied, and their tokens.

A token comes from standard input, the environment or a file, never from an argument: arguments are visible to every user of
the machine.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from typing import Any

import click
from sqlalchemy import Engine

from etl.accounts import manage
from etl.accounts.encryption import new_key
from etl.accounts.login import sign_in
from etl.accounts.token_input import TokenInput, read_token, token_location
from etl.accounts.token_rows import account_id_of
from etl.boomplay.payloads import User
from etl.cli.add_many import add_many
from etl.cli.commands import VerbGroup
from etl.cli.completers import account_names
from etl.cli.context import Context
from etl.cli.options import wide_option
from etl.cli.signals import stop_event
from etl.db.engine import read_transaction, write_transaction
from etl.errors import DatabaseError, UsageError, counted
from etl.load.accounts import Account, enabled_accounts, find_account
from etl.load.run_lock import run_locks
from etl.replay.erase import erase_account
from etl.replay.prune import compact
from etl.scheduler.due_sync import reschedule_account
from etl.scheduler.schedule import parse

CHECK_COLUMNS = (
    "account", "works", "user_name", "boomplay_user_id", "region", "token", "token_place", "expires_at", "error",
)  # fmt: skip
HIDDEN_COLUMNS = ("boomplay_user_id", "plan", "created_at")
name_argument = click.argument("name", shell_complete=account_names)
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


@accounts.verb("add")
@click.argument("name", required=False)
@click.option("--from", "file", metavar="FILE", help="Add every account of this CSV file; - is standard input.")
@token_env_option
@token_file_option
@schedule_option
@region_option
def add(
    context: Context,
    name: str | None,
    file: str | None,
    token_env: str | None,
    token_file: str | None,
    schedule: str | None,
    region: str | None,
) -> None:
    r"""Add the account NAME; its token is asked for, or read from standard input.

    The first line is the access token, an optional second line the refresh token. Boomplay reports the token's user; a user
    can have only one account.

    The CSV file of --from starts with a line of column names: name, and any of access_token, refresh_token, token_env,
    token_file, schedule, region. Accounts that exist already are left as they are.

    \b
    name,access_token,region
    ada,eyJhbGciOi...,NG
    """
    if (name is None) == (file is None):
        raise click.UsageError("name one account, or a file of many with --from FILE")
    plan = _schedule(schedule or "default")
    if file is not None:
        if token_env or token_file or schedule or region:
            raise click.UsageError("with --from, the file has the tokens, schedules and regions")
        add_many(context, file)
        return
    engine = context.open_database(create=True)
    settings = {"schedule": plan, "region": manage.market_code(engine, region) if region else None}
    manage.require_new(engine, name or "")
    given = _read_token(context, token_env, token_file)
    _, user = manage.add_account(context.config, engine, name or "", given, settings)
    _show_user(context, "added", name or "", user, given.note)


@accounts.verb("list")
@wide_option
def list_(context: Context) -> None:
    """List the accounts and the state of their tokens."""
    rows = manage.list_accounts(context.open_database())
    columns = [name for name in (rows[0] if rows else ["account"]) if context.json or name not in HIDDEN_COLUMNS]
    context.show_rows(columns, [[row[name] for name in columns] for row in rows])


@accounts.verb("set")
@name_argument
@schedule_option
@click.option("--enable/--disable", "enabled", default=None, help="Sync the account, or stop syncing it.")
@region_option
@click.option("--name", "new_name", metavar="NEW", help="Rename the account; its history stays.")
@click.option("--token", is_flag=True, help="Replace the token; it is asked for, or read from standard input.")
@token_env_option
@token_file_option
def set_(
    context: Context, /, name: str, token: bool, token_env: str | None, token_file: str | None, **new: Any
) -> None:
    """Change the account NAME: its schedule, region, name or token; enable or disable it."""
    new["name"] = new.pop("new_name")
    values = {key: value for key, value in new.items() if value is not None}
    if "schedule" in values:
        values["schedule"] = _schedule(values["schedule"])
    wants_token = token or token_env is not None or token_file is not None
    if not values and not wants_token:
        raise UsageError("no changes given", remedy="`favsync accounts set --help` lists the options")
    engine = context.open_database()
    if "region" in values:
        values["region"] = manage.market_code(engine, values["region"]) if values["region"].strip() else None
    note = ""
    if wants_token:
        given = _read_token(context, token_env, token_file)
        manage.give_token(context.config, engine, name, given)
        note = f"; {given.note}"
    if values:
        manage.set_account(context.config, engine, name, values)
        if "schedule" in values:
            reschedule_account(context.config, engine, values.get("name", name))
    name_now = values.get("name", name)
    changes = {"account": name, **values, "token": wants_token}
    context.show_result(changes, f"account {name_now} is changed{note}")
    if wants_token:
        _warn_if_disabled(context, engine, name_now)


@accounts.verb("check")
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=account_names)
@wide_option
def check(context: Context, names: tuple[str, ...]) -> None:
    """Show whose token each account has, and whether Boomplay accepts it, for the accounts or all enabled ones.

    A token that was marked dead is tested too, and marked valid if Boomplay accepts it. Exit code 4 if a token fails.
    """
    engine = context.open_database()
    with read_transaction(engine) as connection:
        found = [account.name for account in enabled_accounts(connection, names)]
    checks = [manage.check_account(context.config, engine, name) for name in found]
    rows = []
    for each in checks:
        user = (each.user.user_name, each.user.user_id, each.user.region) if each.user else (None, None, None)
        error = str(each.error) if each.error else None
        rows.append((each.account, each.error is None, *user, each.state, each.place, each.expires_at, error))
    context.add_exit_codes(each.error.exit_code for each in checks if each.error)
    context.show_rows(CHECK_COLUMNS, rows)
    for each in checks:
        if each.error is not None and each.error.remedy and not context.json:
            context.say(f"{each.account}: {each.error.remedy}")


@accounts.verb("new-key")
def new_key_(context: Context) -> None:
    """Print a new key for FAVSYNC_ENCRYPTION_KEY, which encrypts tokens in the database.

    Store it outside of the database and its backups. Without the key, the tokens cannot be read.
    """
    key = new_key()
    context.show_result({"key": key}, key)


@accounts.verb("rekey")
def rekey(context: Context) -> None:
    """Encrypt all stored tokens with the first key of FAVSYNC_ENCRYPTION_KEY. Afterwards, remove the older keys."""
    count = manage.rekey(context.config, context.open_database())
    done = f"re-encrypted {counted(count, 'token')} with the first key; the older keys can be removed"
    context.show_result({"encrypted_anew": count}, done)


@accounts.verb("login")
@name_argument
@click.option("--no-browser", is_flag=True, help="Do not open a browser: print the address, and ask for the final one.")
@token_file_option
@click.option(
    "--timeout", metavar="SECONDS", type=click.IntRange(1, 3600), default=300, help="How long to wait for the sign-in."
)
def login(context: Context, name: str, no_browser: bool, token_file: str | None, timeout: int) -> None:
    """Sign in to Boomplay in a browser: the account NAME gets the token, and is added if it is new.

    The browser returns to BOOMPLAY_REDIRECT_URI, which must be registered at Boomplay exactly as it is set here.
    """

    def ask_address() -> str:
        if context.can_ask:
            return str(click.prompt("the final address in the browser", err=True))
        return _piped(sys.stdin.readline if sys.stdin else str).strip()

    place, reference, note = token_location(context.config, file=token_file)
    engine = context.open_database(create=True)
    with read_transaction(engine) as connection:
        is_new = account_id_of(connection, name) is None
    if is_new:
        manage.require_new(engine, name)
    paste = ask_address if no_browser else None
    with stop_event() as stop:
        token = sign_in(context.config, context.say, paste=paste, timeout_seconds=timeout, stop=stop)
    given = TokenInput(token, place, reference, note)
    if is_new:
        _, user = manage.add_account(context.config, engine, name, given, {})
    else:
        user = manage.give_token(context.config, engine, name, given)
    _show_user(context, "signed in", name, user, note)
    _warn_if_disabled(context, engine, name)


@accounts.verb("remove")
@name_argument
@click.option("--erase", is_flag=True, help="Delete all data of the account, with its history. This cannot be undone.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def remove(context: Context, name: str, erase: bool, yes: bool) -> None:
    """Stop syncing the account NAME and delete its token. Its history stays, unless --erase is given."""
    engine = context.open_database()
    with read_transaction(engine) as connection:
        account = find_account(connection, name)
    if erase:
        if not yes and not context.can_ask:
            raise UsageError("confirmation is needed, but standard input is not a terminal", remedy="add --yes")
        question = f"Delete account {name} and its whole history permanently?"
        if yes or context.ask_yes_no(question, "nothing was deleted"):
            _erase(context, engine, account)
        return
    manage.disable_account(engine, name)
    done = f"account {name} is no longer synced and its token is deleted; its history is kept"
    hint = f"`favsync accounts remove {shlex.quote(name)} --erase` deletes the history too"
    context.show_result({"account": name, "erased": False}, done, hint)


def _erase(context: Context, engine: Engine, account: Account) -> None:
    """Delete the account while no run of any account is in progress, and remove its traces from the file."""
    trace = None
    with run_locks(engine, manage.numbered_accounts(engine)):
        with write_transaction(engine) as connection:
            deleted = erase_account(connection, account.account_id)
        try:
            compact(engine)
        except DatabaseError as error:
            trace, context.exit_code = error.message, error.exit_code
    counts = [counted(deleted["runs"], "run"), counted(deleted["favourites"], "interval")]
    counts.append(f"{counted(deleted['tracks'], 'track')} of no other account")
    hints = ["earlier backups, exports and reports still contain the account; delete them yourself"]
    if trace is not None:
        hints.insert(0, f"the database file still contains traces: {trace}; run VACUUM in it with sqlite3 afterwards")
    fields = {"account": account.name, "erased": True, "deleted": deleted, "traces": trace}
    done = f"account {account.name} and its history are deleted: {', '.join(counts)}"
    context.show_result(fields, done, *hints)


def _warn_if_disabled(context: Context, engine: Engine, name: str) -> None:
    if not manage.is_enabled(engine, name):
        context.say(f"account {name} is disabled: `favsync accounts set {shlex.quote(name)} --enable` enables it")


def _read_token(context: Context, variable: str | None, file: str | None) -> TokenInput:
    """Read the token from where the options say, else from a hidden prompt or from standard input."""

    def ask() -> str:
        if not context.can_ask:
            return _piped(sys.stdin.read if sys.stdin else str)
        first = click.prompt("access token", hide_input=True, err=True)
        second = click.prompt("refresh token (Enter: none)", hide_input=True, default="", show_default=False, err=True)
        return f"{first}\n{second}"

    return read_token(context.config, ask, variable=variable, file=file)


def _piped(read: Callable[[], str]) -> str:
    """Return the piped input; a closed standard input is empty.

    Raises: UsageError, if it is not text.
    """
    try:
        return read()
    except UnicodeDecodeError:
        raise UsageError("standard input is not text", remedy="pipe the token as text, one line") from None


def _schedule(text: str) -> str | None:
    """Return the text of a valid schedule, None for the default one."""
    return None if text.strip().lower() == "default" else parse(text).text.strip()


def _show_user(context: Context, done: str, name: str, user: User, note: str) -> None:
    fields = {"user_name": user.user_name, "boomplay_user_id": user.user_id, "region": user.region}
    line = f"{done}: account {name} is {user.user_name or user.user_id}, region {user.region or 'unknown'}"
    hint = f"{note}; `favsync sync {shlex.quote(name)}` syncs it now"
    context.show_result({"account": name, "done": done, **fields, "note": note}, line, hint)
