"""A closer look at a machine that is not in the register: open management ports, and its name by reverse DNS."""

from __future__ import annotations

import asyncio
import socket
from typing import Final

from collector.discovery.said import Looked
from collector.reach.tcp import knock

SECONDS: Final = 1.0
PAUSE: Final = 0.05


async def look(address: str, ports: list[int]) -> Looked:
    """Return which ports are open, asked one after the other, once each, and the machine's name."""
    found = []
    for port in ports:
        if (await knock(address, port, SECONDS)).open:
            found.append(port)
        await asyncio.sleep(PAUSE)
    return Looked(address, found, await _name(address))


async def _name(address: str) -> list[str]:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(5):
            name, _ = await loop.getnameinfo((address, 0), socket.NI_NAMEREQD)
    except (OSError, TimeoutError):
        return []
    return [name[:200]]
