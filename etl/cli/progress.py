"""How far a long verb is, on a terminal only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from etl.cli.context import Context


@contextmanager
def counter(context: Context, account: str) -> Iterator[Callable[[int], None] | None]:
    """Give a function that shows the number of favourites read so far; None where nobody would see it."""
    if not context.has_progress:
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(f"{account}: reading")
        yield lambda count: progress.update(task, description=f"{account}: {count:,} favourites read")
