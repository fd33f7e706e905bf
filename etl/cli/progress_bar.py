"""How far a long reading is, how fast it goes and how long it will take.

On a terminal it is one line that changes; elsewhere a line every so often. The service may not tell how long the list is: then
neither does this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from etl.cli.context import Context
from etl.clock import monotonic

LINE_EVERY_SECONDS = 10.0


class ReadingProgress(Protocol):
    """What is told of: how many items came from an earlier reading, and a guess at how many there are (0: none)."""

    reused_items: int
    expected: int


class ReadingPace:
    """The words for how far a reading is."""

    def __init__(self, name: str, reading: ReadingProgress) -> None:
        self._name, self._reading = name, reading
        self._began = monotonic()

    def words(self, count: int) -> str:
        """Return them for ``count`` favourites read."""
        seconds = monotonic() - self._began
        rate = max(0, count - self._reading.reused_items) / seconds if seconds > 0 else 0.0
        total = self._reading.expected
        text = f"{self._name}: {count:,}" + (f" of about {total:,}" if total > count else "") + " read"
        if self._reading.reused_items:
            text += f" ({min(count, self._reading.reused_items):,} kept)"
        if rate >= 1:
            text += f", {rate:,.0f}/s"
            text += f", {duration((total - count) / rate)} left" if total > count else ""
        return text


def duration(seconds: float) -> str:
    """Return a length of time as a person says it."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


@contextmanager
def progress_bar(context: Context, name: str, reading: ReadingProgress) -> Iterator[Callable[[int], None]]:
    """Give the function that is told the number of favourites read so far."""
    pace = ReadingPace(name, reading)
    if not context.has_progress:
        yield _lines(context, pace)
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(f"{name}: reading")
        yield lambda count: progress.update(task, description=pace.words(count))


def _lines(context: Context, pace: ReadingPace) -> Callable[[int], None]:
    last = monotonic()

    def tell(count: int) -> None:
        nonlocal last
        if monotonic() - last >= LINE_EVERY_SECONDS:
            last = monotonic()
            context.say(pace.words(count))

    return tell
