"""What an operator can do about an error of the database: a remedy for each SQLSTATE or wording.

A SQLSTATE goes first, because servers translate their messages. A failed connection has none. Pure.
"""

from __future__ import annotations

import re
import shlex
from typing import NamedTuple

NOTHING_CHANGED = "check the database; nothing was changed by this run"
POOLED = "set FAVSYNC_DATABASE_POOLING=transaction, or connect to PostgreSQL itself"
NOT_CONNECTED = "check host, port, database, user and password in FAVSYNC_DATABASE_URL"


class DatabaseRemedy(NamedTuple):
    """``states``: SQLSTATEs. ``wording``: a pattern of the message. ``remedy``: may contain the pattern's groups."""

    states: str
    wording: str
    remedy: str


REMEDIES = tuple(
    DatabaseRemedy(*each)
    for each in (
        # failed connections
        ("3D000", r'database "(?P<name>[^"]+)" does not exist',
         "`createdb --encoding=UTF8 --template=template0 {name}` creates it; or correct FAVSYNC_DATABASE_URL"),
        ("", r'role "(?P<name>[^"]+)" does not exist',
         "`createuser --pwprompt {name}` creates it (its rights: deploy/grants.sql); or correct FAVSYNC_DATABASE_URL"),
        ("28P01", r'password authentication failed for user "(?P<name>[^"]+)"',
         "check the password in FAVSYNC_DATABASE_URL; if there is no such role, `createuser --pwprompt {name}` creates it"),
        ("28P01", "password authentication", "check user and password in FAVSYNC_DATABASE_URL"),
        ("", "no password supplied", "add the password to FAVSYNC_DATABASE_URL, PGPASSWORD or the password file of PostgreSQL"),
        ("28000", "no pg_hba.conf entry|peer authentication|ident authentication",
         "let this host, user and database in with a line in the server's pg_hba.conf, then reload the server"),
        ("", "is not permitted to log in", "let the role log in: ALTER ROLE … LOGIN"),
        ("", "failed to resolve host|could not translate host name", "check the host in FAVSYNC_DATABASE_URL, and the network"),
        ("", "on socket .*(no such file|refused)",
         "start the server, or name its host, or the folder of its socket: postgresql:///NAME?host=/run/postgresql"),
        ("", r"\bssl\b|certificate|sslmode|\btlsv1",
         "check sslmode and sslrootcert in FAVSYNC_DATABASE_URL against what the server offers"),
        ("", "(invalid|bad) (.*)value|invalid (port|integer)",
         "correct this option in FAVSYNC_DATABASE_URL or the environment (PG…)"),
        ("", "statement pooling mode", POOLED),
        ("", "unsupported startup parameter",
         "remove the option from FAVSYNC_DATABASE_URL or PGOPTIONS, or connect without the pooler"),
        ("42704 22023", "unrecognized configuration parameter|invalid value for parameter",
         "correct `options` in FAVSYNC_DATABASE_URL, or PGOPTIONS"),
        ("", "timeout expired|timed out", "check host and port in FAVSYNC_DATABASE_URL, and whether a firewall is in between"),
        ("53300", "too many (clients|connections)|connection slots|no more connections",
         "raise the limit of connections, or use fewer --workers"),
        ("57P03", "is starting up|is shutting down|not accepting connections|in recovery mode", "wait until the server is up"),
        ("57P01 57P02 08006 08003", "terminating connection|closed the connection|connection is (lost|closed)",
         "is the server restarting? The next run connects again"),
        ("", "refused", "start the server, or check host and port in FAVSYNC_DATABASE_URL"),
        # limits of the role
        ("57014", "statement timeout", "raise the limit: ALTER ROLE … SET statement_timeout = '10min'"),
        ("55P03", "lock timeout", "another session holds a lock: try again, or raise lock_timeout of the role"),
        ("25P03 57P05 25P04", "(idle-in-transaction|idle-session|transaction) timeout",
         "raise the timeouts of idle sessions and transactions of the role"),
        ("25006", "read-only",
         "name the primary server in FAVSYNC_DATABASE_URL, not a standby or a database that is closed for writing"),
        ("53100", "no space left", "make room on the server's disk; nothing was changed"),
        ("42501", "permission denied", "grant the rights in deploy/grants.sql"),
        ("3F000", "no schema has been selected|schema .* does not exist",
         "create the schema that search_path names, or correct search_path in FAVSYNC_DATABASE_URL"),
        ("42P01", "no such table|does not exist", "run `favsync db upgrade`, and check the database's name and search_path"),
        # other people's objects, and what a restore leaves
        ("2BP01", "other objects depend on it",
         "drop those views, run `favsync db upgrade`, and create them again; or keep them in another database"),
        ("42P07 42809", "already exists|is not a (view|table)",
         "rename that object, or give favsync a schema of its own with search_path"),
        ("23505", "duplicate key value violates unique constraint",
         "if the database was restored, its sequences may be behind: `favsync db check` names them"),
        # SQLite
        ("", "readonly", "let this user write to the database file and its folder; a URL with mode=ro only reads"),
        ("", "unable to open", "name a file, in a folder that is there, and let this user read and write both"),
        ("", r"\bdisk\b|\bfull\b", "make room on the disk; nothing was changed"),
        ("", "locked", "another program holds the database for long: try again later"),
        ("", "not a database", "FAVSYNC_DATABASE_URL names a file that is not SQLite: choose another"),
    )
)  # fmt: skip


def remedy_for(line: str, sqlstate: str | None, *, is_connected: bool) -> str:
    """Return what to do about an error: ``line`` is its text, ``is_connected`` False if no connection was made."""
    for each in REMEDIES:
        found = re.search(each.wording, line, re.IGNORECASE)
        if found or (sqlstate and sqlstate in each.states.split() and "{" not in each.remedy):
            names = {name: shlex.quote(text) for name, text in found.groupdict().items()} if found else {}
            return each.remedy.format(**names)
    return NOTHING_CHANGED if is_connected else NOT_CONNECTED
