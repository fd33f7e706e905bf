"""The SQL views: one file each in `views/`, created again by every migration.

A file holds one query for both engines. Where the engines differ, the query has a phrase: ``${phrase}`` or ``${phrase(a; b)}``.
A query that must be another one to be quick on PostgreSQL has a second file, in `views/postgresql/`, without headers.
Its first comment says what a row is. These headers may follow:

    -- list: words             a title for the list of reports
    -- order: column, -column  the default order of `favsync report`
    -- since: column           the column that ``--since`` compares
    -- as-of: yes              the view can show an earlier state of the favourites
    -- narrow: yes             ``--account`` restricts the tables that the view reads, because the engines do not
    -- like: view, word=other  the query is that of the other view, with each word replaced

Views are created in an order in which each one follows those that it reads, and dropped in reverse.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sqlalchemy import Connection, inspect

from etl.errors import UsageError, did_you_mean
from etl.reporting.dictionary import comment_statements

FOLDER = Path(__file__).parent / "views"
HEADERS = ("list", "order", "since", "as-of", "narrow", "like")

_ARTISTS = "FROM track_artists ta JOIN artists a ON a.artist_id = ta.artist_id WHERE ta.track_id = t.track_id"
_GENRES = "FROM track_genres tg JOIN genres g ON g.genre_id = tg.genre_id WHERE tg.track_id = t.track_id"

# A track's attributes in the order of `etl.model.records.TRACK_ATTRIBUTES`: the text on SQLite is that of `attributes_json`.
_FACTS = (
    "'title', t.title, 'track_number', t.track_number, 'isrc', t.isrc, 'duration_seconds', t.duration_seconds,"
    " 'album_id', t.album_id, 'album_title', (SELECT coalesce(l.first_title, l.title) FROM albums l"
    " WHERE l.album_id = t.album_id), 'web_url', t.web_url, 'mobile_url', t.mobile_url, 'artwork_url', t.artwork_url,"
    " 'artwork_width', t.artwork_width, 'artwork_height', t.artwork_height"
)
_ARTIST = "'artist_id', a.artist_id, 'name', coalesce(a.first_name, a.name), 'role', ta.role"

# SQLite's julianday() keeps milliseconds only and round() works on binary fractions; microseconds have PostgreSQL's result.
_MICROSECONDS = (
    r"((strftime('%s', substr(\2, 1, 19)) - strftime('%s', substr(\1, 1, 19))) * 1000000"
    r" + CAST(substr(\2, 21, 6) AS integer) - CAST(substr(\1, 21, 6) AS integer))"
)

# A quotient rounded half up to four places, in integers, because the engines round binary fractions differently.
_TEN_THOUSANDTHS = r"((CAST(\1 AS bigint) * 20000 + CAST(\2 AS bigint)) / nullif(2 * CAST(\2 AS bigint), 0))"

# `etl.load.baseline.is_observation` in SQL, of the runs that are named \1: the run read a list, ended, and is not retracted.
_OBSERVATION = r"\1.snapshot_id IS NOT NULL AND \1.outcome IS NOT NULL AND \1.retracted_at IS NULL"

PHRASES = {
    "sqlite": {
        "observation": _OBSERVATION,
        "artists": f"(SELECT group_concat(name, ', ') FROM (SELECT a.name {_ARTISTS} ORDER BY ta.position))",  # noqa: S608
        "known_artists": "${artists}",
        "known_genres": f"(SELECT group_concat(name, ', ') FROM (SELECT g.name {_GENRES} ORDER BY tg.position))",  # noqa: S608
        "join_artists": "",
        "join_genres": "",
        "with_last_looks": "WITH looked AS MATERIALIZED (SELECT a.account_id, (SELECT max(r.observed_at) FROM runs r"
        " WHERE r.account_id = a.account_id AND ${observation(r)}) AS last_at FROM accounts a)",
        "join_last_look": "JOIN looked ON looked.account_id = f.account_id",
        # json_patch removes what is NULL.
        "facts": f"json_patch('{{}}', json_object({_FACTS},"  # noqa: S608
        " 'artists', json((SELECT nullif(json_group_array(json(artist)), '[]') FROM (SELECT json_patch('{}',"
        f" json_object({_ARTIST})) AS artist {_ARTISTS} ORDER BY ta.position))),"
        " 'genres', json((SELECT nullif(json_group_array(name), '[]')"
        f" FROM (SELECT g.name {_GENRES} ORDER BY tg.position)))))",
        "no_instant": "NULL",
        "now": "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')",
        "day": r"substr(\1, 1, 10)",
        "week": r"date(substr(\1, 1, 10), 'weekday 0', '-6 days')",
        "month": r"(substr(\1, 1, 7) || '-01')",
        "month_of": r"(substr(\1, 1, 7) || '-01')",
        "week_of": r"date(\1, 'weekday 0', '-6 days')",
        "next_day": r"date(\1, '+1 day')",
        "year": r"CAST(substr(\1, 1, 4) AS integer)",
        "month_number": r"CAST(substr(\1, 6, 2) AS integer)",
        "weekday": r"((CAST(strftime('%w', \1) AS integer) + 6) % 7 + 1)",
        "days_before": r"(strftime('%Y-%m-%dT%H:%M:%S', substr(\1, 1, 19), '-\2 days') || substr(\1, 20))",
        "seconds_between": f"(round({_MICROSECONDS} / 1000.0) / 1000.0)",
        "days_between": f"(round({_MICROSECONDS} / 864000000.0) / 100.0)",
        "whole_days": f"({_MICROSECONDS} / 86400000000)",
        "rounded": r"round(\1, \2)",
        "share": f"({_TEN_THOUSANDTHS} / 10000.0)",
        "later": r"(strftime('%Y-%m-%dT%H:%M:%S', substr(\1, 1, 19), '+' || \2 || ' seconds') || substr(\1, 20))",
        "catalogue_answer": r"""json_extract(\1, '$.catalogue."' || \2 || '"')""",
        "differ": r"(\1 IS NOT \2)",
        "fact": r"CAST(json_extract(\1, '$.\2') AS text)",
        "artist_facts": r"(SELECT group_concat(name, ', ') FROM (SELECT json_extract(value, '$.name') AS name"
        r" FROM json_each(\1, '$.artists') ORDER BY key))",
        "genre_facts": r"(SELECT group_concat(name, ', ') FROM (SELECT value AS name FROM json_each(\1, '$.genres')"
        r" ORDER BY value))",
    },
    "postgresql": {
        "observation": _OBSERVATION,
        "artists": f"(SELECT string_agg(a.name, ', ' ORDER BY ta.position) {_ARTISTS})",
        # For views of many rows: a subquery among the columns runs for each of them, a lateral one for each track (Memoize).
        "known_artists": "named_artists.names",
        "known_genres": "named_genres.names",
        "join_artists": "LEFT JOIN LATERAL (SELECT string_agg(a.name, ', ' ORDER BY ta.position) AS names"
        f" {_ARTISTS}) named_artists ON true",
        "join_genres": "LEFT JOIN LATERAL (SELECT string_agg(g.name, ', ' ORDER BY tg.position) AS names"
        f" {_GENRES}) named_genres ON true",
        "with_last_looks": "",
        "join_last_look": "LEFT JOIN LATERAL (SELECT max(r.observed_at) AS last_at FROM runs r"
        " WHERE r.account_id = f.account_id AND ${observation(r)}) looked ON true",
        "facts": f"jsonb_strip_nulls(jsonb_build_object({_FACTS},"
        f" 'artists', (SELECT jsonb_agg(jsonb_build_object({_ARTIST}) ORDER BY ta.position) {_ARTISTS}),"
        f" 'genres', (SELECT jsonb_agg(g.name ORDER BY tg.position) {_GENRES})))",
        "no_instant": "CAST(NULL AS timestamptz)",
        "now": "now()",
        "day": r"CAST((\1) AT TIME ZONE 'UTC' AS date)",
        "week": r"CAST(date_trunc('week', (\1) AT TIME ZONE 'UTC') AS date)",
        "month": r"CAST(date_trunc('month', (\1) AT TIME ZONE 'UTC') AS date)",
        "month_of": r"CAST(date_trunc('month', \1) AS date)",
        "week_of": r"CAST(date_trunc('week', \1) AS date)",
        "next_day": r"(\1 + 1)",
        "year": r"CAST(extract(year FROM \1) AS bigint)",
        "month_number": r"CAST(extract(month FROM \1) AS bigint)",
        "weekday": r"CAST(extract(isodow FROM \1) AS bigint)",
        "days_before": r"(\1 - make_interval(hours => 24 * \2))",
        "seconds_between": r"round(CAST(extract(epoch FROM (\2) - (\1)) AS numeric), 3)",
        "days_between": r"round(CAST(extract(epoch FROM (\2) - (\1)) / 86400.0 AS numeric), 2)",
        "whole_days": r"CAST(floor(extract(epoch FROM (\2) - (\1)) / 86400) AS bigint)",
        "rounded": r"round(CAST(\1 AS numeric), \2)",
        "share": f"({_TEN_THOUSANDTHS} * 0.0001)",
        "later": r"(\1 + make_interval(secs => \2))",
        "catalogue_answer": r"(CAST(\1 AS json) -> 'catalogue' ->> CAST(\2 AS text))",
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
WHERE c.relkind IN ('r', 'v') AND c.relnamespace = current_schema()::regnamespace AND a.grantee <> c.relowner
    AND c.relname = ANY(%s)
ORDER BY 1
"""

