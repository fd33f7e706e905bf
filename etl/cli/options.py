"""The options and arguments that several verbs share.

A global option may come before or after the verb; the last one counts.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import click

from etl import __version__
from etl.cli.completers import account_names

if TYPE_CHECKING:
    from etl.cli.context import Context

DATABASE_URL_HELP = (
    "A path such as ./favsync.db, or postgresql://USER@HOST/NAME. Set a URL with a password in the environment: arguments "
    "are visible in the process list. [env: FAVSYNC_DATABASE_URL; default: favsync/favsync.db in the user's data folder]"
)
TEXT_OPTIONS = {
    "config": ("FILE", "TOML file with settings (see `favsync config`). [env: FAVSYNC_CONFIG; default: none]"),
    "database_url": ("URL", DATABASE_URL_HELP),
    "api_url": ("URL", "Address of Boomplay's API. [env: BOOMPLAY_API_URL; default: https://openapi.boomplay.com]"),
    "log_level": ("LEVEL", "Log level: debug, info, warning or error. [env: FAVSYNC_LOG_LEVEL; default: info]"),
    "log_format": ("FORMAT", "Log format: text or json. [env: FAVSYNC_LOG_FORMAT; default: text]"),
}
"""Name: (metavar, help) of the global options with a value. All but ``config`` are settings."""


class Invocation:
    """One invocation of ``favsync``: its global options by name, and the `Context` of its verb."""

    def __init__(self) -> None:
        self.options: dict[str, Any] = {}

    @cached_property
    def context(self) -> Context:
        """What the verb receives. It is imported when a verb begins, so that help is quick."""
        from etl.cli.context import Context

        return Context(self.options)


class WholeNumber(click.types.IntParamType):
    """A whole number, at least ``least``, that both databases can store."""

    name = "whole number"
    LARGEST = 2**63 - 1  # of SQLite

    def __init__(self, least: int) -> None:
        self.least = least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number. The limits are shown only in the error."""
        number = int(super().convert(value, param, ctx))
        if number < self.least:
            self.fail(f"{number} is less than {self.least}.", param, ctx)
        if number > self.LARGEST:
            self.fail(f"{number} is too large.", param, ctx)
        return number


class GlobalOption(click.Option):
    """An option of every verb; its value goes to the `Invocation`, not to the verb's arguments."""

    def __init__(self, name: str, *more_names: str, **kwargs: Any) -> None:
        names = [*more_names, f"--{name.replace('_', '-')}"]
        super().__init__(names, expose_value=False, **{"callback": _keep} | kwargs)


def shared_options(*, has_json: bool) -> list[click.Parameter]:
    """Return new instances of the options that every verb has, after ``--json``, which sets ``Context.json``."""
    text = "Print the result as JSON."
    own = [click.Option(["--json"], is_flag=True, expose_value=False, callback=_keep, help=text)] if has_json else []
    found = [GlobalOption(name, metavar=metavar, help=text) for name, (metavar, text) in TEXT_OPTIONS.items()]
    debug = GlobalOption("debug", is_flag=True, help="Log at the level debug and show tracebacks.")
    version = {"is_flag": True, "is_eager": True, "callback": _print_version, "help": "Print the version and exit."}
    return [*own, *found, debug, GlobalOption("version", "-V", **version)]


def _keep(ctx: click.Context, param: click.Parameter, value: str | bool | None) -> None:
    if value not in (None, False):
        ctx.ensure_object(Invocation).options[param.name or ""] = value


def _print_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        click.echo(f"favsync {__version__}")
        ctx.exit()


wide_option = click.option(
    "--wide",
    is_flag=True,
    expose_value=False,
    callback=_keep,
    help="Show all columns and rows, wider than the terminal.",
)
"""``--wide``: sets ``Context.wide``, for verbs whose whole table does not fit into 80 columns."""

account_argument = click.argument("account", required=False, shell_complete=account_names)
"""``[ACCOUNT]``: None if omitted."""

accounts_argument = click.argument("accounts", metavar="[ACCOUNT]...", nargs=-1, shell_complete=account_names)
"""``[ACCOUNT]...``: names or patterns such as ``u*``; an empty tuple means all enabled accounts."""

plan_option = click.option(
    "-n", "--plan", "--dry-run", "is_plan", is_flag=True, help="Show what would happen, and write nothing."
)
"""``--plan``, also ``-n`` and ``--dry-run``."""
