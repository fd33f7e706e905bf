"""`favsync demo`: what a newcomer sees first."""

from __future__ import annotations

import os
import re
import shlex
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


def test_the_printed_commands_work_and_settings_are_ignored(favsync, home):
    """Also, the demo does not write over an earlier one."""
    printed = favsync("demo", "--keep", "a folder", env={"FAVSYNC_DATABASE_URL": "sqlite:///mine.db"}).out
    assert not (home / "mine.db").exists()
    first, *others = printed.partition("Try these next:\n")[2].splitlines()
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        first, shell=True, cwd=home, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout != "") == (0, True), done.stderr
    assert len(others) == 2
    for command in others:
        result = favsync(*shlex.split(command.removeprefix(first.partition("status")[0])))
        assert (result.code, result.out != "") == (0, True), result.err
    again = favsync("demo", "--keep", "a folder")
    assert again.code == 2
    assert "already contains a demo" in again.err


def test_the_demo_names_a_folder_that_cannot_be_made(favsync, home):
    (home / "taken").write_text("")
    refused = favsync("demo", "--keep", "taken/here")
    assert refused.code == 2
    assert "the folder taken/here cannot be created: Not a directory" in refused.err