_PHRASE = re.compile(r"\$\{(\w+)(?:\(([^${}]*)\))?\}")


@dataclass(frozen=True, slots=True)
class View:
    """A view. ``row``: what a row is. ``sql``: the query with its phrases. The other fields come from the headers.

    ``postgresql_sql``: the query for PostgreSQL, if that is another one.
    """

    name: str
    row: str
    sql: str
    postgresql_sql: str = ""
    title: str = ""
    order: str = ""
    since: str | None = None
    is_past: bool = False
    is_narrow: bool = False

    @property
    def short(self) -> str:
        """The name that a person types: ``current-favourites``."""
        return self.name.removeprefix("report_").replace("_", "-")

    def query(self, dialect: str) -> str:
        """Return the SELECT statement for ``dialect`` (``sqlite`` or ``postgresql``)."""
        own = self.postgresql_sql if dialect == "postgresql" else ""
        return with_phrases(own or self.sql, dialect)

    def reads(self, other: View) -> bool:
        """True if the query mentions the other view."""
        return re.search(rf"\b{other.name}\b", self.sql) is not None


def with_phrases(sql: str, dialect: str) -> str:
    """Return ``sql`` with its phrases replaced for ``dialect``. A phrase may be an argument of another."""

    def text(found: re.Match[str]) -> str:
        phrase = PHRASES[dialect][found[1]]
        for number, argument in enumerate((found[2] or "").split(";"), start=1):
            phrase = phrase.replace(f"\\{number}", argument.strip())
        return phrase

    while "${" in sql:  # the pattern matches innermost phrases only, so each turn resolves one level
        sql = _PHRASE.sub(text, sql)
    return sql


