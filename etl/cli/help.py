"""``favsync help``: the help of a verb."""

from __future__ import annotations

import click

from etl.cli.commands import Verb, unknown


@click.command("help", cls=Verb)
@click.argument("words", metavar="[VERB]...", nargs=-1)
@click.pass_context
def help_(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Show the help of a verb, such as `favsync help accounts add`; without VERB, list the verbs."""
    inner = ctx.find_root()
    for word in words:
        command = inner.command
        verbs = command.list_commands(inner) if isinstance(command, click.Group) else []
        found = command.get_command(inner, word) if isinstance(command, click.Group) else None
        if found is None:
            raise unknown("verb", word, verbs, remedy=f"see `{inner.command_path} --help`")
        inner = click.Context(found, info_name=word, parent=inner, **found.context_settings)
    click.echo(inner.command.get_help(inner))
