"""The command classes of favsync's verbs, and suggestions for mistyped names.

`verb` makes a `Verb`, a command with the global options, of a function; `VerbGroup` is a verb with verbs of its own (``runs
list``); `LazyGroup` is ``favsync`` itself, which imports a verb's module when the verb is used.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import update_wrapper
from typing import TYPE_CHECKING, Any

import click

from etl.cli.options import GlobalOption, Invocation, shared_options
from etl.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from etl.cli.context import Context

WIDEST_HELP = 500
CONTEXT_SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "show_default": True}


def unknown(kind: str, given: str, names: Iterable[str], *, remedy: str) -> UsageError:
    """Return the error for ``given``, which is not a ``kind`` among ``names``, with the nearest names."""
    return UsageError(f"there is no {kind} {given!r}", remedy=did_you_mean(given, names) + remedy)


class Verb(click.Command):
    """A command with the global options, and ``--json`` if it ``has_json``."""

    def __init__(self, *args: Any, has_json: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **{"context_settings": CONTEXT_SETTINGS} | kwargs)
        self.params += shared_options(has_json=has_json)
        self.help = self.help and self.help.replace("\\b\n", "\b\n")  # a raw docstring has click's mark as two letters

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; click omits the context of an option without its value."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            error.ctx = error.ctx or ctx
            raise

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verb's own options and the global ones in two sections."""
        _write_options(self, ctx, formatter)


def verb(name: str, **attributes: Any) -> Callable[[Callable[..., None]], Verb]:
    """Return a decorator that makes a verb of a function, whose first argument is the `Context`; it sets the exit code.

    ``attributes``: those of `Verb`. It has ``--json`` unless they say otherwise.
    """

    def decorated(function: Callable[..., None]) -> Verb:
        command: Verb = click.command(name, cls=Verb, **{"has_json": True} | attributes)(pass_context(function))
        return command

    return decorated


def pass_context(function: Callable[..., None]) -> Callable[..., int]:
    """Return ``function`` with the `Context` as its first argument, which returns the exit code of the context."""

    def passing(*args: Any, **kwargs: Any) -> int:
        context: Context = click.get_current_context().ensure_object(Invocation).context
        function(context, *args, **kwargs)
        return context.exit_code

    return update_wrapper(passing, function)


class VerbGroup(click.Group):
    """A verb with verbs of its own; both have the global options."""

    command_class = Verb

    def __init__(self, *args: Any, has_json: bool = False, **kwargs: Any) -> None:
        defaults = {"context_settings": CONTEXT_SETTINGS, "subcommand_metavar": "VERB [ARGS]..."}
        super().__init__(*args, **defaults | kwargs)
        self.params += shared_options(has_json=has_json)

    def verb(self, name: str, **attributes: Any) -> Callable[[Callable[..., None]], Verb]:
        """Return a decorator that makes a verb of this group of a function, as `verb` does."""

        def decorated(function: Callable[..., None]) -> Verb:
            made = verb(name, **attributes)(function)
            self.add_command(made)
            return made

        return decorated

    def help_lines(self, ctx: click.Context) -> list[tuple[str, str]]:
        """Return (verb, first sentence of its help); click would cut the sentence."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        return [(name, command.get_short_help_str(limit=WIDEST_HELP)) for name, command in found if command]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs before the options."""
        with formatter.section("Verbs"):
            formatter.write_dl(self.help_lines(ctx))
        _write_options(self, ctx, formatter)


class LazyGroup(VerbGroup):
    """A group that imports its verbs late.

    ``verbs``: name -> (module, attribute, help line). ``more``: where to read on, at the end of the help.
    """

    def __init__(
        self,
        name: str,
        verbs: Mapping[str, tuple[str, str, str]],
        exit_codes: Sequence[tuple[str, str]],
        help: str,
        more: str,
    ) -> None:
        super().__init__(name, help=help)
        self.more = more
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
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def help_lines(self, ctx: click.Context) -> list[tuple[str, str]]:
        """Return the lines of the table, without an import."""
        return [(name, line) for name, (_, _, line) in self.verbs.items()]

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a verb from the table, without an import, or an option."""
        from click.shell_completion import CompletionItem

        found = [CompletionItem(name, help=line) for name, line in self.help_lines(ctx) if name.startswith(incomplete)]
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the exit codes, and where to read on."""
        with formatter.section("Exit codes"):
            formatter.write_dl(self.exit_codes)
        formatter.write_paragraph()
        formatter.write_text(self.more)


def _write_options(command: click.Command, ctx: click.Context, formatter: click.HelpFormatter) -> None:
    # arguments are in the usage line and in the text; click would list them without help
    options = [param for param in command.get_params(ctx) if not isinstance(param, click.Argument)]
    for title, are_global in (("Options", False), ("Global options", True)):
        chosen = [each for each in options if (isinstance(each, GlobalOption) or "--help" in each.opts) == are_global]
        records = [record for param in chosen if (record := param.get_help_record(ctx))]
        if records:
            with formatter.section(title):
                formatter.write_dl(records)
