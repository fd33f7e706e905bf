"""``favsync accounts remove``: sync an account no more, or forget it altogether."""

from __future__ import annotations

import sys

import click

from etl.cli.commands import Verb
from etl.cli.context import Context, pass_context
from etl.cli.options import json_option


@click.command("remove", cls=Verb)
@click.argument("name")
@click.option("--erase", is_flag=True, help="Delete everything of the account, its history too. It cannot be undone.")
@click.option("--yes", is_flag=True, help="Do not ask whether that is meant.")
@json_option
@pass_context
def remove(context: Context, name: str, erase: bool, yes: bool) -> None:
    """Stop syncing the account NAME and forget its token. Its history stays, unless --erase is given."""
    from etl.accounts.manage import disable_account
    from etl.cli.erasing import erase_account_verbosely
    from etl.db.engine import read_transaction
    from etl.db.migrate import ready_engine
    from etl.load.accounts import find_accounts

    engine = ready_engine(context.config.database_url.reveal())
    with read_transaction(engine) as connection:
        account = find_accounts(connection, [name])[0]
    if erase:
        if _is_meant(context, f"Delete account {name} and its whole history, for good?", yes=yes):
            erase_account_verbosely(context, engine, account)
        return
    disable_account(engine, name)
    if context.json:
        context.show_json({"account": name, "erased": False})
    else:
        context.show(f"account {name} is synced no more and its token is forgotten; its history is kept")
        context.say(f"`favsync accounts remove {name} --erase` deletes the history too")


def _is_meant(context: Context, question: str, *, yes: bool) -> bool:
    from etl.errors import UsageError

    if yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError("nobody is there to ask whether that is meant", remedy="add --yes")
    return context.is_agreed(question, "nothing was deleted")
