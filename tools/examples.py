"""The examples of docs/data-model.md: each SQL block there, and under it the answer that a database with a history gives.

    python -m tools.examples            writes the answers again
    python -m tools.examples --check    says whether they are still true; exit 1 if not

Not here: the questions, which stand in the document. Instants and numbers are read as `favsync report` reads them, so that an
answer is the same on both engines; the tests ask both.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, text

from benchmarks.history import make_history
from etl.reporting.render import render
from etl.reporting.values import readers
from etl.store.engine import open_engine, reading
from etl.store.migrate import upgrade

DOCUMENT: Final = Path(__file__).resolve().parents[1] / "docs/data-model.md"
HISTORY: Final = {"accounts": 2, "favourites": 70, "days": 300, "every": 6, "seed": 3}
"""What `benchmarks.history` is asked for; the tests of the views have the same history."""

_BLOCK: Final = re.compile(
    r"^#### `(?P<view>\w+)`\n(?P<about>(?:(?!#)[^\n]*\n)*?)```sql\n(?P<sql>.*?)```\n\n```text\n(?P<answer>.*?)```\n",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Example:
    """One view of the document: what is said of it, a question in SQL, and the answer that is shown."""

    view: str
    about: str
    sql: str
    answer: str


def examples(document: str) -> list[Example]:
    """Return the examples in the order in which they stand."""
    return [Example(found["view"], found["about"], found["sql"], found["answer"]) for found in _found(document)]


def _found(document: str) -> Iterator[re.Match[str]]:
    return _BLOCK.finditer(document)


def answer(connection: Connection, sql: str) -> str:
    """Return what the database answers, as a table for people."""
    result = connection.execute(text(sql))
    columns = list(result.keys())
    reads = readers(columns)
    shown = io.StringIO()
    render("table", columns, [[read(value) for read, value in zip(reads, row, strict=True)] for row in result], shown)
    return "".join(f"{line.rstrip()}\n" for line in shown.getvalue().splitlines())


def answered(document: str, ask: Callable[[str], str]) -> str:
    """Return ``document`` with the answers that ``ask`` gives."""

    def again(found: re.Match[str]) -> str:
        before, after = found["answer"], ask(found["sql"])
        return found[0].removesuffix(f"{before}```\n") + f"{after}```\n"

    return _BLOCK.sub(again, document)


def main() -> int:
    """Write the answers again, or with ``--check`` only compare."""
    parser = argparse.ArgumentParser(prog="python -m tools.examples", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only say whether the answers are still true")
    is_check = parser.parse_args().check
    stands = DOCUMENT.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/history.db"
        upgrade(url)
        engine = open_engine(url)
        for _ in make_history(engine, **HISTORY):
            pass
        with reading(engine) as connection:
            true = answered(stands, lambda sql: answer(connection, sql))
        engine.dispose()
    if is_check:
        print("the answers are true" if true == stands else "the answers are not true: `make docs` writes them again")
        return int(true != stands)
    DOCUMENT.write_text(true, encoding="utf-8")
    print(f"{len(examples(true))} answers are written", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
