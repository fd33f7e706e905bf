"""`favsync demo`: what a newcomer sees first."""

from __future__ import annotations

import sqlite3


def test_demo_shows_a_growing_history(favsync, home):
    result = favsync("demo", "--keep", "here")
    assert result.code == 0, result.err
    for words in ("200 added", "3 added, 2 removed", "1 added, 1 changed", "unchanged: 202 favourites", "SELECT"):
        assert words in result.out
    with sqlite3.connect(home / "here" / "favsync.db") as connection:
        outcomes = connection.execute("SELECT outcome, added, removed FROM report_runs ORDER BY run_id").fetchall()
        intervals = connection.execute(
            "SELECT count(*) FROM favourites GROUP BY track_id HAVING count(*) > 1"
        ).fetchall()
        versions = connection.execute("SELECT count(*) FROM track_versions WHERE valid_to IS NOT NULL").fetchall()
    assert outcomes == [("succeeded", 200, 0), ("succeeded", 3, 2), ("succeeded", 1, 0), ("unchanged", 0, 0)]
    assert intervals == [(2,)]
    assert versions == [(1,)]


def test_the_demo_does_not_write_over_an_earlier_one(favsync):
    assert favsync("demo", "--keep", "here", "--json").code == 0
    again = favsync("demo", "--keep", "here")
    assert again.code == 2
    assert "already contains a demo" in again.err


def test_the_demo_names_a_folder_that_cannot_be_made(favsync, home):
    (home / "taken").write_text("")
    refused = favsync("demo", "--keep", "taken/here")
    assert refused.code == 2
    assert "the folder taken/here cannot be created: Not a directory" in refused.err


def test_the_demo_needs_no_setting_and_obeys_none(favsync, home):
    found = favsync("demo", "--json", env={"FAVSYNC_DATABASE_URL": "sqlite:///mine.db"}).json
    assert len(found["runs"]) == 4
    assert not (home / "mine.db").exists()
