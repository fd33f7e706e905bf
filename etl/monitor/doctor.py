"""Checks settings, API, clock, database, disk and tokens, and says what to do about each problem.

Checks return findings and do not raise. Invariants: nothing is changed except the stored state of tokens that were tried; no
finding contains a secret.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from pathlib import Path
from typing import Final
from urllib.error import HTTPError
from urllib.request import urlopen

from sqlalchemy import Engine

from etl import clock
from etl.accounts.encryption import TokenCipher
from etl.accounts.session import connect, http_options
from etl.accounts.token_input import is_exposed
from etl.accounts.token_rows import TokenLocation, token_rows
from etl.config import Config
from etl.db import migrate
from etl.db.engine import open_engine, read_transaction
from etl.db.schema_check import schema_differences
from etl.errors import ApiError, DatabaseError, FavsyncError, UsageError, counted
from etl.monitor.database_health import database_health, missing_rights
from etl.monitor.status import HELD, NO_ID, OWNER, AccountStatus, statuses
from etl.reporting.views import views
from etl.scheduler import schedule
from etl.settings import LOST_WITHOUT_RAW

GOOD, LOOK, BAD = "ok", "look", "bad"
MIN_FREE_BYTES: Final = 500_000_000
MIN_VERSION: Final = {"SQLite": (3, 35), "PostgreSQL": (13,)}
CLOCK_TOLERANCE_SECONDS: Final = 30.0
MAX_ACCOUNTS: Final = 10
"""Accounts that are named in the findings of a check."""
MAX_TOKENS: Final = 20
"""Tokens that are tried."""
API_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a check. ``exit_code``: that of the command if this were the only finding."""

    level: str
    subject: str
    finding: str
    remedy: str = ""
    exit_code: int = 0


def run_checks(config: Config) -> Iterator[Finding]:
    """Yield findings as they are made."""
    yield from _settings(config)
    api = list(_api(config.api_url))
    yield from api
    is_reachable = all(finding.exit_code != ApiError.exit_code for finding in api)
    with ExitStack() as stack:
        try:
            engine = open_engine(config.database_url.reveal(), pooling=config.database_pooling)
            stack.callback(engine.dispose)
            migrate.require_newest(engine)
        except FavsyncError as error:
            yield _from_error("database", error)
            return
        tokens = _tokens if is_reachable else _no_tokens
        checks = (
            ("database", _database), ("rights", _rights), ("disk", _disk), ("freshness", _freshness),
            ("removals", _removals), ("tokens", _stored_tokens), ("tokens", tokens),
        )  # fmt: skip
        for subject, check in checks:
            try:
                yield from check(config, engine)
            except FavsyncError as error:
                yield _from_error(subject, error)
            except OSError as error:
                yield Finding(BAD, subject, f"cannot be checked: {error}", "check the file's permissions", 2)


def _from_error(subject: str, error: FavsyncError) -> Finding:
    return Finding(BAD, subject, str(error), error.remedy, error.exit_code)


def _settings(config: Config) -> Iterator[Finding]:
    for warning in config.warnings:
        yield Finding(LOOK, "settings", warning)
    is_valid = True
    for check in (lambda: http_options(config), lambda: schedule.parse(config.schedule)):
        try:
            check()
        except UsageError as error:
            is_valid = False
            yield _from_error("settings", error)
    if is_valid:
        yield Finding(GOOD, "settings", f"app id {config.app_id}, schedule {config.schedule!r}")
    if not config.keep_raw:
        yield Finding(LOOK, "settings", LOST_WITHOUT_RAW, "set FAVSYNC_KEEP_RAW=true unless this is intended")
    if not config.encryption_keys:
        finding = "FAVSYNC_ENCRYPTION_KEY is not set, so no token can be stored in the database"
        yield Finding(
            LOOK, "settings", finding, "set it before you add accounts: `favsync accounts new-key` prints a key"
        )
    if config.refresh_token is not None and config.app_secret is None:
        finding = "a refresh token is set, but no app secret to use it with"
        yield Finding(LOOK, "settings", finding, "set BOOMPLAY_APP_SECRET")


