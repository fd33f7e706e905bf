"""Revision 0003: kept pages beside accounts that were there before."""

from __future__ import annotations

import pytest
from sqlalchemy import inspect, text

from etl.backfill import page_checkpoint
from etl.db.engine import open_engine, read_transaction, write_transaction
from etl.db.migrate import upgrade
from etl.errors import DatabaseError
from etl.model.records import Page
from tests.migrations.older import create_older
from tests.support.lists import START, item

AT = "2026-11-23T12:00:00.000000Z"


def upgraded_account(url: str) -> None:
    """Make a database with an account of revision 0002, and bring it to the newest."""
    create_older(url, "0002")
    engine = open_engine(url)
    with write_transaction(engine) as connection:
        connection.execute(
            text("INSERT INTO accounts (name, enabled, created_at) VALUES ('ada', true, :at)"), {"at": AT}
        )
    assert "walk_pages" not in inspect(engine).get_table_names()
    engine.dispose()
    upgrade(url)


def test_pages_of_an_account_that_was_there_can_be_kept(upgraded):
    page = Page(49, 50, (item(1), item(2)), counts=7)
    with write_transaction(upgraded) as connection:
        page_checkpoint.save_page(connection, 1, page, START)
        page_checkpoint.save_page(connection, 1, page, START)
    with read_transaction(upgraded) as connection:
        (kept,) = page_checkpoint.saved_pages(connection, 1, START.replace(year=2020))
    assert kept == (page, START)


def test_pages_go_with_their_account(upgraded):
    with write_transaction(upgraded) as connection:
        page_checkpoint.save_page(connection, 1, Page(0, 50, (item(1), item(2))), START)
        connection.execute(text("DELETE FROM accounts"))
        assert not page_checkpoint.saved_pages(connection, 1, START.replace(year=2020))


def test_pages_of_no_account_are_refused(upgraded):
    with pytest.raises(DatabaseError), write_transaction(upgraded) as connection:
        page_checkpoint.save_page(connection, 99, Page(0, 50, (item(1), item(2))), START)
