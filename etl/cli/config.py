"""``favsync config``: what every setting is and where it comes from."""

from __future__ import annotations

import click

from etl.cli.commands import Verb
from etl.cli.context import Context, pass_context
from etl.cli.options import json_option


@click.command("config", cls=Verb)
@json_option
@pass_context
def config(context: Context) -> None:
    """Print every setting, its value and where it comes from.

    Secrets show as ***. An option beats the environment, which beats the file of --config, which beats the default; the
    names in the first column are those that the file uses.
    """
    rows = [(name, value, str(source), variable) for name, value, source, variable in context.config.shown()]
    context.show_rows(("setting", "value", "source", "variable"), rows)
