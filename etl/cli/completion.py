"""``favsync completion``: a script that lets a shell complete verbs, options, accounts, reports and runs."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from etl.cli.commands import Verb
from etl.cli.errors import COMPLETION

SHELLS = ("bash", "zsh", "fish")


@click.command("completion", cls=Verb)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    r"""Print a script that completes verbs, options, accounts, reports and runs in bash, zsh or fish.

    Load it when the shell starts:

    \b
    echo 'eval "$(favsync completion bash)"' >>~/.bashrc
    echo 'eval "$(favsync completion zsh)"' >>~/.zshrc
    favsync completion fish >~/.config/fish/completions/favsync.fish
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"there is no completion for {shell}")
    click.echo(kind(ctx.find_root().command, {}, "favsync", COMPLETION).source())
