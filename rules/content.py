"""What an engine's state says, without the places in memory where it happens to stand: equal for equal states.

Two engines that took the same have the same content to the bit, though one of them was put down and taken up again
meanwhile: it gives series other slots, windows other rings, and forgets what nobody asks for at another moment.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from rules import state
from rules.slots import GONE

if TYPE_CHECKING:
    from rules.engine import Engine
    from rules.fleet import Fleet


def content(engine: Engine) -> Iterator[bytes]:
    """Yield the parts of an engine's state in an order of their own: alerts, then every series with its samples."""
    saved, _ = state.decode(engine.dump())
    yield msgspec.msgpack.encode((saved.now, saved.owners, sorted(saved.slots.items())))
    for rule in saved.rules:
        alerts = sorted(msgspec.msgpack.encode(alert) for alert in rule.alerts)
        yield msgspec.msgpack.encode((rule.identity, rule.owner, alerts))
    yield from _series(engine.fleet)


def _series(fleet: Fleet) -> Iterator[bytes]:
    array, names = fleet.array, fleet.series_table.rows
    live = np.flatnonzero((array.births[: array.size] >= 0) & (array.times[: array.size] > GONE))
    found = []
    for slot in live.tolist():
        source = fleet.windows.sources[int(fleet.windows.source[slot])]
        if source is not None:
            own = tuple(sorted(names[int(array.series[slot])].items()))
            found.append(((source.device.number, source.name, own), slot))
    for key, slot in sorted(found):
        yield msgspec.msgpack.encode(key)
        yield array.times[slot].tobytes() + array.values[slot].tobytes()
        yield _window(fleet, slot)


def _window(fleet: Fleet, slot: int) -> bytes:
    """The samples of a series that are still wanted, with their times."""
    windows = fleet.windows
    track = int(windows.track[slot])
    head, capacity = int(windows.head[track]), int(windows.capacity[track])
    if not track or not head:
        return b""
    counters = np.arange(max(0, head - capacity), head) % capacity
    times = windows.arena.get(windows.time_row[track] + counters)
    values = windows.arena.get(windows.row[slot] + counters)
    wanted = times > times[-1] - windows.span[track]
    return bytes(times[wanted].tobytes() + values[wanted].tobytes())
