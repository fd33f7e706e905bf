"""Where every exception ends: as one line for a person and an exit code.

Invariants: no traceback without ``--debug``, never a secret, and no core file; a reader that goes away (``| head``) is no
error; a failed verb is never told as a success.
"""

from __future__ import annotations

import errno
import io
import os
import resource
import select
import sys
from collections.abc import Sequence
from typing import TextIO

import click

from etl.cli.context import Context
from etl.cli.suggestions import did_you_mean
from etl.errors import FavsyncError, UsageError

INTERRUPTED = 130
BUG = 70
LONGEST = 1_000
_COMPLETION = "_FAVSYNC_COMPLETE"
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


def run(app: click.Command, argv: Sequence[str] | None, context: Context) -> int:
    """Run ``app`` and return the exit code that the process should end with."""
    _keep_memory_off_disk()
    _prepare_stdout()
    try:
        code = _invoked(app, list(sys.argv[1:] if argv is None else argv), context)
        if sys.stdout is not None:
            sys.stdout.flush()
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - this is where every error ends
        return _ended(error, context)
    return code


def _invoked(app: click.Command, argv: list[str], context: Context) -> int:
    if not argv and (asked := _completion_asked()):
        from click.shell_completion import shell_complete

        return shell_complete(app, {}, "favsync", _COMPLETION, asked)
    try:
        with app.make_context("favsync", argv, obj=context) as ctx:
            code = app.invoke(ctx)
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    return code if isinstance(code, int) else context.exit_code


def _completion_asked() -> str | None:
    """Return what a shell's completion asks for; it calls without arguments, so no other call pays for this import."""
    from etl.config import environment

    return environment().get(_COMPLETION)


def _ended(error: BaseException, context: Context) -> int:
    if isinstance(error, BrokenPipeError) and _is_unread(sys.stdout):
        _silence(sys.stdout)
        return context.exit_code
    if _is_full(error):
        _silence(sys.stdout)
    if context.debug and not isinstance(error, click.ClickException | KeyboardInterrupt):
        import traceback

        context.say("".join(traceback.format_exception(error)).rstrip())
    if isinstance(error, KeyboardInterrupt | click.Abort):
        context.say("interrupted")
        return INTERRUPTED
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        context.say(error.format_message())
        return UsageError.exit_code
    line, remedy, code = _words(error)
    context.complain(_one_line(line), _one_line(remedy), code)
    return code


def _words(error: BaseException) -> tuple[str, str, int]:
    """Return what went wrong, what to do about it, and the exit code."""
    if isinstance(error, FavsyncError):
        return error.message, error.remedy, error.exit_code
    if isinstance(error, click.ClickException):
        return *_usage(error), UsageError.exit_code
    if _is_full(error):
        reason = getattr(error, "strerror", "")
        return (
            f"the output cannot be written: {reason}",
            "make room, or send the output elsewhere",
            UsageError.exit_code,
        )
    where = f"this is a bug in favsync ({_place(error)}): run the command again with --debug and report what it prints"
    return f"{type(error).__name__}: {error}", where, BUG


def _usage(error: click.ClickException) -> tuple[str, str]:
    ctx = getattr(error, "ctx", None)
    remedy = f"`{ctx.command_path if ctx else 'favsync'} --help` shows how it is used"
    if isinstance(error, click.NoSuchOption):
        names = [name for param in ctx.command.get_params(ctx) for name in param.opts] if ctx else []
        return f"there is no option {error.option_name}", did_you_mean(error.option_name, names) + remedy
    return error.format_message(), remedy


def _place(error: BaseException) -> str:
    """Return the line of favsync where ``error`` arose, as ``etl/load/favourites.py:12``."""
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/etl/" in frame.filename.replace("\\", "/")]
    if not ours:
        return "outside etl"
    return f"etl/{ours[-1].filename.replace(os.sep, '/').rpartition('/etl/')[2]}:{ours[-1].lineno}"


def _one_line(text: str) -> str:
    return " ".join(text.split("\n"))[:LONGEST]


def _keep_memory_off_disk() -> None:
    """Let no crash write a core file: it would hold the tokens."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def _prepare_stdout() -> None:
    """Let no character stop an output: files and pipes get UTF-8; a terminal gets escapes for what it cannot show."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        encoding = None if sys.stdout.isatty() else "utf-8"
        sys.stdout.reconfigure(encoding=encoding, errors="backslashreplace")


def _is_full(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in _NO_ROOM and error.filename is None


def _is_unread(stream: TextIO) -> bool:
    """Say whether ``stream`` is a pipe that nobody reads any more; the exception alone may have come from a socket."""
    try:
        poll = select.poll()
        poll.register(stream.fileno(), select.POLLOUT)
    except (AttributeError, OSError, ValueError):
        return False
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _silence(stream: TextIO) -> None:
    """Send what is still buffered nowhere, or the interpreter complains about it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
