"""A digest as people get it: plain text, Markdown, HTML for a mail, and values for JSON.

What comes from the database is text in each of them: made visible on one line, and stripped of what Markdown or HTML would
act upon.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from html import escape
from typing import Any, Final

from etl.logs import visible
from etl.reporting.digest import Digest, Row
from etl.reporting.render import escape_markup

SHOWN: Final = 20
Words = Callable[[Digest], str]


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and its lines: each a main text, and what is said about it."""

    heading: str
    lines: Sequence[tuple[str, str]]
    more: int = 0


def digest_fields(digest: Digest) -> Row:
    """Return the digest as JSON has it."""
    fields: dict[str, Any] = asdict(digest)
    fields["held"] = {"run_id": digest.held[0], "removals": digest.held[1]} if digest.held else None
    return fields


def digest_text(digest: Digest) -> str:
    """Return the digest as plain text."""
    lines = [headline(digest)]
    for section in sections(digest):
        lines += ["", section.heading]
        lines += [f"  {main}" + (f"\n      {about}" if about else "") for main, about in section.lines]
        lines += [f"  … and {section.more:,} more"] if section.more else []
    return "\n".join(lines) + "\n"


def digest_markdown(digest: Digest) -> str:
    """Return the digest as Markdown, as chats take it too."""
    lines = [f"**{escape_markup(headline(digest))}**"]
    for section in sections(digest):
        lines += ["", f"*{escape_markup(section.heading)}*", ""]
        lines += [
            f"- {escape_markup(main)}" + (f" ({escape_markup(about)})" if about else "")
            for main, about in section.lines
        ]
        lines += [f"- … and {section.more:,} more"] if section.more else []
    return "\n".join(lines) + "\n"


def digest_html(digest: Digest) -> str:
    """Return the digest as a fragment of HTML that mail readers show: no style sheet, no script, nothing from elsewhere."""
    parts = [f"<h2>{escape(headline(digest))}</h2>"]
    for section in sections(digest):
        items = [
            f"<li>{escape(main)}" + (f"<br><small>{escape(about)}</small>" if about else "") + "</li>"
            for main, about in section.lines
        ]
        items += [f"<li>… and {section.more:,} more</li>"] if section.more else []
        parts.append(f"<h3>{escape(section.heading)}</h3>\n<ul>\n" + "\n".join(items) + "\n</ul>")
    return "\n".join(parts) + "\n"


WORDS: Final[dict[str, Words]] = {"text": digest_text, "markdown": digest_markdown, "html": digest_html}


def headline(digest: Digest) -> str:
    """Return the digest in one line."""
    counts = [
        f"{len(found):,} {word}"
        for found, word in ((digest.added, "added"), (digest.back, "back"), (digest.removed, "removed"))
        if found
    ]
    what = ", ".join(counts) or ("first look" if digest.there else "nothing added or removed")
    since = f" since {_instant(digest.since)}" if digest.since and (counts or not digest.there) else ""
    return f"{visible(digest.account)}: {what}{since}; {digest.favourites:,} favourites now"


def sections(digest: Digest) -> Iterator[Section]:
    """Yield what there is to tell, the most urgent first."""
    if digest.held:
        run_id, count = digest.held
        waiting = f"`favsync runs show {run_id}` lists them; `favsync runs approve {run_id}` removes them"
        yield Section("Waiting for your word", [(f"{count:,} removals seen by run {run_id}", waiting)])
    if digest.there:
        yield Section(
            "The first look", [(f"{digest.there:,} favourites were there; when they were added is unknown", "")]
        )
    for heading, rows in (("Added", digest.added), ("Back again", digest.back), ("Removed", digest.removed)):
        if rows:
            yield _cut(heading, [(_track(row), _between(row)) for row in rows])
    if digest.lost:
        where = visible(digest.lost[0]["region"])
        yield _cut(
            f"No longer playable in {where}", [(_track(row), f"seen {_instant(row['since'])}") for row in digest.lost]
        )
    if digest.facts:
        yield _cut("Changed by Boomplay", [(_fact(row), f"seen {_instant(row['changed_at'])}") for row in digest.facts])
    if digest.troubles:
        lines = [
            (f"run {row['run_id']} {row['outcome']} at {_instant(row['started_at'])}", visible(row["reason"] or ""))
            for row in digest.troubles
        ]
        yield _cut("Runs that did not prove the list", lines)


def _cut(heading: str, lines: Sequence[tuple[str, str]]) -> Section:
    return Section(f"{heading} ({len(lines):,})", lines[:SHOWN], max(0, len(lines) - SHOWN))


def _track(row: Row) -> str:
    title = visible(row["title"]) if row["title"] else f"track {row['track_id']}"
    return f"{title} – {visible(row['artists'])}" if row["artists"] else title


def _between(row: Row) -> str:
    return f"between {_instant(row['not_before'])} and {_instant(row['changed_at'])}"


def _fact(row: Row) -> str:
    old, new = (visible(value) if value else "nothing" for value in (row["old_value"], row["new_value"]))
    return f"{row['field']}: {old} → {new}"


def _instant(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M} UTC"
