"""History from observations alone: what was tampered with is found and mended, and a new way to read items is seen first."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from sqlalchemy import select, text

from etl.db.engine import open_engine, read_transaction, write_transaction
from etl.db.tables import favourites, track_versions
from etl.errors import RunInProgress
from etl.load.run_lock import run_lock
from etl.model.records import RemovalThreshold, Review
from etl.replay.rebuild import compare, rewrite
from etl.replay.review import review_run
from etl.sync import RunOptions, sync_account
from etl.transform.normalise import InvalidItem, normalise
from tests.conftest import ENGINES
from tests.support.lists import FakeSource, item, raw
from tests.support.past import account_in, assert_rebuilt, at, columns_of, import_past, past_snapshot

THRESHOLD = RemovalThreshold()


@pytest.fixture
def engine(database_url):
    engine = open_engine(database_url)
    yield engine
    engine.dispose()


def fill(url):
    """Give an account additions, removals, changed facts and an unreadable item; return what is stored then."""
    engine = open_engine(url)
    import_past(
        engine,
        account_in(engine),
        past_snapshot(1, [*range(1, 9), raw(b'{"track_id":50,"artwork":7}', 50)]),
        past_snapshot(2, [*range(2, 9), item(20, genres="Jazz", available_markets="NG")]),
        past_snapshot(3, [*range(2, 8), item(20, genres="Jazz,Soul", available_markets="NG,GH"), 1]),
    )
    stored = content(engine)
    engine.dispose()
    return stored


@pytest.fixture(params=ENGINES)
def history(request, filled_database):
    """Return a database with the history of `fill`, and what is stored in it."""
    url, stored = filled_database(request.param, fill)
    engine = open_engine(url)
    yield engine, stored
    engine.dispose()


@pytest.fixture
def filled(history):
    return history[0]


def content(engine):
    """Everything in the projections, without the numbers of rows and without how names are stored."""
    names = ("favourites", "track_versions", "tracks", "track_artists", "track_genres", "albums", "artists", "runs")
    with read_transaction(engine) as connection:
        return {name: sorted(map(str, connection.execute(select(*columns_of(name))).all())) for name in names}


TAMPERED = {
    "an interval is gone": "DELETE FROM favourites WHERE track_id = 1 AND valid_to IS NOT NULL",
    "a bound": "UPDATE favourites SET added_after = NULL WHERE added_after IS NOT NULL",
    "a lower bound of a removal": "UPDATE favourites SET removed_after = NULL WHERE removed_after IS NOT NULL",
    "the run that is cited": "UPDATE favourites SET added_run_id = 2 WHERE track_id = 2",
    "when it was last seen": "UPDATE favourites SET last_seen_at = valid_from WHERE valid_to IS NULL",
    "a title": "UPDATE tracks SET title = 'x' WHERE track_id = 3",
    "a duration": "UPDATE tracks SET duration_seconds = 1 WHERE track_id = 3",
    "facts that are gone": "UPDATE tracks SET title = NULL, facts_digest = NULL, changed_at = NULL WHERE track_id = 3",
    "when it was first seen": "UPDATE tracks SET first_seen_at = changed_at WHERE track_id = 20",
    "when it changed": "UPDATE tracks SET changed_at = first_seen_at WHERE track_id = 20",
    "a version is gone": "DELETE FROM superseded_versions WHERE track_id = 20",
    "a version's title": "UPDATE superseded_versions SET title = 'x' WHERE track_id = 20",
    "a version's facts": "UPDATE superseded_versions SET facts = REPLACE(CAST(facts AS text), 'Jazz', 'Pop')",
    "a version's markets": "UPDATE superseded_versions SET market_set_id = NULL WHERE track_id = 20",
    "a current version's facts": "UPDATE tracks SET facts = '{}' WHERE track_id = 20",
    "the first name of an artist": "UPDATE artists SET first_name = 'x'",
    "the first title of an album": "UPDATE albums SET first_title = 'x'",
    "an artist of a track": "DELETE FROM track_artists WHERE track_id = 5",
    "a role": "UPDATE track_artists SET role = 'x' WHERE track_id = 5",
    "a genre": "UPDATE track_genres SET genre_id = (SELECT max(genre_id) FROM genres) WHERE track_id = 5 AND position = 1",
    "an artist's name": "UPDATE artists SET name = 'x'",
    "an album's title": "UPDATE albums SET title = 'x'",
    "a count of a run": "UPDATE runs SET added = 5 WHERE run_id = 2",
    "the favourites after a run": "UPDATE runs SET favourites = 5 WHERE run_id = 2",
    "an outcome": "UPDATE runs SET outcome = 'unchanged' WHERE run_id = 2",
    "members of a market set": "DELETE FROM market_set_members WHERE market_code = 'NG'",
    "a reading of an item": "UPDATE raw_items SET is_readable = NOT is_readable WHERE track_id = 6",
}


@pytest.mark.parametrize("statement", [pytest.param(sql, id=name) for name, sql in TAMPERED.items()])
def test_changed_rows_are_found_and_restored(history, statement):
    filled, before = history
    if filled.dialect.name == "postgresql":
        statement = statement.replace("SET facts = REPLACE(CAST(facts AS text), 'Jazz', 'Pop')",
                                      "SET facts = CAST(REPLACE(CAST(facts AS text), 'Jazz', 'Pop') AS jsonb)")  # fmt: skip
    with write_transaction(filled) as connection:
        connection.execute(text(statement))
    assert compare(filled, (), THRESHOLD)
    assert rewrite(filled, (), THRESHOLD)
    assert not compare(filled, (), THRESHOLD)
    after = content(filled)
    favourites_apart = {name: each for name, each in before.items() if name != "favourites"}
    assert {name: after[name] for name in favourites_apart} == favourites_apart


def test_interval_without_a_snapshot_is_found_and_removed(filled):
    before = content(filled)
    with write_transaction(filled) as connection:
        row = {"account_id": 1, "favourite_id": 99, "track_id": 50, "valid_from": at(0), "valid_to": at(0.5)}
        connection.execute(favourites.insert().values(**row, added_run_id=1, removed_run_id=2))
    found = compare(filled, (), THRESHOLD)
    assert [interval.track_id for interval in found.accounts[0][1].surplus] == [50]
    rewrite(filled, (), THRESHOLD)
    assert content(filled) == before


def test_a_sound_history_is_not_touched(filled):
    before = content(filled)
    assert not compare(filled, (), THRESHOLD)
    assert not rewrite(filled, (), THRESHOLD)
    assert content(filled) == before


def test_history_can_be_rebuilt_from_snapshots(filled):
    before = content(filled)
    with write_transaction(filled) as connection:
        for name in ("favourites", "superseded_versions", "track_artists", "track_genres"):
            connection.execute(text(f"DELETE FROM {name}"))
        connection.execute(
            text("UPDATE tracks SET title = NULL, album_id = NULL, facts_digest = NULL, changed_at = NULL")
        )
    rewrite(filled, (), THRESHOLD)
    assert content(filled) == before


def test_check_shows_the_effect_of_new_item_parsing(filled, monkeypatch):
    def shouted(one):
        track = normalise(one)
        return replace(track, title=track.title and track.title.upper())

    monkeypatch.setattr("etl.replay.track_events.normalise", shouted)
    before = content(filled)
    found = compare(filled, (), THRESHOLD)
    assert len(found.facts.tracks) == 9
    assert (1, "title", "Track 1", "TRACK 1") in found.facts.samples
    assert content(filled) == before, "a comparison writes nothing"
    rewrite(filled, (), THRESHOLD)
    with read_transaction(filled) as connection:
        assert set(connection.execute(select(track_versions.c.title)).scalars()) >= {"TRACK 1", "TRACK 20"}
    assert not compare(filled, (), THRESHOLD)


def test_item_that_became_readable_is_reported(engine, monkeypatch):
    ada = account_in(engine)

    def refusing(one):
        raise InvalidItem("not yet")

    with monkeypatch.context() as patch:
        for module in ("transform.delta", "replay.track_events"):
            patch.setattr(f"etl.{module}.normalise", refusing)
        import_past(engine, ada, past_snapshot(1, [1, 2]))
    assert compare(engine, (), THRESHOLD).facts.turned == 2
    rewrite(engine, (), THRESHOLD)
    assert_rebuilt(engine, ada)


def test_one_account_may_be_rebuilt_alone(filled):
    bob = account_in(filled, "bob")
    import_past(filled, bob, past_snapshot(1, [100]))
    with write_transaction(filled) as connection:
        connection.execute(text("DELETE FROM favourites"))
        connection.execute(text("UPDATE tracks SET title = 'x'"))
    rewrite(filled, ["bob"], THRESHOLD)
    found = compare(filled, (), THRESHOLD)
    assert [name for name, difference in found.accounts if difference] == ["ada"]
    assert 100 not in found.facts.tracks


def test_nothing_is_rebuilt_while_a_run_is_in_progress(filled):
    with run_lock(filled, account_in(filled).account_id, "ada"), pytest.raises(RunInProgress):
        rewrite(filled, (), THRESHOLD)


def test_rebuild_uses_the_threshold_of_each_run(engine):
    ada = account_in(engine)
    sync_account(engine, ada, FakeSource([item(n) for n in range(1, 41)]), RunOptions())
    sync_account(
        engine, ada, FakeSource([item(n) for n in range(1, 25)]), RunOptions(threshold=RemovalThreshold(5, 0.1))
    )
    assert not compare(engine, (), RemovalThreshold(1000, 1.0))


@pytest.mark.parametrize("decision", list(Review))
def test_rebuild_applies_the_review_of_held_removals(engine, decision):
    ada = account_in(engine)
    sync_account(engine, ada, FakeSource([item(n) for n in range(1, 41)]), RunOptions())
    held = sync_account(engine, ada, FakeSource([item(1)]), RunOptions())
    assert_rebuilt(engine, ada)
    review_run(engine, held.run_id, decision, THRESHOLD)
    assert_rebuilt(engine, ada)
    sync_account(engine, ada, FakeSource([item(n) for n in range(1, 38)]), RunOptions())
    assert_rebuilt(engine, ada)
    import_past(engine, ada, past_snapshot(-5, range(1, 60)))
    assert_rebuilt(engine, ada)
