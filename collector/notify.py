"""Tells systemd how the service is (sd_notify(3)): a datagram to the socket that it names."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress


def notify(state: str, environment: Mapping[str, str] = os.environ) -> None:
    """Tell systemd, if it is there: `READY=1`, `STOPPING=1`."""
    path = environment.get("NOTIFY_SOCKET", "")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.sendto(state.encode(), address)


async def keep_alive(tell: Callable[[str], None], environment: Mapping[str, str] = os.environ) -> None:
    """Tell systemd again and again that this loop still turns, if it wants to know (WatchdogSec=).

    A database or a disk that is away is no reason to be restarted: it is told elsewhere, and waited for.
    """
    wanted = environment.get("WATCHDOG_USEC", "")
    if not wanted.isdigit() or environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return
    while True:
        tell("WATCHDOG=1")
        await asyncio.sleep(int(wanted) / 1e6 / 3)
