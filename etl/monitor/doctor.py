"""What is wrong, and what to do about it: settings, database, disk, API, clock, tokens.

Every check returns findings and none of them raises; one that cannot be made says why. Invariants: nothing is changed but what
the service says of a token is noted; no finding holds a secret.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import Engine

from etl import clock
from etl.accounts.encryption import MAKES_A_KEY, TokenCipher
from etl.accounts.session import connect, http_options
from etl.accounts.token_file import is_exposed
from etl.accounts.token_rows import TokenLocation, token_rows
from etl.config import Config
from etl.db import migrate
from etl.db.engine import open_engine, read_transaction
from etl.db.schema_check import schema_differences
from etl.errors import ApiError, FavsyncError, UsageError
from etl.monitor import database_health
from etl.monitor.status import AccountStatus, statuses
from etl.scheduler import schedule
from etl.settings import LOST_WITHOUT_RAW

GOOD, LOOK, BAD = "ok", "look", "bad"
LEAST_FREE_BYTES = 500_000_000
LEAST_SQLITE = (3, 35)
LEAST_POSTGRESQL = (13,)
CLOCK_TOLERANCE_SECONDS = 30.0
TRY_TOKENS_UP_TO = 20
_API_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. ``exit_code``: what it alone would make the verb end with."""

    level: str
    subject: str
    finding: str
    remedy: str = ""
    exit_code: int = 0


def run_checks(config: Config) -> Iterator[Finding]:
    """Yield what there is to say, as it is found."""
    yield from _settings(config)
    api = list(_api(config))
    yield from api
    engine = None
    try:
        engine = open_engine(config.database_url.reveal())
        migrate.require_newest(engine)
    except FavsyncError as error:
        yield _bad("database", error)
    else:
        for check in (_database, _rights, _disk, _scheduling):
            yield from _guarded(check.__name__.strip("_"), check, config, engine)
        yield from _guarded("tokens", _tokens, config, engine)
        if all(finding.exit_code != ApiError.exit_code for finding in api):
            yield from _guarded("tokens", _tried_tokens, config, engine)
        else:
            yield Finding(LOOK, "tokens", "not tried, as the API does not answer", "mend that first")
    finally:
        if engine is not None:
            engine.dispose()


def _guarded(
    subject: str, check: Callable[[Config, Engine], Iterator[Finding]], config: Config, engine: Engine
) -> Iterator[Finding]:
    try:
        yield from check(config, engine)
    except FavsyncError as error:
        yield _bad(subject, error)


def _bad(subject: str, error: FavsyncError) -> Finding:
    return Finding(BAD, subject, str(error), error.remedy, error.exit_code)


def _settings(config: Config) -> Iterator[Finding]:
    for warning in config.warnings:
        yield Finding(LOOK, "settings", warning)
    faults: list[UsageError] = []
    for check in (lambda: http_options(config), lambda: schedule.parse(config.schedule)):
        try:
            check()
        except UsageError as error:
            faults.append(error)
    yield from (_bad("settings", error) for error in faults)
    if not faults:
        yield Finding(GOOD, "settings", f"app id {config.app_id}, schedule {config.schedule!r}")
    if not config.keep_raw:
        yield Finding(LOOK, "settings", LOST_WITHOUT_RAW, "set FAVSYNC_KEEP_RAW=true, unless that is meant")
    if not config.encryption_keys:
        yield Finding(
            LOOK,
            "settings",
            "no FAVSYNC_ENCRYPTION_KEY is set, so no token is kept in the database",
            f"set one if accounts should be added or signed in; this makes one: {MAKES_A_KEY}",
        )
    if config.refresh_token is not None and config.app_secret is None:
        yield Finding(
            LOOK, "settings", "a refresh token is set, but no app secret to use it with", "set BOOMPLAY_APP_SECRET"
        )


def _api(config: Config) -> Iterator[Finding]:
    """Ask the service anything at all, without a token: any answer shows that it is there, and what time it has."""
    parts = urlsplit(config.api_url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=_API_SECONDS)
    try:
        connection.request("GET", (parts.path or "") + "/", headers={"Connection": "close"})
        date = connection.getresponse().getheader("Date")
    except (OSError, HTTPException) as error:
        words = getattr(error, "strerror", None) or str(error) or type(error).__name__
        remedy = "check BOOMPLAY_API_URL, the network and the machine's CA certificates"
        yield Finding(BAD, "api", f"{config.api_url} does not answer: {words}", remedy, 3)
        return
    finally:
        connection.close()
    yield Finding(GOOD, "api", f"{config.api_url} answers")
    yield from _clock("the service's", _http_date(date))


def _http_date(text: str | None) -> datetime | None:
    try:
        there = parsedate_to_datetime(text) if text else None
    except ValueError:
        return None
    return there.replace(tzinfo=UTC) if there is not None and there.tzinfo is None else there


def _clock(whose: str, there: datetime | None) -> Iterator[Finding]:
    if there is None:
        return
    apart = (clock.now() - there).total_seconds()
    if abs(apart) <= CLOCK_TOLERANCE_SECONDS:
        yield Finding(GOOD, "clock", f"agrees with {whose} clock")
        return
    way = "ahead of" if apart > 0 else "behind"
    yield Finding(
        BAD,
        "clock",
        f"this machine's clock is {abs(apart):.0f} s {way} {whose}",
        "set the clock (NTP): history is dated by it",
        2,
    )


