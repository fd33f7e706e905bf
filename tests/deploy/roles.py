"""The three roles of deploy/grants.sql in one database, under names of their own, since roles belong to the whole server."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy import make_url

from tests.house.source import ROOT

GRANTS = (ROOT / "deploy/grants.sql").read_text(encoding="utf-8")
PASSWORD = "not-a-secret"
_numbers = itertools.count(1)


class Roles:
    """The roles of the database at ``admin_url``: `migrate`, `sync` and `report` are their URLs, `grant` runs the file."""

    def __init__(self, admin_url: str, like: Roles | None = None) -> None:
        """Name the roles of a database; those of ``like``, if it is a copy of its database."""
        self.admin_url = admin_url
        self._suffix: str = like._suffix if like else f"t{os.getpid()}_{next(_numbers)}"
        self.migrate, self.sync, self.report = (self._url(kind) for kind in ("migrate", "sync", "report"))

    def name(self, kind: str) -> str:
        """Return the name that a role of the file has here."""
        return f"favsync_{kind}_{self._suffix}"

    def grant(self) -> None:
        """Run deploy/grants.sql as the administrator, as one transaction, as its header says."""
        self.admin(re.sub(r"\bfavsync_(migrate|sync|report)\b", lambda found: self.name(found[1]), GRANTS))

    def admin(self, statement: str) -> None:
        """Run ``statement`` as the administrator."""
        with psycopg.connect(self.admin_url) as connection:
            connection.execute(statement.encode())

    def _url(self, kind: str) -> str:
        return (
            make_url(self.admin_url)
            .set(username=self.name(kind), password=PASSWORD)
            .render_as_string(hide_password=False)
        )


@contextmanager
def roles_in(admin_url: str) -> Iterator[Roles]:
    """Give the roles of a database that was never migrated; they go, with all that they own, at the end."""
    roles = Roles(admin_url)
    kinds = ("migrate", "sync", "report")
    roles.grant()
    for kind in kinds:
        roles.admin(f"ALTER ROLE {roles.name(kind)} PASSWORD '{PASSWORD}'")
    try:
        yield roles
    finally:
        for kind in kinds:  # one by one: two roles' shares in one default privilege cannot be dropped at once
            roles.admin(f"DROP OWNED BY {roles.name(kind)} CASCADE")
        roles.admin(f"DROP ROLE {', '.join(map(roles.name, kinds))}")


def may(url: str, statement: str) -> bool:
    """Say whether this role may run ``statement``; whatever it did is undone."""
    with psycopg.connect(url) as connection:
        try:
            connection.execute(statement.encode())
        except psycopg.errors.InsufficientPrivilege:
            return False
        finally:
            connection.rollback()
    return True
