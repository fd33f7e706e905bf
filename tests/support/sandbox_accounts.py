"""Accounts of a sandbox's users in a database, for tests of tokens and of the scheduler."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from cryptography.fernet import Fernet
from sqlalchemy import Engine, select

from etl import clock, config
from etl.accounts import token_rows
from etl.accounts.manage import add_account
from etl.accounts.token_input import TokenInput
from etl.accounts.token_rows import TokenLocation, TokenRow
from etl.boomplay.payloads import Token
from etl.config import Config
from etl.db.engine import read_transaction, write_transaction
from etl.db.tables import accounts, favourites, runs, schedules
from etl.load import calendar
from etl.sandbox import Sandbox
from etl.scheduler import queue
from etl.scheduler.next_run import NextRun


def new_key() -> str:
    """Return a new Fernet key."""
    return Fernet.generate_key().decode()


KEY = new_key()


def variables(database_url: str, sandbox: Sandbox, **more: str) -> dict[str, str]:
    """Return variables that lead to the sandbox and the database, with a key; ``more`` go over them, empty ones go."""
    given = {
        "FAVSYNC_DATABASE_URL": database_url,
        "FAVSYNC_ENCRYPTION_KEY": KEY,
        "FAVSYNC_REQUESTS_PER_SECOND": "0",
        "FAVSYNC_MAX_RETRIES": "0",
        "FAVSYNC_TIMEOUT_SECONDS": "3600",  # no test may depend on how fast an answer comes
        "BOOMPLAY_API_URL": sandbox.url,
        "BOOMPLAY_APP_ID": sandbox.app_id,
        "BOOMPLAY_APP_SECRET": sandbox.app_secret,
    }
    return {name: value for name, value in (given | more).items() if value}


def settings(database_url: str, sandbox: Sandbox, **more: str) -> Config:
    """Return the settings that `variables` make."""
    return config.load({}, variables(database_url, sandbox, **more), None)


def add(settings: Config, engine: Engine, sandbox: Sandbox, *names: str, schedule: str | None = None) -> None:
    """Add accounts for the sandbox's users with these names, all where none is named; tokens go into the database."""
    for name in names or sandbox.users:
        user = sandbox.users[name]
        given = TokenInput(Token(user.access_token, refresh_token=user.refresh_token), TokenLocation.DATABASE)
        add_account(settings, engine, name, given, {"schedule": schedule})


def number(engine: Engine, name: str) -> int:
    """Return the account's id."""
    with read_transaction(engine) as connection:
        found = token_rows.account_id_of(connection, name)
    assert found is not None
    return found


def token_row(engine: Engine, name: str) -> TokenRow | None:
    """Return the account's row in ``tokens``."""
    with read_transaction(engine) as connection:
        return token_rows.token_row(connection, number(engine, name))


def next_run(engine: Engine, name: str) -> Any:
    """Return the account's row in ``schedules``."""
    with read_transaction(engine) as connection:
        return connection.execute(select(schedules).where(schedules.c.account_id == number(engine, name))).first()


def outcomes(engine: Engine, name: str) -> list[str]:
    """Return how the account's runs ended, oldest first."""
    with read_transaction(engine) as connection:
        query = select(runs.c.outcome).where(runs.c.account_id == number(engine, name)).order_by(runs.c.run_id)
        return [str(outcome) for outcome in connection.execute(query).scalars()]


def open_tracks(engine: Engine, name: str) -> set[int]:
    """Return the account's open favourites."""
    with read_transaction(engine) as connection:
        query = select(favourites.c.track_id).where(
            favourites.c.account_id == number(engine, name), favourites.c.valid_to.is_(None)
        )
        return set(connection.execute(query).scalars())


def call_soon(engine: Engine, name: str) -> None:
    """Make the account due."""
    account_id = number(engine, name)
    with write_transaction(engine) as connection:
        calendar.set_due(connection, account_id, clock.now())


def postpone(engine: Engine, name: str, until: datetime, failures: int = 0, schedule: str = "every 1h") -> None:
    """Write the account's next run as the scheduler does now; after failures, the service asked to wait."""
    run = NextRun(until, failures, until if failures else None)
    account_id = number(engine, name)
    with write_transaction(engine) as connection:
        queue.set_next_run(connection, account_id, schedule, run, clock.now())


def change(engine: Engine, name: str, **values: Any) -> None:
    """Set columns of the account, and keep its row in ``schedules`` in step."""
    account_id = number(engine, name)
    with write_transaction(engine) as connection:
        connection.execute(accounts.update().where(accounts.c.name == name).values(**values))
        if "enabled" in values:
            calendar.set_due(connection, account_id, clock.now() if values["enabled"] else calendar.NEVER)
