"""``favsync sync``: sync accounts now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from etl.cli.commands import verb
from etl.cli.options import accounts_argument, plan_option

if TYPE_CHECKING:
    from etl.cli.context import Context


@verb("sync")
@accounts_argument
@plan_option
@click.option(
    "--workers", metavar="N", type=click.IntRange(1, 64), default=4, help="Number of accounts synced in parallel."
)
def sync(context: Context, accounts: tuple[str, ...], is_plan: bool, workers: int) -> None:
    r"""Copy the current favourites of ACCOUNTs, or of all enabled accounts, into the database.

    An ACCOUNT may be a pattern: favsync sync 'u*'.

    A favourite that is not in the list any more is missing at first, and still counts as a favourite. Its removal is
    recorded after five complete reads without it over two days (FAVSYNC_REMOVAL_GRACE), or when you approve it.

    \b
    favsync runs approve --account NAME    record what is missing or held, now
    favsync runs reject --account NAME     keep these favourites

    Removals that look like a fault of the service are held: they wait for your decision. The failure of one account does
    not stop the others, but once the service does not answer at all, no more accounts are tried.

    \b
    Exit code, the worst of all accounts:
      0    the list was read completely
      3    Boomplay's API is unreachable or refuses requests
      4    the token is missing, dead or another user's
      5    the database failed
      6    partial: not proven complete, so nothing was removed
      7    held: removals wait for approval
      75   another run of the account is in progress
      130  stopped by a signal; the unfinished run changed nothing
    """
    from etl.cli.sync_round import sync_accounts

    sync_accounts(context, accounts, workers, is_plan=is_plan)
