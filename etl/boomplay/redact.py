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
    """Return the text with every secret replaced, regardless of case.

    The beginning of a secret at the end of the text is replaced too, because the text may have been cut there.
    """
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
    """Return foreign text as one printable line of at most ``limit`` characters, safe to print on a terminal.

    Control characters, terminal escapes, bidi marks and surrogates are removed; white space becomes a blank.
    """
    blanks = "".join(" " if char.isspace() else char for char in text[: 4 * limit])
    return "".join(char for char in blanks if char.isprintable()).strip()[:limit]
