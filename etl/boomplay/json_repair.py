"""Repair of JSON that msgspec refuses.

msgspec 0.22 refuses lone surrogate escapes, raw control characters and a byte order mark, even in values that it skips. One
hostile title would make its whole page unreadable. The function is a file of its own because property tests hold its law.
"""

from __future__ import annotations

import re

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_CONTROLS_TO_BLANKS = bytes(max(byte, 0x20) for byte in range(256))
_PAIR = rb"u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_LONE = rb"u[dD][89a-fA-F][0-9a-fA-F]{2}"
_ESCAPE = re.compile(rb"\\(?:%b|%b|.)" % (_PAIR, _LONE), re.DOTALL)
_LONE_BYTES = len(rb"\udddd")  # a pair has twice as many, any other match has two


def repair_json(body: bytes) -> bytes:
    """Return a copy with blanks and U+FFFD instead of the refused parts.

    The copy has the length of the original, so that a part found in it can be cut out of the original.
    """
    if body.startswith(_BYTE_ORDER_MARK):
        body = b"   " + body[3:]
    return _ESCAPE.sub(_without_lone_surrogate, body.translate(_CONTROLS_TO_BLANKS))


def _without_lone_surrogate(match: re.Match[bytes]) -> bytes:
    escape = match.group()
    return rb"\ufffd" if len(escape) == _LONE_BYTES else escape