def _api(url: str) -> Iterator[Finding]:
    """Request the API without a token. Any answer shows that it is reachable, and its ``Date`` header compares the clocks."""
    try:
        with urlopen(f"{url}/", timeout=API_SECONDS) as response:  # noqa: S310  # http and https only  # nosec B310
            date = response.headers["Date"]
    except HTTPError as error:
        with error:
            date = error.headers["Date"]
    except (OSError, HTTPException, UnicodeError) as error:  # UnicodeError: a host name that DNS does not allow
        reason = getattr(error, "reason", error)
        what = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
        remedy = "check BOOMPLAY_API_URL, the network and the machine's CA certificates"
        yield Finding(BAD, "api", f"{url} does not answer: {what}", remedy, ApiError.exit_code)
        return
    yield Finding(GOOD, "api", f"{url} answers")
    try:
        there = parsedate_to_datetime(date) if date else None
    except ValueError:
        return
    if there is not None:
        yield _clock("the API's", there if there.tzinfo else there.replace(tzinfo=UTC))


def _clock(whose: str, there: datetime) -> Finding:
    ahead = (clock.now() - there).total_seconds()
    if abs(ahead) <= CLOCK_TOLERANCE_SECONDS:
        return Finding(GOOD, "clock", f"agrees with {whose} clock")
    finding = f"this machine's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} {whose}"
    return Finding(BAD, "clock", finding, "set the clock (NTP): it dates the history", 2)


def _database(_config: Config, engine: Engine) -> Iterator[Finding]:
    found = database_health(engine)
    numbers = tuple(int(part) for part in found.version.split()[0].split(".") if part.isdigit())
    oldest = MIN_VERSION[found.product]
    if numbers < oldest:
        remedy = f"favsync needs {found.product} {'.'.join(map(str, oldest))} or newer"
        finding = f"{found.product} {found.version} is too old"
        yield Finding(BAD, "database", finding, remedy, DatabaseError.exit_code)
    else:
        yield Finding(GOOD, "database", f"{found.product} {found.version}, schema {migrate.newest()}")
    if found.now is not None:
        yield _clock("the database server's", found.now)
    if found.newest_at is not None and found.newest_at > clock.now():
        ahead = (found.newest_at - clock.now()).total_seconds()
        finding = f"the newest observation lies {ahead:.0f} s in the future"
        remedy = "set the clock; if it is right, `favsync runs retract --future` takes back what a wrong one dated"
        yield Finding(LOOK, "clock", finding, remedy)
    for difference in schema_differences(engine, views()):
        what, _, remedy = difference.rpartition(": ")
        yield Finding(BAD, "database", what or difference, remedy if what else "", DatabaseError.exit_code)


def _rights(_config: Config, engine: Engine) -> Iterator[Finding]:
    missing = missing_rights(engine)
    if missing:
        listed = ", ".join(missing[:6]) + (f" and {len(missing) - 6} more" if len(missing) > 6 else "")
        remedy = "grant the rights in deploy/grants.sql, or let this user write to the database file and its folder"
        yield Finding(BAD, "rights", f"this user may not {listed}", remedy, DatabaseError.exit_code)
    else:
        yield Finding(GOOD, "rights", "this user may read and write every table")


def _disk(_config: Config, engine: Engine) -> Iterator[Finding]:
    if engine.dialect.name != "sqlite" or not engine.url.database:
        return
    file = Path(engine.url.database)
    free = shutil.disk_usage(file.parent).free
    finding = f"{free / 1e9:.1f} GB free on the database's disk"
    if free < MIN_FREE_BYTES:
        yield Finding(BAD, "disk", finding, "free some space: syncs fail on a full disk", DatabaseError.exit_code)
    else:
        yield Finding(GOOD, "disk", finding)
    for path in (file, Path(f"{file}-wal")):
        if path.exists() and is_exposed(str(path)):
            yield Finding(LOOK, "file modes", f"other users may read {path}", f"chmod 600 {shlex.quote(str(path))}")


def _freshness(config: Config, engine: Engine) -> Iterator[Finding]:
    stale = [each for each in statuses(engine, config.schedule) if each.is_stale]
    for each in stale[:MAX_ACCOUNTS]:
        reason = f"; reason of the last run: {each.last_reason}" if each.last_reason else ""
        remedy = f"see `favsync runs list --account {shlex.quote(each.account)}`; is `favsync schedule` running?"
        if each.age_seconds is not None and each.age_seconds < 0:
            reason = f": its last proven run is dated {-each.age_seconds:.0f} s in the future"
            remedy = "set the clock, then `favsync runs retract --future` takes back what it dated"
        yield Finding(LOOK, "freshness", f"account {each.account} is {each.freshness}{reason}", remedy)
    if not stale:
        yield Finding(GOOD, "freshness", "no account is stale")


