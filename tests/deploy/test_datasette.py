"""deploy/datasette: each page that it offers, asked of Datasette itself, on a SQLite database with a history."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import make_url

from etl.cli import main
from etl.reporting.query import ctes
from etl.reporting.views import views
from tests.conftest import FilledDatabase
from tests.deploy.history import lived
from tests.house.source import ROOT
from tests.support.lists import FakeSource
from tools.examples import RECIPES

METADATA = yaml.safe_load((ROOT / "deploy/datasette/metadata.yaml").read_text(encoding="utf-8"))
DATABASE = METADATA["databases"]["favsync"]
PARAMETERS = {"search": "", "since": "2000-01-01", "moment": "2999-01-01T00:00:00Z", "track_id": "8"}


class Site:
    """Datasette over one database, asked as a reader or as its owner."""

    def __init__(self, database: Path) -> None:
        from datasette.app import Datasette  # takes a second, in each process that collects tests

        self.database = database
        self.datasette = Datasette(
            [str(database)], metadata=METADATA, plugins_dir=str(ROOT / "deploy/datasette/plugins")
        )

    def get(self, path: str, *, as_root: bool = False, **parameters: Any) -> Any:
        """Return the response to a GET."""
        cookies = {"ds_actor": self.datasette.sign({"a": {"id": "root"}}, "actor")} if as_root else {}

        async def ask() -> Any:
            return await self.datasette.client.get(path, params=parameters, headers=_cookie(cookies))

        return asyncio.run(ask())

    def rows(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        """Return what a canned query answers."""
        answer = self.get(f"/favsync/{query}.json", _shape="array", **parameters)
        assert answer.status_code == 200, answer.text
        rows: list[dict[str, Any]] = answer.json()
        return rows


def _cookie(cookies: dict[str, str]) -> dict[str, str]:
    return {"cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())} if cookies else {}


@pytest.fixture
def site(filled_database: FilledDatabase[FakeSource], tmp_path: Path) -> Site:
    url, _ = filled_database("sqlite", lived)
    place = tmp_path / "site" / "favsync.db"
    place.parent.mkdir()
    shutil.copy(str(make_url(url).database), place)
    return Site(place)


def test_every_canned_query_answers(site: Site) -> None:
    silent = []
    for name, query in DATABASE["queries"].items():
        asked = {parameter: PARAMETERS[parameter] for parameter in query.get("params", [])}
        if not site.rows(name, **asked):
            silent.append(name)
        assert site.get(f"/favsync/{name}", **asked).status_code == 200
    assert silent == ["missing", "not-at-home", "troubles"], "this history has no such thing"


def test_the_answers_are_the_history(site: Site) -> None:
    assert [row["is_current"] for row in site.rows("one-track", track_id="8")] == [0, 1]
    assert [row["title"] for row in site.rows("regretted")] == ["Track 8"]
    assert [row["title"] for row in site.rows("current", search="Another")] == ["Another title"]
    assert len(site.rows("current", search="")) == 118
    assert {row["change"] for row in site.rows("changes", since="2000-01-01")} == {"already there", "added", "removed"}
    assert site.rows("changes", since="2999-01-01") == []


def test_the_past_is_certain_where_favsync_says_so_itself(site: Site) -> None:
    runs = site.get("/favsync/runs.json", _shape="array").json()
    moments = [run[column] for run in runs for column in ("started_at", "observed_at", "finished_at")]
    seen = set()
    for moment in sorted({*moments, *(each[:-1] for each in moments), PARAMETERS["moment"]}):
        found = site.rows("as-of", moment=moment)
        assert {row["track_id"] for row in found if row["is_certain"]} == as_favsync_says(site, moment)
        seen |= {row["is_certain"] for row in found}
    assert seen == {0, 1}


def as_favsync_says(site: Site, moment: str) -> set[int]:
    """Return the tracks of `favsync report current-favourites --as-of`."""
    sql = f"{ctes(views()['report_current_favourites'], 'sqlite')} SELECT track_id FROM report_current_favourites"
    with closing(sqlite3.connect(site.database)) as connection:
        return {track_id for (track_id,) in connection.execute(sql, {"as_of": moment})}


def test_recipe_command_serves_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--keep", "demo"]) == 0
    site = Site(tmp_path / "demo" / "favsync.db")
    assert len(site.rows("current", search="")) == 202
    (command,) = re.findall(r"^datasette .+$", RECIPES.read_text(encoding="utf-8"), re.MULTILINE)
    words = command.replace("favsync.db", str(site.database)).replace("deploy/", f"{ROOT}/deploy/").split()
    datasette = Path(sys.executable).with_name("datasette")
    done = subprocess.run(
        [datasette, *words[1:], "--get", "/favsync/how-fresh.json?_shape=array"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert [row["account"] for row in json.loads(done.stdout)] == ["demo"]


def test_every_view_and_table_that_is_described_is_there(site: Site) -> None:
    there = site.get("/favsync.json").json()
    tables = {table["name"]: table["hidden"] for table in there["tables"]} | {
        view["name"]: False for view in there["views"]
    }
    assert set(DATABASE["tables"]) - {"tokens"} <= set(tables)
    assert set(views()) <= set(tables)
    assert {name for name, hidden in tables.items() if hidden} >= {
        "raw_blocks",
        "raw_items",
        "removal_memory",
        "snapshots",
    }
    for name in tables:
        assert site.get(f"/favsync/{name}").status_code == 200


def test_tokens_are_hidden_and_only_root_runs_sql(site: Site) -> None:
    sql = "SELECT count(*) FROM tokens"
    assert site.get("/favsync/tokens.json").status_code == 403
    assert site.get("/favsync/tokens.json", as_root=True).status_code == 403
    assert site.get("/favsync.json", sql=sql).status_code == 403
    assert site.get("/favsync.json", as_root=True, sql=sql).status_code == 200
