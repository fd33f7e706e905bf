"""The deletion of an account, carried out and told: ``favsync accounts remove NAME --erase``.

What was written elsewhere (backups, exports, reports) is not within reach, so that is said.
"""

from __future__ import annotations

from sqlalchemy import Engine

from etl.accounts.manage import numbered_accounts
from etl.cli.context import Context
from etl.db.engine import write_transaction
from etl.errors import DatabaseError
from etl.load.accounts import Account
from etl.load.run_lock import run_locks
from etl.replay.erase import erase_account
from etl.replay.prune import compact


def erase_account_verbosely(context: Context, engine: Engine, account: Account) -> None:
    """Delete the account while no run of any account is under way, and the traces of it that the file still holds."""
    trace = None
    with run_locks(engine, numbered_accounts(engine)):
        with write_transaction(engine) as connection:
            gone = erase_account(connection, account.account_id)
        try:
            compact(engine)
        except DatabaseError as error:
            trace, context.exit_code = error.message, error.exit_code
    if context.json:
        context.show_json({"account": account.name, "erased": True, "deleted": gone, "traces": trace})
        return
    nouns = (("run", "runs"), ("interval", "favourites"), ("track that nobody else has", "tracks"))
    counts = ", ".join(_counted(gone[table], noun) for noun, table in nouns)
    context.show(f"account {account.name} and its history are deleted: {counts}")
    if trace is not None:
        context.say(f"the file still holds traces of it: {trace}; once that has ended, run VACUUM in it with sqlite3")
    context.say("backups, exports and reports that were made before still hold it; those are yours to delete")


def _counted(count: int, noun: str) -> str:
    first, blank, rest = noun.partition(" ")
    return f"{count:,} {first}{'' if count == 1 else 's'}{blank}{rest}"
