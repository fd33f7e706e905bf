"""The views: one `.sql` file each, made anew with every migration.

The files are one SQL for both engines but for the few phrases below, which are written ``${phrase}`` or ``${phrase(a; b)}``.
The first comment of a file says what a row is. Then comes ``-- list: words``, a title that fits a narrow list, and there may
stand ``-- order: column, -column``
(what `favsync report` sorts by), ``-- since: column`` (what ``--since`` means) and ``-- as-of: yes`` (how favourites stand,
which can have been otherwise).

Invariant: views are made in the order of `ORDER`, each after those that it reads, and dropped the other way round.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sqlalchemy import Connection

from etl.errors import UsageError

FOLDER = Path(__file__).parent / "views"
HEADERS = ("list", "order", "since", "as-of")

_ARTISTS = "FROM track_artists ta JOIN artists a ON a.artist_id = ta.artist_id WHERE ta.track_id = t.track_id"
_GENRES = "FROM track_genres tg JOIN genres g ON g.genre_id = tg.genre_id WHERE tg.track_id = t.track_id"

# SQLite's julianday() keeps milliseconds, and its round() sees a binary fraction: whole microseconds give PostgreSQL's result.
_MICROSECONDS = (
    r"((strftime('%s', substr(\2, 1, 19)) - strftime('%s', substr(\1, 1, 19))) * 1000000"
    r" + CAST(substr(\2, 21, 6) AS integer) - CAST(substr(\1, 21, 6) AS integer))"
)

# A quotient to four places, half up, in whole numbers: so that no engine's binary fractions show.
_TEN_THOUSANDTHS = r"((CAST(\1 AS bigint) * 20000 + CAST(\2 AS bigint)) / nullif(2 * CAST(\2 AS bigint), 0))"

PHRASES = {
    "sqlite": {
        "artists": f"(SELECT group_concat(name, ', ') FROM (SELECT a.name {_ARTISTS} ORDER BY ta.position))",  # noqa: S608
        "genres": f"(SELECT group_concat(name, ', ') FROM (SELECT g.name {_GENRES} ORDER BY tg.position))",  # noqa: S608
        "now": "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')",
        "day": r"substr(\1, 1, 10)",
        "week": r"date(substr(\1, 1, 10), 'weekday 0', '-6 days')",
        "seconds_between": f"(round({_MICROSECONDS} / 1000.0) / 1000.0)",
        "days_between": f"(round({_MICROSECONDS} / 864000000.0) / 100.0)",
        "whole_days": f"({_MICROSECONDS} / 86400000000)",
        "rounded": r"round(\1, \2)",
        "share": f"({_TEN_THOUSANDTHS} / 10000.0)",
        "differ": r"(\1 IS NOT \2)",
        "fact": r"CAST(json_extract(\1, '$.\2') AS text)",
        "artist_facts": r"(SELECT group_concat(name, ', ') FROM (SELECT json_extract(value, '$.name') AS name"
        r" FROM json_each(\1, '$.artists') ORDER BY key))",
        "genre_facts": r"(SELECT group_concat(name, ', ') FROM (SELECT value AS name FROM json_each(\1, '$.genres')"
        r" ORDER BY value))",
    },
    "postgresql": {
        "artists": f"(SELECT string_agg(a.name, ', ' ORDER BY ta.position) {_ARTISTS})",
        "genres": f"(SELECT string_agg(g.name, ', ' ORDER BY tg.position) {_GENRES})",
        "now": "now()",
        "day": r"CAST((\1) AT TIME ZONE 'UTC' AS date)",
        "week": r"CAST(date_trunc('week', (\1) AT TIME ZONE 'UTC') AS date)",
        "seconds_between": r"round(CAST(extract(epoch FROM (\2) - (\1)) AS numeric), 3)",
        "days_between": r"round(CAST(extract(epoch FROM (\2) - (\1)) / 86400.0 AS numeric), 2)",
        "whole_days": r"CAST(floor(extract(epoch FROM (\2) - (\1)) / 86400) AS bigint)",
        "rounded": r"round(CAST(\1 AS numeric), \2)",
        "share": f"round({_TEN_THOUSANDTHS} / 10000.0, 4)",
        "differ": r"(\1 IS DISTINCT FROM \2)",
        "fact": r"(\1 ->> '\2')",
        "artist_facts": r"(SELECT string_agg(each.value ->> 'name', ', ' ORDER BY each.place)"
        r" FROM jsonb_array_elements(\1 -> 'artists') WITH ORDINALITY AS each(value, place))",
        "genre_facts": "(SELECT string_agg(name, ', ' ORDER BY name COLLATE \"C\")"
        r" FROM jsonb_array_elements_text(\1 -> 'genres') AS each(name))",
    },
}

_GRANTS = """
SELECT format(
    'GRANT %%s ON %%I TO %%s%%s', a.privilege_type, c.relname,
    CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END,
    CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
)
FROM pg_class c CROSS JOIN aclexplode(c.relacl) a
WHERE c.relkind = 'v' AND c.relnamespace = current_schema()::regnamespace AND a.grantee <> c.relowner AND c.relname = ANY(%s)
ORDER BY 1
"""

_PHRASE = re.compile(r"\$\{(\w+)(?:\(([^${}]*)\))?\}")


@dataclass(frozen=True, slots=True)
class View:
    """A view: its name, what a row of it is, and its query with the phrases still in it; the rest is of its header."""

    name: str
    row: str
    sql: str
    title: str = ""
    order: str = ""
    since: str | None = None
    is_past: bool = False

    @property
    def short(self) -> str:
        """The name as a person types it: ``current-favourites``."""
        return self.name.removeprefix("report_").replace("_", "-")

    def query(self, dialect: str) -> str:
        """Return the SELECT for ``dialect`` (``sqlite`` or ``postgresql``); inner phrases are put in first."""
        query = self.sql
        while "${" in query:
            query = _PHRASE.sub(lambda found: _phrase(dialect, found[1], found[2]), query)
        return query


def _phrase(dialect: str, name: str, arguments: str | None) -> str:
    phrase = PHRASES[dialect][name]
    for number, argument in enumerate((arguments or "").split(";"), start=1):
        phrase = phrase.replace(f"\\{number}", argument.strip())
    return phrase


@cache
def views() -> dict[str, View]:
    """Return every view by name, in the order in which they are made: those without others first, then by name."""
    found = [_read(path) for path in sorted(FOLDER.glob("*.sql"))]
    ordered: list[View] = []
    while found:
        ready = [view for view in found if not any(_reads(view, other) for other in found if other is not view)]
        if not ready:
            raise RuntimeError(f"views read one another in a circle: {', '.join(view.name for view in found)}")
        ordered += ready
        found = [view for view in found if view not in ready]
    return {view.name: view for view in ordered}


def _reads(view: View, other: View) -> bool:
    return re.search(rf"\b{other.name}\b", view.sql) is not None


def _read(path: Path) -> View:
    lines = path.read_text(encoding="utf-8").splitlines()
    comments = [line[2:].strip() for line in lines if line.startswith("--")]
    sql = "\n".join(line for line in lines if not line.lstrip().startswith("--"))
    header = dict(line.split(": ", 1) for line in comments[1:] if line.split(":", 1)[0] in HEADERS)
    return View(
        name=path.stem,
        row=comments[0],
        sql=sql.strip().rstrip(";"),
        title=header.get("list", ""),
        order=header.get("order", ""),
        since=header.get("since"),
        is_past=header.get("as-of") == "yes",
    )


def create_views(connection: Connection, grants: Iterable[str] = ()) -> None:
    """Make every view, and give their readers back what `drop_views` returned."""
    for view in views().values():
        query = view.query(connection.dialect.name)
        if connection.dialect.name == "postgresql":
            query = query.replace("%", "%%")
        connection.exec_driver_sql(f"CREATE VIEW {view.name} AS\n{query}")
    for grant in grants:
        connection.exec_driver_sql(grant.replace("%", "%%"))


def drop_views(connection: Connection) -> list[str]:
    """Drop every view of favsync's that is there, and return the statements that grant their readers again what they had.

    Views that others built upon them make this fail, and name themselves.
    """
    grants = _grants(connection)
    for name in reversed(views()):
        connection.exec_driver_sql(f"DROP VIEW IF EXISTS {name}")
    return grants


def _grants(connection: Connection) -> list[str]:
    if connection.dialect.name != "postgresql":
        return []
    return [row[0] for row in connection.exec_driver_sql(_GRANTS, (list(views()),))]


def view_named(name: str) -> View:
    """Return the view that a person means by ``name``: with or without ``report_``, ``-`` or ``_`` alike.

    Raises: UsageError, naming the nearest ones.
    """
    import difflib

    wanted = re.sub(r"[\s-]+", "_", name.strip().lower())
    for candidate in (wanted, f"report_{wanted}"):
        if candidate in views():
            return views()[candidate]
    known = [view.short for view in views().values()]
    near = difflib.get_close_matches(wanted.removeprefix("report_").replace("_", "-"), known, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    raise UsageError(f"there is no report {name!r}", remedy=f"{hint}`favsync report` lists them all")
