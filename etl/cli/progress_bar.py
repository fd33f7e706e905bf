"""Progress of a long read: one changing line on a terminal, else a line every few seconds.

The service may not report how long the list is; then no remaining time is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from etl.cli.context import Context
from etl.clock import monotonic

LINE_EVERY_SECONDS = 10.0


class ReadingProgress(Protocol):
    """Items resumed from a checkpoint, and the expected total (0: unknown)."""

    reused_items: int
    expected: int


def pace(name: str, reading: ReadingProgress, count: int, seconds: float) -> str:
    """Return the line for ``count`` favourites read after ``seconds``: how far, how fast, how long still."""
    rate = max(0, count - reading.reused_items) / seconds if seconds > 0 else 0.0
    total = reading.expected
    line = f"{name}: {count:,}" + (f" of about {total:,}" if total > count else "") + " read"
    if reading.reused_items:
        line += f" ({min(count, reading.reused_items):,} kept)"
    if rate >= 1:
        line += f", {rate:,.0f}/s" + (f", {duration((total - count) / rate)} left" if total > count else "")
    return line


def duration(seconds: float) -> str:
    """Return a length of time in s, min or h."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


@contextmanager
def counter(context: Context, account: str) -> Iterator[Callable[[int], None] | None]:
    """Yield a function that shows the number of favourites read so far, or None where no one would see it."""
    if not context.has_progress:
        yield None
        return
    with _spinner(f"{account}: reading") as show:
        yield lambda count: show(f"{account}: {count:,} favourites read")


@contextmanager
def progress_bar(context: Context, name: str, reading: ReadingProgress) -> Iterator[Callable[[int], None]]:
    """Yield a function that shows the pace for the number of favourites read so far."""
    began = monotonic()
    with changing_line(context, f"{name}: reading") as show:
        yield lambda count: show(pace(name, reading, count, monotonic() - began))


@contextmanager
def page_counter(context: Context) -> Iterator[Callable[[int, int], None]]:
    """Yield a function that shows how many pages are written, of how many."""
    began = monotonic()
    with changing_line(context, "reading") as show:

        def update(done: int, total: int) -> None:
            left = (total - done) * (monotonic() - began) / done
            show(f"{done:,} of {total:,} pages written" + (f", {duration(left)} left" if left else ""))

        yield update


@contextmanager
def changing_line(context: Context, first: str) -> Iterator[Callable[[str], None]]:
    """Yield a function that shows a text: on a terminal always, else at most every `LINE_EVERY_SECONDS`."""
    last = monotonic()

    def say(text: str) -> None:
        nonlocal last
        if monotonic() - last >= LINE_EVERY_SECONDS:
            last = monotonic()
            context.say(text)

    if not context.has_progress:
        yield say
        return
    with _spinner(first) as show:
        yield show


@contextmanager
def _spinner(first: str) -> Iterator[Callable[[str], None]]:
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(first)
        yield lambda text: progress.update(task, description=text)