@cache
def views() -> dict[str, View]:
    """Return every view by name, in the order of creation: a view follows those that it reads, otherwise by name."""
    files = {path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.sql"))}
    found = [_parsed(name, files) for name in files]
    ordered: list[View] = []
    while found:
        ready = [view for view in found if not any(view.reads(other) for other in found if other is not view)]
        if not ready:
            raise RuntimeError(f"views read each other in a circle: {', '.join(view.name for view in found)}")
        ordered += ready
        found = [view for view in found if view not in ready]
    return {view.name: view for view in ordered}


def _parsed(name: str, files: dict[str, str]) -> View:
    comments = [line[2:].strip() for line in files[name].splitlines() if line.startswith("--")]
    header = dict(line.split(": ", 1) for line in comments[1:] if line.split(":", 1)[0] in HEADERS)
    own = FOLDER / "postgresql" / f"{name}.sql"
    source, *replacements = header.get("like", name).split(", ")
    sql = _without_comments(files[source])
    for replacement in replacements:
        word, other = replacement.split("=")
        sql = sql.replace(word, other)
    return View(
        name=name,
        row=comments[0],
        sql=sql,
        postgresql_sql=_without_comments(own.read_text(encoding="utf-8")) if own.exists() else "",
        title=header.get("list", ""),
        order=header.get("order", ""),
        since=header.get("since"),
        is_past=header.get("as-of") == "yes",
        is_narrow=header.get("narrow") == "yes",
    )


def _without_comments(text: str) -> str:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("--")]
    return "\n".join(lines).strip().rstrip(";")


def create_views(connection: Connection, grants: Iterable[str] = ()) -> None:
    """Create every view, execute ``grants``, which `drop_views` returned, and comment tables and columns on PostgreSQL."""
    for view in views().values():
        query = view.query(connection.dialect.name)
        if connection.dialect.name == "postgresql":
            query = query.replace("%", "%%")
        connection.exec_driver_sql(f"CREATE VIEW {view.name} AS\n{query}")
    comments = comment_statements(connection, {view.name: view.row for view in views().values()})
    for statement in (*grants, *(comments if connection.dialect.name == "postgresql" else ())):
        connection.exec_driver_sql(statement.replace("%", "%%"))


def drop_views(connection: Connection) -> list[str]:
    """Drop every view of favsync that exists, and return the statements that restore the rights on them.

    Fails where a view of another owner reads one of them; the database's error names that view.
    """
    grants: list[str] = []
    if connection.dialect.name == "postgresql":
        grants = [row[0] for row in connection.exec_driver_sql(_GRANTS, (list(views()),))]
    there = set(inspect(connection).get_view_names())
    for name in reversed(views()):
        if name in there:  # `track_versions` of an older schema is a table
            connection.exec_driver_sql(f"DROP VIEW {name}")
    return grants


def view_named(name: str) -> View:
    """Return the view called ``name``, with or without ``report_``; ``-`` and ``_`` are the same.

    Raises: UsageError, with the most similar names.
    """
    wanted = re.sub(r"[\s-]+", "_", name.strip().lower())
    for candidate in (wanted, f"report_{wanted}"):
        if candidate in views():
            return views()[candidate]
    hint = did_you_mean(wanted.removeprefix("report_").replace("_", "-"), [view.short for view in views().values()])
    raise UsageError(f"there is no report {name!r}", remedy=f"{hint}`favsync report` lists them all")
