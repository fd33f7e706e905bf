"""Digests as text, Markdown, HTML, JSON, and as messages for chat webhooks.

Text from the database stays text in every format: it is on one line, without control characters, and cannot be markup, a link or
a mention. Chats have different Markdown dialects, so messages for them are plain text with bold headings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Final

from etl.logs import visible
from etl.model.records import RemovalReason
from etl.reporting import digest_html
from etl.reporting.digest import Digest, Row
from etl.reporting.render import escape_markup, json_text

MAX_LINES: Final = 20
"""Lines shown in a section."""
MAX_CHAT: Final = 3_800
"""Characters in a message for Slack, Mattermost, Rocket.Chat or Google Chat."""
MAX_DISCORD: Final = 1_900
"""Characters in a message for Discord, which takes 2,000."""
_REASONS: Final = {
    RemovalReason.UNFAVOURITED: "unfavourited",
    RemovalReason.WITHDRAWN: "withdrawn by Boomplay",
    RemovalReason.UNKNOWN: "reason unknown",
    None: "reason unknown",
}
_NO_MENTION: Final = "\u200b"
_DISCORD_MARKUP: Final = re.compile(r"([\\`*_~|\[\]#>])")


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and its lines: each a main text and a detail. ``more``: number of lines left out."""

    heading: str
    lines: Sequence[tuple[str, str]]
    more: int = 0


def headline(digest: Digest) -> str:
    """Return the digest in one line."""
    counts = [
        f"{len(found):,} {word}"
        for found, word in ((digest.added, "added"), (digest.back, "back"), (digest.removed, "removed"))
        if found
    ]
    counts += [f"{digest.newly_missing:,} missing"] if digest.newly_missing else []
    what = ", ".join(counts) or ("first snapshot" if digest.there else "nothing added or removed")
    since = f" since {_instant(digest.since)}" if digest.since and (counts or not digest.there) else ""
    return f"{visible(digest.account)}: {what}{since}; {digest.favourites:,} favourites now"


def sections(digest: Digest) -> Iterator[Section]:
    """Yield the sections, the most urgent first."""
    if digest.held:
        run_id, count = digest.held
        what_to_do = f"`favsync runs show {run_id}` lists them; `favsync runs approve {run_id}` removes them"
        yield Section("Waiting for approval", [(f"{count:,} removals seen by run {run_id}", what_to_do)])
    if digest.there:
        there = f"{digest.there:,} favourites were there; when they were added is unknown"
        yield Section("First snapshot", [(there, "")])
    for heading, rows in (("Added", digest.added), ("Back again", digest.back)):
        yield from _cut(heading, [(_track(row), _between(row)) for row in rows])
    yield from _cut(
        "Removed", [(_track(row), f"{_between(row)}, {_REASONS[row['removal_reason']]}") for row in digest.removed]
    )
    if digest.missing:
        lines = [(_missing(row), "") for row in digest.missing[:MAX_LINES]]
        yield Section(
            "Missing from the list, not yet recorded as removed", lines, max(0, len(digest.missing) - MAX_LINES)
        )
    if digest.lost:
        heading = f"No longer playable in {visible(digest.lost[0]['region'])}"
        yield from _cut(heading, [(_track(row), f"seen {_instant(row['since'])}") for row in digest.lost])
    changes = [(_change(row), f"seen {_instant(row['changed_at'])}") for row in digest.facts]
    yield from _cut("Changed by Boomplay", changes)
    runs = [
        (f"run {row['run_id']} {row['outcome']} at {_instant(row['started_at'])}", visible(row["reason"] or ""))
        for row in digest.troubles
    ]
    yield from _cut("Runs that did not prove the list", runs)


def _cut(heading: str, lines: Sequence[tuple[str, str]]) -> Iterator[Section]:
    """Yield a section with the first lines and the number of all, or nothing where there are none."""
    if lines:
        yield Section(f"{heading} ({len(lines):,})", lines[:MAX_LINES], max(0, len(lines) - MAX_LINES))


def _track(row: Row) -> str:
    title = visible(row["title"]) if row["title"] else f"track {row['track_id']}"
    return f"{title} – {visible(row['artists'])}" if row["artists"] else title


def _between(row: Row) -> str:
    first, last = _instant(row["not_before"]), _instant(row["changed_at"])
    return f"at {last}" if first == last else f"between {first} and {last}"


def _missing(row: Row) -> str:
    tracks = "1 track is" if row["tracks"] == 1 else f"{row['tracks']:,} tracks are"
    return f"{tracks} missing since {_instant(row['missing_since'])}"


