"""`favsync demo`: what a newcomer sees first."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path


def test_demo_shows_a_growing_history(installed, home):
    result = installed("demo", "--keep", "here")
    assert result.code == 0, result.err
    for words in ("200 added", "3 added, 2 missing", "1 missing, 1 changed", "unchanged: 203 favourites", "1 removed"):
        assert words in result.out
    assert "FAVSYNC_REMOVAL_GRACE" in result.out
    with sqlite3.connect(home / "here" / "favsync.db") as connection:
        outcomes = connection.execute("SELECT outcome, added, missing, removed FROM runs ORDER BY run_id").fetchall()
        removed = connection.execute("SELECT removal_reason FROM favourites WHERE valid_to IS NOT NULL").fetchall()
        versions = connection.execute("SELECT count(*) FROM track_versions WHERE valid_to IS NOT NULL").fetchall()
        for sql in re.findall(r"sqlite> (.*?;)", result.out, re.DOTALL):
            assert connection.execute(sql).fetchone() is not None or "missing_since" in sql
    assert outcomes == [
        ("succeeded", 200, 0, 0),
        ("succeeded", 3, 2, 0),
        ("succeeded", 0, 1, 0),
        ("unchanged", 0, 1, 0),
        ("succeeded", 0, 0, 1),
    ]
    assert removed == [("unfavourited",)]
    assert versions == [(1,)]


def test_the_commands_that_the_demo_prints_work(favsync, home):
    commands = favsync("demo", "--keep", "a folder").out.partition("Try these next:\n")[2].splitlines()
    assert len(commands) == 3
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for command in commands:
        done = subprocess.run(
            command, shell=True, cwd=home, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout != "") == (0, True), done.stderr


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
    assert len(found["runs"]) == 5
    assert not (home / "mine.db").exists()
