"""The accounts that `sync`, `backfill` and `schedule` work on, and the result of one that failed before its run.

The account ``default`` belongs to the token in the settings. It is created when it is first needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, Engine, select

from etl import clock
from etl.accounts.credentials import DEFAULT_ACCOUNT
from etl.accounts.session import http_options
from etl.cli.context import Context
from etl.db.engine import read_transaction, sqlite_path, write_transaction
from etl.db.tables import accounts
from etl.errors import DatabaseError, FavsyncError, SettingsError
from etl.load.accounts import Account, enabled_accounts, ensure_account
from etl.load.baseline import open_count
from etl.sync import RunResult

UNSAVED_DEFAULT = Account(account_id=0, name=DEFAULT_ACCOUNT, boomplay_user_id=None, region=None, enabled=True)
"""The default account in a plan, which creates none."""


def no_account() -> SettingsError:
    """Return the error for a database without accounts and settings without a token."""
    return SettingsError(
        "there is no account to sync",
        remedy="set BOOMPLAY_ACCESS_TOKEN and BOOMPLAY_APP_ID, or run `favsync accounts add NAME`; "
        "`favsync demo` needs neither",
    )


def is_new_file(context: Context) -> bool:
    """True if the SQLite file does not exist yet. It is created only once there is an account.

    Raises: SettingsError, if it does not exist and the settings have no token or no app id, so that no sync can work.
    """
    path = sqlite_path(context.config.database_url.reveal())
    is_new = path is not None and not path.exists()
    if is_new and context.config.access_token is None:
        raise no_account()
    if is_new:
        http_options(context.config)
    return is_new


def is_default_missing(connection: Connection, names: Sequence[str] = ()) -> bool:
    """True if the account ``default`` should be created: it is named and missing, or no account exists at all."""
    if names and DEFAULT_ACCOUNT not in names:
        return False
    query = select(accounts.c.name)
    if names:
        query = query.where(accounts.c.name == DEFAULT_ACCOUNT)
    return connection.execute(query.limit(1)).first() is None


def target_accounts(
    engine: Engine, names: Sequence[str], *, may_create: bool, is_plan: bool = False
) -> Sequence[Account]:
    """Return the named accounts, or all enabled ones.

    ``may_create``: create ``default`` where it is missing. ``is_plan``: return it, but do not create it.
    """
    with read_transaction(engine) as connection:
        is_missing = may_create and is_default_missing(connection, names)
    if is_missing and is_plan:
        return [UNSAVED_DEFAULT]
    if is_missing:
        with write_transaction(engine) as connection:
            ensure_account(connection, DEFAULT_ACCOUNT, clock.now())
    with read_transaction(engine) as connection:
        return enabled_accounts(connection, names)


def failed_result(
    engine: Engine | None, account: Account, trigger: str, started_at: datetime, error: FavsyncError
) -> RunResult:
    """Return the result of an account whose run did not start."""
    favourites = 0  # also where the database is what failed
    if engine is not None:
        try:
            with read_transaction(engine) as connection:
                favourites = open_count(connection, account.account_id)
        except DatabaseError:
            pass
    return RunResult(
        account=account.name,
        trigger=trigger,
        started_at=started_at,
        reason=str(error),
        error=error,
        favourites=favourites,
    )
