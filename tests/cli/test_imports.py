"""What a verb imports, which is most of the time of a short one."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from etl.db.migrate import ready_engine

HEAVY = {
    "alembic", "altair", "apscheduler", "asyncio", "click", "cryptography", "httpx", "msgspec", "prometheus_client", "psycopg",
    "pyarrow", "pygments", "rich", "sqlalchemy", "sqlalchemy.dialects.postgresql", "stamina", "structlog",
}  # fmt: skip
PROGRAM = """
import json, sys
from etl.cli import main
code = main(sys.argv[2:])
with open(sys.argv[1], "w") as run_verb:
    json.dump([code, sorted(sys.modules)], run_verb)
"""


def imported(tmp_path, *arguments: str, code: int = 0) -> set[str]:
    run_verb = tmp_path / "modules.json"
    subprocess.run([sys.executable, "-c", PROGRAM, run_verb, *arguments], check=True, capture_output=True)
    ended, modules = json.loads(run_verb.read_text())
    assert ended == code
    return HEAVY & set(modules)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["sync", "--help"], ["status", "--help"]])
def test_help_needs_click_alone(tmp_path, arguments):
    assert imported(tmp_path, *arguments) == {"click"}


def test_status_imports_database_and_logs_and_nothing_else(tmp_path):
    url = f"sqlite:///{tmp_path}/favsync.db"
    ready_engine(url, create=True).dispose()
    wanted = {"asyncio", "click", "msgspec", "pygments", "rich", "sqlalchemy", "structlog"}
    assert imported(tmp_path, "--database-url", url, "status") <= wanted


def test_a_later_sync_imports_no_alembic(tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path}/favsync.db"
    ready_engine(url, create=True).dispose()
    monkeypatch.setenv("BOOMPLAY_API_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("BOOMPLAY_APP_ID", "app")
    monkeypatch.setenv("BOOMPLAY_ACCESS_TOKEN", "token")
    monkeypatch.setenv("FAVSYNC_MAX_RETRIES", "0")
    modules = imported(tmp_path, "--database-url", url, "sync", code=3)
    assert "httpx" in modules
    assert modules <= {"asyncio", "click", "httpx", "msgspec", "pygments", "rich", "sqlalchemy", "structlog"}


ENDING = """
import atexit, gc, sys
atexit.register(lambda: print(gc.get_freeze_count() > 1_000))  # called after what is registered later
from etl.cli import main
sys.exit(main(["--version"]))
"""


def test_no_garbage_collection_runs_at_exit():
    ended = subprocess.run([sys.executable, "-c", ENDING], check=True, capture_output=True, text=True)
    assert ended.stdout.splitlines()[-1] == "True"
