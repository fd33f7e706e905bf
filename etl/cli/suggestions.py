"""Answers to a word that favsync does not know."""

from __future__ import annotations

from collections.abc import Iterable

from etl.errors import UsageError

PART = 3
"""A word of so many letters may be meant as a part of a name."""


def unknown(kind: str, given: str, names: Iterable[str], *, remedy: str) -> UsageError:
    """Return the error for ``given``, which is no ``kind`` of those in ``names``: the nearest ones, then ``remedy``."""
    return UsageError(f"there is no {kind} {given!r}", remedy=did_you_mean(given, names) + remedy)


def did_you_mean(given: str, names: Iterable[str]) -> str:
    """Return "did you mean X or Y? " (with a blank to go on), or nothing if no name is near ``given``."""
    import difflib

    by_lower = {name.lower(): name for name in names}
    wanted = given.lower()
    holding = sorted((name for name in by_lower if len(wanted) >= PART and wanted in name), key=len)
    near = [by_lower[name] for name in dict.fromkeys([*difflib.get_close_matches(wanted, by_lower, n=2), *holding])][:2]
    return f"did you mean {' or '.join(near)}? " if near else ""
