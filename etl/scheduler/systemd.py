"""Telling systemd how the service is (sd_notify(3)); without systemd, nothing."""

from __future__ import annotations

import socket
from contextlib import suppress

from etl.config import environment


def notify(words: str) -> None:
    """Send ``words``, such as ``READY=1``, to the socket that NOTIFY_SOCKET names, if it is set."""
    address = environment().get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    path = "\0" + address[1:] if address.startswith("@") else address
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(path)
        sender.sendall(words.encode())
