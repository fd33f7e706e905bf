"""The overview of many accounts: one static page with a row for each, which links to the page of that account.

A script sorts the rows and searches names; without it the table is complete.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any, Final
from urllib.parse import quote

from etl.logs import visible
from etl.reporting.html.document import document, head_tags
from etl.reporting.html.files import asset
from etl.reporting.html.static import duration_words

MAX_SLUG: Final = 40


@dataclass(frozen=True, slots=True)
class AccountRow:
    """An account in the overview. ``page``: address of its own page, relative to the overview."""

    name: str
    page: str
    summary: dict[str, Any]
    artists: int
    last: datetime | None
    proven: datetime | None

    @classmethod
    def of(cls, report: dict[str, Any], page: str) -> AccountRow:
        """Return the row of an account with this report."""
        proven = (report["freshness"] or {}).get("last_proven_at")
        artists, looks = report["artists"]["count"], report["looks"]
        return cls(report["account"]["name"], page, report["summary"], artists, looks["last"], proven)


def page_name(account_id: int, name: str) -> str:
    """Return the file name of an account's page. The id makes it unique, also where case is ignored."""
    slug = re.sub(r"[^\w.-]+", "_", name)[:MAX_SLUG]
    return f"{account_id}-{slug}.html"


def overview_page(rows: Sequence[AccountRow], version: str) -> str:
    """Return the overview of accounts."""
    favourites = sum(row.summary["favourites"] for row in rows)
    unread = sum(row.last is None for row in rows)
    words = f"{favourites:,} favourites in {len(rows):,} accounts."
    words += f" {unread:,} {'list was' if unread == 1 else 'lists were'} never read." if unread else ""
    counts = ("Favourites", "Missing", "Added", "Removed", "Artists", "Playing time")
    heads = "".join(f'<th scope="col" class="number">{head}</th>' for head in counts)
    heads += "".join(f'<th scope="col">{head}</th>' for head in ("Last look", "Last proven"))
    body = (
        f'<section class="overview"><p class="eyebrow">Boomplay favourites</p><h1>{len(rows):,} accounts</h1>'
        f'<p class="lede">{words}</p><p class="tools" id="tools"></p>'
        '<div class="wide" tabindex="0" role="region" aria-label="Accounts"><table id="accounts">'
        f'<thead><tr><th scope="col">Account</th>{heads}</tr></thead>\n'
        f"<tbody>{''.join(map(_row, rows))}</tbody></table></div>"
        '<p class="note">Added and removed count since the first look, as each account’s page does. '
        "A name opens the page of that account, which holds all that it shows.</p></section>\n"
    )
    return document(head_tags(f"Favourites of {len(rows):,} accounts", words), body, version, asset("overview.js"))


def _row(row: AccountRow) -> str:
    summary = row.summary
    link = f'<a href="{escape(quote(row.page))}">{escape(visible(row.name))}</a>'
    if row.last is None:
        cells = '<td><data value="-1">not read yet</data></td>' + "<td></td>" * 7
    else:
        counts = (summary["favourites"], summary["missing"], summary["added"], summary["removed"], row.artists)
        cells = "".join(f'<td class="number"><data value="{count}">{count:,}</data></td>' for count in counts)
        seconds = summary["seconds"] if summary["known_durations"] else -1
        cells += f'<td class="number"><data value="{seconds}">{duration_words(summary) or "not known"}</data></td>'
        cells += _time(row.last) + _time(row.proven)
    return f'<tr id="account={escape(row.name)}"><th scope="row">{link}</th>{cells}</tr>\n'


def _time(instant: datetime | None) -> str:
    if instant is None:
        return '<td><data value="0">never</data></td>'
    return f'<td><data value="{instant.timestamp():.0f}"><time>{instant:%Y-%m-%d %H:%M}</time></data></td>'
