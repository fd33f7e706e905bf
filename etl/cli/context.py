"""What every verb receives: the settings, the database and the output.

Results go to stdout, everything else to stderr, where the masks of `etl.logs` apply. The settings are read when a verb
first asks for them, so a verb without settings works with a broken settings file.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from etl import config, logs
from etl.reporting.render import TERMINAL_ROWS, json_text, render

if TYPE_CHECKING:
    from sqlalchemy import Engine

WORST_FIRST = (70, 2, 5, 4, 3, 6, 7, 75)


class Context:
    """One invocation of ``favsync``.

    ``options``: the global options by name, ``json`` and ``wide`` among them. ``exit_code``: also counts if the reader of the
    output goes away, so set it before a long output.
    """

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        self.options = {} if options is None else options
        self.exit_code = 0

    @property
    def json(self) -> bool:
        """True if the result should be JSON."""
        return bool(self.options.get("json"))

    @property
    def wide(self) -> bool:
        """True if a table should have all columns and rows."""
        return bool(self.options.get("wide"))

    @cached_property
    def config(self) -> config.Config:
        """The settings. Reading them also configures the logs and prints warnings about risky settings.

        Raises:
            SettingsError: one of them cannot be used.
        """
        environ, file = config.environment(), self.options.get("config")
        settings = config.load(self.options, environ, Path(file) if file else None)
        for secret in settings.secrets():
            logs.mask(secret)
        has_colour = not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"  # https://no-color.org
        logs.configure(
            settings.log_format, "debug" if self.options.get("debug") else settings.log_level, colour=has_colour
        )
        for warning in settings.warnings:
            self.say(f"warning: {warning}")
        return settings

    def open_database(self, *, create: bool = False) -> Engine:
        """Return the engine of a database at the newest schema. ``create``: make a new SQLite file if there is none.

        A new file starts a new history, so it is announced: the path may be mistyped.

        Raises: DatabaseError.
        """
        from etl.db.engine import sqlite_path
        from etl.db.migrate import ready_engine

        url = self.config.database_url.reveal()
        path = sqlite_path(url)
        is_new = create and path is not None and not path.exists()
        engine = ready_engine(url, create=create, pooling=self.config.database_pooling)
        if is_new and path is not None:
            self.say(f"NEW DATABASE: {path.absolute()} did not exist and is created, with an empty history")
        return engine

    @property
    def has_progress(self) -> bool:
        """True if stderr is a terminal that can redraw a line, and the result is for a person."""
        is_able = sys.stderr is not None and sys.stderr.isatty() and config.environment().get("TERM") != "dumb"
        return is_able and not self.json

    @property
    def is_short(self) -> bool:
        """True if a table goes to a terminal, which may have only 80 columns, and --wide is not given."""
        return sys.stdout.isatty() and not (self.wide or self.json)

    @property
    def can_ask(self) -> bool:
        """True if standard input is a terminal; a closed one is not."""
        return sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty()

    def ask_yes_no(self, question: str, otherwise: str) -> bool:
        """Ask the person at the terminal. If the answer is no, write ``otherwise`` to stderr."""
        is_yes = click.confirm(question, err=True)
        if not is_yes:
            self.say(otherwise)
        return is_yes

    def say(self, text: str) -> None:
        """Write a message to stderr; as a log line where the logs are JSON. A closed stderr is ignored."""
        if logs.is_for_machines():
            logs.get(__name__).info(text)
            return
        with suppress(OSError):
            click.echo("\n".join(logs.visible(line) for line in logs.masked(text).split("\n")), err=True)

    def say_traceback(self, error: BaseException) -> None:
        """Write the traceback of ``error`` to stderr."""
        self.say("".join(traceback.format_exception(error)).rstrip())

    def add_exit_codes(self, codes: Iterable[int]) -> None:
        """End with the worst of these exit codes and of the former ones (docs/settings.md)."""
        given = {self.exit_code, *codes} - {0}
        self.exit_code = next((code for code in WORST_FIRST if code in given), max(given, default=0))

    def complain(self, line: str, remedy: str, code: int) -> None:
        """Write to stderr why the verb failed and what to do about it."""
        if logs.is_for_machines():
            logs.get(__name__).error("command failed", error=line, remedy=remedy or None, exit_code=code)
        else:
            self.say(f"error: {line}" + (f"\n  what to do: {remedy}" if remedy else ""))

    def show(self, *lines: str) -> None:
        """Print lines of the result for people, with control characters escaped."""
        for line in "\n".join(lines).split("\n") if lines else ():
            click.echo(logs.visible(line))

    def show_json(self, value: object) -> None:
        """Print the result for machines: instants end in Z, non-ASCII text stays unescaped."""
        click.echo(json_text(value, indent=2))

    def show_result(self, value: object, lines: str | Iterable[str], *hints: str) -> None:
        """Print the result: ``value`` where JSON is wanted, else ``lines``, and then write ``hints`` to stderr."""
        if self.json:
            self.show_json(value)
            return
        self.show(*([lines] if isinstance(lines, str) else lines))
        for hint in hints:
            self.say(hint)

    def show_rows(
        self,
        columns: Sequence[str],
        rows: Iterable[Sequence[object]],
        format: str = "table",
        *,
        is_limited: bool = True,
    ) -> int:
        """Print rows in ``format``, or as JSON where that is wanted, and return how many.

        ``is_limited``: a table on a terminal ends after `TERMINAL_ROWS` rows, with a hint at how to see more.
        """
        remaining = iter(rows)
        is_cut = is_limited and format == "table" and self.is_short
        shown = islice(remaining, TERMINAL_ROWS) if is_cut else remaining
        format = "json" if self.json else "wide" if self.wide and format == "table" else format
        count = render(format, columns, shown, sys.stdout)
        if is_cut and next(remaining, None) is not None:
            self.say(f"the first {TERMINAL_ROWS} rows are shown; see all with `--limit 0`, `--format csv` or `--json`")
        return count


def shortened(items: Sequence[object], most: int) -> str:
    """Return the first ``most`` items separated by commas, and the number of the others."""
    more = f" and {len(items) - most:,} more" if len(items) > most else ""
    return ", ".join(map(str, items[:most])) + more


def moment(instant: datetime | None) -> str:
    """Return an instant for people, to the second; a dash if there is none."""
    return f"{instant:%Y-%m-%d %H:%M:%S} UTC" if instant else "-"
