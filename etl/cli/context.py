"""What every verb is given: the settings, and ways to speak.

Invariants: a result goes to stdout, everything else to stderr; what is said on stderr passes the masks of `etl.logs`.
The settings are read when a verb first asks for them, so a verb that needs none works with none.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pathlib import Path

    from etl.config import Config


class Context:
    """One invocation of ``favsync``. ``json``: the result is wanted as JSON.

    ``exit_code``: what the process ends with should the reader of its output go away; set it before a long output.
    """

    def __init__(self) -> None:
        self.flags: dict[str, str | None] = {}
        self.file: Path | None = None
        self.debug = False
        self.json = False
        self.exit_code = 0

    @cached_property
    def config(self) -> Config:
        """The settings; reading them also sets up the logs and warns of what should not stay as it is.

        Raises:
            SettingsError: one of them cannot be used.
        """
        from etl import config, logs

        environ = config.environment()
        settings = config.load(self.flags, environ, self.file)
        for secret in settings.secrets():
            logs.mask(secret)
        logs.configure(
            settings.log_format, "debug" if self.debug else settings.log_level, colour=_wants_colour(environ)
        )
        for warning in settings.warnings:
            self.say(f"warning: {warning}")
        return settings

    @property
    def has_progress(self) -> bool:
        """Whether a progress bar would be seen, by a person and on a terminal that can take it back."""
        from etl.config import environment

        is_able = sys.stderr is not None and sys.stderr.isatty() and environment().get("TERM") != "dumb"
        return is_able and not self.json

    def say(self, text: str) -> None:
        """Tell the person something on stderr that is not the result; nobody there to read it is no reason to stop.

        Where lines are JSON for machines, this is one of them.
        """
        from etl import logs
        from etl.logs import masked, visible

        if logs.is_for_machines():
            logs.get(__name__).info(text)
            return
        with suppress(OSError):
            click.echo("\n".join(visible(line) for line in masked(text).split("\n")), err=True)

    def is_agreed(self, question: str, otherwise: str) -> bool:
        """Ask the person at the terminal; where they do not agree, tell what that means."""
        if click.confirm(question, err=True):
            return True
        self.say(otherwise)
        return False

    def say_what_is_lost(self) -> None:
        """Tell, before something is read, what storing no items as received costs."""
        if not self.config.keep_raw:
            from etl.settings import LOST_WITHOUT_RAW

            self.say(LOST_WITHOUT_RAW)

    def complain(self, line: str, remedy: str, code: int) -> None:
        """Say on stderr why the verb failed, and what to do about it."""
        from etl import logs

        if logs.is_for_machines():
            logs.get(__name__).error("the command failed", error=line, remedy=remedy or None, exit_code=code)
        else:
            self.say(f"error: {line}" + (f"\n  what to do: {remedy}" if remedy else ""))

    def show(self, text: str) -> None:
        """Print a line of the result for people: what drives a terminal is written out."""
        from etl.logs import visible

        click.echo("\n".join(visible(line) for line in text.split("\n")))

    def show_json(self, value: object) -> None:
        """Print the result for machines: instants end in Z, non-ASCII text stays as it is."""
        from etl.reporting.render import json_text

        click.echo(json_text(value, indent=2))

    def show_rows(self, columns: Sequence[str], rows: Iterable[Sequence[object]], format: str = "table") -> None:
        """Print a result of many rows, as `etl.reporting.render` does, or as JSON where that is wanted."""
        from etl.reporting.render import render

        render("json" if self.json else format, columns, rows, sys.stdout)


def _wants_colour(environ: Mapping[str, str]) -> bool:
    """Say whether the environment allows colours (https://no-color.org)."""
    return not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


pass_context = click.make_pass_decorator(Context, ensure=True)
