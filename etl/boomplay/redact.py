"""Text that must not be shown, and how to keep it out of text that is.

Invariants: the repr of a `Secret` never shows it; what `one_line` returns can be printed to a terminal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

SHORTEST = 4  # blotting out shorter "secrets" would eat the words around them


class Secret(str):
    """A string whose repr hides it, so that a traceback that prints local variables tells nothing."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


def redacted(text: str, secrets: Iterable[str]) -> str:
    """Return the text with every one of the secrets blotted out, in upper and lower case alike.

    So is the beginning of a secret at the end of the text, where somebody may have cut it.
    """
    for secret in secrets:
        if len(secret) >= SHORTEST:
            text = re.sub(re.escape(secret), "***", text, flags=re.IGNORECASE)
            text = _without_cut_secret(text, secret)
    return text


def _without_cut_secret(text: str, secret: str) -> str:
    for length in range(len(secret) - 1, SHORTEST - 1, -1):
        if text[-length:].lower() == secret[:length].lower():
            return text[:-length] + "***"
    return text


def one_line(text: str, limit: int = 200) -> str:
    """Return foreign text as one printable line of at most ``limit`` characters.

    Control characters, terminal escapes, bidi marks and surrogates go; white space becomes a blank.
    """
    blanks = "".join(" " if char.isspace() else char for char in text[: 4 * limit])
    return "".join(char for char in blanks if char.isprintable()).strip()[:limit]
