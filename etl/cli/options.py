"""The options and arguments that several verbs share.

A global option may come before or after the verb; the last one counts.
"""

from __future__ import annotations

from typing import Any

import click

from etl import __version__
from etl.cli.context import Context


class WholeNumber(click.IntRange):
    """A whole number that both databases can store."""

    name = "whole number"
    LARGEST = 2**63 - 1  # of SQLite

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number. The limit is shown only in the error."""
        number = super().convert(value, param, ctx)
        if number > self.LARGEST:
            self.fail(f"{number} is too large.", param, ctx)
        return number


class GlobalOption(click.Option):
    """An option of every verb; its value goes to the `Context`, not to the verb's arguments."""

    def __init__(self, *names: str, **kwargs: Any) -> None:
        super().__init__(list(names), expose_value=False, **kwargs)


def global_options() -> list[click.Parameter]:
    """Return new instances of the options that every verb has."""
    return [
        GlobalOption(
            "--config",
            "file",
            metavar="FILE",
            type=click.Path(),
            callback=_keep_file,
            help="TOML file with settings (see `favsync config`). [env: FAVSYNC_CONFIG; default: none]",
        ),
        GlobalOption(
            "--database-url",
            metavar="URL",
            callback=_keep_flag,
            help="sqlite:///FILE or postgresql://USER@HOST/NAME. Set a URL with a password in the environment: "
            "arguments are visible in the process list. "
            "[env: FAVSYNC_DATABASE_URL; default: favsync/favsync.db in the user's data folder]",
        ),
        GlobalOption(
            "--api-url",
            metavar="URL",
            callback=_keep_flag,
            help="Address of Boomplay's API. [env: BOOMPLAY_API_URL; default: https://openapi.boomplay.com]",
        ),
        GlobalOption(
            "--log-level",
            metavar="LEVEL",
            callback=_keep_flag,
            help="Log level: debug, info, warning or error. [env: FAVSYNC_LOG_LEVEL; default: info]",
        ),
        GlobalOption(
            "--log-format",
            metavar="FORMAT",
            callback=_keep_flag,
            help="Log format: text or json. [env: FAVSYNC_LOG_FORMAT; default: text]",
        ),
        GlobalOption(
            "--debug",
            is_flag=True,
            callback=_keep_debug,
            help="Log at the level debug and show tracebacks.",
        ),
        GlobalOption(
            "--version", is_flag=True, is_eager=True, callback=_print_version, help="Print the version and exit."
        ),
    ]


def _context(ctx: click.Context) -> Context:
    return ctx.find_root().ensure_object(Context)


def _keep_file(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    if value is not None:
        from pathlib import Path  # late: it would slow down every --help

        _context(ctx).file = Path(value)


def _keep_flag(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is not None and param.name is not None:
        _context(ctx).flags[param.name] = value


def _keep_debug(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    _context(ctx).debug |= value


def _keep_json(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    _context(ctx).json |= value


def _print_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        click.echo(f"favsync {__version__}")
        ctx.exit()


json_option = click.option(
    "--json", is_flag=True, expose_value=False, callback=_keep_json, help="Print the result as JSON."
)
"""``--json``: sets ``Context.json``."""

account_argument = click.argument("account", required=False)
"""``[ACCOUNT]``: None if omitted."""

accounts_argument = click.argument("accounts", metavar="[ACCOUNT]...", nargs=-1)
"""``[ACCOUNT]...``: an empty tuple means all enabled accounts."""
