"""``favsync status``: how fresh each account is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from etl.cli.commands import verb
from etl.cli.options import accounts_argument, wide_option

if TYPE_CHECKING:
    from etl.cli.context import Context


@verb("status")
@accounts_argument
@click.option(
    "--max-age", metavar="TIME", help="Maximum age before an account is stale, such as 2h, instead of its schedule."
)
@click.option(
    "--prometheus",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write metrics to FILE for node_exporter's textfile collector.",
)
@click.option("--all", "is_all", is_flag=True, help="List all accounts, however many there are.")
@wide_option
def status(
    context: Context, accounts: tuple[str, ...], max_age: str | None, prometheus: Path | None, is_all: bool
) -> None:
    r"""Show which accounts need you and what to do, and how many are in order.

    Accounts in trouble come first. Of more than 10 accounts, those in order are only counted; --all lists them too, and --wide
    all their columns. Above 1,000 accounts the counts are as of each account's last run, and the 10 worst accounts are shown.

    \b
    Exit code, for a monitor (the first that applies to an enabled account):
      4  a token is dead
      3  an account is stale: it missed two scheduled runs, or --max-age
      7  removals are held
      0  everything is in order
    """
    from etl.cli.account_status import show_status

    show_status(context, accounts, max_age, prometheus, is_all=is_all)
