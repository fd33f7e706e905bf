"""The HTML report: one file that needs no network and no installed extra, for people who would rather look than read."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from etl import __version__, clock
from etl.errors import UsageError
from etl.reporting.html.gather import account_story
from etl.reporting.html.page import page
from etl.reporting.query import known_accounts, require_accounts

MOST_ACCOUNTS = 12


def write_report(connection: Connection, target: Path, accounts: Sequence[str] = ()) -> None:
    """Write the report about ``accounts`` (default: all) to ``target``, whole or not at all; ``-`` is standard output.

    Raises:
        UsageError: there is no such account, there are too many for one page, or the file cannot be written.
    """
    html = report_page(connection, accounts)
    if str(target) == "-":
        sys.stdout.write(html)
        return
    try:
        _replace(target, html)
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror}", remedy="choose another place") from error


def report_page(connection: Connection, accounts: Sequence[str] = ()) -> str:
    """Return the report about ``accounts`` (default: all).

    Raises:
        UsageError: there is no such account, or there are too many for one page.
    """
    require_accounts(connection, accounts)
    names = list(dict.fromkeys(accounts)) or known_accounts(connection)
    if len(names) > MOST_ACCOUNTS:
        raise UsageError(
            f"{len(names):,} accounts are too many for one page (at most {MOST_ACCOUNTS})",
            remedy="name those that you want with --account",
        )
    story: dict[str, Any] = {
        "made_at": clock.now(),
        "version": __version__,
        "accounts": [account_story(connection, name) for name in names],
    }
    return page(story)


def _replace(target: Path, text: str) -> None:
    """Put ``text`` in the place of ``target`` at one instant: who reads it meanwhile sees the old or the new."""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")
    new = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        new.chmod(0o600)
        new.replace(target)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
