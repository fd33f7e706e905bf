"""Erasing an account: everything about it, and nothing of the others."""

from __future__ import annotations

import json
import sqlite3

import pytest
from sqlalchemy import select

from etl.backfill import page_checkpoint
from etl.cli import main
from etl.db.engine import open_engine, read_transaction, write_transaction
from etl.db.tables import metadata
from etl.model.records import Page
from etl.replay import prune
from etl.replay.erase import erase_account
from etl.replay.prune import compact
from tests.support.lists import START, item, raw
from tests.support.past import account_in, assert_rebuilt, columns_of, import_past, past_snapshot, stored_intervals


@pytest.fixture
def engine(database_url):
    engine = open_engine(database_url)
    yield engine
    engine.dispose()


def content(engine, *, names=None):
    with read_transaction(engine) as connection:
        chosen = [*(table.name for table in metadata.sorted_tables), "track_versions"] if names is None else names
        return {name: connection.execute(select(*columns_of(name))).all() for name in chosen}


HERS = [
    past_snapshot(1, [1, 2, 3, item(70, artists=[{"artist_id": 99, "artist_name": "Only hers"}], album_id=999, album_title="Hers",
                           genres="Secret", available_markets="QQ,NG")]),
    past_snapshot(3, [item(2, track_title="As she saw it"), 3, raw(b'{"track_id":80,"artwork":1}', 80)]),
]  # fmt: skip
HIS = [past_snapshot(2, [2, 3, 4]), past_snapshot(4, [3, 4, 5])]


def test_erase_removes_all_of_one_account_and_no_other(engine, new_database):
    ada, bob = account_in(engine), account_in(engine, "bob")
    import_past(engine, ada, *HERS)
    import_past(engine, bob, *HIS)
    his = stored_intervals(engine, bob)
    with write_transaction(engine) as connection:
        page_checkpoint.save_page(connection, ada.account_id, Page(0, 50, (item(1), item(2))), START)
        page_checkpoint.save_page(connection, bob.account_id, Page(0, 50, (item(3), item(4))), START)
    with write_transaction(engine) as connection:
        counts = erase_account(connection, ada.account_id)
    assert counts["runs"] == 2
    assert counts["favourites"] == 5
    assert counts["tracks"] == 3
    assert stored_intervals(engine, bob) == his
    assert_rebuilt(engine, bob)
    left = content(engine)
    for name, rows in left.items():
        assert not [row for row in rows if "account_id" in row._fields and row.account_id == ada.account_id], name
    assert len(left["walk_pages"]) == 1
    assert {row.track_id for row in left["raw_items"]} == {2, 3, 4, 5}
    alone = open_engine(new_database(engine.dialect.name))
    import_past(alone, account_in(alone, "bob"), *HIS)
    shared = {
        "tracks",
        "track_versions",
        "track_artists",
        "albums",
        "artists",
        "market_sets",
        "market_set_members",
        "markets",
    }
    drop = {"market_set_id", "digest"}
    for name, rows in content(alone, names=shared).items():
        assert plain(left[name], drop) == plain(rows, drop), name
    alone.dispose()


def plain(rows, drop):
    """Rows without the numbers that a database gives out."""
    told = ({name: value for name, value in row._mapping.items() if name not in drop} for row in rows)
    return sorted(json.dumps(row, sort_keys=True, default=str) for row in told)


def test_the_last_account_leaves_an_empty_database(engine):
    ada = account_in(engine)
    before = content(engine)
    import_past(engine, ada, *HERS)
    with write_transaction(engine) as connection:
        erase_account(connection, ada.account_id)
    after = content(engine)
    assert {name for name, rows in after.items() if rows} == {name for name, rows in before.items() if rows} - {
        "accounts",
        "schedules",
    }


def test_no_byte_of_it_is_left_in_a_sqlite_file(new_database, tmp_path):
    url = new_database("sqlite")
    engine = open_engine(url)
    ada = account_in(engine, "ada-the-erased")
    import_past(engine, ada, past_snapshot(1, [item(1, track_title="Something very telling")], whole=True))
    with write_transaction(engine) as connection:
        erase_account(connection, ada.account_id)
    compact(engine)
    engine.dispose()
    for path in tmp_path.glob(f"{url.rpartition('/')[2]}*"):
        assert b"ada-the-erased" not in path.read_bytes(), path.name
        assert b"very telling" not in path.read_bytes(), path.name


def test_erase_reports_a_reader_that_blocks_the_cleanup(new_database, monkeypatch, capsys):
    monkeypatch.setattr(prune, "PATIENCE_MS", 20)
    url = new_database("sqlite")
    engine = open_engine(url)
    import_past(engine, account_in(engine), past_snapshot(1, [item(1)], whole=True))
    engine.dispose()
    reader = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM accounts").fetchall()
    assert main(["accounts", "remove", "ada", "--erase", "--yes", "--database-url", url]) == 5
    assert "the database file still contains traces: somebody else is reading the database" in capsys.readouterr().err
    reader.close()
    assert compact(open_engine(url)) is not None
