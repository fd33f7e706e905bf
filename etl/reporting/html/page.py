"""Builds the page: one file without external resources.

Values from the database are in one JSON block, in which ``<`` is escaped. Scripts insert them as text and numbers only.
The Content Security Policy allows the file's scripts and style sheets, by their hashes, and nothing else: no network, no eval, no
inline handlers. So a hostile title stays text.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection

from etl import __version__, clock
from etl.errors import UsageError
from etl.reporting.html.account import account_report
from etl.reporting.html.files import asset, heading_font, write_file
from etl.reporting.html.static import static_blocks
from etl.reporting.query import known_accounts, require_accounts
from etl.reporting.render import json_text

SCRIPTS: Final = (
    "d3.min.js", "topojson-client.min.js", "base.js", "time.js", "who.js", "lasting.js", "map.js", "tables.js", "main.js",
)  # fmt: skip
MAX_ACCOUNTS: Final = 12


def write_report(connection: Connection, target: Path, accounts: Sequence[str] = ()) -> None:
    """Write the report about ``accounts`` (default: all) to ``target``, as a whole or not at all; ``-`` is standard output.

    Raises: UsageError, for an unknown account, too many accounts, or a file that cannot be written.
    """
    require_accounts(connection, accounts)
    names = list(dict.fromkeys(accounts)) or known_accounts(connection)
    if len(names) > MAX_ACCOUNTS:
        raise UsageError(
            f"{len(names):,} accounts are too many for one page (at most {MAX_ACCOUNTS})",
            remedy="choose some with --account, which takes patterns; `favsync report year -o FILE.html` has an overview of all",
        )
    reports = [account_report(connection, name) for name in names]
    html = page({"made_at": clock.now(), "version": __version__, "accounts": reports})
    write_file(target, html)


def page(report: dict[str, Any]) -> str:
    """Return the page that shows ``report``."""
    style = asset("page.css").replace("FONT_BASE64", heading_font())
    scripts = [asset(name) for name in SCRIPTS]
    static = static_blocks(report["accounts"])
    blocks = {
        "POLICY": _policy(scripts, style),
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


def _policy(scripts: Sequence[str], style: str) -> str:
    def source(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    rules = {
        "default-src": "'none'",
        "script-src": " ".join(map(source, scripts)),
        "style-src": source(style),
        "font-src": "data:",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    content = "; ".join(f"{name} {value}" for name, value in rules.items())
    return f'<meta http-equiv="Content-Security-Policy" content="{content}">'
