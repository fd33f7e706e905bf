"""The kinds of command that favsync's verbs are made of.

`Verb` takes the options that every verb has after its own; `VerbGroup` is a verb with verbs of its own (``runs list``);
`LazyGroup` is ``favsync`` itself, which imports a verb's module when the verb is used. A verb returns its exit code, or
nothing for 0.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import click

from etl.cli.options import GlobalOption, global_options
from etl.cli.suggestions import unknown

LONGEST = 500
_NAMES: dict[str, Any] = {"help_option_names": ["-h", "--help"]}


class Verb(click.Command):
    """A command that has the global options too."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["context_settings"] = _NAMES | (kwargs.get("context_settings") or {})
        super().__init__(*args, **kwargs)
        self.help = self.help and self.help.replace(
            "\\b\n", "\b\n"
        )  # a raw docstring holds click's mark in two letters
        self.params.extend(global_options())

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; a mistake knows its verb, which click forgets where an option lacks its value."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            error.ctx = error.ctx or ctx
            raise

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verb's own options apart from the global ones."""
        _write_options(self, ctx, formatter)


class VerbGroup(click.Group):
    """A verb with verbs of its own; both take the global options."""

    command_class = Verb

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["context_settings"] = _NAMES | (kwargs.get("context_settings") or {})
        super().__init__(*args, **{"subcommand_metavar": "VERB [ARGS]..."} | kwargs)
        self.params.extend(global_options())

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb, or say which one may have been meant."""
        name = args[0]
        if not ctx.resilient_parsing and not name.startswith("-") and self.get_command(ctx, name) is None:
            raise unknown("verb", name, self.list_commands(ctx), remedy=f"`{ctx.command_path} --help` lists the verbs")
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs before the options."""
        self.format_commands(ctx, formatter)
        _write_options(self, ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each verb with its first sentence, which click would cut off in mid-sentence."""
        found = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        with formatter.section("Verbs"):
            formatter.write_dl(
                [(name, command.get_short_help_str(limit=LONGEST)) for name, command in found.items() if command]
            )


class LazyGroup(VerbGroup):
    """The group whose verbs stand in a table: name -> (module, attribute, one line of help)."""

    def __init__(
        self,
        *args: Any,
        verbs: Mapping[str, tuple[str, str, str]],
        exit_codes: Sequence[tuple[str, str]],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.verbs = verbs
        self.exit_codes = exit_codes

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order of the table."""
        return list(self.verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the verb's module and return the verb."""
        if cmd_name not in self.verbs:
            return None
        module, attribute, _ = self.verbs[cmd_name]
        command = getattr(importlib.import_module(module), attribute)
        return command if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table, importing nothing."""
        with formatter.section("Verbs"):
            formatter.write_dl([(name, line) for name, (_, _, line) in self.verbs.items()])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the exit codes."""
        with formatter.section("Exit codes"):
            formatter.write_dl(self.exit_codes)


def _write_options(command: click.Command, ctx: click.Context, formatter: click.HelpFormatter) -> None:
    for title, are_global in (("Options", False), ("Global options", True)):
        params = [
            param for param in command.get_params(ctx) if _is_global(param) == are_global and not _is_argument(param)
        ]
        records = [record for param in params if (record := param.get_help_record(ctx))]
        if records:
            with formatter.section(title):
                formatter.write_dl(records)


def _is_argument(param: click.Parameter) -> bool:
    """Say whether it is an argument: the usage line has its place, the text its meaning; click would list it bare."""
    return isinstance(param, click.Argument)


def _is_global(param: click.Parameter) -> bool:
    return isinstance(param, GlobalOption) or "--help" in param.opts
