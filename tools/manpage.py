"""Writes the man page docs/favsync.1 from the help texts of the verbs."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import click

from etl import __version__
from etl.cli import EXIT_CODES, app
from etl.cli.options import GlobalOption

TARGET = Path(__file__).parents[1] / "docs" / "favsync.1"


def escaped(text: str) -> str:
    """Return ``text`` as roff prints it unchanged."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join(f"\\&{line}" if line.startswith((".", "'")) else line for line in text.splitlines())


def paragraphs(text: str) -> Iterator[str]:
    """Yield the paragraphs of a help text as roff; those that click leaves as they are stay so."""
    for part in inspect.cleandoc(text).split("\n\n"):
        if part.startswith("\b\n"):
            yield f".PP\n.nf\n{escaped(part[2:])}\n.fi"
        else:
            yield f".PP\n{escaped(' '.join(part.split()))}"


def options(command: click.Command, context: click.Context, *, are_global: bool) -> Iterator[str]:
    """Yield the options of a command as roff."""
    for param in command.get_params(context):
        record = param.get_help_record(context)
        if record and (isinstance(param, GlobalOption) or "--help" in param.opts) == are_global:
            yield f".TP\n.B {escaped(record[0])}\n{escaped(' '.join(record[1].split()))}"


def verbs(command: click.Command, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    """Yield every verb with its context, groups before the verbs in them."""
    yield command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            if found is not None and not found.hidden:
                yield from verbs(found, click.Context(found, info_name=name, parent=context))


def man_page() -> str:
    """Return the man page."""
    root = click.Context(app, info_name="favsync", **app.context_settings)
    lines = [
        f'.TH FAVSYNC 1 "" "favsync {__version__}" "User commands"',
        ".SH NAME\nfavsync \\- copy a Boomplay user's favourite tracks into a database and keep their history",
        ".SH SYNOPSIS\n.B favsync\n.I VERB\n[ARGUMENTS] [OPTIONS]",
        ".SH DESCRIPTION",
        *paragraphs(app.help or ""),
        ".SH GLOBAL OPTIONS",
        *options(app, root, are_global=True),
        ".SH VERBS",
    ]
    for command, context in list(verbs(app, root))[1:]:
        lines.append(f".SS {escaped(' '.join([context.command_path, *command.collect_usage_pieces(context)]))}")
        lines += [*paragraphs(command.help or ""), *options(command, context, are_global=False)]
    lines.append(".SH EXIT STATUS")
    lines += [f".TP\n.B {code}\n{escaped(meaning)}" for code, meaning in EXIT_CODES]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    TARGET.write_text(man_page(), encoding="utf-8")
