"""Revision 0002: tokens and schedules beside accounts that were there before, and what the database refuses of them."""

from __future__ import annotations

import pytest
from sqlalchemy import inspect, text

from etl.db.engine import open_engine, read_transaction, write_transaction
from etl.db.migrate import upgrade
from etl.errors import DatabaseError
from tests.migrations.older import create_older
from tests.support.past import account_in

AT = "2026-11-23T12:00:00.000000Z"
TOKEN = (
    "INSERT INTO tokens (account_id, place, reference, secret, state, updated_at)"
    " VALUES (1, :place, :reference, :secret, :state, :at)"
)
GOOD = {"place": "database", "reference": None, "secret": b"x", "state": "valid", "at": AT}


def upgraded_account(url: str) -> None:
    """Make a database with an account of revision 0001, and bring it to the newest."""
    create_older(url, "0001")
    engine = open_engine(url)
    with write_transaction(engine) as connection:
        connection.execute(
            text("INSERT INTO accounts (name, enabled, schedule, created_at) VALUES ('ada', true, 'every 1d', :at)"),
            {"at": AT},
        )
    assert "tokens" not in inspect(engine).get_table_names()
    engine.dispose()
    upgrade(url)


def counts(engine):
    """Return how many tokens and turns there are."""
    with read_transaction(engine) as connection:
        return tuple(
            connection.execute(text(f"SELECT count(*) FROM {name}")).scalar() for name in ("tokens", "schedules")
        )


def put(engine, sql, **values):
    with write_transaction(engine) as connection:
        connection.execute(text(sql), values)


def test_accounts_are_unchanged_without_token_and_due(upgraded):
    with read_transaction(upgraded) as connection:
        assert connection.execute(text("SELECT name, schedule FROM accounts")).all() == [("ada", "every 1d")]
    assert counts(upgraded) == (0, 1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"secret": None},
        {"reference": "/run/secrets/ada"},
        {"place": "file", "reference": None, "secret": None},
        {"place": "environment", "reference": "ADA", "secret": b"x"},
        {"place": "elsewhere"},
        {"state": "expiring"},
    ],
)
def test_a_token_that_is_nowhere_or_in_two_places_is_refused(database_url, wrong):
    engine = open_engine(database_url)
    account_in(engine)
    with pytest.raises(DatabaseError, match="tokens"):
        put(engine, TOKEN, **(GOOD | wrong))
    engine.dispose()


def test_token_and_next_run_are_unique_and_deleted_with_account(upgraded):
    put(upgraded, TOKEN, **GOOD)
    with pytest.raises(DatabaseError):
        put(upgraded, TOKEN, **GOOD)
    put(upgraded, "DELETE FROM accounts WHERE account_id = 1")
    assert counts(upgraded) == (0, 0)
