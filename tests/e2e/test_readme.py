"""Every command in the README is run, and every answer that it shows is the true one."""

from __future__ import annotations

import os
import re
import shlex
import sqlite3
import subprocess
from pathlib import Path

import pytest

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
COMMANDS = [line[2:] for block in BLOCKS for line in block.splitlines() if line.startswith("$ ")]
OUTSIDE = {
    "make demo": "demo: $(VENV)/.runtime",
    "make test": "test: $(VENV)/.test",
    "make hostile": "hostile: $(VENV)/",
}
"""Commands that set up their own environment: what the Makefile must hold for them (the demo itself is run in test_demo)."""


def test_there_are_commands_to_run():
    assert len(COMMANDS) >= 9


@pytest.mark.parametrize("command", [command for command in COMMANDS if command in OUTSIDE])
def test_a_make_target_of_the_readme_is_there(command):
    makefile = (Path(__file__).resolve().parents[2] / "Makefile").read_text(encoding="utf-8")
    assert OUTSIDE[command] in makefile


def test_readme_commands_work_in_order(favsync, sandbox, monkeypatch, home):
    token = sandbox.users["ada"].access_token
    monkeypatch.setenv("BOOMPLAY_API_URL", sandbox.url)
    given = {"your-app-id": sandbox.app_id, "your-token": token}
    for command in COMMANDS:
        if command in OUTSIDE or command.startswith("favsync sandbox"):
            continue
        words = shlex.split(command)
        if words[0] == "export":
            name, _, value = words[1].partition("=")
            monkeypatch.setenv(name, given.get(value, value))
            continue
        assert words[0] == "favsync", f"no test knows how to run {command!r}"
        result = favsync(*words[1:])  # tests/deploy/test_wheel runs the installed command so
        assert result.code == 0, f"{command}: {result.err}"
        assert result.out or result.err, f"{command} says nothing"


def test_the_crontab_line_syncs_without_output(connected, existing_database, home):
    sheet = (Path(__file__).resolve().parents[2] / "docs/cheatsheet.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^[*/0-9]+ \* \* \* \* (.*)$", sheet, re.MULTILINE)
    from tests.e2e.conftest import FAVSYNC

    (home / ".local/bin").mkdir(parents=True)
    (home / ".local/bin/favsync").symlink_to(FAVSYNC)
    (home / "favsync.toml").write_text("")
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, cwd=home, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    with sqlite3.connect(existing_database) as connection:
        assert connection.execute("SELECT outcome FROM runs").fetchall() == [("succeeded",)]


def test_the_sandbox_of_the_readme_prints_lines_that_connect(favsync, home):
    (command,) = [command for command in COMMANDS if command.startswith("favsync sandbox")]
    from tests.e2e.conftest import FAVSYNC

    words = shlex.split(command.replace("8765", "0"))
    with subprocess.Popen(
        [FAVSYNC, *words[1:]], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=home
    ) as server:
        assert server.stdout is not None
        env = dict(os.environ)
        while "BOOMPLAY_ACCESS_TOKEN" not in env:
            name, _, value = shlex.split(server.stdout.readline())[1].partition("=")
            env[name] = value
        synced = favsync("sync", env=env)
        server.terminate()
    assert synced.code == 0, synced.err


def test_readme_answer_equals_the_demo_answer(favsync, home):
    sql, answer = re.search(r"```sql\n(.*?)```\s*```text\n(.*?)```", README, re.DOTALL).groups()
    assert len(favsync("demo", "--keep", "here", "--json").json["runs"]) == 5
    with sqlite3.connect(home / "here" / "favsync.db") as connection:
        cursor = connection.execute(sql)
        names = [column[0] for column in cursor.description]
        rows = [[str(value) for value in row] for row in cursor]
    shown = [line.split() for line in answer.strip().splitlines()]
    assert shown == [names, *rows]
