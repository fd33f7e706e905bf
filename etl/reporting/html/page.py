"""Builds the page: one file without external resources.

Values from the database are in one JSON block, in which ``<`` is escaped. Scripts insert them as text and numbers only.
The Content Security Policy allows the file's scripts and style sheets, by their hashes, and nothing else: no network, no eval, no
inline handlers. So a hostile title stays text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection

from etl import __version__, clock
from etl.errors import UsageError
from etl.load.accounts import Account, every_account
from etl.reporting.html.account import account_report
from etl.reporting.html.document import policy
from etl.reporting.html.files import asset, heading_font, make_folder, write_file
from etl.reporting.html.overview import AccountRow, overview_page, page_name
from etl.reporting.html.static import static_blocks
from etl.reporting.render import json_text

SCRIPTS: Final = (
    "d3.min.js", "topojson-client.min.js", "base.js", "time.js", "who.js", "lasting.js", "map.js", "tables.js", "main.js",
)  # fmt: skip
MAX_ACCOUNTS: Final = 12
"""With more accounts, each has a page of its own beside an overview."""

Progress = Callable[[int, int], None]


def write_report(
    connection: Connection, target: Path, accounts: Sequence[str] = (), progress: Progress = lambda done, total: None
) -> int:
    """Write the report about ``accounts`` (default: all) to ``target``; ``-`` is standard output.

    More than `MAX_ACCOUNTS` have one page each in the folder ``<name of target>_files``, and ``target`` is an overview that links
    to them, written last. Each file is written as a whole or not at all. ``progress`` is called with the number of pages
    written, and of all. Returns the number of pages beside ``target``.

    Raises: UsageError, for an unknown account, more pages than ``-`` takes, or a file that cannot be written.
    """
    chosen = every_account(connection, accounts)
    if len(chosen) > MAX_ACCOUNTS:
        return _write_pages(connection, target, chosen, progress)
    write_file(target, page(_content([account_report(connection, each.name) for each in chosen])))
    return 0


def _content(reports: list[dict[str, Any]]) -> dict[str, Any]:
    return {"made_at": clock.now(), "version": __version__, "accounts": reports}


def _write_pages(connection: Connection, target: Path, accounts: Sequence[Account], progress: Progress) -> int:
    if str(target) == "-":
        raise UsageError(
            f"{len(accounts):,} accounts have a page each, which standard output cannot take (it takes {MAX_ACCOUNTS} accounts)",
            remedy="name a file with -o FILE.html, or choose fewer accounts with --account",
        )
    folder = target.with_name(f"{target.stem}_files")
    make_folder(folder)
    rows = []
    for account in accounts:
        report = account_report(connection, account.name)
        file_name = page_name(account.account_id, account.name)
        write_file(folder / file_name, page(_content([report])))
        rows.append(AccountRow.of(report, f"{folder.name}/{file_name}"))
        progress(len(rows), len(accounts))
    write_file(target, overview_page(rows, __version__))
    return len(rows)


def page(report: dict[str, Any]) -> str:
    """Return the page that shows ``report``."""
    style = asset("page.css").replace("FONT_BASE64", heading_font())
    scripts = [asset(name) for name in SCRIPTS]
    static = static_blocks(report["accounts"])
    blocks = {
        "POLICY": policy(scripts, style),
        "HEAD": static.pop("HEAD"),
        "STYLES": f"<style>{style}</style>",
        **static,
        "REPORT": f'<script type="application/json" id="report">{escaped(json_text(report))}</script>',
        "WORLD": f'<script type="application/json" id="world">{escaped(asset("world.json"))}</script>',
        "SCRIPTS": "\n".join(f"<script>{script}</script>" for script in scripts),
    }
    parts = [asset("page.html")]
    for name, block in blocks.items():  # split, not replaced, so inserted text is never searched for a placeholder
        before, after = parts.pop().split(f"<!--{name}-->")
        parts += [before, block, after]
    return "".join(parts)


def escaped(json: str) -> str:
    """Return JSON that cannot end the script element which contains it."""
    return json.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
