"""Notifications to systemd (sd_notify(3)). A file of its own, since other services may use it."""

from __future__ import annotations

import socket
from contextlib import suppress

from etl.config import environment


def notify(state: str) -> None:
    """Send ``state``, such as ``READY=1``, to the socket that NOTIFY_SOCKET names. Without it, do nothing."""
    address = environment().get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    path = "\0" + address[1:] if address.startswith("@") else address
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(path)
        sender.sendall(state.encode())
