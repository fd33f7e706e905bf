"""Lets httpx be imported without its command line.

``import httpx`` imports rich, click and pygments for the command ``httpx`` where they are installed, which takes longer than all
the rest of it; without them it does without. Import this module before httpx, and call `restore` after it.
"""

from __future__ import annotations

import sys
from typing import cast

_COMMAND_LINE = "httpx._main"
_modules = cast("dict[str, object]", sys.modules)
_is_withheld = _COMMAND_LINE not in _modules
if _is_withheld:
    _modules[_COMMAND_LINE] = None


def restore() -> None:
    """Let whoever wants httpx's command line have it."""
    if _is_withheld and _modules.get(_COMMAND_LINE, ...) is None:
        del _modules[_COMMAND_LINE]
