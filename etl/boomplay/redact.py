"""Removes secrets and control characters from text that is shown."""

from __future__ import annotations

import re
from collections.abc import Iterable

SHORTEST = 4  # removing shorter "secrets" would damage the words around them


class Secret(str):
    """A string whose repr hides it, so that a traceback with local variables shows no token."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


def redacted(text: str, secrets: Iterable[str]) -> str:
    """Return the text with every secret replaced, regardless of case, also one that is cut at the end of the text."""
    for secret in secrets:
        if len(secret) < SHORTEST:
            continue
        text = re.sub(re.escape(secret), "***", text, flags=re.IGNORECASE)
        for length in range(len(secret) - 1, SHORTEST - 1, -1):
            if text[-length:].lower() == secret[:length].lower():
                text = text[:-length] + "***"
                break
    return text


def one_line(text: str, limit: int = 200) -> str:
    """Return foreign text as one line of at most ``limit`` characters, without control characters, bidi marks and surrogates."""
    blanks = "".join(" " if char.isspace() else char for char in text[: 4 * limit])
    return "".join(char for char in blanks if char.isprintable()).strip()[:limit]
