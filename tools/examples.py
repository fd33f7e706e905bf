"""The examples of docs/data-model.md and docs/recipes.md: each block there that asks, and under it what a history answers.

python -m tools.examples            writes the answers again
python -m tools.examples --check    says whether they are still true; exit 1 if not
"""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, text

from benchmarks.history import make_history
from etl.cli import main as main_of_favsync
from etl.db.engine import open_engine, read_transaction
from etl.db.migrate import upgrade
from etl.reporting.column_types import column_converters
from etl.reporting.render import render

DOCS: Final = Path(__file__).resolve().parents[1] / "docs"
DOCUMENT: Final = DOCS / "data-model.md"
RECIPES: Final = DOCS / "recipes.md"
HISTORY: Final = {"accounts": 2, "favourites": 70, "days": 300, "every": 6, "seed": 3, "grace": 48}
"""What `benchmarks.history` is asked for; the tests of the views have the same history."""

FOLDER: Final = "favourites"
METABASE: Final = "-- metabase\n"
_BLOCK: Final = re.compile(
    r"```(?P<language>sql|python)\n(?P<question>[^`]*)```\n\n```text\n(?P<answer>[^`]*)```\n", re.MULTILINE
)
_VIEW: Final = re.compile(r"^#### `(?P<view>\w+)`\n(?P<about>(?:(?!#)[^\n]*\n)*?)```sql$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Example:
    """One question of a document, in SQL or Python, and the answer that is shown."""

    language: str
    question: str
    answer: str


Ask = Callable[[Example], str]


def examples(document: str) -> list[Example]:
    """Return the examples in the order in which they stand."""
    return [Example(**found.groupdict()) for found in _BLOCK.finditer(document)]


def views_told(document: str) -> list[tuple[str, str]]:
    """Return the view and what is said about it for each example of the data model, in their order."""
    return [(found["view"], found["about"]) for found in _VIEW.finditer(document)]


def answered(document: str, ask: Ask) -> str:
    """Return ``document`` with the answers that ``ask`` gives."""

    def again(found: re.Match[str]) -> str:
        before, after = found["answer"], ask(Example(**found.groupdict()))
        return found[0].removesuffix(f"{before}```\n") + f"{after}```\n"

    return _BLOCK.sub(again, document)


def asked_of_database(connection: Connection, example: Example) -> str:
    """Return what favsync's database answers, as a table for people."""
    sql = example.question.replace("{{account}}", "'ada'")
    result = connection.execute(text(sql))
    return _table(list(result.keys()), [tuple(row) for row in result])


def asked_of_recipe(folder: Path, example: Example) -> str:
    """Return what DuckDB, or Python, answers in ``folder``, in which the export and ``favsync.db`` lie."""
    with contextlib.chdir(folder):
        if example.language == "sql":
            import duckdb

            with duckdb.connect() as connection:
                found = connection.execute(example.question)
                columns = [column[0] for column in found.description or ()]
                return _table(columns, found.fetchall())
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(compile(example.question, "recipe", "exec"), {})  # noqa: S102 - the document is ours
        return "".join(f"{line.rstrip()}\n" for line in said.getvalue().splitlines())


def _table(columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> str:
    reads = column_converters(columns)
    shown = io.StringIO()
    render("table", columns, [[read(value) for read, value in zip(reads, row, strict=True)] for row in rows], shown)
    return "".join(f"{line.rstrip()}\n" for line in shown.getvalue().splitlines())


def exported(url: str, folder: Path) -> None:
    """Write the Parquet export that the recipes read, by the command that they name."""
    with contextlib.redirect_stdout(io.StringIO()):
        code = main_of_favsync(["--database-url", url, "export", "--to", str(folder / FOLDER), "--format", "parquet"])
    if code:
        raise RuntimeError(f"the export ended with {code}")


def is_for_database(example: Example) -> bool:
    """Say whether ``example`` of the recipes asks favsync's own database."""
    return example.question.startswith(METABASE)


@contextlib.contextmanager
def history() -> Iterator[tuple[Path, Connection]]:
    """Give a folder in which the history lies as ``favsync.db`` and as an export, and a connection to it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = f"sqlite:///{folder}/favsync.db"
        upgrade(url)
        engine = open_engine(url)
        for _ in make_history(engine, **HISTORY):
            pass
        exported(url, folder)
        with read_transaction(engine) as connection:
            yield folder, connection
        engine.dispose()


def main() -> int:
    """Write the answers again, or with ``--check`` only compare."""
    parser = argparse.ArgumentParser(prog="python -m tools.examples", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only say whether the answers are still true")
    is_check = parser.parse_args().check
    with history() as (folder, connection):

        def from_database(example: Example) -> str:
            return asked_of_database(connection, example)

        def from_recipe(example: Example) -> str:
            return from_database(example) if is_for_database(example) else asked_of_recipe(folder, example)

        stands = {path: path.read_text(encoding="utf-8") for path in (DOCUMENT, RECIPES)}
        true = {
            path: answered(text_, from_database if path == DOCUMENT else from_recipe) for path, text_ in stands.items()
        }
    if is_check:
        false = [path.name for path in stands if stands[path] != true[path]]
        print(f"not true any more: {', '.join(false)}; `make docs` writes them again" if false else "all are true")
        return int(bool(false))
    for path, text_ in true.items():
        path.write_text(text_, encoding="utf-8")
    print(f"{sum(len(examples(text_)) for text_ in true.values())} answers are written", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
