"""``favsync config``: the settings, their sources and the schema of their file."""

from __future__ import annotations

import click

from etl.cli.commands import VerbGroup
from etl.cli.context import Context, pass_context
from etl.cli.options import json_option, wide_option
from etl.settings import file_schema


@click.group("config", cls=VerbGroup, invoke_without_command=True, subcommand_metavar="[VERB]")
@wide_option
@json_option
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


@config.command("schema")
@json_option
@pass_context
def schema(context: Context) -> None:
    """Print the JSON Schema of the settings file, for editors and linters."""
    context.show_json(file_schema())
