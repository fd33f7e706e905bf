"""``favsync config``: the settings, their sources and the schema of their file."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import click

from etl.cli.commands import VerbGroup, pass_context
from etl.cli.context import Context
from etl.cli.options import wide_option
from etl.errors import UsageError
from etl.settings import file_schema, file_template


@click.group("config", cls=VerbGroup, has_json=True, invoke_without_command=True, subcommand_metavar="[VERB]")
@wide_option
@pass_context
@click.pass_context
def config(click_context: click.Context, context: Context) -> None:
    """Show every setting, its value and its source.

    Secrets are shown as ***. An option overrides the environment, which overrides the settings file, which overrides the
    default. The first column has the names that the settings file uses.
    """
    if click_context.invoked_subcommand is None:
        rows = [(name, value, str(source), variable) for name, value, source, variable in context.config.shown()]
        shown = 3 if context.is_short else 4
        context.show_rows(("setting", "value", "source", "variable")[:shown], [row[:shown] for row in rows])


@config.verb("init")
@click.argument("file", default="favsync.toml", type=click.Path(path_type=Path, dir_okay=False))
def init(context: Context, file: Path) -> None:
    """Write a settings file, FILE or favsync.toml, with every setting as a comment at its default.

    Only you can read the file, as it may hold secrets. An existing file is not changed.
    """
    try:
        with open(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as opened:  # noqa: PTH123
            opened.write(file_template())
    except FileExistsError:
        raise UsageError(f"{file} exists already", remedy="name another file, or edit that one") from None
    except OSError as fault:
        raise UsageError(f"{file} cannot be written: {fault.strerror}", remedy="name another file") from None
    hint = f"edit it, then `export FAVSYNC_CONFIG={shlex.quote(str(file.absolute()))}` or add `--config {shlex.quote(str(file))}`"
    context.show_result({"file": str(file)}, f"{file} is written", hint)


@config.verb("schema")
def schema(context: Context) -> None:
    """Print the JSON Schema of the settings file, for editors and linters."""
    context.show_json(file_schema())
