"""Stops long verbs on SIGTERM, SIGINT and SIGHUP (a terminal that is closed; `nohup` makes it ignored, and it stays so).

The first signal sets an event; the second has its ordinary effect, so an operator can always end the process.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@contextmanager
def stop_event() -> Iterator[threading.Event]:
    """Yield an event that one of `SIGNALS` sets while the block runs. Outside the main thread nothing sets it.

    A handler may interrupt `Event.wait` while it holds the event's lock, where setting the event would block forever. So the
    handler writes to a pipe, and a thread that reads the pipe sets the event.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    reader, writer = os.pipe()
    former = {int(number): signal.getsignal(number) for number in SIGNALS}
    if former[signal.SIGHUP] is signal.SIG_IGN:
        del former[signal.SIGHUP]

    def on_signal(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, former[number])
        os.write(writer, b"!")

    def watch() -> None:
        if os.read(reader, 1) == b"!":
            stop.set()

    watcher = threading.Thread(target=watch, name="stop", daemon=True)
    watcher.start()
    for number in former:
        signal.signal(number, on_signal)
    try:
        yield stop
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
        os.write(writer, b".")
        watcher.join()
        os.close(reader)
        os.close(writer)