def _database(_config: Config, engine: Engine) -> Iterator[Finding]:
    found = database_health.database_health(engine)
    kind, _, version = found.version.partition(" ")
    numbers = tuple(int(part) for part in version.split()[0].split(".") if part.isdigit())
    least = LEAST_SQLITE if kind == "SQLite" else LEAST_POSTGRESQL
    if numbers < least:
        wanted = ".".join(map(str, least))
        yield Finding(BAD, "database", f"{found.version} is too old", f"favsync needs {kind} {wanted} or newer", 5)
    else:
        yield Finding(GOOD, "database", f"{found.version}, schema {migrate.newest()}")
    yield from _clock("the database server's", found.now)
    if found.newest_at is not None and found.newest_at > clock.now():
        ahead = (found.newest_at - clock.now()).total_seconds()
        yield Finding(
            LOOK, "clock", f"the newest observation lies {ahead:.0f} s in the future", "set the clock, then sync again"
        )
    for fault in schema_differences(engine):
        what, _, remedy = fault.rpartition(": ")
        yield Finding(BAD, "database", what or fault, remedy if what else "", 5)


def _rights(_config: Config, engine: Engine) -> Iterator[Finding]:
    missing = database_health.missing_rights(engine)
    if missing:
        words = ", ".join(missing[:6]) + (f" and {len(missing) - 6} more" if len(missing) > 6 else "")
        remedy = "grant the rights in deploy/grants.sql, or let this user write to the database file and its folder"
        yield Finding(BAD, "rights", f"this user may not {words}", remedy, 5)
    else:
        yield Finding(GOOD, "rights", "this user may read and write every table")


def _disk(_config: Config, engine: Engine) -> Iterator[Finding]:
    file = database_health.database_file(engine)
    if file is None:
        return
    free = shutil.disk_usage(file.parent).free
    words = f"{free / 1e9:.1f} GB free beside the database"
    if free < LEAST_FREE_BYTES:
        yield Finding(BAD, "disk", words, "make room: a full disk stops every sync (and loses nothing)", 5)
    else:
        yield Finding(GOOD, "disk", words)
    for path in (file, Path(f"{file}-wal")):
        if path.exists() and is_exposed(str(path)):
            yield Finding(LOOK, "file modes", f"other users may read {path}", f"chmod 600 {path}")


def _scheduling(config: Config, engine: Engine) -> Iterator[Finding]:
    overdue = [each for each in statuses(engine, config.schedule) if each.is_stale]
    for each in overdue[:10]:
        why = f"; the last run says: {each.last_reason}" if each.last_reason else ""
        remedy = f"`favsync status` and `favsync runs list --account {each.account}` tell more; is `favsync schedule` running?"
        yield Finding(LOOK, "freshness", f"account {each.account} is {each.freshness}{why}", remedy)
    if not overdue:
        yield Finding(GOOD, "freshness", "no account is stale")


def _tokens(config: Config, engine: Engine) -> Iterator[Finding]:
    with read_transaction(engine) as connection:
        rows = token_rows(connection)
    exposed = [
        row.reference for row in rows.values() if row.place is TokenLocation.FILE and is_exposed(row.reference or "")
    ]
    for path in exposed:
        yield Finding(LOOK, "file modes", f"other users may read the token file {path}", f"chmod 600 {path}")
    secrets = [row.secret for row in rows.values() if row.secret is not None]
    if secrets and config.encryption_keys:
        vault = TokenCipher([key.reveal() for key in config.encryption_keys])
        old = sum(not vault.opens_first(secret) for secret in secrets)
        if old:
            yield Finding(LOOK, "tokens", f"the first key does not open {old} of them", "run `favsync accounts rekey`")


def _tried_tokens(config: Config, engine: Engine) -> Iterator[Finding]:
    enabled = [each for each in statuses(engine, config.schedule) if each.freshness != "disabled"]
    for each in enabled[:TRY_TOKENS_UP_TO]:
        yield _token(config, engine, each)
    if len(enabled) > TRY_TOKENS_UP_TO:
        dead = sum(each.token == "dead" for each in enabled)  # noqa: S105 - a state
        words = f"{len(enabled) - TRY_TOKENS_UP_TO} more were not tried; {dead} in all are known to be dead"
        yield Finding(LOOK if dead else GOOD, "tokens", words, "`favsync accounts check` tries them all")


def _token(config: Config, engine: Engine, account: AccountStatus) -> Finding:
    try:
        with connect(config, engine, account.account, even_dead=True) as client:
            user = client.user()
    except FavsyncError as error:
        words = str(error)
        named = words if f"account {account.account}" in words else f"account {account.account}: {words}"
        return Finding(BAD, "tokens", named, error.remedy, error.exit_code)
    name = user.user_name or user.user_id
    if account.token == "expiring":  # noqa: S105 - a state
        return Finding(
            LOOK,
            "tokens",
            f"the token of {account.account} works, and ends at {account.token_expires_at:%Y-%m-%d %H:%M} UTC",
            f"nothing can renew it: `favsync accounts login {account.account}`",
        )
    return Finding(GOOD, "tokens", f"the token of {account.account} works: {name}, {user.region or 'no region'}")
