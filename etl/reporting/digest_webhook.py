"""A digest as a webhook takes it: content type and body, by the kind of receiver.

``chat`` is ``{"text": …}``, which Slack, Mattermost, Rocket.Chat and Google Chat take; ``discord`` is ``{"content": …}``, 2,000
characters at most. Both are plain text with bold headings, since each chat has a Markdown of its own. Invariants: a title
mentions nobody and is no link or markup; a message that is too long ends at a whole line and says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from etl.reporting.digest import Digest
from etl.reporting.digest_text import WORDS, Section, digest_fields, headline, sections
from etl.reporting.render import json_text

CHAT_ROOM: Final = 3_800
DISCORD_ROOM: Final = 1_900
NO_MENTION: Final = "\u200b"
_MARKS: Final = re.compile(r"([\\`*_~|\[\]#>])")
_JSON: Final = "application/json; charset=utf-8"


def payload(kind: str, digest: Digest) -> tuple[str, bytes]:
    """Return the content type and the body of ``digest`` for a receiver of this ``kind`` (`etl.settings.DIGEST_FORMATS`)."""
    match kind:
        case "chat":
            return _json({"text": chat_text(digest)})
        case "discord":
            return _json({"content": discord_text(digest), "allowed_mentions": {"parse": []}})
        case "json":
            return _json(digest_fields(digest))
        case _:
            types = {"html": "text/html", "markdown": "text/markdown", "text": "text/plain"}
            return f"{types[kind]}; charset=utf-8", WORDS[kind](digest).encode("utf-8", "backslashreplace")


def _json(fields: dict[str, Any]) -> tuple[str, bytes]:
    return _JSON, json_text(fields).encode()


def chat_text(digest: Digest) -> str:
    """Return the digest for a chat in which ``*x*`` is bold and ``<x>`` a link or a mention."""
    return _message(digest, "*", _for_chat, CHAT_ROOM)


def discord_text(digest: Digest) -> str:
    """Return the digest for a chat in which ``**x**`` is bold."""
    return _message(digest, "**", lambda text: _without_mention(_MARKS.sub(r"\\\1", text)), DISCORD_ROOM)


def _for_chat(text: str) -> str:
    return _without_mention(
        text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("*", "∗").replace("](", "] (")
    )


def _without_mention(text: str) -> str:
    return text.replace("@", f"@{NO_MENTION}")


def _message(digest: Digest, bold: str, said: Callable[[str], str], room: int) -> str:
    lines = [f"{bold}{said(headline(digest))}{bold}"]
    for section in sections(digest):
        lines += ["", f"{bold}{said(section.heading)}{bold}", *_lines(section, said)]
    message = "\n".join(lines)
    if len(message) <= room:
        return message
    end = "\n… and more: `favsync digest` tells all of it"
    return message[: message.rindex("\n", 0, room - len(end))] + end


def _lines(section: Section, said: Callable[[str], str]) -> list[str]:
    lines = [f"• {said(main)}" + (f" ({said(about)})" if about else "") for main, about in section.lines]
    return lines + ([f"• … and {section.more:,} more"] if section.more else [])
