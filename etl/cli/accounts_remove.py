"""``favsync accounts remove``: stop syncing an account, or erase it."""

from __future__ import annotations

import click
from sqlalchemy import Engine

from etl.accounts.manage import disable_account, numbered_accounts
from etl.cli.commands import Verb
from etl.cli.context import Context, counted, pass_context
from etl.cli.options import json_option
from etl.db.engine import read_transaction, write_transaction
from etl.errors import DatabaseError, UsageError
from etl.load.accounts import Account, find_accounts
from etl.load.run_lock import run_locks
from etl.replay.erase import erase_account
from etl.replay.prune import compact


@click.command("remove", cls=Verb)
@click.argument("name")
@click.option("--erase", is_flag=True, help="Delete all data of the account, with its history. This cannot be undone.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@json_option
@pass_context
def remove(context: Context, name: str, erase: bool, yes: bool) -> None:
    """Stop syncing the account NAME and delete its token. Its history stays, unless --erase is given."""
    engine = context.open_database()
    with read_transaction(engine) as connection:
        account = find_accounts(connection, [name])[0]
    if erase:
        if not yes and not context.can_ask:
            raise UsageError("confirmation is needed, but standard input is not a terminal", remedy="add --yes")
        question = f"Delete account {name} and its whole history permanently?"
        if yes or context.ask_yes_no(question, "nothing was deleted"):
            _erase(context, engine, account)
        return
    disable_account(engine, name)
    if context.json:
        context.show_json({"account": name, "erased": False})
    else:
        context.show(f"account {name} is no longer synced and its token is deleted; its history is kept")
        context.say(f"`favsync accounts remove {name} --erase` deletes the history too")


def _erase(context: Context, engine: Engine, account: Account) -> None:
    """Delete the account while no run of any account is in progress, and remove its traces from the file."""
    trace = None
    with run_locks(engine, numbered_accounts(engine)):
        with write_transaction(engine) as connection:
            deleted = erase_account(connection, account.account_id)
        try:
            compact(engine)
        except DatabaseError as error:
            trace, context.exit_code = error.message, error.exit_code
    if context.json:
        context.show_json({"account": account.name, "erased": True, "deleted": deleted, "traces": trace})
        return
    counts = [counted(deleted["runs"], "run"), counted(deleted["favourites"], "interval")]
    counts.append(f"{counted(deleted['tracks'], 'track')} of no other account")
    context.show(f"account {account.name} and its history are deleted: {', '.join(counts)}")
    if trace is not None:
        context.say(f"the database file still contains traces: {trace}; run VACUUM in it with sqlite3 afterwards")
    context.say("earlier backups, exports and reports still contain the account; delete them yourself")
