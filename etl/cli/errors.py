"""Turns every exception into a message of one line and an exit code.

A traceback is printed with ``--debug`` only, a secret never, and no core file is written. A closed output pipe (``| head``)
is not an error.
"""

from __future__ import annotations

import errno
import io
import os
import resource
import select
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

import click

from etl.cli.options import Invocation
from etl.errors import FavsyncError, UsageError, did_you_mean

if TYPE_CHECKING:
    from etl.cli.context import Context

INTERRUPTED = 130
BUG = 70
LONGEST = 1_000
COMPLETION = "_FAVSYNC_COMPLETE"
NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


def run(app: click.Command, argv: Sequence[str] | None) -> int:
    """Run ``app`` and return the exit code that the process should end with."""
    invocation = Invocation()
    resource.setrlimit(
        resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1])
    )  # it would have the tokens
    prepare_stdout()
    try:
        code = _invoke(app, list(sys.argv[1:] if argv is None else argv), invocation)
        if sys.stdout is not None:
            sys.stdout.flush()
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - every error ends here
        return _report(error, invocation.context)
    return code


def prepare_stdout() -> None:
    """Write UTF-8 to files and pipes, and escapes to a terminal for characters that it cannot show."""
    if sys.stdout is None:  # closed by the caller, as with >&-
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")
    if isinstance(sys.stdout, io.TextIOWrapper):
        encoding = None if sys.stdout.isatty() else "utf-8"
        sys.stdout.reconfigure(encoding=encoding, errors="backslashreplace")


def _invoke(app: click.Command, argv: list[str], invocation: Invocation) -> int:
    if not argv:  # as shells call favsync for completion
        from click.shell_completion import shell_complete

        from etl.config import environment

        if instruction := environment().get(COMPLETION):
            return shell_complete(app, {"obj": invocation}, "favsync", COMPLETION, instruction)
    try:
        with app.make_context("favsync", argv, obj=invocation) as ctx:
            code = app.invoke(ctx)
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    return code if isinstance(code, int) else 0


def _report(error: BaseException, context: Context) -> int:
    is_full = isinstance(error, OSError) and error.errno in NO_SPACE and error.filename is None
    is_unread = isinstance(error, BrokenPipeError) and _has_no_reader(sys.stdout)
    if is_full or is_unread:  # discard what is still buffered, or the interpreter reports it at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if is_unread:
        return context.exit_code
    if context.options.get("debug") and not isinstance(error, click.ClickException | KeyboardInterrupt):
        context.say_traceback(error)
    if isinstance(error, KeyboardInterrupt | click.Abort):
        context.say("interrupted")
        return INTERRUPTED
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        context.say(error.format_message())
        return UsageError.exit_code
    code = UsageError.exit_code
    if isinstance(error, FavsyncError):
        line, remedy, code = error.message, error.remedy, error.exit_code
    elif isinstance(error, click.ClickException):
        line, remedy = _usage(error)
    elif isinstance(error, OSError) and is_full:
        line = f"the output cannot be written: {error.strerror}"
        remedy = "free some space, or write the output elsewhere"
    elif isinstance(error, OSError) and error.filename is not None:
        line, remedy = f"{error.filename}: {error.strerror}", "check the path, its permissions and the file system"
    else:
        line, code = f"{type(error).__name__}: {error}", BUG
        remedy = f"this is a bug in favsync ({_place(error)}): repeat the command with --debug and report the output"
    line, remedy = (" ".join(each.split("\n"))[:LONGEST] for each in (line, remedy))
    context.complain(line, remedy, code)
    return code


def _usage(error: click.ClickException) -> tuple[str, str]:
    """Return what is wrong with the command, and what to do."""
    ctx = getattr(error, "ctx", None)
    remedy = f"see `{ctx.command_path if ctx else 'favsync'} --help`"
    if isinstance(error, click.NoSuchCommand):
        names = ctx.command.list_commands(ctx) if ctx and isinstance(ctx.command, click.Group) else []
        return f"there is no verb {error.command_name!r}", did_you_mean(error.command_name, names) + remedy
    if isinstance(error, click.NoSuchOption):
        names = [name for param in ctx.command.get_params(ctx) for name in param.opts] if ctx else []
        return f"there is no option {error.option_name}", did_you_mean(error.option_name, names) + remedy
    return error.format_message(), remedy


def _place(error: BaseException) -> str:
    """Return the line of favsync that raised ``error``, such as ``etl/load/favourites.py:12``."""
    place, frame = "outside etl", error.__traceback__
    while frame is not None:
        name = frame.tb_frame.f_code.co_filename.replace(os.sep, "/")
        if "/etl/" in name:
            place = f"etl/{name.rpartition('/etl/')[2]}:{frame.tb_lineno}"
        frame = frame.tb_next
    return place


def _has_no_reader(stream: TextIO) -> bool:
    """True if ``stream`` is a pipe without a reader. The exception alone may come from a socket."""
    try:
        poll = select.poll()
        poll.register(stream.fileno(), select.POLLOUT)
    except (AttributeError, OSError, ValueError):
        return False
    return any(event & select.POLLERR for _, event in poll.poll(0))
