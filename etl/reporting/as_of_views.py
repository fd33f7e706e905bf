"""A view as it would have answered at an earlier instant.

The view's own SQL runs over the favourites as they stood then: a table expression takes the place of the table. Counted are
the favourites of which the observations tell *yes*, so after the newest observation there is none. Facts (titles, artists,
markets) are today's.
"""

from __future__ import annotations

import re
from typing import Final

from etl.errors import UsageError
from etl.reporting.views import View, views

_OBSERVATION: Final = "r.snapshot_id IS NOT NULL AND r.outcome IS NOT NULL AND r.retracted_at IS NULL"
_NEWEST: Final = f"""newest AS (
    SELECT r.account_id, min(r.started_at) AS seen_until
    FROM runs r
    JOIN (SELECT r.account_id, max(r.observed_at) AS observed_at FROM runs r WHERE {_OBSERVATION} GROUP BY r.account_id) m
        ON m.account_id = r.account_id AND m.observed_at = r.observed_at
    WHERE {_OBSERVATION}
    GROUP BY r.account_id
)"""  # noqa: S608 - constants
_STOOD: Final = """(f.valid_to IS NULL OR :as_of < f.valid_to)
    AND :as_of <= coalesce(f.removed_after, f.last_seen_at, n.seen_until)"""
_FAVOURITES: Final = f"""favourites AS (
    SELECT f.account_id, f.favourite_id, f.track_id, f.valid_from, f.added_after,
        CASE WHEN {_STOOD} THEN NULL ELSE coalesce(f.valid_to, :as_of) END AS valid_to
    FROM SCHEMA.favourites f
    JOIN newest n ON n.account_id = f.account_id
    WHERE f.valid_from <= :as_of
)"""  # noqa: S608 - constants


def require_as_of(view: View) -> None:
    """Make sure that ``view`` tells how favourites stand, which can have been otherwise.

    Raises:
        UsageError: it does not.
    """
    if not view.is_past:
        names = ", ".join(each.short for each in views().values() if each.is_past)
        raise UsageError(f"{view.name} cannot be asked as of a time", remedy=f"these can: {names}")


def ctes(view: View, dialect: str) -> str:
    """Return the WITH clause that makes ``view`` a view of the favourites at ``:as_of``."""
    favourites = _FAVOURITES.replace("SCHEMA.", "main." if dialect == "sqlite" else "")
    parts = [_NEWEST, favourites, *(f"{each.name} AS ({each.query(dialect)})" for each in _needed(view))]
    return "WITH " + ", ".join(parts)


def _needed(view: View) -> list[View]:
    """Return ``view`` and the views that it reads, each after those that it reads itself."""
    wanted = {view.name}
    ordered = list(views().values())
    for each in reversed(ordered):
        if each.name in wanted:
            wanted |= {other.name for other in ordered if re.search(rf"\b{other.name}\b", each.sql)}
    return [each for each in ordered if each.name in wanted]
