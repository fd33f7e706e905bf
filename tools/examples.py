"""Writes the generated parts of docs/data-model.md and docs/recipes.md: answers, rows and columns of views, the dictionary.

python -m tools.examples            write them again
python -m tools.examples --check    compare only; exit 1 if something differs
"""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, text

from benchmarks.history import make_history
from etl.cli import main as main_of_favsync
from etl.db.engine import open_engine, read_transaction
from etl.db.migrate import upgrade
from etl.reporting.column_types import column_converters
from etl.reporting.dictionary import markdown_rows
from etl.reporting.query import Query, run_query
from etl.reporting.render import render
from etl.reporting.views import views

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
_ABOUT: Final = re.compile(r"^(?P<head>#### `(?P<view>\w+)`\n\n)Row: .*\n\s*Columns: [^.]*\.\n", re.MULTILINE)
_DICTIONARY: Final = re.compile(
    r"^(?P<head>\| column \| kind \| meaning \|\n\|---\|---\|---\|\n)(?:\|.*\n)*", re.MULTILINE
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
    """Return the examples in the order of the document."""
    return [Example(**found.groupdict()) for found in _BLOCK.finditer(document)]


def views_told(document: str) -> list[tuple[str, str]]:
    """Return the view and its description for each example of the data model, in the order of the document."""
    return [(found["view"], found["about"]) for found in _VIEW.finditer(document)]


def described(document: str, columns: Mapping[str, Sequence[str]]) -> str:
    """Return ``document`` with the generated text: the row and the columns of each view, and the dictionary."""

    def about(found: re.Match[str]) -> str:
        names = ", ".join(f"`{name}`" for name in columns[found["view"]])
        return f"{found['head']}Row: {views()[found['view']].row}\n\n{textwrap.fill(f'Columns: {names}.', 140)}\n"

    document = _ABOUT.sub(about, document)
    return _DICTIONARY.sub(lambda found: found["head"] + "".join(f"{row}\n" for row in markdown_rows()), document)


def columns_of_views(connection: Connection) -> dict[str, Sequence[str]]:
    """Return the columns of each view."""
    return {name: run_query(connection, Query(view, limit=0)).columns for name, view in views().items()}


def answered(document: str, ask: Ask) -> str:
    """Return ``document`` with the answers of ``ask``."""

    def again(found: re.Match[str]) -> str:
        before, after = found["answer"], ask(Example(**found.groupdict()))
        return found[0].removesuffix(f"{before}```\n") + f"{after}```\n"

    return _BLOCK.sub(again, document)


def asked_of_database(connection: Connection, example: Example) -> str:
    """Return the answer of favsync's database, as a text table."""
    sql = example.question.replace("{{account}}", "'ada'")
    result = connection.execute(text(sql))
    return _table(list(result.keys()), [tuple(row) for row in result])


def asked_of_recipe(folder: Path, example: Example) -> str:
    """Return the answer of DuckDB or Python, run in ``folder``, which contains the export and ``favsync.db``."""
    with contextlib.chdir(folder):
        if example.language == "sql":
            import duckdb

            with duckdb.connect() as connection:
                found = connection.execute(example.question)
                columns = [column[0] for column in found.description or ()]
                return _table(columns, found.fetchall())
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(compile(example.question, "recipe", "exec"), {})  # noqa: S102 - our own document
        return "".join(f"{line.rstrip()}\n" for line in said.getvalue().splitlines())


def _table(columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> str:
    reads = column_converters(columns)
    shown = io.StringIO()
    render("table", columns, [[read(value) for read, value in zip(reads, row, strict=True)] for row in rows], shown)
    return "".join(f"{line.rstrip()}\n" for line in shown.getvalue().splitlines())


def exported(url: str, folder: Path) -> None:
    """Write the Parquet export of the recipes with the command that they name."""
    with contextlib.redirect_stdout(io.StringIO()):
        code = main_of_favsync(["--database-url", url, "export", "--to", str(folder / FOLDER), "--format", "parquet"])
    if code:
        raise RuntimeError(f"the export failed with exit code {code}")


def is_for_database(example: Example) -> bool:
    """True if ``example`` of the recipes queries favsync's own database."""
    return example.question.startswith(METABASE)


@contextlib.contextmanager
def history() -> Iterator[tuple[Path, Connection]]:
    """Yield a folder with the history as ``favsync.db`` and as an export, and a connection to the database."""
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
    """Write the generated parts again, or compare them if ``--check`` is set."""
    parser = argparse.ArgumentParser(prog="python -m tools.examples", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 if something differs")
    is_check = parser.parse_args().check
    with history() as (folder, connection):

        def from_database(example: Example) -> str:
            return asked_of_database(connection, example)

        def from_recipe(example: Example) -> str:
            return from_database(example) if is_for_database(example) else asked_of_recipe(folder, example)

        stored = {path: path.read_text(encoding="utf-8") for path in (DOCUMENT, RECIPES)}
        fresh = {
            path: answered(
                described(text_, columns_of_views(connection)), from_database if path == DOCUMENT else from_recipe
            )
            for path, text_ in stored.items()
        }
    if is_check:
        changed = [path.name for path in stored if stored[path] != fresh[path]]
        print(f"out of date: {', '.join(changed)}; run `make docs`" if changed else "up to date")
        return int(bool(changed))
    for path, text_ in fresh.items():
        path.write_text(text_, encoding="utf-8")
    print(f"wrote {sum(len(examples(text_)) for text_ in fresh.values())} answers", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
