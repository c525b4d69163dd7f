"""TCP: whether a port is open. A host that refuses is alive."""

from __future__ import annotations

import asyncio
import time
from typing import NamedTuple


class Knock(NamedTuple):
    """What came back: `alive` even if the port is closed; `seconds` until it did."""

    open: bool
    alive: bool
    seconds: float


async def knock(host: str, port: int, seconds: float) -> Knock:
    """Try to connect once."""
    started = time.perf_counter()
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(host, port)
    except ConnectionRefusedError:
        return Knock(open=False, alive=True, seconds=time.perf_counter() - started)
    except (OSError, TimeoutError):
        return Knock(open=False, alive=False, seconds=time.perf_counter() - started)
    took = time.perf_counter() - started
    writer.transport.abort()  # a reset: nothing lingers on either side
    return Knock(open=True, alive=True, seconds=took)