def _change(row: Row) -> str:
    old, new = (visible(value) if value else "nothing" for value in (row["old_value"], row["new_value"]))
    return f"{row['field']}: {old} → {new}"


def _instant(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M} UTC"


@dataclass(frozen=True, slots=True)
class _Style:
    """How a format writes its parts; ``{}`` takes the escaped text."""

    escape: Callable[[str], str]
    headline: str
    heading: str
    line: str
    detail: str


def _chat_text(text: str) -> str:
    """Escape text for chats in which ``*x*`` is bold and ``<x>`` a link or a mention."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace("*", "∗").replace("](", "] (").replace("@", f"@{_NO_MENTION}")


def _discord_text(text: str) -> str:
    return _DISCORD_MARKUP.sub(r"\\\1", text).replace("@", f"@{_NO_MENTION}")


_STYLES: Final = {
    "text": _Style(str, "{}", "\n{}", "  {}", "\n      {}"),
    "markdown": _Style(escape_markup, "**{}**", "\n*{}*\n", "- {}", " ({})"),
    "chat": _Style(_chat_text, "*{}*", "\n*{}*", "• {}", " ({})"),
    "discord": _Style(_discord_text, "**{}**", "\n**{}**", "• {}", " ({})"),
}


def digest_text(digest: Digest, format_: str) -> str:
    """Return the digest in the format ``text``, ``markdown``, ``html``, ``chat`` or ``discord``."""
    if format_ == "html":
        return _mail(digest)
    style = _STYLES[format_]
    lines = [style.headline.format(style.escape(headline(digest)))]
    for section in sections(digest):
        lines.append(style.heading.format(style.escape(section.heading)))
        for main, detail in section.lines:
            about = style.detail.format(style.escape(detail)) if detail else ""
            lines.append(style.line.format(style.escape(main)) + about)
        if section.more:
            lines.append(style.line.format(f"… and {section.more:,} more"))
    return "\n".join(lines)


def _mail(digest: Digest) -> str:
    """Return the digest as HTML, its changes grouped by look after what waits for approval."""
    kinds = {"added": digest.added, "back": digest.back, "removed": digest.removed}
    shown = [(kind, row) for kind, rows in kinds.items() for row in rows[:MAX_LINES]]
    parts = []
    for instant, changes in digest_html.look_groups(shown):
        lines = [
            (kind, _track(row), _between(row) + (f", {_REASONS[row['removal_reason']]}" if kind == "removed" else ""))
            for kind, row in changes
        ]
        parts.append(digest_html.look(f"Look of {_instant(instant)}", lines))
    parts += [
        digest_html.remainder(kind, len(rows) - MAX_LINES) for kind, rows in kinds.items() if len(rows) > MAX_LINES
    ]
    for place, each in enumerate(sections(replace(digest, added=[], back=[], removed=[]))):
        parts.insert(
            0 if place == 0 and digest.held else len(parts), digest_html.section(each.heading, each.lines, each.more)
        )
    return digest_html.mail(headline(digest), [(kind, len(rows)) for kind, rows in kinds.items()], parts)


def _message(digest: Digest, format_: str, limit: int) -> str:
    """Return a message of at most ``limit`` characters that ends with a whole line."""
    message = digest_text(digest, format_)
    if len(message) <= limit:
        return message
    end = "\n… and more: `favsync digest` shows everything"
    return message[: message.rindex("\n", 0, limit - len(end))] + end


def digest_fields(digest: Digest) -> Row:
    """Return the digest as its JSON object."""
    fields: dict[str, Any] = asdict(digest)
    fields["held"] = {"run_id": digest.held[0], "removals": digest.held[1]} if digest.held else None
    return fields


def payload(kind: str, digest: Digest) -> tuple[str, bytes]:
    """Return content type and body of a webhook's request. ``kind`` is one of `etl.settings.DIGEST_FORMATS`."""
    match kind:
        case "chat":
            fields: Row = {"text": _message(digest, "chat", MAX_CHAT)}
        case "discord":
            fields = {"content": _message(digest, "discord", MAX_DISCORD), "allowed_mentions": {"parse": []}}
        case "json":
            fields = digest_fields(digest)
        case _:
            types = {"html": "text/html", "markdown": "text/markdown", "text": "text/plain"}
            return f"{types[kind]}; charset=utf-8", f"{digest_text(digest, kind)}\n".encode("utf-8", "backslashreplace")
    return "application/json; charset=utf-8", json_text(fields).encode()
