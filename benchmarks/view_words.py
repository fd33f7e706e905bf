"""The page about the speed of the views: a table, and the plans."""

from __future__ import annotations

import platform
import sqlite3
from collections.abc import Sequence
from typing import TYPE_CHECKING

from etl.reporting.views import views

if TYPE_CHECKING:
    from benchmarks.views import Measured

ENGINES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
HEAD = """# How fast the views are

Milliseconds of CPU, of favsync and of the PostgreSQL process that serves it, the least of three (what takes more than a second: of
one). *All* is to work out and count every row, for every account; *first* is what `favsync report NAME --account NAME --limit 100` asks,
sorted, until its rows are in Python. Written by `python -m benchmarks.views` (its first lines say how). PostgreSQL has statistics (`ANALYZE`),
as its autovacuum makes them, and works alone; SQLite has none, as it comes.

What is asked about one account looks at that account alone (a test holds the plans to it), but for survival, half-life and the two views of
markets on SQLite. With 1,000 accounts, 101,200 favourites and 12,136 runs, asking about one account took on PostgreSQL 5 to 10 ms (survival: 0.14 s),
on SQLite 3 to 12 ms (survival: 0.3 s, markets: 0.16 s). Asking about all 1,000 at once is another matter: 251,000 rows of market coverage
took 2.8 s on PostgreSQL and up to 11 s on SQLite, 7 million rows of lost markets 6 s.
"""


def told(found: Sequence[Measured]) -> str:
    """Return the page."""
    parts = [HEAD, f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {platform.machine()}.\n"]
    for measured in found:
        parts.append(f"\n## {_what(measured)}\n\n{_table(measured)}")
    parts.append(f"\n## Plans\n\n{PLANS}")
    parts += [_plans(found[-1], name) for name in sorted(views())]
    return "\n".join(parts)


PLANS = """How each engine goes about `SELECT * FROM view WHERE account = …` in the last of these histories. Tables of a few rows are scanned
because that is quickest.
"""


def _what(measured: Measured) -> str:
    accounts = f"{measured.accounts:,} account{'s' if measured.accounts > 1 else ''}"
    return f"{accounts}, {measured.favourites:,} favourites, {measured.intervals:,} intervals, {measured.runs:,} runs"


def _table(measured: Measured) -> str:
    heads = [f"{name} {what}" for name in ENGINES.values() for what in ("all", "first")]
    lines = [f"| view | rows | {' | '.join(heads)} |", "|---|" + "---:|" * (1 + len(heads))]
    for name in sorted(views()):
        by_engine = measured.timed[name]
        numbers = [
            f"{each:,.1f}" for engine in ENGINES for each in (by_engine[engine].counted_ms, by_engine[engine].first_ms)
        ]
        lines.append(f"| `{name}` | {by_engine['sqlite'].rows:,} | {' | '.join(numbers)} |")
    return "\n".join(lines) + "\n"


def _plans(measured: Measured, name: str) -> str:
    blocks = [f"{title}\n\n```text\n{measured.timed[name][engine].plan}\n```\n" for engine, title in ENGINES.items()]
    return f"<details><summary><code>{name}</code></summary>\n\n" + "\n".join(blocks) + "\n</details>\n"
