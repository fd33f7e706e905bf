"""docs/recipes.md: each recipe returns the documented answer."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from etl.cli import main
from etl.db.engine import read_transaction
from tests.support.seeded import Histories
from tools.examples import FOLDER, RECIPES, asked_of_database, asked_of_recipe, examples, exported, is_for_database

TEXT = RECIPES.read_text(encoding="utf-8")
ASKED = [example for example in examples(TEXT) if not is_for_database(example)]
OF_DATABASE = [example for example in examples(TEXT) if is_for_database(example)]


@pytest.fixture(scope="module")
def folder(histories: Histories, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder as the recipes want it: the database, and its export."""
    made = tmp_path_factory.mktemp("recipes")
    with closing(sqlite3.connect(str(histories.engine("sqlite").url.database))) as connection:
        connection.execute("VACUUM INTO ?", (str(made / "favsync.db"),))
    exported(f"sqlite:///{made / 'favsync.db'}", made)
    return made


@pytest.mark.parametrize("place", range(len(ASKED)))
def test_a_recipe_returns_the_documented_answer(folder: Path, place: int) -> None:
    assert asked_of_recipe(folder, ASKED[place]) == ASKED[place].answer
    assert len(ASKED[place].answer.splitlines()) > 2


@pytest.mark.postgresql
def test_the_metabase_query_is_answered_by_postgresql(histories: Histories) -> None:
    (question,) = OF_DATABASE
    with read_transaction(histories.engine("postgresql")) as connection:
        assert asked_of_database(connection, question) == question.answer


def test_every_tool_has_its_recipe() -> None:
    code = "".join(example.question for example in ASKED)
    assert "import pandas" in code
    assert "import polars" in code
    assert ".parquet' a" in code
    titles = re.findall(r"^## (.+)$", TEXT, re.MULTILINE)
    assert {"DuckDB", "pandas", "polars", "Datasette", "Grafana", "Metabase", "dbt"} <= set(titles)


def test_the_commands_of_the_recipes_work(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAVSYNC_DATABASE_URL", f"sqlite:///{folder / 'favsync.db'}")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    lines = [line.split(" | ")[0] for block in blocks for line in block.splitlines() if line.startswith("favsync ")]
    assert len(lines) > 4
    assert lines[0] == f"favsync export --to {FOLDER} --format parquet", "which has been carried out for the others"
    for line in lines[1:]:
        assert main(line.split()[1:]) == 0, capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"changes.csv", "daily.parquet", "report.html"}
