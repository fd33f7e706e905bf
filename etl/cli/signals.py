"""Stops long verbs on SIGTERM and SIGINT.

The first signal sets an event; the second has its ordinary effect, so an operator can always end the process.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def stop_event() -> Iterator[threading.Event]:
    """Yield an event that SIGTERM or SIGINT sets while the block runs. Outside the main thread nothing sets it.

    A handler may interrupt `Event.wait` while it holds the event's lock, where setting the event would block forever. So the
    handler writes to a pipe, and a thread that reads the pipe sets the event.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    reader, writer = os.pipe()
    former = {int(number): signal.getsignal(number) for number in SIGNALS}

    def on_signal(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, former[number])
        os.write(writer, b"!")

    def watch() -> None:
        if os.read(reader, 1) == b"!":
            stop.set()

    watcher = threading.Thread(target=watch, name="stop", daemon=True)
    watcher.start()
    for number in SIGNALS:
        signal.signal(number, on_signal)
    try:
        yield stop
    finally:
        for number in SIGNALS:
            signal.signal(number, former[number])
        os.write(writer, b".")
        watcher.join()
        os.close(reader)
        os.close(writer)
