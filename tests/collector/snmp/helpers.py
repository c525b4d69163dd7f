"""What the tests of SNMP share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any, TypeVar

from collector.snmp.channel import Channel

Value = TypeVar("Value")


def run(work: Coroutine[Any, Any, Value]) -> Value:
    """Run a coroutine to its end, within a minute."""

    async def bounded() -> Value:
        return await asyncio.wait_for(work, 60)

    return asyncio.run(bounded())


@contextmanager
def channel(*timeouts: float) -> Iterator[Channel]:
    """A channel on the running loop; by default a try waits so long that a slow machine makes no second one."""
    made = Channel(time.monotonic, Random(), timeouts=timeouts or (20.0,))
    made.open()
    try:
        yield made
    finally:
        made.close()