def _removals(config: Config, engine: Engine) -> Iterator[Finding]:
    """Yield a finding for each account of which removals cannot be recorded, and why."""
    found = [each for each in statuses(engine, config.schedule) if each.freshness != "disabled"]
    blocked = [each for each in found if each.removals_blocked_since is not None]
    for each in blocked[:MAX_ACCOUNTS]:
        remedies = {
            HELD: f"`favsync runs approve {each.held_run_id}` or `favsync runs reject {each.held_run_id}`",
            OWNER: f"`favsync accounts check {shlex.quote(each.account)}` asks the service whose token it is",
            NO_ID: f"`favsync runs show` lists the entry: see `favsync runs list --account {shlex.quote(each.account)}`",
        }
        remedy = remedies.get(
            each.removals_blocked_by or "", "if it lasts for a day, see 'Partial again and again' in deploy/runbook.md"
        )
        reason = f"; {each.removals_blocked_reason}" if each.removals_blocked_reason else ""
        finding = (
            f"removals of account {each.account} are blocked since {each.removals_blocked_since:%Y-%m-%d %H:%M} UTC: "
            f"{each.removals_blocked_by}{reason}"
        )
        yield Finding(LOOK, "removals", finding, remedy)
    if len(blocked) > MAX_ACCOUNTS:
        more = f"removals of {len(blocked) - MAX_ACCOUNTS} more accounts are blocked"
        yield Finding(LOOK, "removals", more, "`favsync status --json` has all of them")
    if not blocked:
        missing = sum(each.missing for each in found)
        are = counted(missing, "favourite is", "favourites are")
        waiting = f"; {are} missing, and not recorded as removed yet" if missing else ""
        stale = ", but stale accounts record none" if any(each.is_stale for each in found) else ""
        yield Finding(GOOD, "removals", f"nothing blocks removals{stale}{waiting}")


def _stored_tokens(config: Config, engine: Engine) -> Iterator[Finding]:
    with read_transaction(engine) as connection:
        rows = token_rows(connection).values()
    for row in rows:
        path = row.reference or ""
        if row.place is TokenLocation.FILE and is_exposed(path):
            finding = f"other users may read the token file {path}"
            yield Finding(LOOK, "file modes", finding, f"chmod 600 {shlex.quote(path)}")
    secrets = [row.secret for row in rows if row.secret is not None]
    if secrets and config.encryption_keys:
        cipher = TokenCipher([key.reveal() for key in config.encryption_keys])
        old = sum(not cipher.opens_first(secret) for secret in secrets)
        if old:
            finding = f"{old} stored tokens are not encrypted with the first key"
            yield Finding(LOOK, "tokens", finding, "run `favsync accounts rekey`")


def _tokens(config: Config, engine: Engine) -> Iterator[Finding]:
    enabled = [each for each in statuses(engine, config.schedule) if each.freshness != "disabled"]
    for account in enabled[:MAX_TOKENS]:
        yield _token(config, engine, account)
    if len(enabled) > MAX_TOKENS:
        dead = sum(each.token == "dead" for each in enabled)  # noqa: S105 - a state
        finding = f"{len(enabled) - MAX_TOKENS} more were not tried; {dead} of all are known to be dead"
        yield Finding(LOOK if dead else GOOD, "tokens", finding, "`favsync accounts check` tries all of them")


def _no_tokens(_config: Config, _engine: Engine) -> Iterator[Finding]:
    yield Finding(LOOK, "tokens", "not tried, as the API does not answer", "make the API reachable first")


def _token(config: Config, engine: Engine, account: AccountStatus) -> Finding:
    name = account.account
    try:
        with connect(config, engine, name, even_dead=True) as client:
            user = client.user()
    except FavsyncError as error:
        message = str(error) if f"account {name}" in str(error) else f"account {name}: {error}"
        return Finding(BAD, "tokens", message, error.remedy, error.exit_code)
    if account.token == "expiring":  # noqa: S105 - a state
        finding = f"the token of {name} works until {account.token_expires_at:%Y-%m-%d %H:%M} UTC and cannot be renewed"
        return Finding(LOOK, "tokens", finding, f"sign in again: `favsync accounts login {shlex.quote(name)}`")
    finding = f"the token of {name} works: {user.user_name or user.user_id}, {user.region or 'no region'}"
    return Finding(GOOD, "tokens", finding)
